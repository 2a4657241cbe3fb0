"""Waiting for an event: whose it must be, what counts, and the race of clock and event for the same walk."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from channels.models import Message
from journeys import entry, graph, runner
from journeys.activities.base import Wake
from journeys.activities.wait_for_event import WaitForEvent, comparable
from journeys.models import JourneyInstance, JourneyWait, StepLog
from profiles import consumers
from profiles.consumers import StreamEvent
from profiles.models import Event, IngestBatch, QuarantinedEvent
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_live,
    message_box,
    tick,
)
from tests.journeys.races import Gate, is_blocked, start
from tests.profiles.store import Call, store, track
from tests.support import count_statements, wait_until

DUE = NOW + timedelta(minutes=5)
INSTANT = timedelta(microseconds=1)
BY_ORDER = {"event_property": "order_id", "entry_property": "order_id"}
in_threads = pytest.mark.django_db(transaction=True)


def wait_box(event: str = "Order Paid", **config: Any) -> dict[str, Any]:
    return box("wait", "wait_for_event", event=event, timeout_amount=5, timeout_unit="minutes", **config)


def story(*before: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Order Placed → (boxes before) → wait for Order Paid → thanks, or by the time-out a reminder → end."""
    drawn = line(entry_box("Order Placed"), *before, wait_box(**config))
    drawn["activities"] += [message_box("thanks"), message_box("reminder"), box("end", "end")]
    drawn["links"] += [
        link("wait", "thanks", "event"),
        link("wait", "reminder", "timeout"),
        link("thanks", "end"),
        link("reminder", "end"),
    ]
    return drawn


def publish(*before: dict[str, Any], re_entry: str = "never", **config: Any) -> None:
    make_cast_of_message()
    make_live(story(*before, **config), re_entry)


def happen(*calls: Call, now: datetime = NOW) -> None:
    """The events arrive together, and the stream step takes them."""
    store(*calls)
    take_batch(now=now)
    assert not QuarantinedEvent.objects.exists()


def placed(user_id: str = "ada", **properties: Any) -> Call:
    return track(user_id, "Order Placed", properties=properties)


def paid(user_id: str = "ada", **properties: Any) -> Call:
    return track(user_id, "Order Paid", properties=properties)


def ways() -> list[str]:
    """By which exits people have left the wait, in the order of their instances."""
    log = StepLog.objects.filter(activity="wait").exclude(outcome="waits again")
    return list(log.order_by("instance_id", "visit").values_list("outcome", flat=True))


def messages() -> list[str]:
    return sorted(Message.objects.values_list("activity", flat=True))


# --- what counts ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_whoever_does_it_goes_by_event_and_whoever_does_not_by_timeout() -> None:
    publish()
    make_profile("ada")
    make_profile("ben")
    happen(placed("ada"), placed("ben"))

    happen(paid("ada"), now=NOW + timedelta(minutes=1))
    assert tick(DUE - INSTANT) == 0
    assert tick(DUE) == 1

    assert ways() == ["event", "timeout"]
    assert messages() == ["reminder", "thanks"]
    assert not JourneyWait.objects.exists()
    assert set(JourneyInstance.objects.values_list("state", flat=True)) == {JourneyInstance.State.ENDED}


@pytest.mark.django_db
def test_an_event_before_the_wait_does_not_count() -> None:
    publish(box("rest", "wait", until="duration", amount=1, unit="minutes"))
    make_profile("ada")
    happen(paid(), placed(), paid())  # before the entry, and while resting
    happen(paid(), now=NOW + timedelta(seconds=59))

    tick(NOW + timedelta(minutes=1))

    assert JourneyWait.objects.get().activity == "wait"
    happen(paid(), now=NOW + timedelta(minutes=2))
    assert ways() == ["event"]


@pytest.mark.django_db
def test_the_event_that_lets_a_person_in_does_not_end_the_wait() -> None:
    publish(event="Order Placed")
    make_profile("ada")
    happen(placed())
    assert JourneyWait.objects.exists()

    happen(placed())

    assert ways() == ["event"]


@pytest.mark.django_db
def test_entry_and_event_in_one_batch() -> None:
    publish(**BY_ORDER)
    make_profile("ada")

    happen(placed(order_id=7), paid(order_id=8), paid(order_id=7), paid(order_id=7))

    assert ways() == ["event"]
    assert messages() == ["thanks"]


