"""Taking batches of ingest: counting the attempt, owning the rows, closing them.

Work is one transaction, so a worker that dies leaves no trace of its own. Therefore the attempt is counted in a short
transaction before; what fails in a way that says nothing against the batch (a deadlock, a lost connection) gives the
count back. A batch that was counted before is taken alone, and at the third death it is put aside.

Between counting and owning, another worker may count and own the same batch: whoever owns it first works, the other
finds nothing. Such a meeting counts no death on a batch that is then done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg

from ajo.lib import sql
from profiles.models import IngestBatch

MAX_ATTEMPTS = 3
MAX_BATCHES = 500
"""Rows that one claim locks; single events arrive in batches of one."""

# The lock of the waiting rows comes first, so that a second worker skips to the next ones. A lost count after a power
# cut is harmless, so the commit need not wait for the disk.
_COUNT = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
waiting AS MATERIALIZED (
    SELECT id, n, attempt FROM profiles_ingestbatch WHERE state = %(waiting)s ORDER BY id LIMIT %(rows)s
    FOR NO KEY UPDATE SKIP LOCKED),
placed AS (
    SELECT id, row_number() OVER up AS place, sum(n) OVER up AS total,
           count(*) FILTER (WHERE attempt > 0) OVER up AS suspects
    FROM waiting WINDOW up AS (ORDER BY id))
UPDATE profiles_ingestbatch b SET
    attempt = least(b.attempt, %(most)s) + 1,
    state = CASE WHEN b.attempt >= %(most)s THEN %(quarantined)s ELSE b.state END
FROM placed, quick
WHERE b.id = placed.id AND (placed.place = 1 OR (placed.total <= %(events)s AND placed.suspects = 0))
RETURNING b.id, b.n, b.state
"""
_OWN = """
SELECT id, n, first_id, last_id, received_at, clock_timestamp() AS now
FROM profiles_ingestbatch WHERE id = ANY(%b::bigint[]) AND state = %b ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED
"""


class Counted(NamedTuple):
    """What the counting transaction found."""

    ids: list[int]
    """Batches to be worked on."""
    quarantined: list[int]
    """Batches that were put aside."""


class Batch(NamedTuple):
    """A batch that this transaction owns. `now` is the database's clock."""

    id: int
    n: int
    first_id: UUID
    last_id: UUID
    received_at: datetime
    now: datetime


def count_attempt(limit_events: int) -> Counted:
    """Pick the oldest waiting batches of at most `limit_events` events in all, or one, in a transaction of its own."""
    with sql.unit_of_work() as cur:
        cur.execute(
            _COUNT,
            {
                "waiting": IngestBatch.State.WAITING.value,
                "quarantined": IngestBatch.State.QUARANTINED.value,
                "most": MAX_ATTEMPTS,
                "rows": MAX_BATCHES,
                "events": limit_events,
            },
        )
        rows = cur.fetchall()
    return Counted(
        ids=sorted(row.id for row in rows if row.state == IngestBatch.State.WAITING),
        quarantined=sorted(row.id for row in rows if row.state == IngestBatch.State.QUARANTINED),
    )


def own(cur: psycopg.Cursor[Batch], ids: Sequence[int]) -> list[Batch]:
    """Lock those of `ids` that still wait and that nobody else works on."""
    cur.execute(_OWN, [list(ids), IngestBatch.State.WAITING.value])
    return [Batch(*row) for row in cur]


def finish(cur: psycopg.Cursor[object], batches: Sequence[Batch]) -> None:
    cur.execute(
        "UPDATE profiles_ingestbatch SET state = %b WHERE id = ANY(%b::bigint[])",
        [IngestBatch.State.DONE.value, [batch.id for batch in batches]],
    )


def give_back(ids: Sequence[int]) -> None:
    """Forget the attempts of batches whose work failed for reasons outside them."""
    IngestBatch.objects.filter(id__in=ids, state=IngestBatch.State.WAITING).update(attempt=0)
