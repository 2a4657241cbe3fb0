"""The statement and its failures, on the real database with real commits."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import connection

from ajo.lib import pool as pools
from ajo.lib.pool import HotPool, Unavailable
from profiles.ingest import writer as writing
from profiles.ingest.decode import Event
from profiles.ingest.writer import STREAM_TASK, Writer
from profiles.models import Event as StoredEvent
from profiles.models import EventKey, EventKind, IngestBatch
from profiles.partitions import ensure_partitions
from tests.support import count_statements

OCCURRED = datetime(2026, 11, 20, 8, 30, 0, 123456, tzinfo=UTC)


def event(number: int, *, source_id: int = 1, **fields: Any) -> Event:
    defaults: dict[str, Any] = {
        "index": number,
        "source_id": source_id,
        "key_hash": blake2b(str(number).encode(), digest_size=16).digest(),
        "kind": EventKind.TRACK.value,
        "type_name": "Signed Up",
        "occurred_at": OCCURRED,
        "user_id": f"user-{number}",
        "anonymous_id": None,
        "properties": '{"price": 1.10}',
        "context": None,
        "event_type_id": 4,
    }
    return Event(**(defaults | fields))


def keys_match_events() -> bool:
    """Each key points to its event, and there is no event without a key."""
    keys = dict(EventKey.objects.values_list("event_id", "source_id"))
    events = dict(StoredEvent.objects.values_list("id", "source_id"))
    return keys == events


def test_events_are_stored_as_they_are(writer: Writer, rings: list[str]) -> None:
    first = event(1, context='{"ip": "::1"}', anonymous_id="a", user_id=None)
    writer.store([first, event(2, properties="{}", event_type_id=70_000)])
    [batch] = IngestBatch.objects.all()
    stored = list(StoredEvent.objects.order_by("id"))
    assert (batch.source_id, batch.n, batch.state, batch.attempt) == (1, 2, IngestBatch.State.WAITING, 0)
    assert (batch.first_id, batch.last_id) == (stored[0].id, stored[1].id)
    assert abs((datetime.now(UTC) - batch.received_at).total_seconds()) < 10
    assert {one.batch_id for one in stored} == {batch.id}
    assert [one.event_type_id for one in stored] == [4, 70_000]
    assert (stored[0].user_id, stored[0].anonymous_id, stored[0].hops) == (None, "a", 0)
    assert stored[0].occurred_at == OCCURRED
    assert (stored[0].context, stored[1].context) == ({"ip": "::1"}, None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT properties::text FROM event ORDER BY id")
        assert cursor.fetchall() == [('{"price": 1.10}',), ("{}",)]
    assert rings == [STREAM_TASK]
    assert keys_match_events()


def test_one_statement_stores_any_number(writer: Writer) -> None:
    writer.store([event(0)])
    for count in (1, 2_000):
        with count_statements() as statements:
            writer.store([event(number, source_id=count + 1) for number in range(count)])
        # The pool may open another connection meanwhile.
        assert [one for one in statements if "set_config" not in one] == [writing.STORE]
    assert StoredEvent.objects.count() == 2_002


def test_a_repeat_is_stored_once(writer: Writer) -> None:
    writer.store([event(1), event(2)])
    writer.store([event(2), event(3), event(3)])
    assert StoredEvent.objects.count() == EventKey.objects.count() == 3
    assert list(IngestBatch.objects.order_by("id").values_list("n", flat=True)) == [2, 1]
    assert keys_match_events()


def test_a_flush_of_repeats_makes_no_batch(writer: Writer) -> None:
    writer.store([event(1)])
    writer.store([event(1)])
    assert IngestBatch.objects.count() == 1


def test_sources_do_not_share_message_ids_and_get_a_batch_each(writer: Writer) -> None:
    writer.store([event(1, source_id=1), event(1, source_id=2), event(2, source_id=2)])
    assert sorted(IngestBatch.objects.values_list("source_id", "n")) == [(1, 1), (2, 2)]
    for batch in IngestBatch.objects.all():
        inside = StoredEvent.objects.filter(id__range=(batch.first_id, batch.last_id), batch_id=batch.id)
        assert inside.count() == batch.n
        assert {one.source_id for one in inside} == {batch.source_id}


def in_threads(work: list[Any]) -> None:
    """Run every callable in a thread of its own, all released at once; raise what one of them raised."""
    barrier = threading.Barrier(len(work))
    errors: list[Exception] = []

    def run(one: Any) -> None:
        try:
            barrier.wait(10)
            one()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


def test_the_same_keys_from_four_threads_are_stored_once_without_deadlocks(writer: Writer) -> None:
    """Fresh keys each round: only keys in flight can deadlock, a pool of old ones would prove nothing."""
    rng = random.Random(1)
    before = deadlocks()
    with mock.patch.object(writing, "ATTEMPTS", 1):  # a deadlock must show, not be tried again
        for round in range(10):
            numbers = range(round * 500, round * 500 + 500)
            flushes = [[event(number) for number in rng.sample(numbers, 400)] for _ in range(4)]
            in_threads([lambda flush=flush: writer.store(flush) for flush in flushes])
            distinct = {one.key_hash for flush in flushes for one in flush}
            assert StoredEvent.objects.filter(user_id__in=[f"user-{n}" for n in numbers]).count() == len(
                distinct
            )
    assert keys_match_events()
    assert deadlocks() == before


@contextmanager
def refusing(user_id: str) -> Iterator[None]:
    """While open, PostgreSQL refuses every event of `user_id`."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE event ADD CONSTRAINT planted CHECK (user_id <> '{user_id}')")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE event DROP CONSTRAINT planted")


