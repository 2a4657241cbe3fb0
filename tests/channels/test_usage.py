from __future__ import annotations

from typing import Any

import pytest

from channels.models import Content, ContentVersion, Variant
from channels.offer_uses import placements_in_use, policies_in_use
from profiles.models import Channel
from tests.support import count_statements

pytestmark = pytest.mark.django_db
SHOWS = '{% offer "front" placement: "hero" as pick %}{{ pick.title }}{% endoffer %}'


def write(name: str, *versions: dict[str, Any], draft: dict[str, Any] | None = None) -> None:
    content = Content.objects.create(key=name.lower().replace(" ", "-"), name=name, channel=Channel.PUSH)
    for number, fields in enumerate([*versions, *([draft] if draft else [])], start=1):
        state = ContentVersion.State.DRAFT if fields is draft else ContentVersion.State.PUBLISHED
        version = ContentVersion.objects.create(content=content, number=number, state=state)
        Variant.objects.create(version=version, **fields)


def test_only_words_that_are_sent_or_drafted_use_a_policy() -> None:
    write("Published", {"text": "Hello"}, {"text": SHOWS})
    write("Drafted", {"text": "Hello"}, draft={"text": SHOWS})
    write("For the app", {"text": "Hello", "columns": [["sku", SHOWS]]})
    write("No more", {"text": SHOWS}, {"text": "Hello"})
    write("Another", {"text": SHOWS.replace("front", "back").replace("hero", "foot")})
    with count_statements() as statements:
        uses = policies_in_use(["front", "unknown"])
    assert len(statements) == 1
    assert {key: [use.name for use in found] for key, found in uses.items()} == {
        "front": ["Drafted", "For the app", "Published"]
    }
    assert [use.name for use in placements_in_use(["hero"])["hero"]] == [
        "Drafted",
        "For the app",
        "Published",
    ]
