"""Caps, counted exactly: reserve at the decision, confirm when shown, release when it was not shown after all.

All rules and candidates of a batch go into one conditional upsert, sorted by key, so that two batches never wait for
each other in a circle and none counts beyond a cap. A counter is locked until its transaction ends: reserve last. A
candidate under several rules is granted only by all of them; what one of them gave alone is given back in the same
transaction, and those it had been refused to are tried once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from ajo.lib import sql
from offers.models import CappingRule

EXPIRED_BATCH = 1000
EVER = date(1970, 1, 1)
"""The period of a cap without an end."""

_RESERVE = """
WITH wanted AS MATERIALIZED (
    SELECT t.*, row_number() OVER (PARTITION BY rule_id, subject, period ORDER BY ord) AS place
    FROM unnest(%b::int[], %b::bigint[], %b::bigint[], %b::date[], %b::int[]) AS t(ord, rule_id, subject, period, cap)
), granted AS (
    INSERT INTO cap_counter AS k (rule_id, subject, period, n, cap, granted)
    SELECT rule_id, subject, period, least(count(*), max(cap)), max(cap), least(count(*), max(cap))
    FROM wanted GROUP BY rule_id, subject, period HAVING max(cap) > 0 ORDER BY subject DESC, rule_id, period
    ON CONFLICT (subject, rule_id, period) DO UPDATE SET
        granted = least(excluded.n, excluded.cap - k.n),
        n = k.n + least(excluded.n, excluded.cap - k.n),
        cap = excluded.cap
    WHERE k.n < excluded.cap
    RETURNING rule_id, subject, period, granted
)
SELECT w.ord, w.rule_id FROM wanted w JOIN granted g USING (rule_id, subject, period) WHERE w.place <= g.granted
"""
_GIVE_BACK = """
UPDATE cap_counter k SET n = k.n - back.n
FROM (SELECT rule_id, subject, period, count(*) AS n
      FROM unnest(%b::bigint[], %b::bigint[], %b::date[]) AS t(rule_id, subject, period) GROUP BY 1, 2, 3) back
WHERE k.rule_id = back.rule_id AND k.subject = back.subject AND k.period = back.period
"""
_LOCK_COUNTERS = """
SELECT FROM cap_counter WHERE (rule_id, subject, period) IN (
    SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::date[]))
ORDER BY subject DESC, rule_id, period FOR UPDATE
"""
_HOLD = """
INSERT INTO cap_hold (decision_id, rule_id, subject, period, expires_at)
SELECT t.*, %b::timestamptz FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::date[]) AS t ORDER BY 1, 2
"""
_LOCK_HOLDS = """
SELECT FROM cap_hold WHERE decision_id = ANY(%b::uuid[]) ORDER BY decision_id, rule_id FOR UPDATE
"""
_DELETE_HOLDS = "DELETE FROM cap_hold WHERE decision_id = ANY(%b::uuid[]) RETURNING rule_id, subject, period"
_LOCK_EXPIRED = """
SELECT decision_id, rule_id FROM cap_hold WHERE expires_at <= %b::timestamptz ORDER BY expires_at LIMIT %s
FOR UPDATE SKIP LOCKED
"""
_DELETE_EXPIRED = """
DELETE FROM cap_hold WHERE (decision_id, rule_id) IN (SELECT * FROM unnest(%b::uuid[], %b::bigint[]))
RETURNING rule_id, subject, period
"""
# One walk through the index, subject by subject. A rule finds other periods, too, which nobody asks for.
_READ = """
SELECT rule_id, subject, period, n FROM cap_counter
WHERE subject = ANY(%b::bigint[]) AND rule_id = ANY(%b::bigint[]) AND period = ANY(%b::date[])
"""
_LOCK_HOLDS_OF = """
SELECT FROM cap_hold WHERE subject > 0 AND subject = ANY(%(losers)b::bigint[]) ORDER BY decision_id, rule_id FOR UPDATE
"""
_PAIR = "unnest(%(losers)b::bigint[], %(survivors)b::bigint[]) AS pair(loser, survivor)"
_MOVE_HOLDS = f"""
UPDATE cap_hold h SET subject = pair.survivor FROM {_PAIR} WHERE h.subject > 0 AND h.subject = pair.loser
"""
_LOCK_COUNTERS_OF = """
SELECT FROM cap_counter WHERE subject = ANY(%(losers)b::bigint[] || %(survivors)b::bigint[])
ORDER BY subject DESC, rule_id, period FOR UPDATE
"""
_MOVE_COUNTERS = f"""
WITH moved AS (
    DELETE FROM cap_counter k USING {_PAIR} WHERE k.subject = pair.loser
    RETURNING k.rule_id, pair.survivor, k.period, k.n, k.cap
)
INSERT INTO cap_counter AS k (rule_id, subject, period, n, cap, granted)
SELECT rule_id, survivor, period, sum(n), max(cap), 0 FROM moved
GROUP BY 1, 2, 3 ORDER BY survivor DESC, rule_id, period
ON CONFLICT (subject, rule_id, period) DO UPDATE SET n = k.n + excluded.n
"""


class Use(NamedTuple):
    """One use of one cap: the counter's key and how far it may go. The subject is a profile, or CapCounter.TOTAL."""

    rule_id: int
    subject: int
    period: date
    cap: int


