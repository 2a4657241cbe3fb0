"""The model test of the outbox: any sequence of sends, refusals, crashes, late wake-ups, holds and unsubscribes.

It runs the real statements, one sender at a time, against a service that does not recognise repeats and keeps its own
log of what it delivered. What is only interesting together is one rule (a crash and the end of its lease; a hold, a
send and its end), and there is always something to send: else most runs stand still. A model that has never failed
proves nothing: three planted bugs have to be found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from channels import delivery, services
from channels.delivery import outbox, sender
from channels.models import CauseKind, Message, MessageClass, MessageDue, SendHold
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from profiles.models import Channel, Consent
from profiles.services import set_consent
from tests.factories import NOW, make_configuration, make_profile, make_variant

pytestmark = pytest.mark.django_db

State = Message.State
OPEN = {State.QUEUED, State.SENDING}
BUDGET = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
# Found is enough: making the example small would take minutes.
FIND = settings(BUDGET, phases=[Phase.generate], report_multiple_bugs=False)


class Killed(BaseException):
    """Stands for SIGKILL."""


class Outbox(RuleBasedStateMachine):
    """A few messages at a time, all to one profile."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: Counter[int] = Counter()
        self.final: dict[int, int] = {}
        self.now = NOW
        self.answer: Callable[[Outgoing], Receipt] = self.accept
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(SmtpProvider, "send", lambda _, batch: [self.answer(each) for each in batch])
        self.rollback = transaction.atomic()
        # Lets `unsubscribe`, which insists on commits of its own, run inside the transaction of an example.
        self.rollback._from_testcase = True  # type: ignore[attr-defined]
        self.rollback.__enter__()

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            transaction.set_rollback(True)
            self.rollback.__exit__(None, None, None)
            self.patch.undo()

    @initialize()
    def make_cast(self) -> None:
        self.profile = make_profile()
        self.draft = delivery.Draft(
            profile_id=self.profile.pk,
            cause_kind=CauseKind.API_REQUEST,
            cause_id=1,
            activity="",
            visit=1,
            channel=Channel.EMAIL,
            origin_id=1,
            configuration_id=make_configuration().pk,
            variant_id=make_variant().pk,
            message_class=MessageClass.MARKETING,
        )

    # What the service does

    def accept(self, each: Outgoing) -> Receipt:
        self.delivered[each.message_id] += 1
        return Receipt(each.message_id, Verdict.ACCEPTED)

    def deliver_and_lose_the_answer(self, each: Outgoing) -> Receipt:
        self.delivered[each.message_id] += 1
        return Receipt(each.message_id, Verdict.UNKNOWN)

    # What happens

    @rule()
    def enqueue(self) -> None:
        if MessageDue.objects.count() < 3:
            delivery.enqueue([replace(self.draft, visit=1 + Message.objects.count())], self.now)

    @rule()
    def enqueue_again(self) -> None:
        if count := Message.objects.count():
            assert delivery.enqueue([replace(self.draft, visit=count)], self.now) == 0

    @rule()
    def send(self) -> None:
        self.take_batch(self.accept)

    @rule(verdict=st.sampled_from([Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN]))
    def send_and_hear_no(self, verdict: Verdict) -> None:
        self.take_batch(lambda each: Receipt(each.message_id, verdict))

    @rule()
    def send_and_lose_the_answer(self) -> None:
        self.take_batch(self.deliver_and_lose_the_answer)

    @rule(is_delivered=st.booleans())
    def die_in_the_call(self, is_delivered: bool) -> None:
        self.crash(is_delivered)

    @rule(is_delivered=st.booleans())
    def die_in_the_call_and_let_the_lease_run_out(self, is_delivered: bool) -> None:
        self.crash(is_delivered)
        self.expire()

    @rule()
    def die_before_the_fence(self) -> None:
        with self.patch.context() as patch:
            patch.setattr(sender, "_render", self.die)
            self.take_batch(self.accept)
        self.expire()

    @rule(is_delivered=st.booleans())
    def wake_up_when_the_lease_is_over(self, is_delivered: bool) -> None:
        def overtaken(each: Outgoing) -> Receipt:
            self.answer = self.accept
            self.expire()
            delivery.take_batch(Channel.EMAIL, now=self.now)
            self.final_states_are_final_and_have_no_due_row()
            if is_delivered:
                return self.accept(each)
            return Receipt(each.message_id, Verdict.DEFERRED)

        self.take_batch(overtaken)

    @rule()
    def expire(self) -> None:
        """Every reservation, lease and pause is over."""
        self.now += timedelta(hours=2)
        MessageDue.objects.filter(due_at__gt=self.now).update(due_at=self.now)
        Message.objects.exclude(lease_until=None).update(lease_until=NOW - timedelta(days=1))

    @rule()
    def hold(self) -> None:
        SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="Wait.")
        before = self.delivered.copy()
        self.send()
        assert self.delivered == before
        SendHold.objects.all().delete()

    @rule()
    def unsubscribe(self) -> None:
        is_quiet = services.unsubscribe(
            profile_id=self.profile.pk, channel=Channel.EMAIL, reason="", now=self.now, wait_seconds=0
        )
        # It is not quiet while one that died in the call may still have called, as far as anybody knows.
        assert is_quiet or Message.objects.filter(state=State.SENDING).exists()
        before = self.delivered.copy()
        for _ in range(2):
            self.send()
            self.expire()
        assert self.delivered == before
        set_consent(
            profile_ids=[self.profile.pk],
            channel=Channel.EMAIL,
            state=Consent.State.OPTED_IN,
            reason="",
            now=self.now,
        )

    # What must hold

    @invariant()
    def nobody_gets_a_message_twice(self) -> None:
        assert all(count == 1 for count in self.delivered.values()), self.delivered

    @invariant()
    def what_is_sent_was_delivered_and_what_was_delivered_is_sent_or_uncertain(self) -> None:
        for pk, state in Message.objects.values_list("pk", "state"):
            if state == State.SENT:
                assert self.delivered[pk] == 1
            elif state not in {State.UNCERTAIN, State.SENDING}:
                assert self.delivered[pk] == 0, State(state).label

    @invariant()
    def final_states_are_final_and_have_no_due_row(self) -> None:
        due = set(MessageDue.objects.values_list("pk", flat=True))
        for pk, state in Message.objects.values_list("pk", "state"):
            assert self.final.get(pk, state) == state
            assert (pk in due) == (state in OPEN)
            if state not in OPEN:
                self.final[pk] = state

    # Helpers

    def take_batch(self, answer: Callable[[Outgoing], Receipt]) -> None:
        if not Message.objects.filter(state=State.QUEUED).exists():
            self.enqueue()
        self.answer = answer
        try:
            delivery.take_batch(Channel.EMAIL, now=self.now)
        except Killed:
            pass  # the next worker goes on with what is in the database

    def crash(self, is_delivered: bool) -> None:
        def die(each: Outgoing) -> Receipt:
            if is_delivered:
                self.accept(each)
            raise Killed

        self.take_batch(die)

    def die(self, *_: Any) -> Any:
        raise Killed

    def drain(self) -> None:
        """When the faults stop, everything comes to an end."""
        self.answer = self.accept
        for _ in range(10):
            self.expire()
            delivery.take_batch(Channel.EMAIL, now=self.now)
        assert not Message.objects.filter(state__in=OPEN).exists()
        assert not MessageDue.objects.exists()
        self.nobody_gets_a_message_twice()


