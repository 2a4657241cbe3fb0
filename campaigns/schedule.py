"""When a campaign runs. Pure: no database, no clock.

A schedule is JSON:
    {"kind": "now"}                                                 once, when it is approved
    {"kind": "at", "at": "2026-12-01T09:00", "zone": "Europe/Berlin"}
    {"kind": "recurring", "every": "day" | "week" | "month", "time": "09:00", "zone": "Europe/Berlin",
     "weekdays": [1, …, 7], "day": 1…31 | "last", "start": "2026-12-01", "end": "2026-12-31", "count": 10}

`weekdays` (1 is Monday) belongs to week, `day` to month: in a month that is shorter, its last day. `start`, `end` (both
inclusive) and `count` may be left out. Times are local: one that the clock skips in spring is the first moment after
it, one that comes twice in autumn is the first of the two.
"""

from __future__ import annotations

import calendar
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

MAX_COUNT = 1_000
LAST_DATE = date(2100, 1, 1)
"""Nothing is planned beyond it, so every search comes to an end."""
_KINDS = ("now", "at", "recurring")
_EVERY = ("day", "week", "month")
_RECURRING = {"kind", "every", "time", "zone", "weekdays", "day", "start", "end", "count"}
_FIELDS = {"now": {"kind"}, "at": {"kind", "at", "zone"}, "recurring": _RECURRING}


@dataclass(frozen=True, slots=True)
class ScheduleProblem:
    """What is wrong with one field of a schedule, and the remedy."""

    field: str
    message: str


def problems(schedule: Any) -> list[ScheduleProblem]:
    """Everything that is wrong with a schedule; nothing when `next_after` can read it. Never raises."""
    if not isinstance(schedule, Mapping):
        return [ScheduleProblem("kind", "A schedule must be an object. Say when the campaign runs.")]
    kind = schedule.get("kind")
    if kind not in _KINDS:
        return [ScheduleProblem("kind", "Choose when it runs: now, at a time, or recurring.")]
    found = [
        ScheduleProblem(str(name), f"A schedule of this kind has no field {name!r}. Remove it.")
        for name in schedule
        if name not in _FIELDS[kind]
    ]
    if kind != "now":
        zone = schedule.get("zone")
        if not isinstance(zone, str) or zone not in _zones():
            found.append(
                ScheduleProblem("zone", "There is no such time zone. Choose one such as Europe/Berlin.")
            )
    if kind == "at" and (_moment(schedule.get("at")) is None):
        found.append(ScheduleProblem("at", "Give a day and a time without a zone, such as 2026-12-01T09:00."))
    if kind == "recurring":
        found += _problems_of_recurring(schedule)
    return found


def _problems_of_recurring(schedule: Mapping[str, Any]) -> Iterator[ScheduleProblem]:
    every = schedule.get("every")
    if every not in _EVERY:
        yield ScheduleProblem("every", "Choose how often it runs: every day, week or month.")
    if _time(schedule.get("time")) is None:
        yield ScheduleProblem("time", "Give a time of day, such as 09:00.")
    weekdays = schedule.get("weekdays")
    if every == "week" and not (
        isinstance(weekdays, list) and weekdays and all(_is_number(day, 1, 7) for day in weekdays)
    ):
        yield ScheduleProblem(
            "weekdays", "Choose at least one day of the week: numbers from 1, Monday, to 7, Sunday."
        )
    day = schedule.get("day")
    if every == "month" and day != "last" and not _is_number(day, 1, 31):
        yield ScheduleProblem("day", "Choose a day of the month: a number from 1 to 31, or last.")
    if weekdays is not None and every != "week":
        yield ScheduleProblem("weekdays", "Days of the week belong to a weekly schedule. Remove them.")
    if day is not None and every != "month":
        yield ScheduleProblem("day", "A day of the month belongs to a monthly schedule. Remove it.")
    start, end = schedule.get("start"), schedule.get("end")
    for name, value in (("start", start), ("end", end)):
        if value is not None and _date(value) is None:
            yield ScheduleProblem(
                name, "Give a day such as 2026-12-01, before the year 2100, or leave it out."
            )
    if (first := _date(start)) and (last := _date(end)) and last < first:
        yield ScheduleProblem("end", "It ends before it starts. Choose a later end or leave it out.")
    if (count := schedule.get("count")) is not None and not _is_number(count, 1, MAX_COUNT):
        yield ScheduleProblem("count", f"Give a number of runs from 1 to {MAX_COUNT}, or leave it out.")


