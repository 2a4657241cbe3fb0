"""Two transactions on one walk: built by hand in both orders, then by chance in numbers."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction

from channels.models import Message
from journeys import runner, services
from journeys.activities.base import Outcome, Place, Wake, Walk
from journeys.models import JourneyInstance, JourneyVersion, JourneyWait, StepLog
from tests.factories import NOW, make_event_type, make_profile
from tests.journeys.helpers import (
    Parking,
    box,
    entry_box,
    line,
    link,
    lock_profiles,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
    tick,
    waiting_graph,
)
from tests.journeys.races import Gate, is_blocked, start
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = JourneyInstance.State
DUE = NOW + timedelta(minutes=5)


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads with connections of their own."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool


def outcomes(profile_id: int) -> list[str]:
    log = StepLog.objects.filter(instance__profile_id=profile_id).order_by("visit")
    return list(log.values_list("outcome", flat=True))


def waiting_person(**config: Any) -> int:
    make_live(waiting_graph(**config))
    profile = make_profile()
    stream(make_event(profile.pk))
    return profile.pk


def test_the_clock_was_first(workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    profile_id = waiting_person(minutes=5, event="Bought")
    gate = Gate(monkeypatch, Parking, Wake.CLOCK)
    clock = start(workers, tick, DUE)
    gate.await_reached()

    event = start(workers, stream, make_event(profile_id, "Bought"))
    assert is_blocked(event)
    gate.open()
    event.result(10)

    assert clock.result(10) == 1
    assert outcomes(profile_id) == ["next", "late", "ended"]


def test_the_event_was_first(workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    profile_id = waiting_person(minutes=5, event="Bought")
    gate = Gate(monkeypatch, Parking, Wake.EVENT)
    event = start(workers, stream, make_event(profile_id, "Bought"))
    gate.await_reached()

    assert start(workers, tick, DUE).result(10) == 0  # skips, and does not wait
    gate.open()
    event.result(10)

    assert tick(DUE) == 0
    assert outcomes(profile_id) == ["next", "next", "ended"]


def test_an_event_waits_for_a_clock_that_passes_the_person_over(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock has locked the wait of somebody who is busy, and will leave it; the event must not leave it too."""
    busy_id, other_id = make_profile().pk, make_profile().pk
    make_live(waiting_graph(minutes=5, event="Bought"))
    stream(make_event(busy_id), make_event(other_id))
    bought = make_event(busy_id, "Bought")
    gate = Gate(monkeypatch, Parking, Wake.CLOCK)
    locked, may_read = threading.Event(), threading.Event()

    def slow_stream() -> None:
        with transaction.atomic():
            lock_profiles(busy_id)
            locked.set()
            assert may_read.wait(10)
            stream(bought)

    event = start(workers, slow_stream)
    assert locked.wait(10)
    clock = start(workers, tick, DUE)
    gate.await_reached()
    may_read.set()
    assert is_blocked(event)
    gate.open()
    event.result(10)

    assert clock.result(10) == 1
    assert outcomes(busy_id) == ["next", "next", "ended"]
    assert outcomes(other_id) == ["next", "late", "ended"]