@pytest.mark.django_db
def test_another_persons_event_does_not_count() -> None:
    publish(**BY_ORDER)
    make_profile("ada")
    make_profile("ben")

    happen(placed("ada", order_id=7), paid("ben", order_id=7))

    assert ways() == []


@pytest.mark.django_db
def test_each_of_two_orders_waits_for_its_own_payment() -> None:
    publish(re_entry="always", **BY_ORDER)
    make_profile("ada")
    happen(placed(order_id="A-1"), placed(order_id="A-2"))

    happen(paid(order_id="A-2"))
    assert tick(DUE) == 1

    assert ways() == ["timeout", "event"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ordered", "payment", "is_met"),
    [
        ({"order_id": "A-1"}, {"order_id": "A-1"}, True),
        ({"order_id": "A-1"}, {"order_id": "a-1"}, False),
        ({"order_id": "A-1"}, {"order_id": "A-1 "}, False),
        ({"order_id": "A-1"}, {}, False),
        ({"order_id": "A-1"}, {"id": "A-1"}, False),
        ({"order_id": 1}, {"order_id": 1.0}, True),
        ({"order_id": 1}, {"order_id": "1"}, False),
        ({"order_id": 1}, {"order_id": True}, False),
        ({"order_id": 0}, {"order_id": False}, False),
        ({"order_id": ""}, {"order_id": ""}, True),
        ({"order_id": None}, {"order_id": None}, False),
        ({}, {}, False),
        ({"order_id": [1]}, {"order_id": [1]}, False),
        ({"order_id": {"a": 1}}, {"order_id": {"a": 1}}, False),
        ({"order_id": "Größe 🙂"}, {"order_id": "Größe 🙂"}, True),
        ({"order_id": 2**70}, {"order_id": 2**70}, True),
        ({"order_id": 2**70}, {"order_id": 2**70 + 1}, False),
    ],
)
def test_when_two_properties_are_equal(ordered: Any, payment: Any, is_met: bool) -> None:
    publish(**BY_ORDER)
    make_profile("ada")

    happen(placed(**ordered))
    happen(paid(**payment))

    assert ways() == (["event"] if is_met else [])


@pytest.mark.django_db
def test_a_dot_leads_into_an_object() -> None:
    publish(event_property="payment.order.id", entry_property="order.id")
    make_profile("ada")
    happen(placed(order={"id": 7}))

    happen(paid(payment={"order": 7}), paid(payment=7), paid(payment={"order": {"id": 8}}))
    assert ways() == []
    happen(paid(payment={"order": {"id": 7}}))

    assert ways() == ["event"]


@pytest.mark.django_db
def test_where_nothing_could_be_equal_the_wait_is_left_to_the_clock() -> None:
    publish(**BY_ORDER)
    make_profile("ada")
    happen(placed(order="none"))

    assert JourneyWait.objects.get().event_type_id is None
    assert tick(DUE) == 1
    assert ways() == ["timeout"]


@pytest.mark.django_db
def test_an_entry_event_that_was_deleted_in_the_meantime_equals_nothing() -> None:
    publish(box("rest", "wait", until="duration", amount=1, unit="minutes"), **BY_ORDER)
    make_profile("ada")
    happen(placed(order_id=7))
    Event.objects.all().delete()

    tick(DUE)

    assert JourneyWait.objects.get().event_type_id is None


