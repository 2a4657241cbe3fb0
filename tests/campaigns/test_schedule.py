from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import schedule as schedules

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday
WEEKLY = {"kind": "recurring", "every": "week", "time": "09:00", "zone": "UTC", "weekdays": [1, 5]}
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu",
    "Africa/Casablanca", "Africa/Cairo", "America/Havana", "Pacific/Apia", "Pacific/Chatham", "America/Nuuk",
    "Asia/Beirut", "Antarctica/Troll",
]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dates(schedule: dict[str, Any], n: int = 3, after: datetime = NOW, done: int = 0) -> list[str]:
    return [f"{at:%Y-%m-%d %H:%M}" for at in schedules.next_dates(schedule, after, n, done)]


# --- the clock that jumps ------------------------------------------------------------------------------------

# (zone, day, local time, moment in UTC): a time that spring skips is the first moment after the gap, one that autumn
# doubles the first of the two; the hours around them are themselves.
NIGHTS = [
    ("Europe/Berlin", "2026-03-29", "01:59", "2026-03-29 00:59"),
    ("Europe/Berlin", "2026-03-29", "02:00", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-03-29", "02:30", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-03-29", "03:00", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25", "02:30", "2026-10-25 00:30"),
    ("Europe/Berlin", "2026-10-25", "03:00", "2026-10-25 02:00"),
    ("America/New_York", "2026-03-08", "02:15", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01", "01:30", "2026-11-01 05:30"),
    ("America/Havana", "2026-03-08", "00:30", "2026-03-08 05:00"),  # midnight itself is skipped
    ("America/Havana", "2026-11-01", "00:30", "2026-11-01 04:30"),
    ("Africa/Cairo", "2026-04-24", "00:00", "2026-04-23 22:00"),
    ("Africa/Cairo", "2026-10-29", "23:30", "2026-10-29 20:30"),
    ("Asia/Beirut", "2026-03-29", "00:15", "2026-03-28 22:00"),
    ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03 15:30"),  # half an hour
    ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04 14:45"),
    ("Pacific/Chatham", "2026-09-27", "03:00", "2026-09-26 14:00"),  # 45 minutes off
    ("Pacific/Chatham", "2026-04-05", "03:00", "2026-04-04 13:15"),
    ("America/Nuuk", "2026-03-28", "23:30", "2026-03-29 01:00"),
    ("America/Nuuk", "2026-10-24", "23:30", "2026-10-25 00:30"),
    ("Africa/Casablanca", "2026-03-22", "02:30", "2026-03-22 02:00"),
    ("Africa/Casablanca", "2026-02-15", "02:30", "2026-02-15 01:30"),
    ("Antarctica/Troll", "2026-03-29", "01:30", "2026-03-29 01:00"),  # two hours
    ("Antarctica/Troll", "2026-10-25", "01:30", "2026-10-24 23:30"),
    ("America/Sao_Paulo", "2018-11-04", "00:30", "2018-11-04 03:00"),
    ("Asia/Kathmandu", "2026-06-01", "09:00", "2026-06-01 03:15"),
]


@pytest.mark.parametrize(("zone", "day", "at", "moment"), NIGHTS)
def test_a_local_time_is_this_moment(zone: str, day: str, at: str, moment: str) -> None:
    found = schedules.local_instant(date.fromisoformat(day), time.fromisoformat(at), zone)
    assert f"{found:%Y-%m-%d %H:%M}" == moment
    assert found.second == found.microsecond == 0


@given(
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime(2011, 12, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    at=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    every=st.sampled_from(["day", "week", "month"]),
    weekdays=st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True),
    day=st.one_of(st.just("last"), st.integers(1, 31)),
)
def test_dates_rise_and_no_local_day_has_two(
    zone: str, after: datetime, at: time, every: str, weekdays: list[int], day: Any
) -> None:
    schedule: dict[str, Any] = {"kind": "recurring", "every": every, "time": f"{at:%H:%M}", "zone": zone}
    schedule |= {"week": {"weekdays": weekdays}, "month": {"day": day}}.get(every, {})
    assert schedules.problems(schedule) == []

    found = schedules.next_dates(schedule, after, 40)

    assert len(found) == 40
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    days = [each.astimezone(ZoneInfo(zone)).date() for each in found]
    assert len(set(days)) == 40
    if every == "day":  # one on each day that the zone has
        gaps = {later - earlier for earlier, later in pairwise(days)}
        assert gaps <= {timedelta(days=1), timedelta(days=2)}
        assert zone == "Pacific/Apia" or gaps == {timedelta(days=1)}
    if every == "week":
        assert {each.isoweekday() for each in days} == set(weekdays)
    # Whoever asks for them one by one, or from any moment in between, finds the same.
    assert schedules.next_after(schedule, found[0] - timedelta(microseconds=1)) == found[0]
    assert schedules.next_after(schedule, found[0]) == found[1]


# --- which dates ---------------------------------------------------------------------------------------------


def test_now_is_once() -> None:
    assert schedules.first_run({"kind": "now"}, NOW) == NOW
    assert schedules.next_after({"kind": "now"}, NOW) is None


def test_a_time_is_once_and_only_in_the_future() -> None:
    schedule = {"kind": "at", "at": "2026-11-21T13:00", "zone": "Europe/Berlin"}
    assert schedules.first_run(schedule, NOW) == NOW
    assert schedules.next_after(schedule, NOW) is None
    assert schedules.first_run(schedule, NOW + timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (WEEKLY, ["2026-11-23 09:00", "2026-11-27 09:00", "2026-11-30 09:00"]),
        (WEEKLY | {"start": "2026-11-27"}, ["2026-11-27 09:00", "2026-11-30 09:00", "2026-12-04 09:00"]),
        (WEEKLY | {"end": "2026-11-27"}, ["2026-11-23 09:00", "2026-11-27 09:00"]),
        (WEEKLY | {"end": "2026-11-22"}, []),
        (WEEKLY | {"count": 2}, ["2026-11-23 09:00", "2026-11-27 09:00"]),
    ],
)
def test_weeks(schedule: dict[str, Any], expected: list[str]) -> None:
    assert dates(schedule) == expected


def test_a_count_counts_the_runs_that_were() -> None:
    assert dates(WEEKLY | {"count": 3}, done=2) == ["2026-11-23 09:00"]
    assert dates(WEEKLY | {"count": 3}, done=3) == []


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (31, ["2026-11-30 09:00", "2026-12-31 09:00", "2027-01-31 09:00", "2027-02-28 09:00"]),
        ("last", ["2026-11-30 09:00", "2026-12-31 09:00", "2027-01-31 09:00", "2027-02-28 09:00"]),
        (21, ["2026-12-21 09:00", "2027-01-21 09:00", "2027-02-21 09:00", "2027-03-21 09:00"]),
    ],
)
def test_months(day: Any, expected: list[str]) -> None:
    schedule = {"kind": "recurring", "every": "month", "day": day, "time": "09:00", "zone": "UTC"}
    assert dates(schedule, 4) == expected


