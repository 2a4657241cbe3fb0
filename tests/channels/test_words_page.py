"""The page of a content that is no email."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent, User
from channels import services
from channels.models import Content, ContentVersion, Variant
from profiles.models import Channel
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
ADD = "admin:channels_content_add"


def make_content(client: Client, channel: int) -> tuple[Content, str]:
    """A content made by hand, and the address of its page."""
    answer = client.post(reverse(ADD), {"name": "Stock", "key": "stock", "channel": str(int(channel))})
    content = Content.objects.get(key="stock")
    url = reverse("admin:channels_content_change", args=[content.pk])
    assert (answer.status_code, answer["Location"]) == (302, url)
    return content, url


def revision(content: Content) -> str:
    return services.revision_of(content.versions.get(state=ContentVersion.State.DRAFT))


def test_a_push_is_written_seen_and_published(admin_client: Client) -> None:
    make_profile(first_name="Ada")
    content, url = make_content(admin_client, Channel.PUSH)
    form = {
        "revision": revision(content),
        "subject": "Hi {{ profile.first_name }}",
        "text": "It is back.",
        "link_url": "https://shop.example/",
        "columns": "sku: {{ event.sku }}\n\nplace: shop",
        "publish": "1",
    }

    answer = admin_client.post(url, form, follow=True)

    page = answer.content.decode()
    assert "Version 1 is published" in page
    assert "Hi Ada" in page
    variant = Variant.objects.get()
    assert (variant.subject, variant.text) == ("Hi {{ profile.first_name }}", "It is back.")
    assert variant.columns == [["sku", "{{ event.sku }}"], ["place", "shop"]]
    assert content.versions.get().state == ContentVersion.State.PUBLISHED
    assert AuditEvent.objects.filter(action="publish_content", object_key="stock").exists()


def test_what_cannot_be_published_is_kept_as_a_draft_and_said(admin_client: Client) -> None:
    content, url = make_content(admin_client, Channel.SMS)

    answer = admin_client.post(
        url, {"revision": revision(content), "text": "Hi {{ profile.first_name", "publish": "1"}, follow=True
    )

    assert "The draft is saved, but not published" in answer.content.decode()
    assert Variant.objects.get().text == "Hi {{ profile.first_name"
    assert content.versions.get().state == ContentVersion.State.DRAFT


def test_nobody_overwrites_a_colleague_unseen(admin_client: Client) -> None:
    content, url = make_content(admin_client, Channel.SMS)
    old = revision(content)
    admin_client.post(url, {"revision": old, "text": "Theirs"})

    answer = admin_client.post(url, {"revision": old, "text": "Mine"})

    assert answer.status_code == 200
    assert "Mine" in answer.content.decode()
    assert Variant.objects.get().text == "Theirs"


def test_other_variants_stay(admin_client: Client) -> None:
    variants = [{"text": "Hello"}, {"text": "Hallo", "locale": "de"}]
    version = services.create_content(key="stock", name="Stock", channel=Channel.SMS, variants=variants)
    url = reverse("admin:channels_content_change", args=[version.content_id])

    admin_client.post(url, {"revision": services.revision_of(version), "text": "Good day"})

    assert sorted(Variant.objects.values_list("locale", "text")) == [("", "Good day"), ("de", "Hallo")]


def test_a_column_without_a_name_is_refused_by_its_line(admin_client: Client) -> None:
    content, url = make_content(admin_client, Channel.DIRECT_MAIL)

    answer = admin_client.post(url, {"revision": revision(content), "columns": "name: Ada\nstreet"})

    assert "Line 2 has no name" in answer.content.decode()
    assert Variant.objects.get().columns == []


def test_who_may_only_look_changes_nothing(admin_client: Client, client: Client) -> None:
    content, url = make_content(admin_client, Channel.SMS)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_content"))
    client.force_login(viewer)

    assert client.get(url).status_code == 200
    assert client.post(url, {"revision": revision(content), "text": "Mine"}).status_code == 403
    assert Variant.objects.get().text == ""
