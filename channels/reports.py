"""What became of the messages of an author, or of everybody: from counts that the outbox keeps; no message is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from ajo.lib import sql
from channels.models import MessageMark

_COUNTED = """
(SELECT cause_kind, origin_id, activity, channel, mark, reason_code, day, n FROM message_count WHERE {which}
 UNION ALL
 SELECT cause_kind, origin_id, activity, channel, mark, reason_code, day, n FROM message_count_delta WHERE {which}
) AS counted
"""
_OF_ORIGINS = _COUNTED.format(
    which="cause_kind = %(cause_kind)s AND origin_id = ANY(%(origin_ids)b::bigint[])"
)
_OF_DAYS = _COUNTED.format(which="day >= %(first)s")
_ORIGIN = f"""
SELECT origin_id, activity, channel, mark, reason_code, day, sum(n)::bigint AS n FROM {_OF_ORIGINS}
GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0
"""
_OVERVIEW = f"""
SELECT cause_kind, origin_id, channel, mark, reason_code, day, sum(n)::bigint AS n FROM {_OF_DAYS}
GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0
"""
_LOST = (MessageMark.FAILED, MessageMark.EXPIRED, MessageMark.QUARANTINED)


class Origin(NamedTuple):
    """Who wrote: a journey version, a campaign run, a triggered campaign."""

    cause_kind: int
    id: int


@dataclass(slots=True)
class Numbers:
    """Messages by mark; `withheld_for`: code of the reason → how many were withheld for it."""

    marks: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    withheld_for: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, mark: int, reason_code: str, n: int) -> None:
        self.marks[mark] += n
        if mark == MessageMark.WITHHELD:
            self.withheld_for[reason_code] += n

    def __getitem__(self, mark: MessageMark) -> int:
        return self.marks.get(mark, 0)

    @property
    def lost(self) -> int:
        """Failed, came too late, or killed its process."""
        return sum(self[mark] for mark in _LOST)

    @property
    def waiting(self) -> int:
        """Queued, or being sent at this moment."""
        decided = self[MessageMark.SENT] + self[MessageMark.WITHHELD] + self[MessageMark.UNCERTAIN]
        return self[MessageMark.TARGETED] - decided - self.lost

    def rate(self, mark: MessageMark) -> float | None:
        """The share of the messages sent that have a mark, or of those targeted that were sent or withheld; None of
        nothing."""
        of_targeted = mark in (MessageMark.SENT, MessageMark.WITHHELD)
        base = self[MessageMark.TARGETED if of_targeted else MessageMark.SENT]
        return self[mark] / base if base else None


@dataclass(slots=True)
class Report:
    """The numbers of some origins: together, by (activity, channel), by origin id, and by day in UTC."""

    total: Numbers = field(default_factory=Numbers)
    parts: dict[tuple[str, int], Numbers] = field(default_factory=lambda: defaultdict(Numbers))
    origins: dict[int, Numbers] = field(default_factory=lambda: defaultdict(Numbers))
    days: dict[date, Numbers] = field(default_factory=lambda: defaultdict(Numbers))


@dataclass(slots=True)
class Overview:
    """The marks that messages got in the last days: together, by channel, by origin, and by day."""

    total: Numbers = field(default_factory=Numbers)
    channels: dict[int, Numbers] = field(default_factory=lambda: defaultdict(Numbers))
    origins: dict[Origin, Numbers] = field(default_factory=lambda: defaultdict(Numbers))
    days: dict[date, Numbers] = field(default_factory=lambda: defaultdict(Numbers))


def report(cause_kind: int, origin_ids: Iterable[int]) -> Report:
    """Everything about the messages of some origins of one kind. One statement, however many messages there are."""
    made = Report()
    with sql.cursor() as cur:
        cur.execute(_ORIGIN, {"cause_kind": int(cause_kind), "origin_ids": list(origin_ids)})
        for row in cur:
            for numbers in (
                *(made.total, made.parts[row.activity, row.channel]),
                *(made.origins[row.origin_id], made.days[row.day]),
            ):
                numbers.add(row.mark, row.reason_code, row.n)
    return made


def overview(today: date, days: int = 30) -> Overview:
    """What happened to messages on the last `days` days, today included. One statement."""
    made = Overview()
    with sql.cursor() as cur:
        cur.execute(_OVERVIEW, {"first": today - timedelta(days=days - 1)})
        for row in cur:
            origin = Origin(row.cause_kind, row.origin_id)
            for numbers in (
                *(made.total, made.channels[row.channel]),
                *(made.origins[origin], made.days[row.day]),
            ):
                numbers.add(row.mark, row.reason_code, row.n)
    return made


def day_by_day(
    days: Mapping[date, Numbers], mark: MessageMark, *, first: date, last: date
) -> Sequence[tuple[date, int]]:
    """A mark on each day from the first to the last, also on those without any."""
    count = (last - first).days + 1
    found = (first + timedelta(days=number) for number in range(count))
    return [(day, days[day][mark] if day in days else 0) for day in found]