def test_an_hour_stays_the_same_on_the_wall_over_the_change() -> None:
    schedule = {"kind": "recurring", "every": "day", "time": "09:00", "zone": "Europe/Berlin"}
    assert dates(schedule, 3, after=utc("2026-10-23 12:00")) == [
        "2026-10-24 07:00", "2026-10-25 08:00", "2026-10-26 08:00",
    ]  # fmt: skip


def test_what_was_due_until_now() -> None:
    daily = {"kind": "recurring", "every": "day", "time": "12:00", "zone": "UTC"}
    first = NOW - timedelta(days=2)
    assert schedules.dates_until(daily, first, NOW) == [first, first + timedelta(days=1), NOW]
    assert schedules.dates_until({"kind": "now"}, NOW, NOW) == [NOW]


@pytest.mark.parametrize(
    ("schedule", "fields"),
    [
        ({}, ["kind"]),
        ([], ["kind"]),
        ("now", ["kind"]),
        ({"kind": ["now"]}, ["kind"]),
        ({"kind": "now", "zone": "UTC"}, ["zone"]),
        ({"kind": "at"}, ["zone", "at"]),
        ({"kind": "at", "at": "2026-12-01T09:00Z", "zone": "UTC"}, ["at"]),
        ({"kind": "at", "at": "1999-12-01T09:00", "zone": "UTC"}, ["at"]),
        ({"kind": "at", "at": "tomorrow", "zone": "Mars/Base"}, ["zone", "at"]),
        ({"kind": "recurring", "zone": "UTC"}, ["every", "time"]),
        (WEEKLY | {"weekdays": []}, ["weekdays"]),
        (WEEKLY | {"weekdays": [0]}, ["weekdays"]),
        (WEEKLY | {"weekdays": [True]}, ["weekdays"]),
        (WEEKLY | {"time": "24:00"}, ["time"]),
        (WEEKLY | {"time": None}, ["time"]),
        (WEEKLY | {"day": 1}, ["day"]),
        (WEEKLY | {"every": "day"}, ["weekdays"]),
        (WEEKLY | {"every": "month"}, ["day", "weekdays"]),
        (WEEKLY | {"start": "2026-12-02", "end": "2026-12-01"}, ["end"]),
        (WEEKLY | {"start": "soon"}, ["start"]),
        (WEEKLY | {"end": "2100-01-01"}, ["end"]),
        (WEEKLY | {"count": 0}, ["count"]),
        (WEEKLY | {"colour": "red"}, ["colour"]),
        (WEEKLY, []),
    ],
)
def test_problems_name_the_field(schedule: Any, fields: list[str]) -> None:
    assert [problem.field for problem in schedules.problems(schedule)] == fields