@pytest.mark.parametrize("place", [0, 1, 57, 99])
def test_an_event_that_the_database_refuses_does_not_cost_its_neighbours(writer: Writer, place: int) -> None:
    events = [event(number) for number in range(100)]
    with refusing(f"user-{place}"):
        writer.store(events)
    assert [one.index for one in events if one.refusal] == [place]
    assert StoredEvent.objects.count() == 99
    assert keys_match_events()
    assert sum(IngestBatch.objects.values_list("n", flat=True)) == 99


def test_what_json_allows_but_postgresql_does_not_is_refused_alone(writer: Writer) -> None:
    events = [event(1), event(2, properties='{"a": "\\u0000"}'), event(3, context="{"), event(4)]
    writer.store(events)
    assert [one.index for one in events if one.refusal] == [2, 3]
    assert StoredEvent.objects.count() == 2


def test_a_missing_partition_is_made(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    try:
        writer.store([event(1), event(2)])
        assert StoredEvent.objects.count() == 2
        assert "No partition" in caplog.text
    finally:
        ensure_partitions(datetime.now(UTC))


def end_connections() -> None:
    """End every connection of the pool, as a restart of the server does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def test_lost_connections_are_replaced(writer: Writer) -> None:
    in_threads([lambda n=n: writer.store([event(n)]) for n in range(8)])
    end_connections()
    in_threads([lambda n=n: writer.store([event(n)]) for n in range(4, 12)])
    assert StoredEvent.objects.count() == 12


def test_a_commit_whose_answer_was_lost_is_not_stored_twice(writer: Writer, pool: HotPool) -> None:
    execute = psycopg.Connection.execute
    lost: list[bool] = []

    def lose_the_first_answer(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = execute(self, *args, **kwargs)
        if args[0] == writing.STORE and not lost:
            lost.append(True)
            raise psycopg.OperationalError("the connection was lost")
        return result

    with mock.patch.object(psycopg.Connection, "execute", lose_the_first_answer):
        writer.store([event(1), event(2)])
    assert lost
    assert StoredEvent.objects.count() == 2
    assert IngestBatch.objects.count() == 1


def test_without_a_database_the_client_hears_so_in_time(
    transactional_db: None,
    rings: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        pools, "_parameters", lambda using: {"host": "127.0.0.1", "port": "1", "connect_timeout": 2}
    )
    monkeypatch.setattr(writing, "GIVE_UP_SECONDS", 1.0)
    caplog.set_level("CRITICAL", logger="psycopg.pool")
    pool = HotPool(size=2)
    try:
        with pytest.raises(Unavailable):
            Writer(pool).store([event(1)])
    finally:
        pool.close()
    assert rings == []
    assert "user-1" not in caplog.text


def test_commits_are_durable_whatever_the_server_defaults_to(pool: HotPool) -> None:
    with pool.connection(5) as hot:
        row = hot.execute("SELECT current_setting('synchronous_commit')").fetchone()
    assert row == ("on",)
