from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.ingest.clock import EARLIEST, FUTURE_TOLERANCE, moment, occurred_at

RECEIVED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
anytime = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-21T12:00:00Z", RECEIVED),
        ("2026-11-21T12:00:00.000Z", RECEIVED),
        ("2026-11-21T12:00:00.000000000Z", RECEIVED),
        ("2026-11-21T14:00:00+02:00", RECEIVED),
        ("2026-11-21T14:00:00+0200", RECEIVED),
        ("2026-11-21T12:00:00", RECEIVED),
        ("2026-11-22T02:00:00+14:00", RECEIVED),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        (
            "9999-12-31T23:59:59-14:00",
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14))),
        ),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("2026-11-21T23:59:60Z", None),
        ("2027-02-29T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1_795_262_400_000, None),
        (True, None),
        ({"$date": "2026-11-21"}, None),
    ],
)
def test_a_moment_is_an_iso_time_or_nothing(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected


def at(**offset: float) -> datetime:
    return RECEIVED + timedelta(**offset)


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "expected"),
    [
        pytest.param(None, None, RECEIVED, id="no time at all"),
        pytest.param(None, at(hours=-2), RECEIVED, id="no timestamp"),
        pytest.param(at(minutes=-3), None, at(minutes=-3), id="no sending time"),
        pytest.param(at(minutes=-3), RECEIVED, at(minutes=-3), id="right clock"),
        pytest.param(at(hours=-5), at(hours=-5, minutes=1), at(minutes=-1), id="slow clock"),
        pytest.param(at(days=2), at(days=2, minutes=1), at(minutes=-1), id="fast clock"),
        pytest.param(at(days=-400), RECEIVED, at(days=-400), id="history"),
        pytest.param(at(minutes=4), None, at(minutes=4), id="a little in the future"),
        pytest.param(at(minutes=6), None, at(minutes=5), id="too far in the future"),
        pytest.param(at(hours=1), RECEIVED, at(minutes=5), id="after it was sent"),
        pytest.param(datetime(9999, 12, 31, tzinfo=UTC), None, at(minutes=5), id="end of time"),
        pytest.param(EARLIEST, datetime(9999, 12, 31, tzinfo=UTC), RECEIVED, id="sent at the end of time"),
        pytest.param(EARLIEST, at(days=1), RECEIVED, id="corrected to before 1970"),
    ],
)
def test_the_clock_of_the_sender_cancels_out(
    timestamp: datetime | None, sent_at: datetime | None, expected: datetime
) -> None:
    assert occurred_at(timestamp, sent_at, RECEIVED) == expected


@given(timestamp=st.none() | anytime.filter(lambda t: t >= EARLIEST), sent_at=st.none() | anytime)
def test_every_time_can_be_stored(timestamp: datetime | None, sent_at: datetime | None) -> None:
    assert EARLIEST <= occurred_at(timestamp, sent_at, RECEIVED) <= RECEIVED + FUTURE_TOLERANCE