def period_of(period: str, now: datetime, zone: ZoneInfo) -> date:
    """The first day, on calendars in `zone`, of the period in which `now` lies."""
    today = now.astimezone(zone).date()
    match CappingRule.Period(period):
        case CappingRule.Period.DAY:
            return today
        case CappingRule.Period.WEEK:
            return today - timedelta(days=today.weekday())
        case CappingRule.Period.MONTH:
            return today.replace(day=1)
        case CappingRule.Period.LIFETIME:
            return EVER


def reserve(cur: psycopg.Cursor[Any], wanted: Sequence[Collection[Use]]) -> list[frozenset[int]]:
    """Count the uses of each candidate; earlier ones go first. Returns for each the rules that refused it: none for one
    that was granted. A refused one has counted nothing. One statement as a rule, at most four.
    """
    refused = _try(cur, dict(enumerate(wanted)))
    back = [
        use for ord_, rules in refused.items() if rules for use in wanted[ord_] if use.rule_id not in rules
    ]
    if back:
        _give_back(cur, back)
        freed = {use[:3] for use in back}
        again = {
            ord_: wanted[ord_]
            for ord_, rules in refused.items()
            if rules and all(use[:3] in freed for use in wanted[ord_] if use.rule_id in rules)
        }
        if again:
            second = _try(cur, again)
            _give_back(
                cur,
                [
                    use
                    for ord_, rules in second.items()
                    if rules
                    for use in again[ord_]
                    if use.rule_id not in rules
                ],
            )
            refused |= second
    return [refused[ord_] for ord_ in range(len(wanted))]


def _try(cur: psycopg.Cursor[Any], wanted: dict[int, Collection[Use]]) -> dict[int, frozenset[int]]:
    rows = [(ord_, *use) for ord_, uses in wanted.items() for use in uses]
    granted: set[tuple[int, int]] = set()
    if rows:
        cur.execute(_RESERVE, [list(column) for column in zip(*rows, strict=True)])
        granted = set(map(tuple, cur.fetchall()))
    return {
        ord_: frozenset(use.rule_id for use in uses if (ord_, use.rule_id) not in granted)
        for ord_, uses in wanted.items()
    }


def _give_back(cur: psycopg.Cursor[Any], uses: Iterable[tuple[int, int, date] | Use]) -> None:
    rows = [use[:3] for use in uses]
    if rows:
        cur.execute(_GIVE_BACK, [list(column) for column in zip(*rows, strict=True)])


def hold(cur: psycopg.Cursor[Any], held: Sequence[tuple[UUID, Use]], expires_at: datetime) -> None:
    """Remember (decision, reserved use) until it is confirmed, released or expired."""
    if held:
        rows = [(decision_id, *use[:3]) for decision_id, use in held]
        cur.execute(_HOLD, [expires_at, *(list(column) for column in zip(*rows, strict=True))])


def confirm(decision_ids: Sequence[UUID]) -> None:
    """What these decisions chose was shown: it counts for good. Nothing happens to those without a hold."""
    with sql.unit_of_work() as cur:
        _end_holds(cur, decision_ids)


def release(decision_ids: Sequence[UUID]) -> int:
    """It was not shown: give back what is held. Returns how many uses; once released or confirmed, there are none."""
    with sql.unit_of_work() as cur:
        return _release(cur, _end_holds(cur, decision_ids))


def release_expired(now: datetime, limit: int = EXPIRED_BATCH) -> int:
    """Give back what nobody confirmed in time, at most `limit` uses; returns how many. Others may do so at once."""
    with sql.unit_of_work() as cur:
        cur.execute(_LOCK_EXPIRED, [now, limit])
        rows = cur.fetchall()
        if not rows:
            return 0
        cur.execute(_DELETE_EXPIRED, [list(column) for column in zip(*rows, strict=True)])
        return _release(cur, [tuple(row) for row in cur])


def _end_holds(cur: psycopg.Cursor[Any], decision_ids: Sequence[UUID]) -> list[tuple[int, int, date]]:
    """Deleted in a second statement: one that waits for a merge would not see the row as the merge has left it."""
    cur.execute(_LOCK_HOLDS, [list(decision_ids)])
    cur.execute(_DELETE_HOLDS, [list(decision_ids)])
    return [tuple(row) for row in cur]


def _release(cur: psycopg.Cursor[Any], ended: list[tuple[int, int, date]]) -> int:
    if ended:
        cur.execute(_LOCK_COUNTERS, [list(column) for column in zip(*ended, strict=True)])
        _give_back(cur, ended)
    return len(ended)


def read_used(
    cur: psycopg.Cursor[Any], periods: Iterable[tuple[int, date]], subjects: Collection[int]
) -> dict[tuple[int, int, date], int]:
    """(rule, subject, period) → how often it was used; those that never were are left out. One statement."""
    rows = sorted(set(periods))
    if not rows:
        return {}
    rules, dates = (sorted(set(column)) for column in zip(*rows, strict=True))
    cur.execute(_READ, [sorted(subjects), rules, dates])
    return {(row.rule_id, row.subject, row.period): row.n for row in cur}


def merge_caps(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: datetime) -> None:
    """What the losers have used counts for their survivors, also beyond a cap. The caller holds the profiles' locks."""
    named = {"losers": [loser for loser, _ in pairs], "survivors": [survivor for _, survivor in pairs]}
    for statement in (_LOCK_HOLDS_OF, _MOVE_HOLDS, _LOCK_COUNTERS_OF, _MOVE_COUNTERS):
        cur.execute(statement, named)
