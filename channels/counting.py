"""The messages, counted while they change: deltas that a task adds up, and what they add up to.

The triggers of `message` append the deltas (migration 0008). A counter that is raised at once would be locked until the
end of its transaction and make the senders of one campaign wait for each other.
"""

from __future__ import annotations

from ajo.lib import sql

FOLD_BATCH = 20_000

_KEY = "cause_kind, origin_id, activity, channel, variant_id, mark, reason_code, day"
# One statement, so that whoever reads both tables in one finds each delta in exactly one of them.
_FOLD = f"""
WITH taken AS (
    DELETE FROM message_count_delta WHERE id = ANY(ARRAY(
        SELECT id FROM message_count_delta ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING {_KEY}, n
), added AS (
    INSERT INTO message_count AS c ({_KEY}, n)
    SELECT {_KEY}, sum(n) FROM taken GROUP BY {_KEY} HAVING sum(n) <> 0 ORDER BY {_KEY}
    ON CONFLICT ({_KEY}) DO UPDATE SET n = c.n + excluded.n
)
SELECT count(*) FROM taken
"""


def fold_message_counts(limit: int = FOLD_BATCH) -> int:
    """Add up to `limit` deltas to the counts, in one statement; returns how many. Others may fold at the same time."""
    with sql.unit_of_work() as cur:
        cur.execute(_FOLD, [limit])
        return int(cur.fetchall()[0][0])
