"""What became of offer items: from counts that are kept while it happens; no decision is read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

from ajo.lib import sql

_SUMS = """sum(decided)::bigint AS decided, sum(shown)::bigint AS shown, sum(clicked)::bigint AS clicked,
    sum(converted)::bigint AS converted"""
_OFFER = f"SELECT placement_id, day, {_SUMS} FROM offer_stat WHERE offer_id = %b GROUP BY 1, 2"
_OVERVIEW = f"SELECT offer_id, day, {_SUMS} FROM offer_stat WHERE day >= %b GROUP BY 1, 2"


@dataclass(slots=True)
class OfferNumbers:
    """How often an offer item was chosen, and, each decision counting once, what became of that."""

    decided: int = 0
    shown: int = 0
    clicked: int = 0
    converted: int = 0

    def add(self, decided: int, shown: int, clicked: int, converted: int) -> None:
        self.decided += decided
        self.shown += shown
        self.clicked += clicked
        self.converted += converted


@dataclass(slots=True)
class OfferReport:
    """The numbers together, by the id of a part (placements of an offer item, or offer items), and by day in UTC."""

    total: OfferNumbers = field(default_factory=OfferNumbers)
    parts: dict[int, OfferNumbers] = field(default_factory=lambda: defaultdict(OfferNumbers))
    days: dict[date, OfferNumbers] = field(default_factory=lambda: defaultdict(OfferNumbers))


def report(offer_id: int) -> OfferReport:
    """Everything about one offer item, by placement. One statement."""
    return _read(_OFFER, offer_id)


def overview(today: date, days: int = 30) -> OfferReport:
    """What happened on the last `days` days, today included, by offer item. One statement."""
    return _read(_OVERVIEW, today - timedelta(days=days - 1))


def _read(statement: str, about: int | date) -> OfferReport:
    made = OfferReport()
    with sql.cursor() as cur:
        cur.execute(statement, [about])
        for part, day, *sums in cur:
            for numbers in (made.total, made.parts[part], made.days[day]):
                numbers.add(*sums)
    return made
