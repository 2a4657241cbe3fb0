"""When a wait is over. Pure: no database, no clock.

Rules speak of clocks on walls, which are put forward and back. A time that a wall clock skips is over at the first
instant after the gap; a time that it shows twice is met the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ajo.lib.clocks import first_instant


@dataclass(frozen=True, slots=True)
class After:
    """So much time later; days have 24 hours."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class At:
    """When the clocks of the zone show this date and time, which has no zone itself. It may have passed."""

    wall: datetime


@dataclass(frozen=True, slots=True)
class Next:
    """The next time when the clocks of the zone show this hour on one of these weekdays; Monday is 0."""

    weekdays: frozenset[int]
    at: time


Rule = After | At | Next


def next_moment(now: datetime, zone: ZoneInfo, rule: Rule) -> datetime:
    """The instant, in UTC, at which somebody who comes at `now` goes on. That of After and Next is later than `now`."""
    match rule:
        case After(duration):
            return now.astimezone(UTC) + duration
        case At(wall):
            return first_instant(wall, zone)
        case Next(weekdays, at):
            return _next_weekday(now, zone, weekdays, at)


def _next_weekday(now: datetime, zone: ZoneInfo, weekdays: frozenset[int], at: time) -> datetime:
    if not weekdays:
        raise ValueError("There is no next day without a weekday.")
    day = now.astimezone(zone).date()
    while True:
        if day.weekday() in weekdays:
            moment = first_instant(datetime.combine(day, at), zone)
            if moment > now:
                return moment
        day += timedelta(days=1)
