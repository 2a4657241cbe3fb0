"""Taking batches of ingest: claiming them, owning their rows, closing them.

Work is one transaction, so a worker that dies leaves no trace of its own. Therefore a claim is committed before it: it
counts the attempt, and its time keeps other workers away for the moment until the row locks of the work do. What fails
in a way that says nothing against the batch (a deadlock, a lost connection) gives the attempt back. A batch that was
claimed before in vain is a suspect: it is taken alone, and put aside when its worker ended too often.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db.models import F
from django.db.models.functions import Greatest

from ajo.lib import sql
from profiles.models import IngestBatch

MAX_ATTEMPTS = 6
"""More than the deaths that chance lets an innocent batch share: as the oldest, a suspect meets every next kill."""
MAX_BATCHES = 500
"""Rows that one claim locks; single events arrive in batches of one."""
PAUSE_SECONDS = 0.02
"""Ten times what a claim takes."""
GRACE_SECONDS = 2.0
"""A thousand times what lies between claiming and owning; what a dead worker's batches wait for."""

# A neighbour that chooses at this moment is skipped. A claim that is lost in a power cut does no harm, so its commit
# need not wait for the disk.
_CLAIM = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
waiting AS MATERIALIZED (
    SELECT id, n, attempt FROM profiles_ingestbatch
    WHERE state = 0 AND (claimed_at IS NULL OR claimed_at < clock_timestamp() - %(grace)b * interval '1 second')
    ORDER BY id LIMIT %(rows)b FOR NO KEY UPDATE SKIP LOCKED),
placed AS (
    SELECT id, row_number() OVER up AS place, sum(n) OVER up AS total,
           count(*) FILTER (WHERE attempt > 0) OVER up AS suspects
    FROM waiting WINDOW up AS (ORDER BY id))
UPDATE profiles_ingestbatch b SET
    claimed_at = clock_timestamp(), attempt = least(b.attempt, %(most)b) + 1,
    state = CASE WHEN b.attempt >= %(most)b THEN %(quarantined)b ELSE b.state END
FROM placed, quick
WHERE b.id = placed.id AND (place = 1 OR (suspects = 0 AND total <= %(events)b))
RETURNING b.id, b.state
"""
# Waits: a neighbour that chooses locks for a moment also what it then leaves. Who finds a batch in work waits for its
# end and then finds nothing.
# Sharing the lock of audiences, the transaction sees each one that is active when the profiles it makes can be seen.
# The commit need not wait for the disk: lost in a power cut, the batches wait again. Whatever goes out because of it is
# fenced by a commit that does wait, and what was committed before is on disk then, too.
_OWN = """
WITH shared AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(hashtext('ajo audiences')), set_config('synchronous_commit', 'off', true))
SELECT b.id, b.n, b.first_id, b.last_id, b.received_at, clock_timestamp() AS now
FROM shared, profiles_ingestbatch b WHERE b.id = ANY(%b::bigint[]) AND b.state = 0 ORDER BY b.id FOR NO KEY UPDATE OF b
"""


class Claim(NamedTuple):
    """What one claim found; both are empty when nothing waits that nobody works on."""

    batch_ids: list[int]
    """To be owned now."""
    quarantined_ids: list[int]
    """Put aside: they ended their workers MAX_ATTEMPTS times."""


class Batch(NamedTuple):
    """A batch that this transaction owns. `now` is the database's clock."""

    id: int
    n: int
    first_id: UUID
    last_id: UUID
    received_at: datetime
    now: datetime


def claim(limit_events: int) -> Claim:
    """Claim the oldest batches of at most `limit_events` events in all, or one; a suspect alone."""
    with sql.unit_of_work() as cur:
        cur.execute(
            _CLAIM,
            {
                "grace": GRACE_SECONDS,
                "rows": MAX_BATCHES,
                "events": limit_events,
                "most": MAX_ATTEMPTS,
                "quarantined": IngestBatch.State.QUARANTINED.value,
            },
        )
        rows = cur.fetchall()
    return Claim(
        sorted(row.id for row in rows if row.state == IngestBatch.State.WAITING),
        sorted(row.id for row in rows if row.state == IngestBatch.State.QUARANTINED),
    )


def somebody_claims() -> bool:
    """True while another worker holds unclaimed batches for the moment of choosing: some may be left for us."""
    return IngestBatch.objects.filter(state=IngestBatch.State.WAITING, claimed_at=None).exists()


def own(cur: psycopg.Cursor[Any], batch_ids: Sequence[int]) -> list[Batch]:
    """Lock those that still wait, until the end of the transaction."""
    cur.execute(_OWN, [list(batch_ids)])
    return [Batch._make(row) for row in cur]


def finish(cur: psycopg.Cursor[Any], batches: Sequence[Batch]) -> None:
    """Close the batches, in the transaction that did their work."""
    cur.execute(
        "UPDATE profiles_ingestbatch SET state = 1 WHERE id = ANY(%b::bigint[])",
        [[batch.id for batch in batches]],
    )


def give_back(batch_ids: Sequence[int]) -> None:
    """Undo the claim of batches whose work failed for reasons outside them."""
    waiting = IngestBatch.objects.filter(id__in=batch_ids, state=IngestBatch.State.WAITING)
    waiting.update(attempt=Greatest(F("attempt") - 1, 0), claimed_at=None)
