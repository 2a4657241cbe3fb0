"""The outbox and its sender, with a service behind the provider that answers as the test says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes
from typing import Any
from uuid import UUID

import pytest

from ajo.lib import sql
from ajo.lib.ids import uuid7
from channels import delivery, services
from channels.delivery import outbox, sender
from channels.models import (
    CauseKind,
    ChannelConfiguration,
    Message,
    MessageClass,
    MessageDue,
    SendHold,
    Suppression,
    Variant,
)
from channels.providers.base import Outgoing, ProviderError, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from profiles.models import Channel, Consent, Event, EventKind, Profile
from tests import factories
from tests.channels.conftest import FakeService
from tests.factories import NOW, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db

Queue = Callable[..., None]
MakeDraft = Callable[..., delivery.Draft]
State = Message.State


def send(**options: Any) -> int:
    return delivery.take_batch(Channel.EMAIL, **({"now": NOW} | options))


def the_message() -> Message:
    return Message.objects.get()


def states() -> dict[str, int]:
    """State label → how many."""
    found: dict[str, int] = {}
    for state in Message.objects.values_list("state", flat=True):
        found[State(state).label] = found.get(State(state).label, 0) + 1
    return found


def answer(verdict: Verdict, detail: str = "because", **fields: Any) -> Callable[[Outgoing], Receipt]:
    return lambda each: Receipt(each.message_id, verdict, detail=detail, **fields)


# --- enqueue -------------------------------------------------------------------------------------------------


def test_whoever_asks_twice_gets_one_message(make_draft: MakeDraft) -> None:
    ada, bob = make_profile(), make_profile()
    assert delivery.enqueue([make_draft(ada), make_draft(ada, hops=3), make_draft(bob)], NOW) == 2
    assert delivery.enqueue([make_draft(bob), make_draft(ada), make_draft(ada, visit=2)], NOW) == 1
    assert Message.objects.count() == MessageDue.objects.count() == 3
    assert Message.objects.get(profile=ada, visit=1).hops == 0
    assert delivery.enqueue([], NOW) == 0


def test_a_message_waits_for_its_time(make_draft: MakeDraft, service: FakeService) -> None:
    delivery.enqueue([make_draft(make_profile(), due_at=NOW + timedelta(hours=1))], NOW)
    assert send() == 0
    assert send(now=NOW + timedelta(hours=1)) == 1
    assert states() == {"Sent": 1}


def test_the_senders_are_woken_on_commit(
    make_draft: MakeDraft, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("ajo.lib.doorbell.ring", rung.append)
    draft = make_draft(make_profile())
    with django_capture_on_commit_callbacks(execute=True):
        delivery.enqueue([draft], NOW)
        assert rung == []
    assert rung == ["channels.tasks.drain_email"]
    with django_capture_on_commit_callbacks(execute=True):
        delivery.enqueue([draft], NOW)
    assert len(rung) == 1


# --- the way of a batch --------------------------------------------------------------------------------------


def test_a_message_is_rendered_with_profile_event_context_and_brand(
    make_draft: MakeDraft, service: FakeService, configuration: ChannelConfiguration, variant: Variant
) -> None:
    variant.html = "<p>{{ profile.first_name }} {{ event.sku }} {{ context.code }} {{ brand.name }}</p>"
    variant.text = variant.html
    variant.save()
    event_id = make_event({"sku": "A-1"})
    delivery.enqueue(
        [make_draft(make_profile(first_name="Ada"), event_id=event_id, context={"code": "X7"})], NOW
    )
    send()
    (call,) = service.calls
    text = call.body.replace(b"=\r\n", b"").replace(b"=20", b" ")
    assert text.count(b"<p>Ada A-1 X7 Harbour &amp; Pine</p>") == 1
    message = the_message()
    assert (message.state, message.provider_id, message.attempt, message.token) == (State.SENT, "ok", 1, None)
    assert message.address == call.address
    assert message.sent_at is not None
    assert not MessageDue.objects.exists()


def make_event(properties: dict[str, Any]) -> UUID:
    event = Event.objects.create(
        id=uuid7(),
        batch_id=1,
        source_id=1,
        event_type=factories.make_event_type(),
        kind=EventKind.TRACK,
        occurred_at=NOW,
        properties=properties,
    )
    return event.id


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.ACCEPTED, State.SENT), (Verdict.REFUSED, State.FAILED), (Verdict.UNKNOWN, State.UNCERTAIN)],
)
def test_a_verdict_that_is_final_ends_the_message(
    queue: Queue, service: FakeService, verdict: Verdict, state: State
) -> None:
    queue(make_profile())
    service.answer = answer(verdict)
    send()
    assert the_message().state == state
    assert the_message().reason == ("" if state == State.SENT else "because")
    assert not MessageDue.objects.exists()
    assert send(now=NOW + timedelta(days=30)) == 0
    assert len(service.calls) == 1


def test_a_deferred_message_is_tried_again_and_fails_in_the_end(queue: Queue, service: FakeService) -> None:
    queue(make_profile())
    service.answer = answer(Verdict.DEFERRED, "451 later")
    for attempt in range(1, sender.MAX_ATTEMPTS):
        assert send(now=NOW + timedelta(hours=2 * attempt)) == 1
        message = the_message()
        assert (message.state, message.attempt, message.reason) == (State.QUEUED, attempt, "451 later")
        wait = MessageDue.objects.get().due_at - (NOW + timedelta(hours=2 * attempt))
        assert timedelta(0) <= wait <= min(timedelta(seconds=30 * 2 ** (attempt - 1)), timedelta(hours=1))
        assert MessageDue.objects.get().reservations == 0
    send(now=NOW + timedelta(days=2))
    assert the_message().state == State.FAILED
    assert the_message().reason == "Put off 8 times, at last: 451 later"
    assert len(service.calls) == sender.MAX_ATTEMPTS


def test_a_service_that_names_the_pause_is_obeyed(queue: Queue, service: FakeService) -> None:
    queue(make_profile())
    service.answer = answer(Verdict.DEFERRED, retry_after=500.0)
    send()
    assert MessageDue.objects.get().due_at == NOW + timedelta(seconds=500)


@pytest.mark.parametrize("permanent", [False, True])
def test_an_outage_is_a_delay_and_no_attempt(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, permanent: bool
) -> None:
    queue(*[make_profile() for _ in range(70)])
    calls = []

    def fail(self: Any, batch: Any) -> Any:
        calls.append(len(batch))
        raise ProviderError("The server is gone.", permanent=permanent)

    monkeypatch.setattr(SmtpProvider, "send", fail)
    assert send() == 70
    assert calls == [32], "after the first failure nothing more is fenced"
    assert states() == {"Queued": 70}
    assert set(Message.objects.values_list("attempt", flat=True)) == {0}
    soonest = min(MessageDue.objects.values_list("due_at", flat=True))
    assert soonest >= NOW + timedelta(seconds=60 if permanent else 15)
    assert send() == 0


def test_a_provider_that_breaks_leaves_its_messages_uncertain(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(make_profile())

    def fail(self: Any, batch: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(SmtpProvider, "send", fail)
    send()
    assert the_message().state == State.UNCERTAIN
    assert "KeyError" in the_message().reason


def test_a_message_about_which_the_provider_is_silent_is_uncertain(
    queue: Queue, service: FakeService
) -> None:
    queue(make_profile(), make_profile())
    first = Message.objects.order_by("id")[0].id
    service.answer = lambda each: (
        None if each.message_id == first else Receipt(each.message_id, Verdict.ACCEPTED)
    )
    send()
    assert states() == {"Uncertain": 1, "Sent": 1}


def test_one_that_cannot_be_rendered_fails_alone_among_a_thousand(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    variant.subject = "{{ profile.points | divided_by: profile.days }}"
    variant.save()
    profiles = [make_profile(points=9, days=0 if number % 100 == 0 else 3) for number in range(1_000)]
    queue(*profiles)
    while send():
        pass
    assert states() == {"Sent": 990, "Failed": 10}
    assert len(service.addresses) == len(set(service.addresses)) == 990
    reason = Message.objects.filter(state=State.FAILED)[0].reason
    assert reason == "Line 1: divided_by: can't divide by 0."


def test_words_that_were_deleted_fail_their_messages(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    queue(make_profile())
    variant.delete()
    send()
    assert the_message().state == State.FAILED
    assert "deleted" in the_message().reason
    assert service.calls == []


def test_the_number_of_statements_does_not_grow_with_the_people(queue: Queue, service: FakeService) -> None:
    counts = []
    for people in (1, 32, 320):
        queue(*[make_profile() for _ in range(people)], event_id=make_event({}))
        with count_statements() as statements:
            assert send() == people
        micro_batches = -(-people // sender.MICRO_BATCH)
        counts.append(len(statements) - 2 * micro_batches)
    # reserve, messages with profiles, contact policy, words, configurations, events; then a fence and a record for each
    # micro-batch
    assert counts == [6, 6, 6]


def test_micro_batches_are_small(queue: Queue, service: FakeService) -> None:
    queue(*[make_profile() for _ in range(100)])
    send()
    assert [len(batch) for batch in service.batches] == [32, 32, 32, 4]


# --- withheld, expired, held ---------------------------------------------------------------------------------


def opt_out(profile: Profile) -> None:
    Consent.objects.create(profile=profile, channel=Channel.EMAIL, state=Consent.State.OPTED_OUT)


def test_who_opted_out_gets_transactional_messages_only(queue: Queue, service: FakeService) -> None:
    ada = make_profile()
    opt_out(ada)
    queue(ada)
    queue(ada, visit=2, message_class=MessageClass.TRANSACTIONAL)
    send()
    assert Message.objects.get(visit=1).state == State.WITHHELD
    assert Message.objects.get(visit=1).reason == "The profile opted out of this channel."
    assert Message.objects.get(visit=2).state == State.SENT
    assert len(service.calls) == 1
    assert not MessageDue.objects.exists()


def test_consent_is_read_at_the_last_moment(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = make_profile(), make_profile()
    queue(ada, bob)
    render = sender._render

    def opt_out_meanwhile(*arguments: Any) -> Any:
        yield from render(*arguments)
        opt_out(ada)

    monkeypatch.setattr(sender, "_render", opt_out_meanwhile)
    send()
    assert service.addresses == [bob.attributes["email"]]
    assert states() == {"Withheld": 1, "Sent": 1}


@pytest.mark.parametrize("message_class", MessageClass.values)
def test_a_suppressed_address_never_gets_anything(
    queue: Queue, service: FakeService, message_class: int
) -> None:
    services.suppress(channel=Channel.EMAIL, address=" Ada@Example.COM ", reason=Suppression.Reason.BOUNCE)
    services.suppress(channel=Channel.EMAIL, address="ada@example.com")
    assert Suppression.objects.get().reason == Suppression.Reason.BOUNCE
    queue(make_profile(email="ADA@example.com"), message_class=message_class)
    send()
    assert service.calls == []
    assert the_message().reason == "The address is suppressed."
    with pytest.raises(ValueError, match="not an address"):
        services.suppress(channel=Channel.EMAIL, address="ada")


@pytest.mark.parametrize("email", [None, "", "ada", 7, "ada@example", "a b@example.com"])
def test_without_a_usable_address_a_message_is_withheld(
    queue: Queue, service: FakeService, email: Any
) -> None:
    ada = make_profile()
    ada.attributes["email"] = email
    ada.save()
    queue(ada)
    send()
    assert the_message().state == State.QUEUED
    send(now=NOW + timedelta(seconds=outbox.ADDRESS_SECONDS - 1))
    assert the_message().state == State.QUEUED
    send(now=NOW + timedelta(seconds=outbox.ADDRESS_SECONDS))
    assert the_message().state == State.WITHHELD
    assert the_message().reason == "The profile has no usable address on this channel."
    assert service.calls == []


def test_an_address_that_comes_just_after_the_message_is_used(queue: Queue, service: FakeService) -> None:
    ada = make_profile()
    Profile.objects.update(attributes={})
    queue(ada)
    send()
    Profile.objects.update(attributes={"email": "ada@example.com"})
    send(now=NOW + timedelta(seconds=outbox.ADDRESS_SECONDS))
    assert (states(), service.addresses) == ({"Sent": 1}, ["ada@example.com"])


def test_an_address_that_would_write_headers_fails(queue: Queue, service: FakeService) -> None:
    queue(make_profile(email="ada(x)@example.com"))
    send()
    assert (the_message().state, service.calls) == (State.FAILED, [])


def test_a_message_past_its_time_expires(queue: Queue, service: FakeService) -> None:
    queue(make_profile(), expires_at=NOW + timedelta(minutes=5))
    send(now=NOW + timedelta(minutes=5))
    assert (the_message().state, service.calls) == (State.EXPIRED, [])
    assert not MessageDue.objects.exists()


def test_who_speaks_another_language_gets_its_words(
    service: FakeService, variant: Variant, make_draft: Callable[..., delivery.Draft]
) -> None:
    words: dict[str, Any] = {"version": variant.version, "text": "{{ unsubscribe_url }}"}
    german = Variant.objects.create(locale="de", subject="Hallo", **words)
    austrian = Variant.objects.create(locale="de_AT", subject="Servus", **words)
    Variant.objects.create(locale="de", treatment="bold", subject="HALLO", **words)
    locales = ["de", "DE-at", "de_CH", "den", "en", None, 7]
    people = [make_profile(locale=locale) for locale in locales]

    with count_statements() as statements:
        delivery.enqueue([make_draft(person) for person in people], NOW)
    assert len(statements) == 1
    chosen = Message.objects.order_by("profile_id").values_list("variant_id", flat=True)
    everybody = variant.pk
    assert list(chosen) == [german.pk, austrian.pk, german.pk, *[everybody] * 4]
    delivery.enqueue([make_draft(people[0], visit=2, variant_id=austrian.pk)], NOW)
    assert Message.objects.get(visit=2).variant_id == austrian.pk  # chosen already

    send()
    subjects = [message_from_bytes(call.body)["Subject"] for call in service.calls]
    assert Counter(subjects)["Hallo"] == 2
    assert Counter(subjects)["Servus"] == 2


@pytest.mark.parametrize("scope", SendHold.Scope.values)
def test_a_held_message_stays_queued_until_it_is_let_go(
    queue: Queue, service: FakeService, configuration: ChannelConfiguration, scope: int
) -> None:
    Scope = SendHold.Scope
    refs = {Scope.EVERYTHING: 0, Scope.CHANNEL: Channel.EMAIL, Scope.CONFIGURATION: configuration.pk}
    hold = SendHold.objects.create(scope=scope, ref=refs.get(Scope(scope), 77), reason="Legal asked.")
    causes = {
        Scope.JOURNEY_VERSION: CauseKind.JOURNEY_INSTANCE,
        Scope.CAMPAIGN_RUN: CauseKind.CAMPAIGN_RUN,
        Scope.TRIGGERED_CAMPAIGN: CauseKind.API_REQUEST,
    }
    cause_kind = causes.get(Scope(scope), CauseKind.JOURNEY_INSTANCE)
    # What has the same number, or the same kind, is somebody else.
    for other in causes.keys() - {scope}:
        if causes[other] != cause_kind:
            SendHold.objects.create(scope=other, ref=77, reason="Another one.")
    SendHold.objects.create(scope=Scope.JOURNEY_VERSION, ref=1234, reason="Another one.")
    queue(make_profile(), origin_id=77, cause_kind=cause_kind)
    for minutes in range(10):
        send(now=NOW + timedelta(minutes=2 * minutes))
    assert (states(), service.calls) == ({"Queued": 1}, [])
    hold.delete()
    send(now=NOW + timedelta(hours=1))
    assert states() == {"Sent": 1}


def test_a_hold_that_comes_while_a_message_is_rendered_is_seen(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(make_profile())
    render = sender._render

    def hold_meanwhile(*arguments: Any) -> Any:
        yield from render(*arguments)
        SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="Stop.")

    monkeypatch.setattr(sender, "_render", hold_meanwhile)
    send()
    assert (states(), service.calls) == ({"Queued": 1}, [])
    due = MessageDue.objects.get()
    assert (due.due_at, due.reservations) == (NOW + timedelta(seconds=outbox.HOLD_SECONDS), 0)


def test_a_configuration_that_is_switched_off_or_deleted_keeps_its_messages(
    queue: Queue, service: FakeService, configuration: ChannelConfiguration
) -> None:
    queue(make_profile())
    ChannelConfiguration.objects.update(is_active=False)
    send()
    ChannelConfiguration.objects.update(is_active=True, provider="pigeon")
    send(now=NOW + timedelta(hours=1))
    ChannelConfiguration.objects.all().delete()
    send(now=NOW + timedelta(hours=2))
    assert (states(), service.calls) == ({"Queued": 1}, [])


def merge(*pairs: tuple[Profile, Profile]) -> None:
    with sql.unit_of_work() as cur:
        delivery.move_merged(cur, [(loser.pk, survivor.pk) for loser, survivor in pairs], NOW)
        for loser, survivor in pairs:
            Profile.objects.filter(pk=loser.pk).update(merged_into=survivor.pk)


def test_what_is_queued_follows_a_merged_profile_to_its_survivor(queue: Queue, service: FakeService) -> None:
    anonymous, ada = make_profile(), make_profile()
    queue(anonymous)
    merge((anonymous, ada))
    send()
    assert (states(), service.addresses) == ({"Sent": 1}, [ada.attributes["email"]])


def test_what_the_survivor_gets_already_is_withheld_from_those_merged_into_it(
    queue: Queue, service: FakeService
) -> None:
    ada, bob, eve = make_profile(), make_profile(), make_profile()
    queue(ada, bob, eve, cause_id=7)
    merge((bob, ada), (eve, ada))
    assert states() == {"Queued": 1, "Withheld": 2}
    send()
    assert service.addresses == [ada.attributes["email"]]


def test_of_two_merged_profiles_with_the_same_message_one_is_moved(
    queue: Queue, service: FakeService
) -> None:
    ada, bob, eve = make_profile(), make_profile(), make_profile()
    queue(bob, eve, cause_id=7)
    merge((bob, ada), (eve, ada))
    send()
    assert (states(), service.addresses) == ({"Sent": 1, "Withheld": 1}, [ada.attributes["email"]])


def test_a_message_that_is_moved_while_it_is_rendered_is_rendered_again(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous, ada = make_profile(), make_profile()
    queue(anonymous)
    fence = outbox.fence
    merges = iter([lambda: merge((anonymous, ada)), lambda: None])

    def merge_before_the_fence(*args: Any) -> Any:
        next(merges)()
        return fence(*args)

    monkeypatch.setattr(outbox, "fence", merge_before_the_fence)
    send()
    assert (states(), service.addresses) == ({"Queued": 1}, [])
    send()
    assert (states(), service.addresses) == ({"Sent": 1}, [ada.attributes["email"]])


def test_a_message_that_was_left_on_a_merged_profile_is_withheld(queue: Queue, service: FakeService) -> None:
    ada, bob = make_profile(), make_profile()
    merge((ada, bob))
    queue(ada)
    send()
    assert (states(), service.calls) == ({"Withheld": 1}, [])


def test_withholding_is_narrowed_by_what_is_given(queue: Queue, service: FakeService) -> None:
    ada, bob = make_profile(), make_profile()
    queue(ada, bob)
    queue(ada, visit=2, message_class=MessageClass.TRANSACTIONAL)
    queue(ada, cause_id=500, origin_id=9)
    assert (
        delivery.withhold_queued([bob.pk], channel=Channel.SMS, reason="no", code=Message.Reason.STOPPED) == 0
    )
    assert (
        delivery.withhold_queued(
            [ada.pk],
            cause_kind=CauseKind.JOURNEY_INSTANCE,
            cause_ids=[500],
            reason="no",
            code=Message.Reason.STOPPED,
        )
        == 1
    )
    assert (
        delivery.withhold_queued(
            [ada.pk], message_class=MessageClass.MARKETING, reason="no", code=Message.Reason.STOPPED
        )
        == 1
    )
    assert delivery.withhold_origin(cause_kind=CauseKind.JOURNEY_INSTANCE, origin_id=9, reason="no") == 0
    queue(bob, visit=3, origin_id=9)
    assert delivery.withhold_origin(cause_kind=CauseKind.JOURNEY_INSTANCE, origin_id=9, reason="stopped") == 1
    assert Message.objects.get(visit=3).reason == "stopped"
    assert MessageDue.objects.count() == 2
    send()
    assert states() == {"Withheld": 3, "Sent": 2}


# --- workers that die ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def die() -> None:
    raise Killed


def let_time_pass() -> None:
    """As if every reservation and lease had run out."""
    MessageDue.objects.update(due_at=NOW)
    Message.objects.exclude(lease_until=None).update(lease_until=NOW - timedelta(days=1))


def test_a_message_whose_sender_died_in_the_call_is_uncertain_and_never_sent_again(
    queue: Queue, service: FakeService
) -> None:
    queue(make_profile())
    service.before_answer = die
    with pytest.raises(Killed):
        send()
    assert states() == {"Sending": 1}
    assert send() == 0, "it is still reserved"
    let_time_pass()
    service.before_answer = lambda: None
    assert send() == 1
    message = the_message()
    assert (message.state, message.reason) == (State.UNCERTAIN, outbox.REASON_LOST)
    assert len(service.calls) == 1
    assert not MessageDue.objects.exists()


def test_a_message_that_somebody_is_sending_is_left_alone(queue: Queue, service: FakeService) -> None:
    queue(make_profile())
    service.before_answer = die
    with pytest.raises(Killed):
        send()
    MessageDue.objects.update(due_at=NOW)
    assert send() == 1
    assert states() == {"Sending": 1}
    assert MessageDue.objects.get().due_at == the_message().lease_until


def test_a_provider_that_drops_repeats_gets_the_message_again_inside_its_window(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmtpProvider, "idempotency_window", 3600.0)
    queue(make_profile())
    service.before_answer = die
    with pytest.raises(Killed):
        send()
    let_time_pass()
    service.before_answer = lambda: None
    send(now=NOW + timedelta(minutes=30))
    assert states() == {"Queued": 1}
    send(now=NOW + timedelta(minutes=30))
    assert states() == {"Sent": 1}
    first, second = service.calls
    assert first.idempotency_key == second.idempotency_key


def test_outside_of_the_window_it_is_uncertain(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmtpProvider, "idempotency_window", 3600.0)
    queue(make_profile())
    service.before_answer = die
    with pytest.raises(Killed):
        send()
    let_time_pass()
    send(now=NOW + timedelta(hours=1))
    assert states() == {"Uncertain": 1}


def test_a_sender_that_wakes_up_late_writes_nothing(queue: Queue, service: FakeService) -> None:
    queue(make_profile())

    def overtaken() -> None:
        service.before_answer = lambda: None
        let_time_pass()
        send()

    service.before_answer = overtaken
    send()
    assert states() == {"Uncertain": 1}
    assert the_message().sent_at is None


def test_a_sender_that_was_stopped_behind_its_fence_does_not_call(
    queue: Queue, service: FakeService, settings: Any
) -> None:
    settings.AJO_SEND_LEASE_SECONDS = 0
    queue(make_profile())
    send()
    assert (states(), service.calls) == ({"Sending": 1}, [])


def test_what_kills_its_process_is_quarantined_and_its_neighbours_arrive(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer, *others = [make_profile() for _ in range(40)]
    queue(killer, *others)
    monkeypatch.setattr(
        sender.addresses,
        "address_of",
        lambda channel, profile: (
            die() if profile["email"] == killer.attributes["email"] else profile["email"]
        ),
    )
    deaths = 0
    for _ in range(100):
        try:
            if not send():
                break
        except Killed:
            deaths += 1
            let_time_pass()
    assert deaths == outbox.QUARANTINED_AFTER
    assert states() == {"Sent": 39, "Quarantined": 1}
    assert Message.objects.get(state=State.QUARANTINED).reason == outbox.REASON_POISON
    assert len(service.addresses) == len(set(service.addresses)) == 39
    assert not MessageDue.objects.exists()


def test_a_due_row_of_a_final_or_missing_message_is_swept(queue: Queue, service: FakeService) -> None:
    queue(make_profile(), make_profile())
    gone, final = Message.objects.order_by("id")
    Message.objects.filter(pk=final.pk).update(state=State.SENT)
    Message.objects.filter(pk=gone.pk).delete()
    assert send() == 2
    assert not MessageDue.objects.exists()
    assert service.calls == []


def test_a_batch_that_takes_too_long_gives_the_rest_back(
    queue: Queue, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(*[make_profile() for _ in range(40)])
    monkeypatch.setattr(sender, "BATCH_SECONDS", -1.0)
    assert send() == 40
    assert (states(), service.calls) == ({"Queued": 40}, [])
    assert set(MessageDue.objects.values_list("due_at", "reservations")) == {(NOW, 0)}
