"""The one statement that makes events durable, and what happens when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import DatabaseError
from django.db import connection as django_connection
from django.utils import timezone

from ajo.lib import arrays, doorbell
from ajo.lib.ids import uuid7
from ajo.lib.pool import HotPool, Unavailable, in_words
from profiles.ingest.decode import Event
from profiles.partitions import ensure_partitions

logger = logging.getLogger(__name__)

STREAM_TASK: Final = "profiles.tasks.drain_stream"
ATTEMPTS: Final = 4
GIVE_UP_SECONDS: Final = 5.0
PAUSES: Final = (0.05, 0.3, 1.0)

_INCOMING = """
WITH incoming AS MATERIALIZED (
    SELECT * FROM unnest(
        %b::int[], %b::bytea[], %b::uuid[], %b::bigint[], %b::smallint[], %b::timestamptz[],
        %b::text[], %b::text[], %b::text[], %b::text[], %b::smallint[]
    ) AS t(source_id, key_hash, id, event_type_id, kind, occurred_at, user_id, anonymous_id, properties, context, hops)
)"""
_BATCH = """
batch AS (
    INSERT INTO profiles_ingestbatch (source_id, n, first_id, last_id, received_at)
    SELECT source_id, count(*), %b::uuid, %b::uuid, now() FROM fresh GROUP BY source_id
    RETURNING id, source_id
)
INSERT INTO event (
    id, batch_id, source_id, event_type_id, kind, occurred_at, user_id, anonymous_id, properties, context, hops
)
SELECT incoming.id, batch.id, batch.source_id, event_type_id, kind, occurred_at, user_id, anonymous_id,
    properties::jsonb, context::jsonb, hops
FROM fresh
    JOIN incoming ON incoming.id = fresh.event_id
    JOIN batch ON batch.source_id = fresh.source_id
"""
# Keys go in sorted, or two flushes of the same repeats deadlock. `fresh` is joined by the event's id: joined by key, a
# key that stands twice in one flush would be stored twice. A repeat whose first one is still in flight waits here for
# that one's commit, so its answer is durable too.
STORE = f"""{_INCOMING}, fresh AS (
    INSERT INTO profiles_eventkey (source_id, key_hash, event_id)
    SELECT source_id, key_hash, id FROM incoming ORDER BY source_id, key_hash
    ON CONFLICT DO NOTHING
    RETURNING source_id, event_id
), {_BATCH}"""
STORE_UNKEYED = f"{_INCOMING}, fresh AS (SELECT source_id, id AS event_id FROM incoming), {_BATCH}"
"""For events that cannot come twice, with the same parameters: no key is kept of them."""

# The plan is made once, when nobody knows how long the arrays are; a nested loop would be the guess for a short one.
SESSION: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_nestloop": "off",
    "statement_timeout": "10s",
}


class Writer:
    """Stores events durably: when `store` returns, those without a `refusal` are committed."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool

    def store(self, events: Sequence[Event]) -> None:
        """Commit `events`, each message id once. Sets `refusal` on those that PostgreSQL would not take.

        A lost connection, deadlock or missing partition is tried again, with the same ids and keys, so that a commit
        whose answer got lost is not stored twice. Raises `Unavailable` when it does not help.
        """
        ids = uuid7.many(len(events))
        self._store(list(zip(ids, events, strict=True)), time.monotonic() + GIVE_UP_SECONDS)
        doorbell.ring(STREAM_TASK)

    def _store(self, rows: Sequence[tuple[Any, Event]], ends_at: float) -> None:
        for attempt in range(ATTEMPTS):
            try:
                with self._pool.connection(max(0.1, min(2.0, ends_at - time.monotonic()))) as connection:
                    connection.execute(STORE, parameters(rows))
                return
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                if not _lacks_partition(error):
                    self._bisect(rows, error, ends_at)
                    return
                if attempt > 0:
                    raise Unavailable(in_words(error)) from error
                _make_partitions()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                pause = PAUSES[min(attempt, len(PAUSES) - 1)]
                if attempt == ATTEMPTS - 1 or time.monotonic() + pause > ends_at:
                    logger.warning("%s events were not stored: %s", len(rows), in_words(error))
                    raise Unavailable(in_words(error)) from error
                time.sleep(pause)
                self._pool.check()

    def _bisect(self, rows: Sequence[tuple[Any, Event]], error: psycopg.Error, ends_at: float) -> None:
        """Store each half by itself, down to the event that PostgreSQL refuses.

        The halves are transactions of their own, not savepoints of one: repeats are harmless, nothing was answered
        yet, and more than 64 subtransactions would slow every other connection down.
        """
        if len(rows) == 1:
            rows[0][1].refusal = error.diag.message_primary or "PostgreSQL refused the event"
            return
        middle = len(rows) // 2
        self._store(rows[:middle], ends_at)
        self._store(rows[middle:], ends_at)


def parameters(rows: Sequence[tuple[UUID, Event]]) -> list[Any]:
    """What STORE takes, for events with their ids in rising order."""
    ids = [id for id, _ in rows]
    events = [event for _, event in rows]
    return [
        arrays.int4([event.source_id for event in events]),
        arrays.hash16([event.key_hash for event in events]),
        arrays.uuid(ids),
        arrays.int8([event.event_type_id for event in events]),
        arrays.int2([event.kind for event in events]),
        arrays.timestamptz([event.occurred_at for event in events]),
        arrays.text([event.user_id for event in events]),
        arrays.text([event.anonymous_id for event in events]),
        arrays.text([event.properties for event in events]),
        arrays.text([event.context for event in events]),
        arrays.int2([event.hops for event in events]),
        ids[0],
        ids[-1],
    ]


def _lacks_partition(error: psycopg.Error) -> bool:
    """PostgreSQL reports a missing partition as a violated check without a name."""
    return isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None


def _make_partitions() -> None:
    logger.warning("No partition for today's events. Is beat running? Making the partitions now.")
    try:
        ensure_partitions(timezone.now())
    except DatabaseError as error:
        raise Unavailable("The partitions for today's events could not be made.") from error
    finally:
        django_connection.close()  # a thread of the door keeps no connection of Django's
