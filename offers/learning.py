"""What people did with the offers that learned ranking chose: sums that any number of workers may add to."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple

import psycopg

from offers.models import ModelStat

WINDOW = timedelta(days=30)
"""How far back ranking looks; what people liked before that is old."""

_ADD = """
INSERT INTO model_stat AS s (strategy_id, offer_id, day, part, n, r)
SELECT strategy_id, offer_id, day, %s, sum(n), sum(r)
FROM unnest(%b::bigint[], %b::bigint[], %b::date[], %b::bigint[], %b::float8[]) AS t(strategy_id, offer_id, day, n, r)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (strategy_id, offer_id, day, part) DO UPDATE SET n = s.n + excluded.n, r = s.r + excluded.r
"""
_READ = """
SELECT strategy_id, offer_id, sum(n)::float8 AS n, sum(r) AS r FROM model_stat
WHERE strategy_id = ANY(%b::bigint[]) AND day > %b::date GROUP BY 1, 2
"""


class Outcome(NamedTuple):
    """So often shown (n) and taken (r) on a day in UTC; either can be 0, since one is known before the other."""

    strategy_id: int
    offer_id: int
    day: date
    n: int
    r: float


def add_outcomes(cur: psycopg.Cursor[Any], outcomes: Iterable[Outcome]) -> None:
    """Add them to the sums, in the caller's transaction: who counts an event once there counts it once here."""
    rows = list(outcomes)
    if rows:
        part = random.randrange(ModelStat.PARTS)
        cur.execute(_ADD, [part, *(list(column) for column in zip(*rows, strict=True))])


def read_sums(
    cur: psycopg.Cursor[Any], strategy_ids: Collection[int], today: date
) -> dict[int, dict[int, tuple[float, float]]]:
    """Strategy → offer → (n, r) within the window; without those never shown. One statement."""
    found: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    if strategy_ids:
        cur.execute(_READ, [sorted(strategy_ids), today - WINDOW])
        for row in cur:
            found[row.strategy_id][row.offer_id] = (row.n, row.r)
    return found
