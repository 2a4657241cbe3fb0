from __future__ import annotations

from typing import Any

import pytest

from ajo.core.models import AuditEvent
from channels import services
from channels.models import Content, ContentVersion, Variant
from channels.services import ContentRefused
from profiles.models import Channel
from tests.factories import NOW

pytestmark = pytest.mark.django_db

WORDS = {"subject": "Hi {{ profile.first_name }}", "html": "<p>Hello</p>"}


def save(*variants: dict[str, str], **fields: Any) -> ContentVersion:
    return services.save_draft(key="welcome", name="Welcome", variants=variants or (WORDS,), **fields)


def test_a_draft_is_replaced_until_it_is_published_and_then_frozen() -> None:
    first = save()
    again = save({**WORDS, "subject": "Hello"})
    assert (again.pk, again.number, again.variants.get().subject) == (first.pk, 1, "Hello")
    published = services.publish_content(content=again.content, now=NOW)
    assert (published.state, published.published_at) == (ContentVersion.State.PUBLISHED, NOW)
    next_draft = save()
    assert next_draft.number == 2
    assert Variant.objects.get(version=published).subject == "Hello"
    actions = list(AuditEvent.objects.order_by("id").values_list("action", "data"))
    assert actions[-1] == ("save_content", {"version": 2})
    assert ("publish_content", {"version": 1}) in actions


def test_what_cannot_be_rendered_is_not_published() -> None:
    broken = {"subject": "Hi {{ profile.name | upcas }}", "html": "<p>\n{% if profile.x %}</p>"}
    version = save(broken, {**WORDS, "locale": "de"})
    with pytest.raises(ContentRefused) as caught:
        services.publish_content(content=version.content, now=NOW)
    assert caught.value.problems == [
        "Subject: Line 1: there is no filter named upcas. Did you mean upcase?",
        "HTML: At the end: expected tag endif, found end of expression.",
    ]
    version.refresh_from_db()
    assert version.state == ContentVersion.State.DRAFT


def test_a_variant_for_everybody_is_needed() -> None:
    version = save({**WORDS, "locale": "de"})
    with pytest.raises(ContentRefused, match="variant without treatment and locale is missing"):
        services.publish_content(content=version.content, now=NOW)


def test_nothing_to_publish_is_said() -> None:
    content = save().content
    services.publish_content(content=content, now=NOW)
    with pytest.raises(ContentRefused, match="has no draft"):
        services.publish_content(content=content, now=NOW)


def test_headers_are_one_line_already_when_saved() -> None:
    with pytest.raises(ContentRefused, match="one line"):
        save({**WORDS, "subject": "a\nBcc: b@c.example"})
    assert not Content.objects.filter(key="welcome", versions__variants__isnull=False).exists()


def test_a_key_belongs_to_one_channel() -> None:
    save()
    with pytest.raises(ContentRefused, match="another channel"):
        save(channel=Channel.SMS)
