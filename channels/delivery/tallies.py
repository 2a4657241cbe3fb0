"""The tallies of the frequency cap. The fence takes places in them; here they are given back and follow a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

_LOCK = "SELECT FROM contact_tally WHERE profile_id = ANY(%b::bigint[]) ORDER BY profile_id, scope FOR UPDATE"
_GIVE_BACK = """
UPDATE contact_tally t SET (message_ids, times) = (
    SELECT coalesce(array_agg(k.id ORDER BY k.nth), '{}'), coalesce(array_agg(k.at ORDER BY k.nth), '{}')
    FROM unnest(t.message_ids, t.times) WITH ORDINALITY AS k(id, at, nth) WHERE k.id <> ALL(%(ids)b::bigint[]))
WHERE t.profile_id = ANY(%(profile_ids)b::bigint[]) AND t.message_ids && %(ids)b::bigint[]
"""
_MOVE = """
WITH moved AS (
    DELETE FROM contact_tally t USING unnest(%(losers)b::bigint[], %(survivors)b::bigint[]) AS pair(loser, survivor)
    WHERE t.profile_id = pair.loser RETURNING pair.survivor, t.scope, t.message_ids, t.times
)
INSERT INTO contact_tally AS t (profile_id, scope, message_ids, times)
SELECT survivor, scope, array_agg(k.id ORDER BY k.at, k.id), array_agg(k.at ORDER BY k.at, k.id)
FROM moved, unnest(message_ids, times) AS k(id, at) GROUP BY survivor, scope ORDER BY survivor, scope
ON CONFLICT (profile_id, scope) DO UPDATE SET (message_ids, times) = (
    SELECT array_agg(k.id ORDER BY k.at, k.id), array_agg(k.at ORDER BY k.at, k.id)
    FROM unnest(t.message_ids || excluded.message_ids, t.times || excluded.times) AS k(id, at))
"""


def give_back(cur: psycopg.Cursor[Any], places: Mapping[int, int]) -> None:
    """Free the places of messages (id → profile) that were not sent after all, in the transaction that says so."""
    profile_ids = sorted(set(places.values()))
    cur.execute(_LOCK, [profile_ids])
    cur.execute(_GIVE_BACK, {"ids": sorted(places), "profile_ids": profile_ids})


def move_tallies(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]]) -> None:
    """What losers got counts for their survivors, also beyond a cap. The caller holds the profiles' locks."""
    cur.execute(_LOCK, [sorted({profile_id for pair in pairs for profile_id in pair})])
    cur.execute(_MOVE, {"losers": [one for one, _ in pairs], "survivors": [other for _, other in pairs]})
