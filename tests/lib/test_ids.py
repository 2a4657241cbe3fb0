from __future__ import annotations

from datetime import UTC, datetime
from uuid import RFC_4122

from ajo.lib.ids import UUID7Factory, uuid7, uuid_floor

AT = datetime(2026, 11, 21, 12, 0, 0, 5000, tzinfo=UTC)
NANOSECONDS = int(AT.timestamp() * 1000) * 1_000_000


def test_ids_are_version_7_of_the_standard_variant() -> None:
    made = uuid7()
    assert made.version == 7
    assert made.variant == RFC_4122


def test_many_ids_rise_within_and_between_calls() -> None:
    make = UUID7Factory(clock=lambda: NANOSECONDS)
    ids = make.many(5_000) + make.many(5_000)
    assert ids == sorted(ids)
    assert len(set(ids)) == 10_000


def test_ids_keep_rising_when_the_clock_steps_back() -> None:
    clock = iter([NANOSECONDS, NANOSECONDS - 60_000_000_000])
    make = UUID7Factory(clock=lambda: next(clock))
    assert make() < make()


def test_the_floor_of_a_moment_bounds_the_ids_made_then() -> None:
    made = UUID7Factory(clock=lambda: NANOSECONDS)()
    assert uuid_floor(AT) <= made < uuid_floor(AT.replace(microsecond=6000))
