from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from channels import services
from channels.models import ChannelConfiguration, Content, Message, SendHold
from profiles.models import AttributeDefinition
from tests.api.support import make_person
from tests.factories import NOW, make_configuration, make_event_type, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db

WORDS = {"subject": "Hi", "text": "Hello {{ profile.first_name }}"}


def boot_of(client: Client, content: Content) -> dict[str, Any]:
    """What the page of a content tells its editor."""
    page = client.get(reverse("admin:channels_content_change", args=[content.pk]))
    assert page.status_code == 200
    found = re.search(
        r'<script id="content-boot" type="application/json">(.*?)</script>', page.content.decode()
    )
    assert found is not None
    boot: dict[str, Any] = json.loads(found[1])
    return boot


def test_the_pages_open(admin_client: Client, queue: Callable[..., None]) -> None:
    queue(make_profile())
    SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="Wait.")
    for name in ("content", "channelconfiguration", "message", "sendhold"):
        assert admin_client.get(reverse(f"admin:channels_{name}_changelist")).status_code == 200
    for model in (Content, ChannelConfiguration, Message, SendHold):
        url = reverse(f"admin:channels_{model._meta.model_name}_change", args=[model.objects.get().pk])
        assert admin_client.get(url).status_code == 200


def test_a_new_content_begins_with_a_starting_point_and_opens_its_editor(admin_client: Client) -> None:
    form = {"name": "Spring news", "key": "spring-news", "channel": "1", "starting_point": "newsletter"}
    answer = admin_client.post(reverse("admin:channels_content_add"), form)
    content = Content.objects.get()
    assert answer["Location"] == reverse("admin:channels_content_change", args=[content.pk])
    variant = content.versions.get().variants.get()
    assert (content.key, content.name, variant.subject) == (
        "spring-news",
        "Spring news",
        "What is new this week",
    )
    assert "<mj-text" in variant.mjml
    again = admin_client.post(reverse("admin:channels_content_add"), form)
    assert (again.status_code, Content.objects.count()) == (200, 1)


def test_the_editor_knows_the_fields_and_what_its_reader_may_do(admin_client: Client) -> None:
    AttributeDefinition.objects.create(key="first_name", label="First name")
    make_event_type("Ordered")
    make_event_type("$identify")
    configuration = make_configuration("mail")
    make_configuration("old", is_active=False)
    content = services.save_draft(key="a", name="A", variants=[WORDS]).content
    boot = boot_of(admin_client, content)
    assert boot["fields"][0] == {
        "path": "profile.first_name",
        "label": "First name",
        "group": "profile",
        "type": "text",
    }
    assert boot["events"] == ["Ordered"]
    assert [each["key"] for each in boot["configurations"]] == [configuration.key]
    assert all(boot[right] for right in ("canChange", "canPublish", "canProof", "canSeePeople"))


def test_who_may_only_look_gets_an_editor_that_changes_nothing(client: Client) -> None:
    content = services.save_draft(key="a", name="A", variants=[WORDS]).content
    client.force_login(make_person("channels.view_content"))
    boot = boot_of(client, content)
    assert not any(boot[right] for right in ("canChange", "canPublish", "canProof", "canSeePeople"))
    client.force_login(make_person("channels.view_message"))
    url = reverse("admin:channels_content_change", args=[content.pk])
    assert client.get(url).status_code == 403
    client.force_login(make_person("channels.view_content"))
    assert client.get(reverse("admin:channels_content_change", args=[content.pk + 1])).status_code == 404


def test_the_list_says_state_and_use_in_as_many_statements_for_one_as_for_many(admin_client: Client) -> None:
    url = reverse("admin:channels_content_changelist")

    def page() -> tuple[str, int]:
        with count_statements() as seen:
            answer = admin_client.get(url)
        return answer.content.decode(), len(seen)

    first = services.save_draft(key="a", name="A", variants=[WORDS]).content
    assert "Draft" in page()[0]
    services.publish_content(content=first, now=NOW)
    seen, statements = page()
    assert "Published v1" in seen
    services.open_draft(content=first)
    for key in ("b", "c"):
        services.save_draft(key=key, name=key, variants=[WORDS])
    seen, more = page()
    assert "Published v1, draft" in seen
    assert more == statements


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('{"port": 99999}', "port: Ensure this value is less than or equal to 65535."),
        (
            '{"password_env": "AJO_SECRET_KEY"}',
            "password_env: This value does not match the required pattern.",
        ),
        ("{}", ""),
    ],
)
def test_the_settings_of_a_configuration_are_checked(
    admin_client: Client, settings: str, problem: str
) -> None:
    configuration = make_configuration()
    form = {
        "name": "Email",
        "channel": 1,
        "provider": "smtp",
        "settings": settings,
        "sender_address": "hello@brand.example",
        "is_active": "on",
    }
    answer = admin_client.post(
        reverse("admin:channels_channelconfiguration_change", args=[configuration.pk]), form
    )
    assert answer.status_code == (200 if problem else 302)
    assert problem in answer.content.decode()


def test_messages_are_found_by_number_profile_and_address(
    admin_client: Client, queue: Callable[..., None]
) -> None:
    ada, bob = make_profile(email="ada@example.com"), make_profile(email="bob@example.com")
    queue(ada, bob)
    url = reverse("admin:channels_message_changelist")
    for term in (str(Message.objects.get(profile=ada).pk), str(ada.pk), " ADA@example.com "):
        found = admin_client.get(url, {"q": term}).context["cl"].queryset
        assert ada.pk in [message.profile_id for message in found]
    found = admin_client.get(url, {"q": "ada@example.com"}).context["cl"].queryset
    assert [message.profile_id for message in found] == [ada.pk]
    assert not admin_client.get(url, {"q": "nobody@example.com"}).context["cl"].queryset


def test_messages_cannot_be_written_by_hand(admin_client: Client, queue: Callable[..., None]) -> None:
    queue(make_profile())
    url = reverse("admin:channels_message_change", args=[Message.objects.get().pk])
    assert admin_client.post(url, {"state": 2}).status_code == 403
