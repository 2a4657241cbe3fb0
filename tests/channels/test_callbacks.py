"""What services call back: signed, each once, in any order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from ajo.lib import doorbell
from channels import delivery, services
from channels.delivery import outbox
from channels.inbound import reports
from channels.inbound.keywords import Wish, wish_of
from channels.models import CauseKind, ChannelConfiguration, Message, MessageClass, Suppression
from profiles.models import Channel, Consent, Event, EventKey, Identity, IdentityNamespace, Profile
from profiles.stream import take_batch
from tests.factories import NOW, make_configuration, make_profile, make_variant
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "token-of-the-account"
NUMBER = "+15005550001"
State = Message.State
_causes = itertools.count(1)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda task: None)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)


@pytest.fixture
def sms(db: None) -> ChannelConfiguration:
    return make_configuration(
        "texts",
        channel=Channel.SMS,
        provider="twilio_sms",
        sender_address="+15005550006",
        settings={"account_sid": "AC" + 32 * "a", "auth_token_env": "TWILIO_AUTH_TOKEN"},
    )


def make_owner(number: str = NUMBER) -> Profile:
    """A profile whose number is an identity of its own."""
    profile = make_profile(phone=number)
    Identity.objects.create(namespace_id=IdentityNamespace.PHONE, value=number, profile=profile)
    return profile


def make_message(
    configuration: ChannelConfiguration,
    profile: Profile | None = None,
    state: int = State.SENT,
    **fields: Any,
) -> Message:
    defaults = {
        "profile": profile or make_profile(),
        "cause_kind": CauseKind.JOURNEY_INSTANCE,
        "cause_id": next(_causes),
        "activity": "hello",
        "visit": 1,
        "channel": configuration.channel,
        "origin_id": 7,
        "configuration": configuration,
        "variant_id": 0,
        "message_class": MessageClass.MARKETING,
        "address": NUMBER,
        "state": state,
    }
    return Message.objects.create(**(defaults | fields))


def call(path: str, fields: dict[str, str], *, token: str = TOKEN, signature: str | None = None) -> Any:
    """As Twilio calls: signed with the public address and the fields."""
    address = django_settings.AJO_PUBLIC_URL + path
    signed = (
        signature if signature is not None else RequestValidator(token).compute_signature(address, fields)
    )
    return Client().post(path, fields, headers={"X-Twilio-Signature": signed})


def tell(message: Message, status: str, **fields: str) -> int:
    path = f"/callbacks/twilio/texts/status?message={message.pk}"
    return int(call(path, {"MessageStatus": status, "MessageSid": "SM1", **fields}).status_code)


def answer(text: str, sid: str = "SM1", number: str = NUMBER, **fields: str) -> Any:
    return call(
        "/callbacks/twilio/texts/inbound", {"From": number, "Body": text, "MessageSid": sid, **fields}
    )


def own_events() -> list[tuple[str, dict[str, Any]]]:
    rows = Event.objects.order_by("id").values_list("event_type__name", "properties")
    return list(rows)


def test_a_delivered_message_is_delivered_and_its_profile_knows(sms: ChannelConfiguration) -> None:
    message = make_message(sms)
    assert tell(message, "delivered") == 204
    take_batch(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.reason) == (State.DELIVERED, "")
    ((name, properties),) = own_events()
    assert name == "$message_delivered"
    assert (properties["message_id"], properties["channel"], properties["origin_id"]) == (
        str(message.pk),
        "sms",
        "7",
    )
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("code", "is_dead"), [("30005", True), ("30006", True), ("30003", False), ("30007", False), ("", False)]
)
def test_an_undelivered_one_bounced_and_only_a_dead_number_is_suppressed(
    sms: ChannelConfiguration, code: str, is_dead: bool
) -> None:
    message = make_message(sms)
    assert tell(message, "undelivered", ErrorCode=code) == 204
    take_batch(now=NOW)
    message.refresh_from_db()
    assert message.state == State.BOUNCED
    assert message.reason == (f"Twilio error {code}" if code else "")
    assert list(Suppression.objects.values_list("address", "reason")) == (
        [(NUMBER, "bounce")] if is_dead else []
    )


def test_who_had_stopped_the_number_at_twilio_is_suppressed_as_one_who_answered_stop(
    sms: ChannelConfiguration,
) -> None:
    tell(make_message(sms), "failed", ErrorCode="21610")
    take_batch(now=NOW)
    assert list(Suppression.objects.values_list("address", "reason")) == [(NUMBER, "stop")]


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "", "nonsense\x00"])
def test_steps_on_the_way_write_nothing(sms: ChannelConfiguration, status: str) -> None:
    assert tell(make_message(sms), status) == 204
    assert own_events() == []


@pytest.mark.parametrize("signature", ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "ä"])
def test_a_bad_signature_writes_nothing(sms: ChannelConfiguration, signature: str) -> None:
    message = make_message(sms)
    owner = make_owner()
    path = f"/callbacks/twilio/texts/status?message={message.pk}"
    assert call(path, {"MessageStatus": "delivered"}, signature=signature).status_code == 403
    fields = {"From": NUMBER, "Body": "STOP", "MessageSid": "SM1"}
    assert call("/callbacks/twilio/texts/inbound", fields, signature=signature).status_code == 403
    assert call(path, {"MessageStatus": "delivered"}, token="another").status_code == 403
    assert own_events() == []
    assert not EventKey.objects.exists()
    assert not Suppression.objects.exists()
    assert not Consent.objects.filter(profile=owner).exists()


def test_a_signature_is_for_its_address_only(sms: ChannelConfiguration) -> None:
    first, second = make_message(sms), make_message(sms)
    fields = {"MessageStatus": "delivered"}
    address = f"{django_settings.AJO_PUBLIC_URL}/callbacks/twilio/texts/status?message="
    signature = RequestValidator(TOKEN).compute_signature(f"{address}{first.pk}", fields)
    path = f"/callbacks/twilio/texts/status?message={second.pk}"
    assert call(path, fields, signature=signature).status_code == 403
    assert own_events() == []


def test_calls_about_nothing_of_ours_are_passed_over(sms: ChannelConfiguration) -> None:
    elsewhere = make_message(make_configuration("other", channel=Channel.SMS, provider="twilio_sms"))
    assert tell(elsewhere, "delivered") == 204, "a message of another account"
    for id in ("", "0", "999999", "-1", "1e3", "٣", "9" * 40):
        path = f"/callbacks/twilio/texts/status?message={id}"
        assert call_quoted(path, {"MessageStatus": "delivered"}) == 204
    assert own_events() == []
    assert call("/callbacks/twilio/nobody/status", {}).status_code == 404
    assert Client().get("/callbacks/twilio/texts/status").status_code == 405


def call_quoted(path: str, fields: dict[str, str]) -> int:
    from django.utils.encoding import iri_to_uri

    return int(call(iri_to_uri(path), fields).status_code)


def test_a_report_before_our_own_answer_is_kept(sms: ChannelConfiguration) -> None:
    """The service is quicker than we are: it reports before the call that handed the message over has returned."""
    message = make_message(sms, state=State.SENDING, token=5, lease_until=timezone.now())
    tell(message, "delivered")
    take_batch(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.token) == (State.SENDING, 5), "a fenced message is its sender's"
    assert outbox.record([outbox.Result(message.pk, State.SENT.value, provider_id="SM9")], 5, NOW) == 1
    message.refresh_from_db()
    assert (message.state, message.provider_id) == (State.DELIVERED, "SM9")


def test_a_report_settles_what_was_uncertain(sms: ChannelConfiguration) -> None:
    lost = make_message(sms, state=State.UNCERTAIN, reason="The answer was lost.")
    dying = make_message(sms, state=State.SENDING, token=5, lease_until=NOW)
    tell(lost, "delivered")
    tell(dying, "undelivered", ErrorCode="30003")
    take_batch(now=NOW)
    outbox.recover([dying.pk], NOW)
    lost.refresh_from_db()
    dying.refresh_from_db()
    assert (lost.state, lost.reason) == (State.DELIVERED, "")
    assert lost.sent_at is not None
    assert (dying.state, dying.reason) == (State.BOUNCED, "Twilio error 30003")


@pytest.mark.parametrize("state", [State.FAILED, State.WITHHELD, State.EXPIRED, State.QUARANTINED])
def test_what_was_never_sent_is_not_moved(sms: ChannelConfiguration, state: int) -> None:
    message = make_message(sms, state=state, reason="Why.")
    tell(message, "delivered")
    take_batch(now=NOW)
    message.refresh_from_db()
    assert message.state == state


_REPORTS = [
    (reports.DELIVERED, "", False),
    (reports.BOUNCED, "mailbox full", False),
    (reports.BOUNCED, "no such address", True),
    (reports.COMPLAINED, "abuse", False),
]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    told=st.lists(st.sampled_from(_REPORTS), min_size=1, max_size=8),
    cuts=st.sets(st.integers(1, 8)),
    state=st.sampled_from([State.SENT, State.UNCERTAIN, State.SENDING]),
    record_after=st.integers(0, 8),
)
def test_order_and_repeats_do_not_matter(
    sms: ChannelConfiguration, told: list[Any], cuts: set[int], state: int, record_after: int
) -> None:
    """P13: whatever comes in whatever order and batches, the message ends at the highest rank."""
    message = make_message(sms, state=state, token=5, address=f"+1500555{next(_causes):04}")
    for nth, (name, detail, is_hard) in enumerate(told):
        if nth == record_after and state == State.SENDING:
            outbox.record([outbox.Result(message.pk, State.SENT.value)], 5, NOW)
        key = f"{message.pk}:{name}:{detail}"
        report = reports.Report(message.pk, name, key, detail=detail, is_hard=is_hard)
        reports.store([report], configuration_id=sms.pk, now=NOW)
        if nth in cuts:
            take_batch(now=NOW)
    take_batch(now=NOW)
    if state == State.SENDING and record_after >= len(told):
        outbox.record([outbox.Result(message.pk, State.UNCERTAIN.value, reason="lost")], 5, NOW)
    message.refresh_from_db()
    ranks = {reports.DELIVERED: 3, reports.BOUNCED: 4, reports.COMPLAINED: 5}
    rank, reason = max((ranks[name], detail) for name, detail, _ in told)
    assert (message.state, message.reason) == (rank, reason)
    row = Suppression.objects.filter(address=message.address).first()
    expected = "complaint" if rank == 5 else "bounce" if any(is_hard for *_, is_hard in told) else None
    assert (row.reason if row else None) == expected
    stored = Event.objects.filter(properties__message_id=str(message.pk)).count()
    assert stored == len(set(told)), "a repeat is no event"


def test_the_number_of_statements_does_not_depend_on_the_number_of_reports(sms: ChannelConfiguration) -> None:
    counts = []
    for n in (1, 1, 30):
        messages = [make_message(sms, address=f"+1500556{next(_causes):04}") for _ in range(n)]
        told = [
            reports.Report(message.pk, reports.BOUNCED, f"k{message.pk}", "gone", is_hard=True)
            for message in messages
        ]
        with count_statements() as seen:
            reports.store(told, configuration_id=sms.pk, now=NOW)
            take_batch(now=NOW)
        counts.append(len(seen))
    assert Message.objects.filter(state=State.BOUNCED).count() == 32
    assert counts[1] == counts[2]


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("STOP", Wish.STOP),
        (" stop. ", Wish.STOP),
        ("Stop all!", Wish.STOP),
        ("Opt-Out", Wish.STOP),
        ("ARRÊT", Wish.STOP),
        ("Abmelden", Wish.STOP),
        ("start", Wish.START),
        ("UNSTOP", Wish.START),
        ("Hilfe?", Wish.HELP),
        ("please stop calling my dog", None),
        ("stop it", None),
        ("", None),
        ("🛑", None),
    ],
)
def test_a_keyword_is_the_whole_message(text: str, wish: Wish | None) -> None:
    assert wish_of(text) is wish


def test_stop_closes_the_number_for_everybody_who_has_it(
    sms: ChannelConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, flatmate, stranger = make_owner(), make_profile(phone=NUMBER), make_owner("+15005550002")
    variant = make_variant("text", channel=Channel.SMS)
    drafts = [
        delivery.Draft(
            profile_id=profile.pk,
            cause_kind=CauseKind.JOURNEY_INSTANCE,
            cause_id=profile.pk,
            activity="hello",
            visit=1,
            channel=Channel.SMS,
            origin_id=1,
            configuration_id=sms.pk,
            variant_id=variant.pk,
            message_class=MessageClass.MARKETING,
        )
        for profile in (owner, flatmate, stranger)
    ]
    delivery.enqueue(drafts, NOW)
    response = answer("Stop")
    assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
    assert b"<Message>" not in response.content
    assert Consent.objects.get(profile=owner, channel=Channel.SMS).state == Consent.State.OPTED_OUT
    assert Message.objects.get(profile=owner).state == State.WITHHELD
    assert Message.objects.get(profile=stranger).state == State.QUEUED
    # Who shares the number has no consent withdrawn, but the fence lets nothing through to it.
    message = Message.objects.get(profile=flatmate)
    candidate = outbox.Candidate(message.pk, flatmate.pk, NUMBER, NUMBER)
    assert outbox.fence([candidate], NOW)[1] == set()
    message.refresh_from_db()
    assert (message.state, message.reason) == (State.WITHHELD, outbox.REASON_SUPPRESSED)
    names = [name for name, _ in own_events()]
    assert sorted(names) == ["$message_received", "$unsubscribed"]


def test_start_opens_what_stop_closed_and_nothing_else(sms: ChannelConfiguration) -> None:
    owner = make_owner()
    answer("STOP", "SM1")
    answer("START", "SM2")
    assert Consent.objects.get(profile=owner, channel=Channel.SMS).state == Consent.State.OPTED_IN
    assert not Suppression.objects.exists()
    services.suppress(channel=Channel.SMS, address=NUMBER)
    answer("START", "SM3")
    assert Suppression.objects.get().reason == Suppression.Reason.MANUAL


def test_a_repeated_stop_does_not_undo_a_newer_start(sms: ChannelConfiguration) -> None:
    owner = make_owner()
    for text, sid in [("STOP", "SM1"), ("START", "SM2"), ("STOP", "SM1"), ("START", "SM2")]:
        assert answer(text, sid).status_code == 200
    assert Consent.objects.get(profile=owner, channel=Channel.SMS).state == Consent.State.OPTED_IN
    assert not Suppression.objects.exists()
    assert [name for name, _ in own_events()].count("$message_received") == 2


def test_the_numbers_of_nobody_are_closed_too(sms: ChannelConfiguration) -> None:
    assert answer("STOP", number="+1 500 555 0009").status_code == 200
    assert Suppression.objects.get().address == "+15005550009"
    assert own_events() == []


def test_help_is_answered_unless_twilio_did(sms: ChannelConfiguration) -> None:
    sms.sender_name = "Harbour & Pine"
    sms.save()
    make_owner()
    reply = answer("help").content.decode()
    assert "<Message>Harbour &amp; Pine: reply STOP to get no more messages from us.</Message>" in reply
    assert b"<Message>" not in answer("help", "SM2", OptOutType="HELP").content


def test_what_people_write_is_an_event(sms: ChannelConfiguration) -> None:
    owner = make_owner()
    answer("Where is my parcel?\x00", From=NUMBER)
    ((name, properties),) = own_events()
    assert name == "$message_received"
    assert properties == {
        "channel": "sms",
        "text": "Where is my parcel?",
        "wish": "",
        "configuration": "texts",
    }
    take_batch(now=NOW)
    assert not Consent.objects.filter(profile=owner).exists()
