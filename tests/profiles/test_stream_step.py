"""The stream transaction: claims, consumers, bad events, poison, and a constant number of statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import IntegrityError, ProgrammingError, connection
from django.db.models import F
from psycopg.errors import CheckViolation

from ajo.lib import sql
from profiles import consumers
from profiles.consumers import StreamEvent
from profiles.models import IngestBatch, Profile, ProfileEvent, QuarantinedEvent
from profiles.stream import claim, step, take_batch
from profiles.stream.step import MAX_REFUSALS, SMALL
from tests.factories import NOW
from tests.profiles.conftest import Listener
from tests.profiles.store import Call, identify, store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db
State = IngestBatch.State


def states() -> list[tuple[int, int]]:
    return list(IngestBatch.objects.order_by("id").values_list("state", "attempt"))


def refused() -> list[tuple[str, str]]:
    return list(QuarantinedEvent.objects.order_by("id").values_list("consumer", "error"))


def bad(name: str, consume: Any = None) -> None:
    """Register a consumer that cannot take events of users called `bad…`; it divides by zero in the database."""

    def refuse(events: Sequence[StreamEvent], now: datetime) -> None:
        with sql.cursor() as cur:
            cur.execute(
                "SELECT 1 / (CASE WHEN properties::jsonb ? 'bad' THEN 0 ELSE 1 END) FROM unnest(%b::text[]) properties",
                [[event.properties for event in events]],
            )
            cur.fetchall()
        if consume:
            consume(events, now)

    consumers.register(name, refuse)


def some(count: int, *, bad: Sequence[int] = ()) -> list[Call]:
    return [track(f"user{n}", properties={"bad": 1} if n in bad else {"n": n}) for n in range(count)]


def test_batches_are_taken_in_order_up_to_the_limit() -> None:
    for n in (3, 3, 3, 20):
        store(*some(n))
    assert [take_batch(limit_events=7) for _ in range(4)] == [6, 3, 20, 0]
    assert states() == [(State.DONE, 1)] * 4


def test_a_batch_of_repeats_only_has_no_events_and_is_done() -> None:
    store()
    assert take_batch() == 1
    assert states() == [(State.DONE, 1)]


def test_consumers_get_events_in_order_with_their_profiles(listener: Listener) -> None:
    batch = store(track("ada", "Bought", properties={"price": 1.10}), track("bob"))
    take_batch(now=NOW)
    first, second = listener.events
    assert first.id < second.id
    assert first.decoded() == {"price": Decimal("1.10")}
    assert (first.batch_id, first.received_at) == (batch.id, batch.received_at)
    assert first.profile_id == Profile.objects.get(identities__value="ada").id


def test_events_at_the_hop_limit_are_stored_and_react_to_nothing(listener: Listener) -> None:
    store(track("ada", hops=settings.AJO_MAX_HOPS), track("ada", hops=settings.AJO_MAX_HOPS - 1))
    take_batch()
    assert [event.hops for event in listener.events] == [settings.AJO_MAX_HOPS - 1]
    assert ProfileEvent.objects.count() == 2


@pytest.mark.parametrize("size", [50, SMALL + 50], ids=["small", "large"])
def test_a_bad_event_is_quarantined_for_its_consumer_alone(size: int, listener: Listener) -> None:
    kept: list[StreamEvent] = []
    bad("picky", lambda events, now: kept.extend(events))
    store(*some(size, bad=[17, 18]))
    assert take_batch() == size
    assert refused() == [("picky", "DivisionByZero: division by zero")] * 2
    assert len(kept) == size - 2
    assert len(listener.calls[-1]) == size
    assert ProfileEvent.objects.count() == size


def test_an_exception_of_a_consumers_own_is_about_its_data() -> None:
    def refuse(events: Sequence[StreamEvent], now: datetime) -> None:
        if any("bad" in event.decoded() for event in events):
            raise ValueError("The price is missing.")

    consumers.register("picky", refuse)
    store(*some(9, bad=[4]))
    take_batch()
    assert refused() == [("picky", "ValueError: The price is missing.")]


def test_a_consumers_writes_are_kept_but_for_the_bad_event() -> None:
    def write(events: Sequence[StreamEvent], now: datetime) -> None:
        with sql.cursor() as cur:
            cur.executemany(
                "INSERT INTO consent (profile_id, channel, state, reason) VALUES (%s, %s, 1, '')",
                [(event.profile_id, 100_000 if "bad" in event.decoded() else 1) for event in events],
            )

    consumers.register("writer", write)
    store(*some(40, bad=[0]))
    take_batch()
    with connection.cursor() as cur:
        cur.execute("SELECT count(*) FROM consent")
        assert cur.fetchone() == (39,)
    assert [name for name, _ in refused()] == ["writer"]


def test_many_bad_events_are_looked_for_batch_by_batch() -> None:
    bad("picky")
    store(*some(30, bad=range(MAX_REFUSALS)))
    store(*some(30, bad=range(3)))
    store(*some(30))
    assert take_batch() == 90
    assert len(refused()) == MAX_REFUSALS + 3
    assert {state for state, _ in states()} == {State.DONE}
    assert ProfileEvent.objects.count() == 90


def test_a_consumer_that_fails_always_stops_nobody(listener: Listener) -> None:
    def fail(events: Sequence[StreamEvent], now: datetime) -> None:
        raise KeyError("plan")

    consumers.register("broken", fail)
    store(*some(12))
    assert take_batch() == 12
    assert refused() == [("broken", "KeyError: 'plan'")] * 12
    assert len(listener.calls[-1]) == 12


def test_what_the_data_did_not_cause_ends_the_transaction_and_gives_the_attempt_back() -> None:
    def fail(events: Sequence[StreamEvent], now: datetime) -> None:
        with sql.cursor() as cur:
            cur.execute("SELECT * FROM there_is_no_such_table")

    consumers.register("broken", fail)
    store(*some(3))
    with pytest.raises(ProgrammingError):
        take_batch()
    assert states() == [(State.WAITING, 0)]
    assert not Profile.objects.exists()
    consumers.unregister("broken")
    assert take_batch() == 3


def test_a_deadlock_runs_again_at_once(listener: Listener) -> None:
    def lose(events: Sequence[StreamEvent], now: datetime) -> None:
        if len(listener.calls) < 2:
            with sql.cursor() as cur:
                cur.execute("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$")

    consumers.register("loser", lose)
    store(*some(3))
    assert take_batch() == 3
    assert len(listener.calls) == 2
    assert not refused()


def test_an_event_that_the_step_cannot_take_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    write = step._write_history

    happened = step._happened

    def know_bad(sightings: Sequence[step.Sighting]) -> dict[str, Any]:
        return {**happened(sightings), "bad": any("bad" in each.row.properties for each in sightings)}

    def refuse(cur: Any, people: step.Resolution) -> None:
        is_bad = people.happened.pop("bad")
        write(cur, people)
        if is_bad:
            raise IntegrityError("planted") from CheckViolation("planted")

    monkeypatch.setattr(step, "_happened", know_bad)
    monkeypatch.setattr(step, "_write_history", refuse)
    store(*some(20, bad=[3, 9]))
    # A violation without a constraint's name is a missing partition: the operator's matter, not the event's.
    with pytest.raises(IntegrityError):
        take_batch()
    assert states() == [(State.WAITING, 0)]

    def refuse_value(cur: Any, people: step.Resolution) -> None:
        is_bad = people.happened.pop("bad")
        write(cur, people)
        if is_bad:
            cur.execute("SELECT 1 / 0")

    monkeypatch.setattr(step, "_write_history", refuse_value)
    assert take_batch() == 20
    assert refused() == [("stream", "DivisionByZero: division by zero")] * 2
    assert ProfileEvent.objects.count() == 18
    assert Profile.objects.count() == 18


def let_grace_end() -> None:
    """As if the claims had been made long ago."""
    IngestBatch.objects.update(claimed_at=F("claimed_at") - timedelta(seconds=claim.GRACE_SECONDS + 1))


def test_a_batch_that_ends_its_worker_is_taken_alone_and_put_aside_in_the_end(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    def kill(events: Sequence[StreamEvent], now: datetime) -> None:
        if any("bad" in event.properties for event in events):
            raise SoftTimeLimitExceeded

    consumers.register("killer", kill)
    store(*some(2))
    poison = store(*some(2, bad=[0]))
    store(*some(2))

    with pytest.raises(SoftTimeLimitExceeded):
        take_batch()  # all three together
    assert states() == [(State.WAITING, 1)] * 3
    assert take_batch() == 0  # the claim of the dead worker still keeps others away
    let_grace_end()
    assert take_batch() == 2  # the first alone
    with pytest.raises(SoftTimeLimitExceeded):
        take_batch()
    assert states() == [(State.DONE, 2), (State.WAITING, 2), (State.WAITING, 1)]
    assert take_batch() == 2  # the one behind it does not wait for it
    for _ in range(2, claim.MAX_ATTEMPTS):
        let_grace_end()
        with pytest.raises(SoftTimeLimitExceeded):
            take_batch()
    let_grace_end()
    assert take_batch() == 1
    assert f"Ingest batch {poison.pk} ended its worker 6 times and is quarantined" in caplog.text
    let_grace_end()
    assert take_batch() == 0
    assert [state for state, _ in states()] == [State.DONE, State.QUARANTINED, State.DONE]


def test_suspects_further_back_do_not_ride_along() -> None:
    store(*some(2))
    suspect = store(*some(2))
    IngestBatch.objects.filter(pk=suspect.pk).update(attempt=1)
    store(*some(2))
    assert [take_batch() for _ in range(4)] == [2, 2, 2, 0]


def test_what_another_worker_has_claimed_is_neither_counted_nor_taken() -> None:
    batch = store(*some(2))
    assert claim.claim(100).batch_ids == [batch.pk]
    assert claim.claim(100) == claim.Claim([], [])
    assert take_batch() == 0
    assert states() == [(State.WAITING, 1)]


def test_a_frozen_worker_that_wakes_up_finds_its_batch_done() -> None:
    batch = store(*some(2))
    frozen = claim.claim(100)
    let_grace_end()
    assert take_batch() == 2
    assert step._work(frozen.batch_ids, None) == 0
    assert states() == [(State.DONE, 2)]
    assert ProfileEvent.objects.filter(event_id__gte=batch.first_id).count() == 2


def test_counting_takes_bounded_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "MAX_BATCHES", 2)
    for _ in range(3):
        store(*some(1))
    assert [take_batch() for _ in range(3)] == [2, 1, 0]


def test_the_number_of_statements_does_not_depend_on_the_number_of_events(listener: Listener) -> None:
    def run(count: int, prefix: str) -> list[str]:
        known = [identify(f"{prefix}{n}", {"email": f"{prefix}{n}@example.com"}) for n in range(count)]
        store(*known, *(track(anon=f"{prefix}anon{n}") for n in range(count)))
        take_batch(limit_events=10_000)
        context = {"timezone": "Europe/Berlin", "locale": "de"}
        store(
            *(track(f"{prefix}{n}", anon=f"{prefix}anon{n}", context=context) for n in range(count)),
            *(identify(f"{prefix}new{n}", {"plan": "pro"}) for n in range(count)),
            *(track("  ") for _ in range(3)),
        )
        with count_statements() as seen:
            take_batch(limit_events=10_000)
        return seen

    few, many = run(SMALL // 2 + 1, "a"), run(1_000, "b")
    assert [statement.split()[0] for statement in few] == [statement.split()[0] for statement in many]
    assert len(many) <= 32, many
    assert Profile.objects.living().count() == 2 * 101 + 2 * 1_000


def test_a_quiet_batch_needs_few_statements(listener: Listener) -> None:
    store(track("ada"))
    take_batch()
    store(track("ada"))
    with count_statements() as seen:
        take_batch()
    assert len(seen) <= 16, seen
