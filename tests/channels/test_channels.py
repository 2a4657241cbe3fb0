"""What each channel's providers are given, and the way of a message that goes to several devices."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from ajo.lib import sql
from channels import delivery, devices, services
from channels.devices import Registration
from channels.liquid import ContentError, decode_values
from channels.models import Device, Link, Message, MessageDevice, MessageDue, Suppression
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, Receipt, Verdict
from channels.providers.twilio_sms import _refused
from channels.rendering import Envelope, Sender, Words, compiled, problems
from channels.rendering.sms import MAX_SEGMENTS, segments
from profiles.models import Channel, Profile
from tests.factories import NOW, make_configuration, make_profile, make_variant
from tests.support import count_statements

BASE = "https://go.brand.example"
VALUES = {
    "profile": decode_values(
        '{"name": "Ada \\"Q\\"\\n<b>", "price": 19.90, "n": 5, "tags": ["a", "b"], "site": "https://ada.example"}'
    )
}
ENVELOPE = Envelope(Sender("Harbour", "+15550100"), "", "<m1@x>", "Sat, 21 Nov 2026 12:00:00 +0000", "TOKEN")


def render(channel: Channel, tracked_at: str = "", **words: Any) -> bytes:
    return compiled(channel, Words(**words), tracked_at).render(VALUES, ENVELOPE)


# --- rendering -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count", "encoding", "left"),
    [
        ("", 0, "GSM-7", 160),
        ("a" * 160, 1, "GSM-7", 0),
        ("a" * 161, 2, "GSM-7", 145),
        ("€" * 80, 1, "GSM-7", 0),
        # An escaped character does not begin in one part and end in the next.
        ("a" * 152 + "€" + "a" * 152, 3, "GSM-7", 152),
        ("ü" * 160, 1, "GSM-7", 0),
        ("ł", 1, "UCS-2", 69),
        ("ł" * 70, 1, "UCS-2", 0),
        ("ł" * 71, 2, "UCS-2", 63),
        ("😀" * 35, 1, "UCS-2", 0),
        ("😀" * 36, 2, "UCS-2", 61),
    ],
)
def test_segments_are_counted_as_they_are_paid(text: str, count: int, encoding: str, left: int) -> None:
    found = segments(text)
    assert (found.count, found.encoding, found.left) == (count, encoding, left)


@given(st.text(max_size=400))
@example("a" * 153 * 3)
def test_no_part_holds_more_than_it_may(text: str) -> None:
    found = segments(text)
    single, several = (70, 67) if found.foreign else (160, 153)
    assert found.left >= 0
    assert found.units <= (single if found.count <= 1 else several * found.count)


def test_an_sms_is_its_text_with_counted_links() -> None:
    text = "Hi {{ profile.name }}: see https://a.example/x?n={{ profile.n }}, or app://open."
    sms = compiled(Channel.SMS, Words(text=text), BASE)
    assert sms.links == ("https://a.example/x?n={{ profile.n }}",)
    assert sms.render(VALUES, ENVELOPE).decode() == (
        f'Hi Ada "Q"\n<b>: see {BASE}/t/c/TOKEN/0, or app://open.'
    )
    assert render(Channel.SMS, text=text).decode() == (
        'Hi Ada "Q"\n<b>: see https://a.example/x?n=5, or app://open.'
    )


def test_a_link_that_only_its_loop_knows_is_not_counted() -> None:
    loop = "{% for item in event.items %}https://a.example/{{ item.id }} {% endfor %}"
    text = f"{loop}https://b.example{{% if x %}}!{{% endif %}}"
    assert compiled(Channel.SMS, Words(text=text), BASE).links == ("https://b.example",)


@pytest.mark.parametrize(
    ("text", "said"), [("{{ profile.nothing }} ", "empty"), ("a" * 153 * MAX_SEGMENTS + "a", "11 parts")]
)
def test_an_sms_that_cannot_be_sent_says_why(text: str, said: str) -> None:
    with pytest.raises(ContentError, match=said):
        render(Channel.SMS, text=text)


def test_a_push_is_json_with_a_counted_link() -> None:
    words = {
        "subject": "For {{ profile.name }}",
        "text": "Only {{ profile.price }}",
        "image_url": "https://img.example/{{ profile.n }}.png",
        "link_url": "{{ profile.site }}",
        "columns": (("screen", "shop-{{ profile.n }}"),),
    }
    push = compiled(Channel.PUSH, Words(**words), BASE)  # type: ignore[arg-type]
    assert push.links == ("{{ profile.site }}",)
    assert json.loads(push.render(VALUES, ENVELOPE)) == {
        "title": 'For Ada "Q"\n<b>',
        "body": "Only 19.90",
        "image_url": "https://img.example/5.png",
        "link_url": f"{BASE}/t/c/TOKEN/0",
        "data": {"screen": "shop-5"},
    }


@pytest.mark.parametrize(
    ("link", "sent"), [("myapp://cart", "myapp://cart"), ("javascript:alert(1)", ""), ("JAVASCRIPT:x", "")]
)
def test_a_push_may_lead_into_an_app_and_runs_nothing(link: str, sent: str) -> None:
    push = compiled(
        Channel.PUSH, Words(subject="s", text="t", link_url=link, image_url="file:///etc/x"), BASE
    )
    assert push.links == ()
    document = json.loads(push.render(VALUES, ENVELOPE))
    assert (document["link_url"], document["image_url"]) == (sent, "")


def test_a_push_that_no_service_takes_fails_before_it_is_sent() -> None:
    with pytest.raises(ContentError, match="bytes"):
        render(Channel.PUSH, subject="s", text="ü" * 2_000)


def test_the_json_of_a_webhook_stays_json_whatever_the_values_are() -> None:
    text = """{"name": "{{ profile.name }}", "price": {{ profile.price }}, "tags": {{ profile.tags | json }},
        "who": {{ profile.name | json }}, "none": {{ profile.nothing | json }}
        {% if profile.n > 3 %}, "many": true{% endif %}}"""
    assert json.loads(render(Channel.WEBHOOK, text=text)) == {
        "name": 'Ada "Q"\n<b>',
        "price": 19.9,
        "tags": ["a", "b"],
        "who": 'Ada "Q"\n<b>',
        "none": None,
        "many": True,
    }
    assert b'"price": 19.90' in render(Channel.WEBHOOK, text=text)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_value_leaves_its_json_string(value: str) -> None:
    webhook = compiled(Channel.WEBHOOK, Words(text='{"a": "{{ profile.x }}", "b": {{ profile.x | json }}}'))
    document = json.loads(webhook.render({"profile": {"x": value}}, ENVELOPE))
    assert document == {"a": value, "b": value}


def test_a_webhook_that_becomes_no_json_fails_with_the_reason() -> None:
    with pytest.raises(ContentError, match="no JSON"):
        render(Channel.WEBHOOK, text='{"a": {{ profile.nothing }}}')


def test_a_mailing_is_its_columns_each_in_one_line() -> None:
    body = render(
        Channel.DIRECT_MAIL, columns=(("Name", "{{ profile.name }}"), ("Code", "X-{{ profile.n }}"))
    )
    assert json.loads(body) == [["Name", 'Ada "Q" <b>'], ["Code", "X-5"]]


@pytest.mark.parametrize(
    ("channel", "words", "expected"),
    [
        (Channel.SMS, Words(), ["The text is empty. Write what the SMS says."]),
        (
            Channel.SMS,
            Words(text="{{ profile.a | upcas }}"),
            ["Text: Line 1: there is no filter named upcas."],
        ),
        (Channel.PUSH, Words(text="x"), ["The title is empty. Write what the push is about."]),
        (Channel.PUSH, Words("s", text="x", link_url="{{ oops"), ["Link: "]),
        (Channel.WEBHOOK, Words(), ["The JSON is empty."]),
        (Channel.WEBHOOK, Words(text='{"a": {{ profile.a | json }}}'), []),
        (Channel.DIRECT_MAIL, Words(), ["Columns: there are none."]),
        (
            Channel.DIRECT_MAIL,
            Words(columns=(("a", "1"), ("a", "2"))),
            ["Columns: Line 2: a stands there twice."],
        ),
        (Channel.IN_APP, Words("s", text="x"), ["Nothing can be written for the channel In-app yet."]),
    ],
)
def test_what_keeps_words_from_being_published(channel: Channel, words: Words, expected: list[str]) -> None:
    found = problems(words, channel)
    assert len(found) == len(expected)
    for said, beginning in zip(found, expected, strict=True):
        assert said.startswith(beginning)


# --- sending -------------------------------------------------------------------------------------------------

Answer = Callable[[Outgoing], Receipt]


def accepted(each: Outgoing) -> Receipt:
    return Receipt(each.message_id, Verdict.ACCEPTED, f"id-{each.device_id}", device_id=each.device_id)


class Service:
    """A provider of each channel that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[Outgoing] = []
        self.answer: Answer = accepted

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        self.calls += batch
        return [self.answer(each) for each in batch]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Registered as `fake` for any channel: what a configuration says is what counts."""
    service = Service()

    class Fake(Provider):
        kind = "fake"
        channel = Channel.PUSH

        def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
            return service.send(batch)

    get = registry.get
    monkeypatch.setattr(registry, "get", lambda kind: Fake if kind == "fake" else get(kind))
    return service


Queue = Callable[..., None]


@pytest.fixture
def queue_on(make_draft: Callable[..., delivery.Draft]) -> Queue:
    def enqueue(channel: Channel, *profiles: Profile, **words: Any) -> None:
        sender = make_configuration(
            f"on-{channel}", channel=channel, provider="fake", sender_address="+15550100"
        )
        blank = {"subject": "", "html": "", "text": ""}
        variant = make_variant(f"on-{channel}", channel=channel, **(blank | words))
        drafts = [
            make_draft(each, channel=channel, configuration_id=sender.pk, variant_id=variant.pk)
            for each in profiles
        ]
        delivery.enqueue(drafts, NOW)

    return enqueue


def make_device(profile: Profile, token: str, **fields: Any) -> Device:
    devices.register([Registration(profile.pk, "fake", token, fields.pop("seen_at", NOW), **fields)])
    return Device.objects.get(token=token)


def take(channel: Channel, **options: Any) -> int:
    return delivery.take_batch(channel, **({"now": NOW + timedelta(seconds=60)} | options))


@pytest.mark.django_db(transaction=True)
def test_each_lane_sends_what_its_channel_speaks(fake: Service, queue_on: Queue) -> None:
    ada = make_profile(
        phone="+49 30 901820",
        first_name="Ada",
        address={"street": "Quay 1", "city": "Hamburg", "postalCode": "20457"},
    )
    queue_on(Channel.SMS, ada, text="Hi {{ profile.first_name }}")
    queue_on(Channel.WEBHOOK, ada, text='{"who": "{{ profile.first_name }}"}')
    queue_on(Channel.DIRECT_MAIL, ada, columns=[["Name", "{{ profile.first_name }}"]])
    for channel in (Channel.SMS, Channel.WEBHOOK, Channel.DIRECT_MAIL):
        assert take(channel) == 1
    assert [(each.address, each.body) for each in fake.calls] == [
        ("+4930901820", b"Hi Ada"),
        ("", b'{"who": "Ada"}'),
        ("Quay 1, 20457, Hamburg", b'[["Name", "Ada"]]'),
    ]
    assert len({each.idempotency_key for each in fake.calls}) == 3
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.SENT}
    assert not MessageDue.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_cannot_be_reached_is_withheld(fake: Service, queue_on: Queue) -> None:
    bob = make_profile(phone="not a number")
    queue_on(Channel.SMS, bob, text="Hi")
    queue_on(Channel.PUSH, bob, subject="s", text="t")
    queue_on(Channel.DIRECT_MAIL, bob, columns=[["a", "b"]])
    for channel in (Channel.SMS, Channel.PUSH, Channel.DIRECT_MAIL):
        take(channel)
    assert set(Message.objects.values_list("state", "reason")) == {
        (Message.State.WITHHELD, "The profile has no usable address on this channel.")
    }
    assert fake.calls == []


@pytest.mark.django_db(transaction=True)
def test_a_push_goes_to_every_device_that_its_provider_reaches(fake: Service, queue_on: Queue) -> None:
    ada, bob = make_profile(), make_profile()
    phone, tablet = make_device(ada, "phone"), make_device(ada, "tablet")
    make_device(bob, "of-bob")
    off = make_device(ada, "off")
    Device.objects.filter(pk=off.pk).update(is_active=False)
    devices.register([Registration(ada.pk, "web_push", "https://push.example/1", NOW, keys={"auth": "x"})])
    queue_on(Channel.PUSH, ada, subject="Hi", text="There", link_url="https://a.example")
    assert take(Channel.PUSH) == 1
    assert [(each.address, each.device_id) for each in fake.calls] == [
        ("phone", phone.pk),
        ("tablet", tablet.pk),
    ]
    (body,) = {each.body for each in fake.calls}
    assert json.loads(body)["link_url"].endswith("/0")
    message = Message.objects.get()
    assert (message.state, message.provider_id, message.address) == (
        Message.State.SENT,
        f"id-{phone.pk}",
        "",
    )
    assert list(
        MessageDevice.objects.order_by("device_id").values_list("device_id", "state", "provider_id")
    ) == [
        (phone.pk, Message.State.SENT, f"id-{phone.pk}"),
        (tablet.pk, Message.State.SENT, f"id-{tablet.pk}"),
    ]
    assert Link.objects.get().url == "https://a.example"


REFUSED, UNKNOWN, DEFERRED, ACCEPTED = Verdict.REFUSED, Verdict.UNKNOWN, Verdict.DEFERRED, Verdict.ACCEPTED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ((ACCEPTED, REFUSED), Message.State.SENT),
        ((UNKNOWN, ACCEPTED), Message.State.SENT),
        ((UNKNOWN, REFUSED), Message.State.UNCERTAIN),
        ((DEFERRED, UNKNOWN), Message.State.UNCERTAIN),
        ((REFUSED, REFUSED), Message.State.FAILED),
        ((REFUSED, DEFERRED), Message.State.QUEUED),
    ],
)
def test_a_message_is_the_best_of_its_devices(
    fake: Service, queue_on: Queue, verdicts: tuple[Verdict, ...], state: Message.State
) -> None:
    ada = make_profile()
    said = {make_device(ada, f"d{n}").pk: verdict for n, verdict in enumerate(verdicts)}
    fake.answer = lambda each: Receipt(
        each.message_id, said[each.device_id], detail="Said so.", device_id=each.device_id
    )
    queue_on(Channel.PUSH, ada, subject="Hi", text="There")
    take(Channel.PUSH)
    assert Message.objects.get().state == state


@pytest.mark.django_db(transaction=True)
def test_a_second_attempt_leaves_out_who_refused(fake: Service, queue_on: Queue) -> None:
    ada = make_profile()
    gone, busy = make_device(ada, "gone"), make_device(ada, "busy")
    verdicts = {gone.pk: REFUSED, busy.pk: DEFERRED}
    fake.answer = lambda each: Receipt(
        each.message_id,
        verdicts[each.device_id],
        device_id=each.device_id,
        is_device_gone=each.device_id == gone.pk,
    )
    queue_on(Channel.PUSH, ada, subject="Hi", text="There")
    take(Channel.PUSH)
    assert not Device.objects.get(pk=gone.pk).is_active
    # The same token comes back, as after installing the app again; this message stays refused on it.
    make_device(ada, "gone", seen_at=NOW + timedelta(minutes=5))
    verdicts[busy.pk] = ACCEPTED
    take(Channel.PUSH, now=NOW + timedelta(hours=2))
    assert [each.device_id for each in fake.calls] == [gone.pk, busy.pk, busy.pk]
    assert Message.objects.get().state == Message.State.SENT


@pytest.mark.django_db(transaction=True)
def test_the_number_of_statements_does_not_depend_on_people_or_devices(
    fake: Service, queue_on: Queue
) -> None:
    def statements(count: int, name: str) -> int:
        people = [make_profile() for _ in range(count)]
        for person in people:
            make_device(person, f"{name}-{person.pk}-a")
            make_device(person, f"{name}-{person.pk}-b")
        Message.objects.all().delete()
        delivery.enqueue([make(person) for person in people], NOW)
        with count_statements() as seen:
            assert take(Channel.PUSH) == count
        return len(seen)

    queue_on(Channel.PUSH, make_profile(), subject="Hi", text="There")
    take(Channel.PUSH)
    first = Message.objects.get()

    def make(person: Profile) -> delivery.Draft:
        return delivery.Draft(
            profile_id=person.pk,
            cause_kind=1,
            cause_id=person.pk,
            activity="push",
            visit=1,
            channel=Channel.PUSH,
            origin_id=1,
            configuration_id=first.configuration_id,
            variant_id=first.variant_id,
            message_class=1,
        )

    assert statements(1, "one") == statements(30, "many")
    assert len(fake.calls) == 62


# --- devices -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_device_belongs_to_who_signed_in_last() -> None:
    ada, bob = make_profile(), make_profile()
    make_device(ada, "phone")
    assert devices.register([Registration(bob.pk, "fake", "phone", NOW + timedelta(minutes=1))]) == 1
    assert devices.register([Registration(ada.pk, "fake", "phone", NOW - timedelta(minutes=1))]) == 0
    assert Device.objects.get().profile_id == bob.pk
    # The same token at another service is another device.
    devices.register([Registration(ada.pk, "web_push", "phone", NOW)])
    assert Device.objects.count() == 2


@pytest.mark.django_db
def test_devices_follow_a_merge() -> None:
    ada, other = make_profile(), make_profile()
    make_device(other, "phone")
    make_device(ada, "tablet")
    with sql.cursor() as cur:
        devices.move_merged(cur, [(other.pk, ada.pk)], NOW)
    assert set(Device.objects.values_list("token", "profile_id")) == {("phone", ada.pk), ("tablet", ada.pk)}


@pytest.mark.django_db
def test_a_profile_with_very_many_devices_gets_a_message_on_the_newest() -> None:
    ada = make_profile()
    devices.register(
        [Registration(ada.pk, "fake", f"d{n:02}", NOW + timedelta(minutes=n)) for n in range(15)]
    )
    reached = devices.reach([(1, ada.pk, "fake")])[1]
    assert sorted(each.token for each in reached) == [f"d{n:02}" for n in range(5, 15)]


def test_whom_the_service_calls_stopped_is_suppressed_with_the_reason(fake: Service, queue_on: Queue) -> None:
    gone, other = make_profile(phone="+491701234567"), make_profile(phone="+491701234568")
    services.suppress(channel=Channel.SMS, address="+491701234569")
    queue_on(Channel.SMS, gone, other, text="Hi")
    refused = TwilioRestException(400, "/Messages", "Attempt to send to unsubscribed recipient", 21610)
    fake.answer = lambda each: _refused(each, refused) if each.address == "+491701234567" else accepted(each)

    take(Channel.SMS)

    assert list(Suppression.objects.order_by("address").values_list("address", "reason")) == [
        ("+491701234567", "stop"),
        ("+491701234569", "manual"),
    ]
    message = Message.objects.get(profile=gone)
    assert (message.state, message.reason) == (
        Message.State.FAILED, "21610 Attempt to send to unsubscribed recipient",
    )  # fmt: skip
    assert Message.objects.get(profile=other).state == Message.State.SENT
