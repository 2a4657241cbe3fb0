from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from channels import services
from channels.models import ChannelConfiguration, Content, ContentVersion, Message, SendHold
from tests.factories import NOW, make_configuration, make_profile

pytestmark = pytest.mark.django_db

WORDS = {"subject": "Hi", "text": "Hello {{ profile.first_name }}"}


def do(client: Client, content: Content, verb: str) -> str:
    """Press a button of a content, say yes, and return where it leads."""
    url = reverse(f"admin:channels_content_{verb}", args=[content.pk])
    assert client.get(url).status_code == 200
    return client.post(url, {"_form_submitted": "on"}, headers={"HX-Request": "true"})["HX-Redirect"]


def test_the_pages_open(admin_client: Client, queue: Callable[..., None]) -> None:
    queue(make_profile())
    SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="Wait.")
    for name in ("content", "contentversion", "channelconfiguration", "message", "sendhold"):
        assert admin_client.get(reverse(f"admin:channels_{name}_changelist")).status_code == 200
    for model in (Content, ContentVersion, ChannelConfiguration, Message, SendHold):
        url = reverse(f"admin:channels_{model._meta.model_name}_change", args=[model.objects.get().pk])
        assert admin_client.get(url).status_code == 200


def test_a_draft_begins_with_the_newest_words_and_is_published(admin_client: Client) -> None:
    content = services.save_draft(key="a", name="A", variants=[WORDS]).content
    do(admin_client, content, "publish")
    assert content.versions.get().state == ContentVersion.State.PUBLISHED
    url = do(admin_client, content, "edit_draft")
    draft = content.versions.get(state=ContentVersion.State.DRAFT)
    assert url == reverse("admin:channels_contentversion_change", args=[draft.pk])
    assert draft.variants.get().subject == "Hi"
    assert services.open_draft(content=content) == draft


def test_problems_are_shown_and_nothing_is_published(admin_client: Client) -> None:
    content = services.save_draft(key="a", name="A", variants=[{**WORDS, "text": "{{ x | upcas }}"}]).content
    page = admin_client.get(do(admin_client, content, "publish"))
    assert "Did you mean upcase?" in page.content.decode()
    assert content.versions.get().state == ContentVersion.State.DRAFT


@pytest.mark.parametrize("is_published", [False, True])
def test_words_can_be_changed_in_a_draft_only(admin_client: Client, is_published: bool) -> None:
    version = services.save_draft(key="a", name="A", variants=[WORDS])
    if is_published:
        services.publish_content(content=version.content, now=NOW)
    variant = version.variants.get()
    form: dict[str, Any] = {
        "variants-TOTAL_FORMS": 1,
        "variants-INITIAL_FORMS": 1,
        "variants-0-id": variant.pk,
        "variants-0-version": version.pk,
        "variants-0-subject": "New",
        "variants-0-text": "New",
    }
    admin_client.post(reverse("admin:channels_contentversion_change", args=[version.pk]), form)
    variant.refresh_from_db()
    assert variant.subject == ("Hi" if is_published else "New")


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
