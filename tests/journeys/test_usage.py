from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from channels import usage
from journeys import services
from journeys.models import Journey
from profiles.audiences import usage as audience_usage
from tests.factories import make_configuration, make_event_type, make_variant
from tests.journeys.helpers import box, entry_box, line

pytestmark = pytest.mark.django_db


def graph(content: str) -> dict[str, Any]:
    message = {"content": content, "configuration": "email", "message_class": "transactional"}
    return {
        "activities": [
            {"id": "in", "kind": "event_entry", "config": {"event": "Signed Up"}},
            {"id": "mail", "kind": "message", "config": message},
            {"id": "out", "kind": "end", "config": {}},
        ],
        "links": [
            {"from": "in", "port": "next", "to": "mail"},
            {"from": "mail", "port": "next", "to": "out"},
        ],
    }


def make_journey(key: str, content: str) -> Journey:
    journey = services.create_journey(key=key, name=key.title(), user=None)
    services.save_draft(journey=journey, graph=graph(content), re_entry="never", revision=1, user=None)
    return journey


def test_a_content_is_used_by_drafts_and_by_what_is_live() -> None:
    make_configuration()
    make_event_type()
    for key in ("used", "free"):
        make_variant(key)
    live, draft = make_journey("live", "used"), make_journey("draft", "used")
    services.publish_journey(journey=live, now=timezone.now(), user=None)
    uses = usage.uses_of(["used", "free"])
    assert {key: [use.name for use in found] for key, found in uses.items()} == {"used": ["Draft", "Live"]}
    assert [use.url for use in uses["used"]] == [
        f"/admin/journeys/journey/{journey.pk}/change/" for journey in (draft, live)
    ]
    services.stop_journey(journey=live, now=timezone.now(), user=None)
    assert [use.name for use in usage.uses_of(["used"])["used"]] == ["Draft"]


def test_a_half_drawn_draft_is_no_obstacle() -> None:
    journey = services.create_journey(key="odd", name="Odd", user=None)
    odd = {"activities": [1, {"id": "a"}, {"id": "b", "config": {"content": ["used"]}}], "links": []}
    services.save_draft(journey=journey, graph=odd, re_entry="never", revision=1, user=None)
    assert usage.uses_of(["used"]) == {}


def test_an_audience_is_used_by_who_enters_and_who_leaves_by_it() -> None:
    entry, end = box("entry", "audience_entry", audience="delayed"), box("end", "end")
    out = box("out", "exit_on_audience", audience="delayed")
    for key, drawn in {
        "entered": line(entry, end),
        "left": line(entry_box(), end) | {"activities": [entry_box(), end, out]},
        "other": line(box("entry", "audience_entry", audience="buyers"), end),
    }.items():
        journey = services.create_journey(key=key, name=key.title(), user=None)
        services.save_draft(journey=journey, graph=drawn, re_entry="never", revision=1, user=None)

    found = audience_usage.uses_of(["delayed", "nobody"])

    assert {key: [use.name for use in uses] for key, uses in found.items()} == {
        "delayed": ["Entered", "Left"]
    }