@pytest.mark.django_db
def test_one_statement_for_the_entry_events_of_a_batch() -> None:
    publish(re_entry="always", **BY_ORDER)
    people = [f"user-{number}" for number in range(30)]
    for user_id in people:
        make_profile(user_id)

    for crowd in (people[:1], people):
        with count_statements() as seen:
            happen(*[placed(user_id, order_id=user_id) for user_id in crowd])
        assert len([statement for statement in seen if "properties ->" in statement]) == 1
    happen(*[paid(user_id, order_id=user_id) for user_id in people])

    assert ways() == ["event"] * 31


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        ('{"a": 1}', "a", "1"),
        ('{"a": 1.0}', "a", "1"),
        ('{"a": 1.10}', "a", "1.1"),
        ('{"a": 100}', "a", "1E+2"),
        ('{"a": 1e2}', "a", "1E+2"),
        ('{"a": -0.0}', "a", "0"),
        ('{"a": 0.1000000000000000000000000000000000000001}', "a", "0.1000000000000000000000000000000000000001"),
        ('{"a": 1e4000}', "a", "1E+4000"),
        ('{"a": "1"}', "a", '"1"'),
        ('{"a": "\\u0000"}', "a", '"\\u0000"'),
        ('{"a": true}', "a", "true"),
        ('{"a": {"b": "x"}}', "a.b", '"x"'),
        ('{"a": {"b": "x"}}', "a", None),
        ('{"a": ["x"]}', "a.0", None),
        ('{"a": null}', "a", None),
        ('{"a": 1}', "a.b", None),
        ('{"a": 1}', "b", None),
        ("[]", "a", None),
        ("nonsense", "a", None),
        ('{"a": ' + "1" * 5_000 + "}", "a", None),
    ],
)  # fmt: skip
def test_what_is_compared(document: str, path: str, value: str | None) -> None:
    assert comparable(document, path.split(".")) == value


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"timeout_amount": 5}, "event"),
        ({"event": "Paid"}, "timeout_amount"),
        ({"event": "Paid", "timeout_amount": 0}, "timeout_amount"),
        ({"event": "Paid", "timeout_amount": 3_654}, "timeout_amount"),
        ({"event": "Paid", "timeout_amount": 1, "timeout_unit": "moons"}, "timeout_unit"),
        ({"event": "Paid", "timeout_amount": 1, "event_property": "order_id"}, "entry_property"),
        ({"event": "Paid", "timeout_amount": 1, "entry_property": "order_id"}, "event_property"),
    ],
)
def test_what_cannot_be_waited_for_is_named_at_its_setting(config: dict[str, Any], field: str) -> None:
    drawn = story()
    next(item for item in drawn["activities"] if item["id"] == "wait")["config"] = config

    found = [problem for problem in graph.problems(drawn) if problem.activity == "wait"]

    assert [problem.field for problem in found] == [field]


# --- races ---------------------------------------------------------------------------------------------------


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads with connections of their own."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool


def planted(statement: str, good: str, bad: str = "") -> str:
    """The statement with a bug in it."""
    assert statement.count(good) == 1
    return statement.replace(good, bad)


def plant_a_clock_that_takes_no_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = planted(runner.CLAIM_DUE, " JOIN held ON held.id = due.profile_id")
    bad = planted(bad, "ORDER BY p.id FOR NO KEY UPDATE SKIP LOCKED", "ORDER BY p.id")
    monkeypatch.setattr(runner, "CLAIM_DUE", bad)


def plant_claims_that_nobody_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    plant_a_clock_that_takes_no_profiles(monkeypatch)
    monkeypatch.setattr(entry, "READ_WAITS", planted(entry.READ_WAITS, " FOR UPDATE OF w"))
    bad = planted(runner.WRITE, " AND i.visit = c.claimed_visit AND i.state = 0")
    good = "k.version_id = s.version_id"
    bad = planted(bad, good, f"{good} ON CONFLICT DO NOTHING")
    monkeypatch.setattr(runner, "WRITE", bad)


