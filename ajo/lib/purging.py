"""Forgetting old rows, a short transaction at a time.

A row that somebody holds is left to a later run: a purge waits for nobody, so nobody waits in a circle with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ajo.lib import sql

Clock = Callable[[], float]

SECONDS = 20.0
ROWS_AT_ONCE = 5_000
PAGES_AT_ONCE = 500
"""4 MB: one short transaction of at most some 40,000 rows."""
PAGES_OF_A_RUN = 25_000
"""200 MB: up to this size the whole table is read in each run, in well under a second when nothing is old."""
RUNS_OF_A_DAY = 24

_DELETE = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {condition} FOR UPDATE SKIP LOCKED))
"""


def purge_oldest(
    table: str,
    column: str,
    floor: Any,
    *,
    condition: str = "true",
    seconds: float = SECONDS,
    clock: Clock = time.monotonic,
) -> int:
    """Delete rows whose `column`, the first of an index, is below `floor` and for which `condition` holds.

    Oldest first, until none is left or the time is up; returns how many.
    """
    picked = f"{column} < %s AND {condition} ORDER BY {column} LIMIT %s"
    statement = _DELETE.format(table=table, condition=picked)
    ends_at = clock() + seconds
    deleted = 0
    with sql.cursor() as cur:
        while True:
            cur.execute(statement, [floor, ROWS_AT_ONCE])
            deleted += cur.rowcount
            if cur.rowcount < ROWS_AT_ONCE or clock() >= ends_at:
                return deleted


def purge_pages(
    table: str,
    condition: str,
    parameters: Sequence[Any],
    now: datetime,
    *,
    seconds: float = SECONDS,
    clock: Clock = time.monotonic,
) -> int:
    """Delete the rows for which `condition` holds, where no index knows the age: one would cost every write.

    A run, of which there is one in each hour, walks a range of the table's pages, PAGES_OF_A_RUN or a twenty-fourth
    part, which one is told by the hour: so every row is met about once a day, and a run costs a bounded read however
    large the table is and however little is old. Returns how many were deleted.
    """
    statement = _DELETE.format(table=table, condition=f"ctid >= %s::tid AND ctid < %s::tid AND {condition}")
    with sql.cursor() as cur:
        cur.execute("SELECT pg_relation_size(%s) / current_setting('block_size')::bigint", [table])
        pages = int(cur.fetchall()[0][0])
        size = max(PAGES_OF_A_RUN, -(-pages // RUNS_OF_A_DAY))
        parts = max(1, -(-pages // size))
        start = (int(now.timestamp()) // 3600 % parts) * size
        ends_at = clock() + seconds
        deleted = 0
        for page in range(start, min(start + size, pages), PAGES_AT_ONCE):
            cur.execute(statement, [f"({page},0)", f"({page + PAGES_AT_ONCE},0)", *parameters])
            deleted += cur.rowcount
            if clock() >= ends_at:
                break
    return deleted
