"""Clocks on walls, which are put forward and back. Pure."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which the clocks of `zone` show `wall` (without a zone) or have jumped over it."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap, the two readings of the time lie on either side of the jump, which happens at a full second.
    before = wall.replace(tzinfo=zone, fold=1, microsecond=0).astimezone(UTC)
    after = instant.replace(microsecond=0)
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def find_zone(name: str | None) -> ZoneInfo | None:
    """The zone of that name in the IANA database; None when there is none, such as for what a person typed."""
    return ZoneInfo(name) if name in zone_names() else None


@functools.cache
def zone_names() -> frozenset[str]:
    """The names that `find_zone` knows."""
    return frozenset(zoneinfo.available_timezones())
