"""The page of a message on every channel, and devices on the pages of people."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent
from channels import devices
from channels.devices import FCM, WEB_PUSH, Fate, Registration
from channels.inbound import reports
from channels.models import CauseKind, Device, Message, MessageClass
from profiles import own_events
from profiles.models import Channel, Profile
from profiles.own_events import OwnEvent
from profiles.stream import take_batch
from tests.api.support import make_person
from tests.factories import NOW, make_configuration, make_profile, make_variant

pytestmark = pytest.mark.django_db
State = Message.State

PROVIDERS = {
    Channel.SMS: "twilio_sms",
    Channel.PUSH: "fcm",
    Channel.WEBHOOK: "webhook",
    Channel.DIRECT_MAIL: "direct_mail",
}


def make_message(person: Profile, channel: Channel, words: dict[str, Any], **fields: Any) -> Message:
    blank = {"subject": "", "html": "", "text": ""}
    variant = make_variant("stock", channel=channel, **(blank | words))
    configuration = make_configuration("sender", channel=channel, provider=PROVIDERS[channel])
    defaults: dict[str, Any] = {
        "profile": person,
        "cause_kind": CauseKind.CAMPAIGN_RUN,
        "cause_id": 1,
        "activity": "",
        "visit": 1,
        "channel": channel,
        "origin_id": 1,
        "configuration": configuration,
        "variant": variant,
        "message_class": MessageClass.MARKETING,
        "state": State.SENT,
        "sent_at": NOW,
        "created_at": NOW,
        "attempt": 1,
    }
    return Message.objects.create(**(defaults | fields))


def page(client: Client, message: Message) -> str:
    answer = client.get(reverse("admin:channels_message_change", args=[message.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def ada(db: None) -> Profile:
    return make_profile(
        first_name="Ada <b>", phone="+491701234567", address={"street": "Harbour 1", "city": "Bergen"}
    )


def test_an_sms_is_a_bubble_with_what_came_back(admin_client: Client, ada: Profile) -> None:
    words = {"text": "Hi {{ profile.first_name }}"}
    message = make_message(
        ada, Channel.SMS, words, address="+491701234567", state=State.BOUNCED, provider_id="SM1"
    )
    said = {"detail": "Twilio error 30005", "is_hard": True, "code": "30005"}
    own_events.record(
        [
            OwnEvent(ada.pk, reports.BOUNCED, {"message_id": str(message.pk), **said}, NOW),
            OwnEvent(ada.pk, reports.BOUNCED, {"message_id": "0", **said, "detail": "of another"}, NOW),
        ]
    )
    take_batch(now=NOW)

    seen = page(admin_client, message)

    assert '<p class="shown-bubble">Hi Ada &lt;b&gt;</p>' in seen
    assert "1 part, GSM-7" in seen
    assert "Not delivered, and its address is no good (Twilio error 30005)" in seen
    assert "of another" not in seen
    assert "Download .eml" not in seen
    source = reverse("admin:channels_message_source", args=[message.pk])
    assert admin_client.get(source).status_code == 404


def test_a_push_is_a_card_with_each_device(admin_client: Client, ada: Profile) -> None:
    devices.register(
        [
            Registration(ada.pk, FCM, "phone", NOW, "ios"),
            Registration(ada.pk, FCM, "old-phone", NOW, "android"),
        ]
    )
    words = {"subject": "Back", "text": "In your size", "link_url": "app://s", "columns": [["sku", "7"]]}
    message = make_message(ada, Channel.PUSH, words)
    phone, old = Device.objects.order_by("platform").reverse()
    devices.record(
        [
            Fate(message.pk, phone.pk, State.SENT.value, "id-1"),
            Fate(message.pk, old.pk, State.FAILED.value, reason="UNREGISTERED", is_gone=True),
        ],
        NOW,
    )

    seen = page(admin_client, message)

    assert '<p class="shown-title">Back</p>' in seen
    assert "<code>app://s</code>" in seen
    assert "<dt>sku</dt><dd>7</dd>" in seen
    assert "2 devices" in seen
    assert "Sent on Saturday 21 November 2026, 12:00 (UTC)" in seen
    assert "iOS app" in seen
    assert "Android app" in seen
    assert "UNREGISTERED" in seen


def test_a_webhook_is_its_json_with_the_answer(admin_client: Client, ada: Profile) -> None:
    message = make_message(
        ada, Channel.WEBHOOK, {"text": '{"n":{{ 19.90 }},"to":"x"}'}, provider_id="HTTP 202"
    )

    seen = page(admin_client, message)

    assert "<dt>Its system answered</dt><dd>HTTP 202</dd>" in seen
    assert "{\n  &quot;n&quot;: 19.9" in seen


def test_direct_mail_is_its_row(admin_client: Client, ada: Profile) -> None:
    columns = [["Street", "{{ profile.address.street }}"], ["Note", ""]]
    message = make_message(ada, Channel.DIRECT_MAIL, {"columns": columns}, provider_id="campaign_run-1/1.csv")

    seen = page(admin_client, message)

    assert '<th scope="col">Street</th><th scope="col">Note</th>' in seen
    assert "<td>Harbour 1</td><td>–</td>" in seen
    assert "<dt>The printer’s file</dt><dd>campaign_run-1/1.csv</dd>" in seen


def test_what_was_withheld_says_why(admin_client: Client, ada: Profile) -> None:
    reason = "The contact policy allows a person 3 marketing messages within 7 days."
    message = make_message(
        ada, Channel.SMS, {"text": "Hi"}, state=State.WITHHELD, reason=reason,
        reason_code=Message.Reason.FREQUENCY_CAP, sent_at=None, attempt=0,
    )  # fmt: skip

    seen = page(admin_client, message)

    assert f"Withheld: {reason[:-1]}" in seen
    assert "Nothing yet." in seen


# --- devices -------------------------------------------------------------------------------------------------


def test_devices_stand_on_the_page_of_their_person_and_are_removed_there(
    admin_client: Client, client: Client, ada: Profile
) -> None:
    keys = {"p256dh": "x", "auth": "y"}
    devices.register(
        [
            Registration(ada.pk, FCM, "phone", NOW, "android", "nb"),
            Registration(ada.pk, WEB_PUSH, "https://push.example/1", NOW, "web", keys=keys),
        ]
    )
    device = Device.objects.get(provider=FCM)
    person = reverse("admin:profiles_profile_change", args=[ada.pk])
    remove = reverse("admin:channels_device_remove", args=[device.pk])

    seen = admin_client.get(person).content.decode()
    assert "Android app" in seen
    assert "Browser" in seen
    assert seen.count("Takes pushes") == 2
    client.force_login(make_person("profiles.view_profile", "channels.view_device"))
    assert remove not in client.get(person).content.decode()
    assert client.post(remove).status_code == 403
    assert Device.objects.filter(is_active=True).count() == 2

    answer = admin_client.post(remove, follow=True)

    assert answer.redirect_chain == [(person, 302)]
    assert "1 device is removed." in answer.content.decode()
    assert list(Device.objects.filter(is_active=True).values_list("provider", flat=True)) == [WEB_PUSH]
    (line,) = AuditEvent.objects.filter(action="remove_device")
    assert (line.object_key, line.data["profile"]) == (str(device.pk), ada.pk)


def test_the_list_of_devices_is_searched_by_person_and_removes_several(
    admin_client: Client, client: Client, ada: Profile
) -> None:
    devices.register(
        [Registration(ada.pk, FCM, f"phone-{n}", NOW, "ios") for n in range(2)]
        + [Registration(make_profile().pk, FCM, "other", NOW, "ios")]
    )
    url = reverse("admin:channels_device_changelist")
    mine = list(Device.objects.filter(profile=ada).values_list("pk", flat=True))
    assert admin_client.get(url, {"q": str(ada.pk)}).context["cl"].queryset.count() == 2
    link = reverse("admin:channels_device_change", args=[mine[0]])
    assert admin_client.get(link)["Location"] == f"{url}?q={ada.pk}"
    form = {"action": "remove_devices", "_selected_action": mine}
    client.force_login(make_person("channels.view_device"))
    client.post(url, form)
    assert Device.objects.filter(is_active=True).count() == 3

    admin_client.post(url, form)

    assert Device.objects.get(is_active=True).profile_id != ada.pk
    assert AuditEvent.objects.filter(action="remove_device").count() == 2
