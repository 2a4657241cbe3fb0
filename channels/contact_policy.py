"""May we write to these people now? What consent and suppression leave open. Pure: no database, no clock.

The outbox asks for everybody who sends: journeys, campaigns and notices alike. Transactional messages are not limited.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ajo.lib.clocks import first_instant

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a time on the wall to another one, which is on the next day when it is earlier."""

    begin: time
    end: time

    def over_at(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet hours that `now` lies in are over, in UTC; None when it lies in none."""
        today = now.astimezone(zone).date()
        for day in (today - _DAY, today):
            last_day = day if self.begin < self.end else day + _DAY
            ends_at = first_instant(datetime.combine(last_day, self.end), zone)
            if first_instant(datetime.combine(day, self.begin), zone) <= now < ends_at:
                return ends_at
        return None
