"""Audiences through the API, from a rule to the people in it."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from profiles.audiences import services
from profiles.models import Audience, Profile
from tests.api.support import client_with, make_person, problem, signed_in
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import look_at_everybody, make_audience, make_list
from tests.support import count_statements

pytestmark = pytest.mark.django_db
URL = "/api/v1/audiences/"


def test_an_audience_is_written_activated_and_read(api: APIClient) -> None:
    gold = make_profile("ada", tier="gold", first_name="Ada")
    make_profile("bob", tier="blue")
    made = api.post(URL, {"key": "golden", "name": "Golden", "rule": "profile.tier=='gold'"})
    assert made.status_code == 201
    assert made.json() == {
        "key": "golden",
        "name": "Golden",
        "description": "",
        "kind": "rule",
        "state": "draft",
        "rule": 'profile.tier == "gold"',
        "members": 0,
        "evaluated_at": None,
        "is_being_evaluated": False,
        "created_at": made.json()["created_at"],
    }
    assert api.post(f"{URL}golden/activate/").json()["is_being_evaluated"] is True
    look_at_everybody(NOW)
    body = api.get(f"{URL}golden/").json()
    assert (body["state"], body["members"], body["evaluated_at"]) == ("active", 1, "2026-11-21T12:00:00Z")
    members = api.get(f"{URL}golden/members/").json()
    assert members["results"] == [
        {"profile": str(gold.pk), "name": "Ada", "entered_at": "2026-11-21T12:00:00Z"}
    ]
    assert api.post(f"{URL}golden/evaluate/").json()["is_being_evaluated"] is True
    changed = api.patch(f"{URL}golden/", {"name": "Blue", "rule": 'profile.tier == "blue"'}).json()
    assert (changed["name"], changed["rule"]) == ("Blue", 'profile.tier == "blue"')
    archived = api.post(f"{URL}golden/archive/").json()
    assert (archived["state"], archived["members"]) == ("archived", 0)
    actions = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "create_audience",
        "change_audience",
        "activate_audience",
        "evaluate_audience",
        "change_audience",
        "change_audience",
        "archive_audience",
    ]
    assert AuditEvent.objects.filter(data__changes__rule__1='profile.tier == "blue"').count() == 1


def test_what_is_wrong_is_said_at_its_place(api: APIClient) -> None:
    body = problem(api.post(URL, {"key": "a", "name": "A", "rule": "profile.age >"}), 400, "invalid")
    assert body["errors"][0]["field"] == "rule"
    assert body["detail"].startswith("rule: Line 1, column 14")
    assert not Audience.objects.exists(), "A refused rule left an audience behind."
    make_audience("taken", "profile.vip")
    body = problem(api.post(URL, {"key": "taken", "name": "A"}), 409, "refused")
    assert body["errors"] == [{"field": "key", "code": "taken", "message": body["detail"]}]
    problem(api.post(URL, {"key": "a", "name": "A", "kind": "list", "rule": "profile.vip"}), 409, "refused")
    make_list("friends")
    problem(api.post(f"{URL}friends/activate/"), 409, "refused")
    problem(api.patch(f"{URL}friends/", {"rule": "profile.vip"}), 409, "refused")
    problem(api.post(f"{URL}friends/evaluate/"), 409, "refused")
    problem(api.get(f"{URL}nothing/members/"), 404, "not_found")
    make_audience("others", 'inAudience("taken")')
    body = problem(api.post(f"{URL}taken/archive/"), 409, "refused")
    assert "“others”" in body["detail"]
    assert Audience.objects.get(key="taken").state == "active"
    assert [row["key"] for row in api.get(URL, {"kind": "list"}).json()["results"]] == ["friends"]


def test_a_rule_is_estimated_without_storing_anything(api: APIClient) -> None:
    ada = make_profile("ada", tier="gold", first_name="Ada")
    make_profile("bob")
    body = api.post(f"{URL}estimate/", {"rule": 'profile.tier == "gold"'}).json()
    assert body == {
        "problems": [],
        "count": 1,
        "of": 2,
        "is_exact": True,
        "at_least": 1,
        "at_most": 1,
        "note": "Everybody was looked at, so this is exact.",
        "sample": [{"id": str(ada.pk), "name": "Ada", "email": "ada@example.com"}],
    }
    body = api.post(f"{URL}estimate/", {"rule": "profile.age > 1 &&\n profle.x"}).json()
    assert (body["count"], body["sample"]) == (None, [])
    assert body["problems"] == [
        {
            "message": "'profle' is not known here. Did you mean profile?",
            "token": "profle",
            "offset": 20,
            "line": 2,
            "column": 2,
        }
    ]
    assert not Audience.objects.exists()


def test_a_list_is_uploaded_and_its_strangers_are_told(api: APIClient) -> None:
    ada = make_profile("ada")
    make_list("friends")
    url = f"{URL}friends/upload/"
    done = api.post(url, {"namespace": "email", "values": ["ada@example.com", "eve@example.com"]})
    assert done.json() == {
        "lines": 2,
        "people": 1,
        "made": 0,
        "unmatched": [{"line": 2, "value": "eve@example.com", "reason": "Nobody has this identity."}],
        "unmatched_count": 1,
    }
    assert [row["profile"] for row in api.get(f"{URL}friends/members/").json()["results"]] == [str(ada.pk)]
    assert Profile.objects.count() == 1
    csv = "Name,Address\nEve,eve@example.com"
    done = api.post(url, {"namespace": "email", "csv": csv, "column": "Address", "create_missing": True})
    assert (done.json()["people"], done.json()["made"]) == (1, 1)
    assert AuditEvent.objects.filter(action="upload_audience").latest("id").data["made"] == 1
    problem(api.post(url, {"namespace": "email", "csv": csv}), 400, "invalid")
    problem(api.post(url, {"namespace": "email", "csv": csv, "values": []}), 400, "invalid")
    body = problem(api.post(url, {"namespace": "mail", "values": []}), 400, "invalid")
    assert "user_id, anonymous_id, email, phone" in body["detail"]
    make_audience("golden", "profile.vip")
    problem(api.post(f"{URL}golden/upload/", {"namespace": "email", "values": []}), 409, "refused")


def test_a_repeated_upload_is_done_once(api: APIClient) -> None:
    make_list("friends")
    asked = {"namespace": "user_id", "values": ["new"], "create_missing": True}
    for _ in range(2):
        done = api.post(f"{URL}friends/upload/", asked, headers={"Idempotency-Key": "one"})
        assert done.json()["made"] == 1
    assert AuditEvent.objects.filter(action="upload_audience").count() == 1


def test_members_come_in_pages(api: APIClient) -> None:
    people = [make_profile().pk for _ in range(5)]
    services.replace_list(make_list("friends"), people, now=NOW)
    first = api.get(f"{URL}friends/members/", {"limit": 2}).json()
    second = api.get(first["next"]).json()
    assert [int(row["profile"]) for row in first["results"] + second["results"]] == people[:4]
    assert api.get(second["previous"]).json()["results"] == first["results"]


def test_lists_cost_the_same_for_few_and_many(api: APIClient) -> None:
    def costs() -> list[int]:
        found = []
        for url in (URL, f"{URL}first/members/"):
            with count_statements() as seen:
                assert api.get(url).status_code == 200
            found.append(len(seen))
        return found

    services.replace_list(make_list("first"), [make_profile().pk], now=NOW)
    few = costs()
    services.replace_list(Audience.objects.get(), [make_profile().pk for _ in range(6)], now=NOW)
    for number in range(6):
        make_list(f"list-{number}")
    assert costs() == few
    assert max(few) <= 4


def test_rights_are_those_of_the_scope() -> None:
    make_list("friends")
    reader = client_with("audiences:read")
    assert reader.get(URL).status_code == 200
    problem(reader.post(URL, {"key": "a", "name": "A"}), 403, "missing_scope")
    problem(reader.post(f"{URL}friends/upload/", {"namespace": "email", "values": []}), 403, "missing_scope")
    viewer = signed_in(make_person("profiles.view_audience", "profiles.view_profile"))
    assert viewer.post(f"{URL}estimate/", {"rule": "profile.vip"}, format="json").status_code == 200
    problem(viewer.post(f"{URL}friends/archive/"), 403, "missing_permission")
    assert Audience.objects.get().state == "draft"
