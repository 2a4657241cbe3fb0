"""Taking batches of ingest: counting the attempt, owning the rows, closing them.

Work is one transaction, so a worker that dies leaves no trace of its own. Therefore the attempt is counted in a short
transaction before; what fails in a way that says nothing against the batch (a deadlock, a lost connection) gives the
count back. A batch that was counted before is a suspect: it is taken alone, and after the third death put aside.

A batch that another worker has counted and will own in a moment looks like a suspect too. Suspects are therefore looked
at twice, a pause apart, so that workers woken together do not count each other's batches to death.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from ajo.lib import sql
from profiles.models import IngestBatch

MAX_ATTEMPTS = 3
MAX_BATCHES = 500
"""Rows that one claim locks; single events arrive in batches of one."""
MAX_SUSPECTS = 50
PAUSE_SECONDS = 0.2
"""A hundred times what lies between counting a batch and owning it."""

# The waiting rows are locked first, so that a second worker skips to the next ones. Fresh ones are taken up to the
# first suspect; suspects are only told when one of them is the oldest. A count that is lost in a power cut does no
# harm, so its commit need not wait for the disk.
_CHOOSE = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
waiting AS MATERIALIZED (
    SELECT id, n, attempt FROM profiles_ingestbatch WHERE state = 0 ORDER BY id LIMIT %(rows)b
    FOR NO KEY UPDATE SKIP LOCKED),
placed AS (
    SELECT id, attempt, row_number() OVER up AS place, sum(n) OVER up AS total,
           count(*) FILTER (WHERE attempt > 0) OVER up AS suspects
    FROM waiting WINDOW up AS (ORDER BY id)),
counted AS (
    UPDATE profiles_ingestbatch b SET attempt = 1 FROM placed, quick
    WHERE b.id = placed.id AND suspects = 0 AND (place = 1 OR total <= %(events)b)
    RETURNING b.id)
SELECT id, 0 AS attempt FROM counted
UNION ALL
SELECT id, attempt FROM placed
WHERE attempt > 0 AND suspects <= %(suspects)b AND NOT EXISTS (SELECT FROM counted)
ORDER BY id
"""
_COUNT_SUSPECT = """
UPDATE profiles_ingestbatch SET
    attempt = attempt + 1, state = CASE WHEN attempt >= %(most)b THEN %(quarantined)b ELSE state END
WHERE id = (
    SELECT id FROM profiles_ingestbatch WHERE id = %(id)b AND state = 0 AND attempt = %(attempt)b
    FOR NO KEY UPDATE SKIP LOCKED)
RETURNING state
"""
_OWN = """
SELECT id, n, first_id, last_id, received_at, clock_timestamp() AS now
FROM profiles_ingestbatch WHERE id = ANY(%b::bigint[]) AND state = 0 ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED
"""


class Suspect(NamedTuple):
    """A waiting batch that was counted before and that nobody holds."""

    id: int
    attempt: int


class Choice(NamedTuple):
    """What there is to do; both are empty when nothing waits that nobody works on."""

    batch_ids: list[int]
    """Fresh batches, counted: own them now."""
    suspects: list[Suspect]
    """To be counted one by one, PAUSE_SECONDS from now; only given without fresh ones."""


class Batch(NamedTuple):
    """A batch that this transaction owns. `now` is the database's clock."""

    id: int
    n: int
    first_id: UUID
    last_id: UUID
    received_at: datetime
    now: datetime


def choose(limit_events: int) -> Choice:
    """Count the attempt of the oldest fresh batches, at most `limit_events` events or one batch; or name suspects."""
    with sql.unit_of_work() as cur:
        cur.execute(_CHOOSE, {"rows": MAX_BATCHES, "events": limit_events, "suspects": MAX_SUSPECTS})
        chosen = cur.fetchall()
    return Choice(
        [row.id for row in chosen if row.attempt == 0],
        [Suspect(row.id, row.attempt) for row in chosen if row.attempt > 0],
    )


def somebody_chooses() -> bool:
    """True while another worker holds fresh batches for the moment of choosing: more may be left than we saw."""
    return IngestBatch.objects.filter(state=IngestBatch.State.WAITING, attempt=0).exists()


def count_suspect(suspect: Suspect) -> IngestBatch.State | None:
    """Count another attempt if the batch still stands as it did: its state now, or None when somebody took it."""
    with sql.unit_of_work() as cur:
        cur.execute(
            _COUNT_SUSPECT,
            {**suspect._asdict(), "most": MAX_ATTEMPTS, "quarantined": IngestBatch.State.QUARANTINED.value},
        )
        row = cur.fetchone()
    return None if row is None else IngestBatch.State(row.state)


def own(cur: psycopg.Cursor[Any], batch_ids: Sequence[int]) -> list[Batch]:
    """Lock those that still wait and that nobody else works on, until the end of the transaction."""
    cur.execute(_OWN, [list(batch_ids)])
    return [Batch._make(row) for row in cur]


def finish(cur: psycopg.Cursor[Any], batches: Sequence[Batch]) -> None:
    """Close the batches, in the transaction that did their work."""
    cur.execute(
        "UPDATE profiles_ingestbatch SET state = 1 WHERE id = ANY(%b::bigint[])",
        [[batch.id for batch in batches]],
    )


def give_back(batch_ids: Sequence[int]) -> None:
    """Forget the attempts of batches whose work failed for reasons outside them."""
    IngestBatch.objects.filter(id__in=batch_ids, state=IngestBatch.State.WAITING).update(attempt=0)