def the_event_comes_while_the_clock_claims(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Both want the same walk, and the clock was first. Which messages it led to."""
    publish()
    make_profile("ada")
    happen(placed())
    store(paid())
    with monkeypatch.context() as patch:
        gate = Gate(patch, WaitForEvent, Wake.CLOCK)
        clock = start(workers, tick, DUE)
        gate.await_reached()
        event = start(workers, take_batch, now=DUE)
        assert is_blocked(event)
        gate.open()
        event.result(10)
        clock.result(10)
    return messages()


@in_threads
def test_the_clock_was_first(workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the_event_comes_while_the_clock_claims(workers, monkeypatch) == ["reminder"]

    assert ways() == ["timeout"]
    assert not QuarantinedEvent.objects.exists()


@in_threads
def test_the_same_race_sees_a_planted_double_path(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_claims_that_nobody_checks(monkeypatch)

    assert the_event_comes_while_the_clock_claims(workers, monkeypatch) == ["reminder", "thanks"]


@in_threads
def test_the_event_was_first(workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    publish()
    make_profile("ada")
    happen(placed())
    store(paid())
    gate = Gate(monkeypatch, WaitForEvent, Wake.EVENT)
    event = start(workers, take_batch, now=DUE)
    gate.await_reached()

    assert start(workers, tick, DUE).result(10) == 0  # skips, and does not wait
    gate.open()
    event.result(10)

    assert tick(DUE) == 0
    assert messages() == ["thanks"]


def the_event_comes_while_its_wait_is_written(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The clock brings the person to the wait, and the event comes before that is committed. The way that is taken."""
    publish(box("rest", "wait", until="duration", amount=5, unit="minutes"))
    make_profile("ada")
    happen(placed())
    store(paid())
    with monkeypatch.context() as patch:
        gate = Gate(patch, WaitForEvent, Wake.ARRIVED)
        clock = start(workers, tick, DUE)
        gate.await_reached()
        event = start(workers, take_batch, now=DUE)
        is_blocked(event)
        gate.open()
        event.result(10)
        assert clock.result(10) == 1
    tick(DUE + timedelta(minutes=5))
    return ways()


@in_threads
def test_an_event_that_comes_while_its_wait_is_written_is_not_lost(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the_event_comes_while_its_wait_is_written(workers, monkeypatch) == ["event"]


@in_threads
def test_the_same_race_sees_a_planted_lost_wake_up(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_a_clock_that_takes_no_profiles(monkeypatch)

    assert the_event_comes_while_its_wait_is_written(workers, monkeypatch) == ["timeout"]


def waits_begun_behind_an_event(workers: ThreadPoolExecutor) -> int:
    """The stream step has found no wait for the event and is not committed. How many the clock writes meanwhile."""
    publish(box("rest", "wait", until="duration", amount=5, unit="minutes"))
    make_profile("ada")
    happen(placed())
    store(paid())
    held, opened = threading.Event(), threading.Event()

    def hold(events: Sequence[StreamEvent], now: datetime) -> None:
        held.set()
        assert opened.wait(10)

    consumers.register("held", hold)
    try:
        event = start(workers, take_batch, now=DUE)
        assert held.wait(10)
        claimed: int = start(workers, tick, DUE).result(10)
        opened.set()
        event.result(10)
    finally:
        opened.set()
        consumers.unregister("held")
    return claimed


@in_threads
def test_while_an_event_is_worked_on_no_wait_for_it_begins(workers: ThreadPoolExecutor) -> None:
    assert waits_begun_behind_an_event(workers) == 0

    assert tick(DUE) == 1
    assert JourneyWait.objects.get().activity == "wait"


@in_threads
def test_the_same_race_sees_a_planted_wait_behind_the_event(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_a_clock_that_takes_no_profiles(monkeypatch)

    assert waits_begun_behind_an_event(workers) == 1


@in_threads
def test_by_chance_in_numbers(workers: ThreadPoolExecutor) -> None:
    """Two clocks and two stream steps on the same people, all due: each goes one way and gets the message of that."""
    publish(**BY_ORDER)
    people = [f"user-{number}" for number in range(200)]
    for user_id in people:
        make_profile(user_id)
    happen(*[placed(user_id, order_id=user_id) for user_id in people])
    for user_id in reversed(people):
        store(paid(user_id, order_id="another"), paid(user_id, order_id=user_id))
    barrier = threading.Barrier(4)
    is_over = threading.Event()

    def work(take: Callable[[], int]) -> None:
        barrier.wait(10)
        while not is_over.is_set():
            take()

    def clock() -> int:
        return runner.take_due_batch(DUE, limit=3)

    def events() -> int:
        return take_batch(limit_events=6, now=DUE)

    running = [start(workers, work, take) for take in (clock, clock, events, events)]
    try:
        wait_until(
            lambda: not JourneyWait.objects.exists() and not IngestBatch.objects.filter(state=0).exists(),
            seconds=20,
            what="the end of all walks",
        )
    finally:
        is_over.set()
    for future in running:
        future.result(10)

    assert not QuarantinedEvent.objects.exists()
    taken = Counter(ways())
    assert set(taken) == {"event", "timeout"}, "the event or the clock never won: the race was none"
    assert sum(taken.values()) == len(people)
    assert Counter(messages()) == {"thanks": taken["event"], "reminder": taken["timeout"]}
    assert set(Counter(StepLog.objects.values_list("instance_id", flat=True)).values()) == {4}
    assert Message.objects.values("profile_id").distinct().count() == len(people)