def test_the_event_was_first_but_its_transaction_was_lost(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_id = waiting_person(minutes=5, event="Bought")

    def lose(box: Parking, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(Parking, "step", lose)
        with pytest.raises(OperationalError):
            stream(make_event(profile_id, "Bought"))

    assert tick(DUE) == 1
    assert outcomes(profile_id) == ["next", "late", "ended"]


def two_waits() -> int:
    """Somebody who waits five minutes and then for the event."""
    graph = line(
        entry_box(),
        box("pause", "test_parking", minutes=5),
        box("wait", "test_parking", event="Bought"),
        box("end", "end"),
    )
    make_live(graph)
    profile = make_profile()
    stream(make_event(profile.pk))
    return profile.pk


def test_an_event_that_comes_while_its_wait_is_being_written_is_not_lost(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_id = two_waits()
    gate = Gate(monkeypatch, Parking, Wake.CLOCK)
    clock = start(workers, tick, DUE)
    gate.await_reached()
    event = start(workers, stream, make_event(profile_id, "Bought"))
    assert is_blocked(event)

    gate.open()
    event.result(10)

    assert clock.result(10) == 1
    assert outcomes(profile_id) == ["next", "next", "next", "ended"]


def test_while_an_event_is_being_read_no_wait_for_it_is_written(workers: ThreadPoolExecutor) -> None:
    profile_id = two_waits()
    held, opened = threading.Event(), threading.Event()

    def slow_stream() -> None:
        with transaction.atomic():
            stream(make_event(profile_id, "Bought"))
            held.set()
            assert opened.wait(10)

    event = start(workers, slow_stream)
    assert held.wait(10)

    assert (
        start(workers, tick, DUE).result(10) == 0
    )  # the person is busy: the wait would miss the event unseen
    opened.set()
    event.result(10)

    assert tick(DUE) == 1
    assert JourneyWait.objects.get().activity == "wait"


def test_pausing_waits_for_the_batch_under_way(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_id = waiting_person(minutes=5)
    newcomer = make_profile()
    journey = JourneyVersion.objects.get().journey
    gate = Gate(monkeypatch, Parking, Wake.CLOCK)
    clock = start(workers, tick, DUE)
    gate.await_reached()

    pausing = start(workers, lambda: services.pause_journey(journey=journey, user=None))
    assert is_blocked(pausing)
    late = start(workers, stream, make_event(newcomer.pk))
    assert is_blocked(late)  # behind the pause, or a steady stream would keep it waiting for ever
    gate.open()
    pausing.result(10)
    late.result(10)

    assert clock.result(10) == 1
    assert [walk.profile_id for walk in JourneyInstance.objects.all()] == [profile_id]


def test_who_enters_while_the_journey_is_stopped_is_taken_out(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_live(waiting_graph(minutes=5))
    gate = Gate(monkeypatch, Parking, Wake.ARRIVED)
    entering = start(workers, stream, make_event(make_profile().pk))
    gate.await_reached()

    stopping = start(workers, lambda: services.stop_journey(journey=version.journey, user=None, now=NOW))
    assert is_blocked(stopping)
    gate.open()
    entering.result(10)
    stopping.result(10)

    assert JourneyInstance.objects.get().state == State.STOPPED
    assert not JourneyWait.objects.exists()


def test_two_publishers_publish_once(workers: ThreadPoolExecutor) -> None:
    version = make_live(waiting_graph(minutes=5))
    services.save_draft(
        journey=version.journey, graph=waiting_graph(minutes=6), re_entry="never", revision=None, user=None
    )

    def publish() -> str:
        try:
            services.publish_journey(journey=version.journey, user=None, now=NOW)
        except services.JourneyRefused as refused:
            return str(refused)
        return "published"

    answers = [future.result(10) for future in [start(workers, publish) for _ in range(3)]]

    assert answers.count("published") == 1
    assert JourneyVersion.objects.filter(state=JourneyVersion.State.LIVE).count() == 1


def test_by_chance_in_numbers(workers: ThreadPoolExecutor) -> None:
    """Two clocks and two streams on the same waits, a tenth of the transactions rolled back: every walk makes every
    step once, by one of the two ways, and gets every message once."""
    make_cast_of_message()
    rounds = 4
    boxes = [entry_box()]
    for number in range(rounds):
        boxes += [
            box(f"wait-{number}", "test_parking", minutes=0, event="Bought"),
            message_box(f"mail-{number}"),
        ]
    graph = line(*boxes, box("end", "end"))
    graph["links"] += [link(f"wait-{number}", f"mail-{number}", "late") for number in range(rounds)]
    make_live(graph)
    profile_ids = [make_profile().pk for _ in range(150)]
    make_event_type("Bought")
    stream(*[make_event(profile_id) for profile_id in profile_ids])
    chance = random.Random(7)
    is_over = threading.Event()

    class Undone(Exception):
        """The worker died."""

    def work(do: Callable[[], object]) -> int:
        done = 0
        while not is_over.is_set():
            try:
                with transaction.atomic():
                    do()
                    if chance.random() < 0.1:
                        raise Undone
                done += 1
            except Undone:
                continue
        return done

    def clock() -> None:
        runner.take_due_batch(DUE, limit=20)

    def events() -> None:
        stream(*[make_event(profile_id, "Bought") for profile_id in chance.sample(profile_ids, 20)], now=DUE)

    running = [start(workers, work, do) for do in (clock, clock, events, events)]
    try:
        wait_until(lambda: not JourneyWait.objects.exists(), seconds=60, what="the end of all walks")
    finally:
        is_over.set()
    assert all(future.result(10) for future in running)

    per_walk = Counter(StepLog.objects.values_list("instance_id", flat=True))
    assert set(per_walk.values()) == {2 + 2 * rounds}
    assert Counter(Message.objects.values_list("activity", flat=True)) == Counter(
        {f"mail-{number}": len(profile_ids) for number in range(rounds)}
    )
    by = Counter(StepLog.objects.filter(activity__startswith="wait").values_list("outcome", flat=True))
    assert set(by) == {"next", "late"}, "the event or the clock never won: the race was none"
    assert sum(by.values()) == len(profile_ids) * rounds
