"""Journeys through the API, from the first draft to the end."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from journeys.models import Journey, JourneyInstance, JourneyVersion, JourneyWait
from tests.api.support import make_person, problem, signed_in
from tests.factories import NOW, make_event_type, make_profile, make_step
from tests.support import count_statements

pytestmark = pytest.mark.django_db
GRAPH: dict[str, Any] = {
    "activities": [
        {"id": "start", "kind": "event_entry", "config": {"event": "Signed Up"}},
        {"id": "stop", "kind": "end", "config": {}},
    ],
    "links": [{"from": "start", "port": "next", "to": "stop"}],
}


def make_journey(api: APIClient, key: str = "welcome", *, is_live: bool = False) -> str:
    assert api.post("/api/v1/journeys/", {"key": key, "name": key.title()}).status_code == 201
    saved = api.put(f"/api/v1/journeys/{key}/draft/", {"graph": GRAPH, "re_entry": "never", "revision": 1})
    assert saved.status_code == 200, saved.content
    if is_live:
        assert api.post(f"/api/v1/journeys/{key}/publish/").status_code == 200
    return f"/api/v1/journeys/{key}/"


def test_a_journey_is_written_checked_and_published(api: APIClient) -> None:
    made = api.post("/api/v1/journeys/", {"key": "welcome", "name": "Welcome"})
    assert made.status_code == 201
    assert made.json() == {
        "key": "welcome",
        "name": "Welcome",
        "description": "",
        "state": "draft",
        "versions": [
            {"number": 1, "state": "draft", "re_entry": "never", "published_at": None, "ended_at": None}
        ],
        "draft": {"number": 1, "revision": 1},
        "goal": None,
        "created_at": made.json()["created_at"],
    }
    empty = api.get("/api/v1/journeys/welcome/draft/").json()
    assert empty["revision"] == 1
    assert [p["message"] for p in empty["problems"]] == [
        "The journey has no entry, so nobody could ever come in. Add one."
    ]
    saved = api.put(
        "/api/v1/journeys/welcome/draft/", {"graph": GRAPH, "re_entry": "after_end", "revision": 1}
    ).json()
    assert (saved["revision"], saved["re_entry"], saved["graph"], saved["problems"]) == (
        2,
        "after_end",
        GRAPH,
        [],
    )
    assert saved["boxes"]["start"]["ports"] == [{"id": "next", "label": "", "is_optional": False}]
    published = api.post("/api/v1/journeys/welcome/publish/").json()
    assert (published["state"], published["draft"]) == ("live", None)
    seen = api.get("/api/v1/journeys/welcome/draft/").json()
    assert (seen["number"], seen["revision"], seen["graph"]) == (1, None, GRAPH)
    version = api.get("/api/v1/journeys/welcome/versions/1/").json()
    assert (version["state"], version["graph"]) == ("live", GRAPH)
    assert version["boxes"].keys() == {"start", "stop"}
    for verb, state in [("pause", "paused"), ("resume", "live"), ("close", "closed"), ("stop", "stopped")]:
        assert api.post(f"/api/v1/journeys/welcome/{verb}/").json()["state"] == state


def test_validation_stores_nothing(api: APIClient) -> None:
    url = make_journey(api)
    checked = api.post(f"{url}validate/", {"graph": {"activities": [{"id": "x", "kind": "nope"}]}}).json()
    assert checked["problems"][0]["activity"] == "x"
    assert checked["boxes"] == {}
    assert JourneyVersion.objects.get().graph == GRAPH


def test_a_colleagues_draft_is_not_overwritten(api: APIClient) -> None:
    url = make_journey(api)
    stale = api.put(f"{url}draft/", {"graph": {}, "re_entry": "never", "revision": 1})
    assert "no longer at revision 1" in problem(stale, 409, "stale_revision")["detail"]
    second = api.put(f"{url}draft/", {"graph": {}, "re_entry": "never", "revision": None})
    problem(second, 409, "stale_revision")
    assert JourneyVersion.objects.get().graph == GRAPH


def test_what_publishing_refuses_names_box_and_setting(api: APIClient) -> None:
    url = make_journey(api)
    graph = {
        **GRAPH,
        "activities": [{"id": "start", "kind": "event_entry", "config": {}}, GRAPH["activities"][1]],
    }
    api.put(f"{url}draft/", {"graph": graph, "re_entry": "never", "revision": 2})
    body = problem(api.post(f"{url}publish/"), 409, "refused")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [
        ("activities.start.event", "error")
    ]
    assert JourneyVersion.objects.get().state == "draft"


@pytest.mark.parametrize("verb", ["pause", "resume", "close", "stop"])
def test_moves_that_are_not_possible_are_refused_with_the_reason(api: APIClient, verb: str) -> None:
    url = make_journey(api)
    problem(api.post(f"{url}{verb}/"), 409, "refused")
    assert JourneyVersion.objects.get().state == "draft"


def test_a_key_is_taken_once(api: APIClient) -> None:
    make_journey(api)
    body = problem(api.post("/api/v1/journeys/", {"key": "welcome", "name": "Other"}), 409, "refused")
    assert [error["field"] for error in body["errors"]] == ["key"]
    assert Journey.objects.get().name == "Welcome"


def test_name_and_description_change_the_key_never(api: APIClient) -> None:
    url = make_journey(api)
    assert api.patch(url, {"description": "For new people"}).json()["description"] == "For new people"
    assert api.patch(url, {"name": "Hello"}).json()["name"] == "Hello"
    body = problem(api.patch(url, {"key": "other"}), 400, "invalid")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [("key", "unknown")]


def test_the_audit_trail_names_the_person_or_the_key(api: APIClient) -> None:
    make_journey(api)
    line = AuditEvent.objects.get(action="create_journey")
    assert line.user is None
    assert line.data["api_key"] == api._credentials["HTTP_AUTHORIZATION"][8:16]
    person = make_person("journeys.view_journey", "journeys.change_journey", "journeys.add_journey")
    signed_in(person).patch("/api/v1/journeys/welcome/", {"name": "Hi"})
    line = AuditEvent.objects.get(action="describe_journey")
    assert line.user == person
    assert "api_key" not in line.data


def test_a_walk_shows_what_it_waits_for_and_each_step(api: APIClient) -> None:
    make_journey(api, is_live=True)
    version = JourneyVersion.objects.get()
    profile = make_profile()
    walk = JourneyInstance.objects.create(
        journey=version.journey, version=version, profile=profile, entry_no=1, activity="start", visit=2,
        entered_at=NOW,
    )  # fmt: skip
    JourneyInstance.objects.create(
        journey=version.journey, version=version, profile=profile, entry_no=2, activity="stop", visit=1,
        state=JourneyInstance.State.ENDED, entered_at=NOW, ended_at=NOW,
    )  # fmt: skip
    JourneyWait.objects.create(
        instance=walk, version=version, activity="start", visit=2, profile=profile,
        event_type=make_event_type("Paid"), due_at=NOW,
    )  # fmt: skip
    make_step(walk, 1, "start", "next", detail="So it is.")
    listed = api.get("/api/v1/instances/", {"profile": str(profile.pk), "state": "active"}).json()["results"]
    assert listed == [
        {
            "id": str(walk.pk),
            "journey": "welcome",
            "version": 1,
            "profile": str(profile.pk),
            "entry_no": 1,
            "state": "active",
            "activity": "start",
            "entered_at": "2026-11-21T12:00:00Z",
            "ended_at": None,
        }
    ]
    assert api.get("/api/v1/instances/", {"journey": "other"}).json()["results"] == []
    body = api.get(f"/api/v1/instances/{walk.pk}/").json()
    assert body["wait"] == {"due_at": "2026-11-21T12:00:00Z", "event": "Paid"}
    assert body["steps"] == [
        {
            "visit": 1,
            "activity": "start",
            "outcome": "next",
            "detail": "So it is.",
            "at": "2026-11-21T12:00:00Z",
        }
    ]


def test_activities_are_described_for_the_canvas(api: APIClient) -> None:
    kinds = {kind["kind"]: kind for kind in api.get("/api/v1/activities/").json()}
    assert kinds["event_entry"]["is_entry"] is True
    assert [field["name"] for field in kinds["event_entry"]["fields"]] == ["event"]


def test_lists_cost_the_same_for_few_and_many(api: APIClient) -> None:
    def cost(url: str) -> int:
        with count_statements() as seen:
            assert api.get(url).status_code == 200
        return len(seen)

    make_journey(api, "one", is_live=True)
    few = cost("/api/v1/journeys/"), cost("/api/v1/instances/")
    for number in range(5):
        make_journey(api, f"more-{number}", is_live=True)
    version = JourneyVersion.objects.all()[0]
    for number in range(5):
        JourneyInstance.objects.create(
            journey=version.journey, version=version, profile=make_profile(), entry_no=number, activity="a",
            visit=1, entered_at=timezone.now(),
        )  # fmt: skip
    assert (cost("/api/v1/journeys/"), cost("/api/v1/instances/")) == few == (3, 2)


def test_counts_are_sent_again_only_when_they_changed(api: APIClient) -> None:
    url = make_journey(api, is_live=True)
    first = api.get(f"{url}counts/")
    assert first.status_code == 200
    assert (first.json()["version"], first.json()["entered"]) == (1, 0)
    assert first.json()["boxes"]["stop"] == {"waiting": 0, "passed": 0, "outcomes": {}}
    unchanged = api.get(f"{url}counts/?version=1", headers={"If-None-Match": first["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    changed = api.get(f"{url}counts/", headers={"If-None-Match": '"another"'})
    assert (changed.status_code, changed["ETag"]) == (200, first["ETag"])
    problem(api.get(f"{url}counts/?version=9"), 404, "not_found")


def test_a_goal_is_a_field_of_the_journey(api: APIClient) -> None:
    url = make_journey(api, is_live=True)
    goal = {"event": "Booked", "condition": "", "days": 7}
    assert api.patch(url, {"goal": {"event": "Booked"}, "name": "Hello"}).json()["goal"] == goal
    refused = problem(
        api.patch(url, {"goal": {**goal, "condition": "entry.x == 1"}, "name": "X"}), 409, "refused"
    )
    assert [error["field"] for error in refused["errors"]] == ["goal.condition"]
    assert api.get(url).json()["name"] == "Hello"
    assert api.get("/api/v1/journeys/").json()["results"][0]["goal"] == goal
    assert api.patch(url, {"goal": None}).json()["goal"] is None
    assert AuditEvent.objects.filter(action="set_goal", object_key="welcome").count() == 2