def test_the_outbox_keeps_its_promises() -> None:
    run_state_machine_as_test(Outbox, settings=BUDGET)


def plant_recovery_that_queues_again(patch: pytest.MonkeyPatch) -> None:
    """The bug of the prototype: taking up a lost message makes one that was being sent look unsent."""
    patch.setattr(sender, "_is_repeatable", lambda message, now: True)


def plant_record_without_a_token(patch: pytest.MonkeyPatch) -> None:
    """A sender that wakes up late writes over what others have found out since."""
    condition = "AND m.state = %(sending)s AND m.token = %(token)s"
    assert condition in outbox._RECORD
    patch.setattr(outbox, "_RECORD", outbox._RECORD.replace(condition, ""))


def plant_retry_of_the_unknown(patch: pytest.MonkeyPatch) -> None:
    result = sender._result

    def hopeful(message_id: int, receipt: Receipt, attempt: int) -> Any:
        verdict = Verdict.DEFERRED if receipt.verdict is Verdict.UNKNOWN else receipt.verdict
        return result(message_id, Receipt(message_id, verdict), attempt)

    patch.setattr(sender, "_result", hopeful)


@pytest.mark.parametrize(
    "plant", [plant_recovery_that_queues_again, plant_record_without_a_token, plant_retry_of_the_unknown]
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        # Found is enough: making the example small would take minutes.
        run_state_machine_as_test(
            Outbox, settings=settings(BUDGET, phases=[Phase.generate], report_multiple_bugs=False)
        )
