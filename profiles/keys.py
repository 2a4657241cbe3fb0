"""Forgetting old message ids. `event_key` has no index on age: one would cost every flush of ingest."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from ajo.lib import sql
from ajo.lib.ids import uuid_floor

PAGES_AT_ONCE = 500
"""4 MB: one short transaction of at most some 40,000 rows."""
PAGES_OF_A_RUN = 25_000
"""200 MB: up to this size the whole table is read in each run, in well under a second when nothing is old."""
RUNS_OF_A_DAY = 24


def purge(now: datetime, *, seconds: float = 20.0, clock: Callable[[], float] = time.monotonic) -> int:
    """Delete the keys of events older than AJO_EVENT_KEY_DAYS; returns how many.

    A run walks a range of the table's pages, PAGES_OF_A_RUN or a twenty-fourth part, which one is told by the hour: so
    every key is met about once a day, and a run costs a bounded read however large the table is and however little is
    old. Keys live at most some days longer than asked, which makes a repeat be recognised longer.
    """
    floor = uuid_floor(now - timedelta(days=settings.AJO_EVENT_KEY_DAYS))
    with sql.cursor() as cur:
        cur.execute(
            "SELECT pg_relation_size('profiles_eventkey') / current_setting('block_size')::bigint AS pages,"
            " EXISTS (SELECT 1 FROM profiles_ingestbatch WHERE id = (SELECT min(id) FROM profiles_ingestbatch)"
            " AND last_id < %b) AS has_old",
            [floor],
        )
        table = cur.fetchone()
        assert table is not None
        if not table.has_old:
            return 0
        size = max(PAGES_OF_A_RUN, -(-table.pages // RUNS_OF_A_DAY))
        parts = max(1, -(-table.pages // size))
        start = (int(now.timestamp()) // 3600 % parts) * size
        ends_at = clock() + seconds
        deleted = 0
        for page in range(start, min(start + size, table.pages), PAGES_AT_ONCE):
            cur.execute(
                "DELETE FROM profiles_eventkey WHERE ctid >= %s::tid AND ctid < %s::tid AND event_id < %s",
                [f"({page},0)", f"({page + PAGES_AT_ONCE},0)", floor],
            )
            deleted += cur.rowcount
            if clock() >= ends_at:
                break
    return deleted
