"""The step log, counted while it is written: deltas that a task adds up.

Batches append deltas instead of raising counters, since a counter is locked until its transaction ends and would make
batches of the same journey wait for each other.
"""

from __future__ import annotations

from ajo.lib import sql

FOLD_BATCH = 20_000

# Ends each statement that writes the step log, whose rows are `logged` there: what it did not write is not counted.
COUNT_LOGGED = """
INSERT INTO step_count_delta (version_id, activity, outcome, day, n)
SELECT version_id, activity, outcome, (at AT TIME ZONE 'UTC')::date, count(*) FROM logged GROUP BY 1, 2, 3, 4
"""
# One statement, so that whoever reads both tables in one finds each delta in exactly one of them.
_FOLD = """
WITH taken AS (
    DELETE FROM step_count_delta WHERE id = ANY(ARRAY(
        SELECT id FROM step_count_delta ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING version_id, activity, outcome, day, n
), added AS (
    INSERT INTO step_count AS c (version_id, activity, outcome, day, n)
    SELECT version_id, activity, outcome, day, sum(n) FROM taken GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (version_id, activity, outcome, day) DO UPDATE SET n = c.n + excluded.n
)
SELECT count(*) FROM taken
"""


def fold_step_counts(limit: int = FOLD_BATCH) -> int:
    """Add up to `limit` deltas to the counts, in one statement; returns how many. Others may fold at the same time."""
    with sql.unit_of_work() as cur:
        cur.execute(_FOLD, [limit])
        return int(cur.fetchall()[0][0])
