"""Two profiles become one. Each room moves its own tables; rooms above register what they have to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg

from ajo.lib import arrays
from profiles.attributes import Attributes
from profiles.rollup import MAX_TOTAL

Pairs = Sequence[tuple[int, int]]
"""(loser, survivor): no profile is a loser twice, none is both."""
Merge = Callable[[psycopg.Cursor[Any], Pairs, datetime], None]
"""merge(cur, pairs, now): move what the losers have, in the transaction that holds both profiles' locks. After it no
wait may stand and no message may be queued on a loser."""

Lock = Callable[[psycopg.Cursor[Any], Pairs], None]
"""lock(cur, pairs): what a room locks before anything of anybody is moved, so that nobody waits with moved rows."""

_merges: dict[str, Merge] = {}
_locks: dict[str, Lock] = {}

_PAIRS = """
pair AS MATERIALIZED (
    SELECT * FROM unnest(%(losers)b::bigint[], %(survivors)b::bigint[]) AS t(loser, survivor))
"""
_ROLLUP = f"""
WITH {_PAIRS},
moved AS (DELETE FROM profile_daily d USING pair WHERE d.profile_id = pair.loser
    RETURNING pair.survivor, d.event_type_id, d.day, d.n, d.total)
INSERT INTO profile_daily AS d (profile_id, event_type_id, day, n, total)
SELECT survivor, event_type_id, day, sum(n), greatest(least(sum(total), %(most)b), -%(most)b)
FROM moved GROUP BY survivor, event_type_id, day ORDER BY survivor, event_type_id, day
ON CONFLICT (profile_id, event_type_id, day) DO UPDATE
SET n = d.n + excluded.n, total = greatest(least(d.total + excluded.total, %(most)b), -%(most)b)
"""
# The stricter wins: opted out is the greater state. Of several equal losers the one that said it last.
_CONSENT = f"""
WITH {_PAIRS},
moved AS (DELETE FROM consent c USING pair WHERE c.profile_id = pair.loser
    RETURNING pair.survivor, c.channel, c.state, c.changed_at, c.reason)
INSERT INTO consent AS c (profile_id, channel, state, changed_at, reason)
SELECT DISTINCT ON (survivor, channel) survivor, channel, state, changed_at, reason FROM moved
ORDER BY survivor, channel, state DESC, changed_at DESC
ON CONFLICT (profile_id, channel) DO UPDATE
SET state = excluded.state, changed_at = excluded.changed_at, reason = excluded.reason WHERE c.state < excluded.state
"""
# Who was in an audience by either name is in it; whether a rule is still true is asked right after the merge.
_AUDIENCES = f"""
WITH {_PAIRS},
left_before AS (UPDATE audience_exit x SET profile_id = pair.survivor FROM pair WHERE x.profile_id = pair.loser),
forgotten AS (DELETE FROM profile_recheck r USING pair WHERE r.profile_id = pair.loser),
moved AS (DELETE FROM audience_membership m USING pair WHERE m.profile_id = pair.loser
    RETURNING m.audience_id, pair.survivor, m.entered_at)
INSERT INTO audience_membership AS m (audience_id, profile_id, entered_at)
SELECT audience_id, survivor, min(entered_at) FROM moved GROUP BY audience_id, survivor
ON CONFLICT (audience_id, profile_id) DO UPDATE SET entered_at = excluded.entered_at
WHERE m.entered_at > excluded.entered_at
"""
_IDENTITIES = f"""
WITH {_PAIRS} UPDATE identity i SET profile_id = pair.survivor FROM pair WHERE i.profile_id = pair.loser
"""
_MERGED = f"WITH {_PAIRS} UPDATE profile p SET merged_into = pair.survivor FROM pair WHERE p.id = pair.loser"


def register_merge(name: str, merge: Merge, *, lock: Lock | None = None) -> None:
    """Called in an app's ready(). A name stands once; registering it again replaces it (tests do)."""
    _merges[name] = merge
    if lock is not None:
        _locks[name] = lock


def unregister_merge(name: str) -> None:
    _merges.pop(name, None)
    _locks.pop(name, None)


def merge_profiles(cur: psycopg.Cursor[Any], pairs: Pairs, now: datetime) -> None:
    """Merge each loser into its survivor. The caller holds the locks of all of them and knows that none is merged yet.

    Attributes: the last writer wins. Rollup: counters add. Consent: the stricter wins. Identities and
    memberships move. Events keep the profile they were written with, which points to the survivor.
    """
    if not pairs:
        return
    for lock in list(_locks.values()):
        lock(cur, pairs)
    named = {"losers": [loser for loser, _ in pairs], "survivors": [survivor for _, survivor in pairs]}
    _merge_attributes(cur, pairs)
    cur.execute(_ROLLUP, {**named, "most": MAX_TOTAL})
    for statement in (_CONSENT, _AUDIENCES, _IDENTITIES, _MERGED):
        cur.execute(statement, named)
    for merge in list(_merges.values()):
        merge(cur, pairs, now)


def _merge_attributes(cur: psycopg.Cursor[Any], pairs: Pairs) -> None:
    documents = read_attributes(cur, {profile_id for pair in pairs for profile_id in pair})
    for loser, survivor in pairs:
        documents[survivor].absorb(documents[loser])
    write_attributes(cur, documents)


def read_attributes(cur: psycopg.Cursor[Any], profile_ids: set[int]) -> dict[int, Attributes]:
    """The attribute documents by profile id."""
    cur.execute(
        "SELECT id, attributes::text AS attributes, attribute_times::text AS times"
        " FROM profile WHERE id = ANY(%b::bigint[])",
        [arrays.int8(sorted(profile_ids))],
    )
    return {profile_id: Attributes.parse(values, times) for profile_id, values, times in cur}


def write_attributes(cur: psycopg.Cursor[Any], documents: dict[int, Attributes]) -> None:
    """Write those that changed."""
    changed = sorted(profile_id for profile_id, document in documents.items() if document.is_changed)
    if not changed:
        return
    dumped = [documents[profile_id].dump() for profile_id in changed]
    cur.execute(
        "UPDATE profile p SET attributes = t.attributes::jsonb, attribute_times = t.times::jsonb"
        " FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS t(id, attributes, times) WHERE p.id = t.id",
        [
            arrays.int8(changed),
            arrays.text([values for values, _ in dumped]),
            arrays.text([times for _, times in dumped]),
        ],
    )