def first_run(schedule: Mapping[str, Any], now: datetime) -> datetime | None:
    """When a campaign that goes live now runs first; None when its schedule has no date left."""
    if schedule["kind"] == "now":
        return now
    return next_after(schedule, now - timedelta(microseconds=1))


def next_after(schedule: Mapping[str, Any], after: datetime, done: int = 0) -> datetime | None:
    """The first date of a schedule without problems that is later than `after` (aware); UTC. `done`: how many runs
    there were already, for a schedule that ends after a number of them."""
    count = schedule.get("count")
    if count is not None and done >= count:
        return None
    return next((at for at in _dates(schedule, after) if at > after), None)


def next_dates(schedule: Mapping[str, Any], after: datetime, n: int = 10, done: int = 0) -> list[datetime]:
    """The next dates later than `after`, `n` at most."""
    found: list[datetime] = []
    while len(found) < n:
        at = next_after(schedule, found[-1] if found else after, done + len(found))
        if at is None:
            break
        found.append(at)
    return found


def dates_until(
    schedule: Mapping[str, Any], first: datetime, until: datetime, done: int = 0
) -> list[datetime]:
    """`first` and every date after it that is not later than `until`."""
    found = [first]
    while (at := next_after(schedule, found[-1], done + len(found))) is not None and at <= until:
        found.append(at)
    return found


def local_instant(day: date, at: time, zone: str) -> datetime:
    """The moment (UTC) of a local time: skipped by the clock, the first moment after the gap; doubled, its first."""
    tz = ZoneInfo(zone)
    naive = datetime.combine(day, at)
    instant = naive.replace(tzinfo=tz).astimezone(UTC)
    if instant.astimezone(tz).replace(tzinfo=None) == naive:
        return instant
    # In a gap the two readings lie on both sides of the change: the later one takes the offset from before it.
    low, high = naive.replace(tzinfo=tz, fold=1).astimezone(UTC), instant
    offset_after = high.astimezone(tz).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(tz).utcoffset() == offset_after:
            high = middle
        else:
            low = middle
    return high


def _dates(schedule: Mapping[str, Any], after: datetime) -> Iterator[datetime]:
    """The dates of a schedule in their order, from about `after` on."""
    if schedule["kind"] == "at":
        at = _moment(schedule["at"])
        assert at is not None
        yield local_instant(at.date(), at.time(), schedule["zone"])
    if schedule["kind"] != "recurring":
        return
    zone, at_time = schedule["zone"], _time(schedule["time"])
    assert at_time is not None
    day = after.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    if (start := _date(schedule.get("start"))) is not None:
        day = max(day, start)
    end = min(_date(schedule.get("end")) or LAST_DATE, LAST_DATE)
    while day <= end:
        if _is_chosen(schedule, day):
            instant = local_instant(day, at_time, zone)
            # A day that a zone leaves out, as islands do that change sides of the date line, has no run.
            if instant.astimezone(ZoneInfo(zone)).date() == day:
                yield instant
        day += timedelta(days=1)


def _is_chosen(schedule: Mapping[str, Any], day: date) -> bool:
    match schedule["every"]:
        case "week":
            return day.isoweekday() in schedule["weekdays"]
        case "month":
            last = calendar.monthrange(day.year, day.month)[1]
            wanted = last if schedule["day"] == "last" else min(schedule["day"], last)
            return bool(day.day == wanted)
    return True


@functools.cache
def _zones() -> set[str]:
    return available_timezones()


def _is_number(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is None and date(2000, 1, 1) <= at.date() < LAST_DATE else None


def _time(value: Any) -> time | None:
    try:
        at = time.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is None else None


def _date(value: Any) -> date | None:
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return day if date(2000, 1, 1) <= day < LAST_DATE else None
