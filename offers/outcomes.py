"""What became of chosen offers: counted once each, for reports and for learned ranking.

Shown is what a provider accepted, or what a page reports: opens are too often machines. A click is a person's.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from ajo.lib import sql
from offers import capping, learning
from offers.decide import Code
from offers.learning import Outcome
from offers.models import DecisionOutcome, ModelStat, SelectionStrategy

Kind = DecisionOutcome.Kind

_SHOWN = """
INSERT INTO decision_outcome (decision_id, offer_id, kind, occurred_at)
SELECT DISTINCT d.id, o.id, %s, %b::timestamptz FROM decision d CROSS JOIN LATERAL unnest(d.offers) AS o(id)
WHERE d.id = ANY(%b::uuid[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING RETURNING decision_id, offer_id
"""
_TAKEN = """
INSERT INTO decision_outcome (decision_id, offer_id, kind, occurred_at)
SELECT DISTINCT d.id, t.offer_id, %s, %b::timestamptz
FROM unnest(%b::uuid[], %b::bigint[]) AS t(decision_id, offer_id)
JOIN decision d ON d.id = t.decision_id AND t.offer_id = ANY(d.offers) ORDER BY 1, 2
ON CONFLICT DO NOTHING RETURNING decision_id, offer_id
"""
_LEARNERS = """
SELECT d.id AS decision_id, o.id AS offer_id, s.id AS strategy_id, s.reward
FROM decision d
CROSS JOIN LATERAL jsonb_to_recordset(d.candidates) AS c(offer text, strategy text, code text)
JOIN offers_offeritem o ON o.key = c.offer
JOIN offers_selectionstrategy s ON s.key = c.strategy AND s.method = %s
WHERE d.id = ANY(%b::uuid[]) AND c.code = %s
"""
_COUNT = """
INSERT INTO offer_stat AS s (offer_id, placement_id, day, part, shown, clicked, converted)
SELECT t.offer_id, d.placement_id, %b::date, %s, count(*) FILTER (WHERE kind = 1), count(*) FILTER (WHERE kind = 2),
    count(*) FILTER (WHERE kind = 3)
FROM unnest(%b::uuid[], %b::bigint[], %b::smallint[]) AS t(decision_id, offer_id, kind)
JOIN decision d ON d.id = t.decision_id GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (offer_id, placement_id, day, part) DO UPDATE
SET shown = s.shown + excluded.shown, clicked = s.clicked + excluded.clicked,
    converted = s.converted + excluded.converted
"""


class Taken(NamedTuple):
    """A chosen offer item of a decision that somebody clicked, or that led to a conversion."""

    decision_id: UUID
    offer_id: int


def note_shown(decision_ids: Collection[UUID], now: datetime) -> None:
    """All that these decisions chose was shown: its caps count for good. Safe to repeat."""
    if decision_ids:
        with sql.unit_of_work() as cur:
            capping.confirm(sorted(decision_ids))
            cur.execute(_SHOWN, [Kind.SHOWN.value, now, sorted(decision_ids)])
            _add([Taken(*row) for row in cur], Kind.SHOWN, now)


def note_not_shown(decision_ids: Collection[UUID]) -> None:
    """They are not shown after all: what their caps hold is given back. Safe to repeat."""
    if decision_ids:
        capping.release(sorted(decision_ids))


def note_taken(taken: Iterable[Taken], kind: DecisionOutcome.Kind, now: datetime) -> None:
    """These were clicked, or led to a conversion: each counts once. What no decision chose is passed over."""
    if rows := sorted(set(taken)):
        with sql.unit_of_work() as cur:
            cur.execute(_TAKEN, [kind.value, now, *(list(column) for column in zip(*rows, strict=True))])
            _add([Taken(*row) for row in cur], kind, now)


def _add(new: Sequence[Taken], kind: DecisionOutcome.Kind, now: datetime) -> None:
    if not new:
        return
    day = now.astimezone(UTC).date()
    with sql.cursor() as cur:
        ids = sorted({one.decision_id for one in new})
        cur.execute(_LEARNERS, [SelectionStrategy.Method.LEARNED.value, ids, Code.CHOSEN])
        learners = {(row.decision_id, row.offer_id): row for row in cur}
        found = [learners[one] for one in new if one in learners]
        shown, reward = int(kind == Kind.SHOWN), kind.name.lower()
        learning.add_outcomes(
            cur,
            [
                Outcome(row.strategy_id, row.offer_id, day, shown, float(row.reward == reward))
                for row in found
            ],
        )
        part = random.randrange(ModelStat.PARTS)
        columns = [list(column) for column in zip(*new, strict=True)]
        cur.execute(_COUNT, [day, part, *columns, [kind.value] * len(new)])
