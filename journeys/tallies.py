"""The step log, counted while it is written: deltas that a task adds up.

Batches append deltas instead of raising counters, since a counter is locked until its transaction ends and would make
batches of the same journey wait for each other.
"""

from __future__ import annotations

from ajo.lib import sql

FOLD_BATCH = 20_000

# Ends each statement outside of the runner that closes walks: logs and counts the last steps that are in its `step`
# (id of the instance, visit, version_id, activity, outcome, detail, at). Those that say the same share a trail.
LOG_LAST_STEP = """
taken AS MATERIALIZED (
    SELECT g.*, nextval('journey_trail_id') AS trail_id FROM (
        SELECT version_id, activity, outcome, detail, at, count(*) AS n FROM step GROUP BY 1, 2, 3, 4, 5
    ) AS g
), said AS (
    INSERT INTO journey_trail (trail_id, nth, version_id, activity, outcome, detail, at)
    SELECT trail_id, 0, version_id, activity, outcome, detail, at FROM taken
), logged AS (
    INSERT INTO journey_passage (instance_id, visit, trail_id)
    SELECT s.id, s.visit, t.trail_id FROM step s JOIN taken t USING (version_id, activity, outcome, detail, at)
)
INSERT INTO step_count_delta (version_id, activity, outcome, day, n)
SELECT version_id, activity, outcome, (at AT TIME ZONE 'UTC')::date, n FROM taken
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
