"""Two processes that meet on one message, built by hand: each worker is a thread with a connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from channels import delivery, services
from channels.delivery import outbox
from channels.delivery.outbox import Candidate, Result
from channels.models import Message, MessageClass, MessageDue
from channels.providers.base import Outgoing, Receipt, Verdict
from profiles.models import Channel, Consent
from tests.channels.conftest import FakeService
from tests.factories import NOW, make_profile
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Queue = Callable[..., None]
State = Message.State


class Worker(threading.Thread):
    """Runs a function on a connection of its own; `result()` waits for it and raises what it raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self.backend = 0
        self.start()

    def run(self) -> None:
        try:
            connection.ensure_connection()
            self.backend = connection.connection.info.backend_pid
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive(), "The worker did not come to an end."
        if self._error:
            raise self._error
        return self._result

    def waits_for_a_lock(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self.backend])
            return bool(cursor.fetchone()[0])


@contextmanager
def fence_in_flight(message: Message) -> Iterator[tuple[int, Callable[[], None]]]:
    """A sender whose fence has run and is not committed; yields its token and the function that commits it."""
    commit, fenced, tokens = threading.Event(), threading.Event(), []

    def work() -> None:
        with transaction.atomic():
            token, may_send = outbox.fence([candidate(message)], NOW)
            assert may_send == {message.pk}
            tokens.append(token)
            fenced.set()
            assert commit.wait(30)

    worker = Worker(work)
    assert fenced.wait(30)

    def finish() -> None:
        commit.set()
        worker.result()

    try:
        yield tokens[0], finish
    finally:
        finish()


def candidate(message: Message) -> Candidate:
    return Candidate(message.pk, message.profile_id, "ada@example.com", "ada@example.com")


def unsubscribe(profile_id: int, wait_seconds: float = 10.0) -> bool:
    return services.unsubscribe(
        profile_id=profile_id, channel=Channel.EMAIL, reason="A link.", now=NOW, wait_seconds=wait_seconds
    )


def test_unsubscribing_waits_for_a_fence_that_nobody_can_see_yet(queue: Queue) -> None:
    ada = make_profile()
    queue(ada)
    message = Message.objects.get()
    with fence_in_flight(message) as (token, commit):
        worker = Worker(lambda: unsubscribe(ada.pk))
        wait_until(worker.waits_for_a_lock, what="the unsubscribe to wait for the fence")
        assert Message.objects.get().state == State.QUEUED, "polling for `sending` would have found nothing"
        commit()
        wait_until(lambda: Message.objects.get().state == State.SENDING, what="the fence to be seen")
        assert worker.is_alive(), "the call may still start"
        outbox.record([Result(message.pk, State.SENT.value)], token, NOW)
        assert worker.result() is True
    assert Message.objects.get().state == State.SENT


def test_unsubscribing_does_not_wait_for_ever(queue: Queue) -> None:
    ada = make_profile()
    queue(ada)
    outbox.fence([candidate(Message.objects.get())], NOW)
    assert unsubscribe(ada.pk, wait_seconds=0.2) is False
    assert Consent.objects.get().state == Consent.State.OPTED_OUT
    Message.objects.update(lease_until=NOW.replace(year=2020))
    assert unsubscribe(ada.pk, wait_seconds=0.2) is True, "a sender whose lease is over makes no call"


def test_unsubscribing_withholds_marketing_and_leaves_the_rest(queue: Queue, service: FakeService) -> None:
    ada = make_profile()
    queue(ada)
    queue(ada, visit=2, message_class=MessageClass.TRANSACTIONAL)
    assert unsubscribe(ada.pk) is True
    assert list(Message.objects.order_by("visit").values_list("state", flat=True)) == [
        State.WITHHELD,
        State.QUEUED,
    ]
    delivery.take_batch(Channel.EMAIL, now=NOW)
    assert len(service.calls) == 1


def test_a_fence_that_waited_for_a_withholding_sends_nothing(queue: Queue) -> None:
    ada = make_profile()
    queue(ada)
    message = Message.objects.get()
    with transaction.atomic():
        delivery.withhold_queued([ada.pk], reason="Stopped.", code=Message.Reason.STOPPED)
        worker = Worker(lambda: outbox.fence([candidate(message)], NOW))
        wait_until(worker.waits_for_a_lock, what="the fence to wait")
    assert worker.result()[1] == set()
    assert Message.objects.get().reason == "Stopped."
    assert not MessageDue.objects.exists()


def test_a_fence_after_the_consent_withholds(queue: Queue) -> None:
    ada = make_profile()
    queue(ada)
    Consent.objects.create(profile=ada, channel=Channel.EMAIL, state=Consent.State.OPTED_OUT)
    assert outbox.fence([candidate(Message.objects.get())], NOW)[1] == set()
    assert Message.objects.get().state == State.WITHHELD


def test_several_senders_send_each_message_once(queue: Queue, service: FakeService) -> None:
    queue(*[make_profile() for _ in range(600)])

    def drain() -> int:
        taken = 0
        while count := delivery.take_batch(Channel.EMAIL, now=NOW, limit=50):
            taken += count
        return taken

    taken = [worker.result() for worker in [Worker(drain) for _ in range(4)]]
    assert sum(taken) == 600
    assert len(service.addresses) == len(set(service.addresses)) == 600
    assert set(Message.objects.values_list("state", flat=True)) == {State.SENT}
    assert not MessageDue.objects.exists()


def test_nobody_is_called_after_the_answer_to_an_unsubscribe(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = [make_profile() for _ in range(300)]
    queue(*profiles)
    queue(*profiles, visit=2)
    lock, calls = threading.Lock(), []

    def send(self: Any, batch: list[Outgoing]) -> list[Receipt]:
        with lock:
            calls.extend((each.address, time.monotonic()) for each in batch)
        return [Receipt(each.message_id, Verdict.ACCEPTED) for each in batch]

    monkeypatch.setattr("channels.providers.smtp.SmtpProvider.send", send)
    answered: dict[str, float] = {}

    def drain() -> None:
        while delivery.take_batch(Channel.EMAIL, now=NOW, limit=64):
            pass

    def leave(some: list[Any]) -> None:
        for profile in some:
            assert unsubscribe(profile.pk)
            answered[profile.attributes["email"]] = time.monotonic()

    workers = [
        Worker(drain),
        Worker(drain),
        *(Worker(lambda part=part: leave(profiles[part::3])) for part in range(3)),
    ]
    for worker in workers:
        worker.result()
    assert len(answered) == 300
    assert [address for address, at in calls if at > answered[address]] == []
    assert set(Message.objects.values_list("state", flat=True)) <= {State.SENT, State.WITHHELD}
