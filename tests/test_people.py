"""The page of a person and that of a message in the administration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent, User
from channels import delivery, services
from channels.models import CauseKind, ChannelConfiguration, Message, MessageClass, Variant
from channels.source import disarmed, read_source
from journeys.models import JourneyInstance
from profiles.models import AttributeDefinition, Channel, Consent, Profile
from profiles.stream import take_batch
from tests.factories import NOW, make_configuration, make_profile, make_source, make_variant
from tests.journeys.helpers import box, entry_box, line, make_live
from tests.profiles.store import store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)


def person_url(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


@pytest.fixture
def queue() -> Callable[[Profile], Message]:
    """Puts one message to somebody into the outbox."""
    configuration, variant = make_configuration(), make_variant()

    def enqueue(profile: Profile) -> Message:
        return queue_one(profile, configuration, variant)

    return enqueue


def queue_one(profile: Profile, configuration: ChannelConfiguration, variant: Variant) -> Message:
    draft = delivery.Draft(
        profile_id=profile.pk,
        cause_kind=CauseKind.API_REQUEST,
        cause_id=profile.pk,
        activity="",
        visit=1,
        channel=Channel.EMAIL,
        origin_id=1,
        configuration_id=configuration.pk,
        variant_id=variant.pk,
        message_class=MessageClass.MARKETING,
    )
    delivery.enqueue([draft], NOW)
    return Message.objects.get(profile=profile)


# --- a person ------------------------------------------------------------------------------------------------


def test_a_person_is_shown_with_labels_consent_and_where_they_stand(admin_client: Client) -> None:
    make_source(pk=1)
    make_live(
        line(entry_box(), box("rest", "wait", until="duration", amount=9, unit="days"), box("end", "end")),
        key="story",
    )
    AttributeDefinition.objects.create(key="tier", label="Loyalty tier")
    ada = make_profile("ada", first_name="Ada", tier="gold<b>")
    Consent.objects.create(profile=ada, channel=Channel.SMS, state=Consent.State.OPTED_OUT, changed_at=NOW)
    store(track("ada", "Signed Up"), received_at=NOW)
    take_batch(now=NOW)

    page = admin_client.get(person_url(ada)).content.decode()

    assert "Loyalty tier" in page
    assert "gold&lt;b&gt;" in page
    assert "gold<b>" not in page
    assert "ada@example.com" in page
    assert "Opted out" in page
    assert "at the box “rest”" in page
    assert "Entered the journey “Story”" in page
    assert "Waits until Monday 30 November 2026, 12:00 (UTC)." in page
    assert reverse("admin:journeys_journeyinstance_change", args=[JourneyInstance.objects.get().pk]) in page


def test_the_timeline_is_filtered_and_loaded_further(admin_client: Client) -> None:
    make_source(pk=1)
    ada = make_profile("ada")
    store(
        *[track("ada", f"Looked {number}.", at=NOW + timedelta(minutes=number)) for number in range(60)],
        received_at=NOW + timedelta(hours=2),
    )
    take_batch(now=NOW)
    first = admin_client.get(person_url(ada), {"show": "events"})
    cursor = first.context["page"].next
    url = reverse("admin:profiles_profile_timeline", args=[ada.pk])

    older = admin_client.get(url, {"show": "events", "before": cursor}).content.decode()

    assert "Looked 59." in first.content.decode()
    assert "Looked 9." not in first.content.decode()
    assert [f"Looked {number}." in older for number in (10, 9, 0)] == [False, True, True]
    assert "<html" not in older
    assert "Looked" not in admin_client.get(person_url(ada), {"show": "messages"}).content.decode()
    assert admin_client.get(url, {"before": "nonsense"}).status_code == 200


def test_the_page_asks_the_same_few_questions_whatever_happened(admin_client: Client) -> None:
    make_source(pk=1)
    ada = make_profile("ada")
    counts = []
    for more in (1, 30):
        store(*[track("ada", "Looked")] * more, received_at=NOW)
        take_batch(now=NOW)
        with count_statements() as statements:
            admin_client.get(person_url(ada))
        counts.append(len(statements))
    assert counts[0] == counts[1] < 25


def test_a_merged_profile_leads_to_the_person(admin_client: Client) -> None:
    ada = make_profile(first_name="Ada")
    former = Profile.objects.create(merged_into=ada.pk)
    assert person_url(ada) in admin_client.get(person_url(former)).content.decode()
    assert person_url(former) in admin_client.get(person_url(ada)).content.decode()


# --- consent by hand -----------------------------------------------------------------------------------------


def said(**changes: object) -> dict[str, object]:
    return {"channel": 1, "state": 2, "reason": "Wrote to support.", **changes}


def test_consent_is_set_by_hand_with_a_reason_and_audited(
    client: Client, queue: Callable[[Profile], Message]
) -> None:
    ada = make_profile()
    message = queue(ada)
    boss = User.objects.create_superuser("boss")
    client.force_login(boss)

    answer = client.post(reverse("admin:profiles_profile_consent", args=[ada.pk]), said(), follow=True)

    consent = Consent.objects.get()
    assert (consent.state, consent.reason) == (Consent.State.OPTED_OUT, "Wrote to support.")
    message.refresh_from_db()
    assert message.state == Message.State.WITHHELD
    event = AuditEvent.objects.get(action="set_consent")
    assert (event.user, event.object_key) == (boss, str(ada.pk))
    assert (event.data["state"], event.data["reason"]) == ("opted_out", "Wrote to support.")
    assert "Set by hand by boss. Wrote to support." in answer.content.decode()


@pytest.mark.parametrize("changes", [{"reason": ""}, {"channel": 99}, {"state": 0}])
def test_what_is_no_consent_is_refused(admin_client: Client, changes: dict[str, object]) -> None:
    ada = make_profile()
    answer = admin_client.post(reverse("admin:profiles_profile_consent", args=[ada.pk]), said(**changes))
    assert answer.status_code == 422
    assert not Consent.objects.exists()
    assert not AuditEvent.objects.filter(action="set_consent").exists()


def test_who_may_only_look_sees_no_form_and_changes_nothing(client: Client) -> None:
    ada = make_profile()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_profile"))
    client.force_login(viewer)
    assert "Set by hand" not in client.get(person_url(ada)).content.decode()
    url = reverse("admin:profiles_profile_consent", args=[ada.pk])
    assert client.post(url, said()).status_code == 403
    assert not Consent.objects.exists()


def test_who_answers_for_privacy_may_set_consent(client: Client) -> None:
    ada = make_profile()
    person = User.objects.create_user("privacy", is_staff=True)
    person.groups.add(Group.objects.get(name="privacy"))
    client.force_login(person)
    assert "Set by hand" in client.get(person_url(ada)).content.decode()
    assert client.post(reverse("admin:profiles_profile_consent", args=[ada.pk]), said()).status_code == 302
    assert Consent.objects.get().state == Consent.State.OPTED_OUT


def test_without_the_right_to_look_there_is_nothing(
    client: Client, queue: Callable[[Profile], Message]
) -> None:
    ada = make_profile()
    message = queue(ada)
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    for url in (
        person_url(ada),
        reverse("admin:profiles_profile_timeline", args=[ada.pk]),
        reverse("admin:channels_message_change", args=[message.pk]),
        reverse("admin:channels_message_source", args=[message.pk]),
    ):
        assert client.get(url).status_code == 403, url


# --- a message -----------------------------------------------------------------------------------------------


def test_a_message_is_shown_in_words_with_its_source(
    admin_client: Client, queue: Callable[[Profile], Message]
) -> None:
    ada = make_profile("ada", first_name="Ada <script>")
    message = queue(ada)
    url = reverse("admin:channels_message_change", args=[message.pk])

    page = admin_client.get(url).content.decode()

    assert "Waits in the outbox" in page
    assert "Rendered again" in page
    assert "To: ada@example.com" in page
    assert "<script>.</p>" not in page
    assert "sandbox srcdoc" in page
    assert person_url(ada) in page


def test_the_source_is_what_the_sender_renders(
    admin_client: Client, queue: Callable[[Profile], Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    ada = make_profile("ada", first_name="Ada")
    message = queue(ada)

    def send(_self: object, batch: list[delivery.sender.Outgoing]) -> list[object]:
        sent.extend(each.body for each in batch)
        return []

    monkeypatch.setattr("channels.providers.smtp.SmtpProvider.send", send)
    delivery.take_batch(Channel.EMAIL, now=NOW)
    url = reverse("admin:channels_message_source", args=[message.pk])

    answer = admin_client.get(url)

    assert answer["Content-Disposition"] == f'attachment; filename="message-{message.pk}.eml"'
    assert [answer.content] == sent


def test_a_message_that_cannot_be_rendered_says_why(
    admin_client: Client, queue: Callable[[Profile], Message]
) -> None:
    message = queue(make_profile())
    Profile.objects.update(attributes={})
    page = admin_client.get(reverse("admin:channels_message_change", args=[message.pk])).content.decode()
    assert "The profile has no usable address on this channel." in page
    answer = admin_client.get(reverse("admin:channels_message_source", args=[message.pk]))
    assert answer.status_code == 409


def test_a_withheld_message_says_why_in_the_list(
    admin_client: Client, queue: Callable[[Profile], Message]
) -> None:
    ada = make_profile()
    queue(ada)
    services.unsubscribe(profile_id=ada.pk, channel=Channel.EMAIL, reason="", now=NOW)
    page = admin_client.get(
        reverse("admin:channels_message_changelist"), {"content": "welcome"}
    ).content.decode()
    assert "Withheld" in page
    assert "The profile opted out of this channel" in page


def test_looking_at_a_message_counts_nothing() -> None:
    html = '<a href="https://b.example/t/c/abc/0">x</a><img src="https://b.example/t/o/abc" alt="">'
    assert "/t/" not in disarmed(html)
    assert 'href="#"' in disarmed(html)


def test_a_source_is_taken_apart() -> None:
    source = read_source(
        b"Subject: =?utf-8?q?Gr=C3=BCn?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHi\r\n"
    )
    assert (source.text, source.html) == ("Hi\n", None)
    assert ("Subject", "Grün") in source.headers
