"""Offers over the API: written, approved, decided about, and every refusal with its field."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from offers.models import CapCounter, CapHold, Decision, OfferStat
from profiles.models import AttributeDefinition
from tests.api.support import client_with, make_person, problem, signed_in
from tests.factories import make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy

pytestmark = pytest.mark.django_db

PLACEMENT = {"key": "hero", "name": "Hero", "channel": "web"}
SWEATER = {
    "key": "sweater",
    "name": "Sweater",
    "priority": 5,
    "attributes": {"category": "knitwear"},
    "eligibility": 'profile.tier == "gold"',
    "representations": [{"placement": "hero", "title": "Warm"}],
    "capping_rules": [{"scope": "profile", "period": "month", "limit": 2, "event": "shown"}],
}


@pytest.fixture
def api(db: None) -> APIClient:
    return client_with()


def post(api: APIClient, url: str, body: Any = None, **headers: str) -> Any:
    return api.post(f"/api/v1/{url}", body, format="json", **headers)


def put(api: APIClient, url: str, body: Any) -> Any:
    return api.put(f"/api/v1/{url}", body, format="json")


def test_a_policy_is_written_approved_and_decides(api: APIClient) -> None:
    assert post(api, "placements/", PLACEMENT).status_code == 201
    made = post(api, "offers/", SWEATER)
    assert (made.status_code, made.json()["state"]) == (201, "draft")
    assert post(api, "offers/sweater/approve/").json()["state"] == "approved"
    knits = {"key": "knits", "name": "Knits", "kind": "rule", "rule": 'offer.category == "knitwear"'}
    assert post(api, "collections/", knits).status_code == 201
    strategy = {"key": "knits", "name": "Knits", "collection": "knits", "method": "priority"}
    assert post(api, "strategies/", strategy).json()["collection"] == "knits"
    policy = {"key": "front", "name": "Front", "strategies": ["knits"]}
    assert post(api, "policies/", policy).json() == {**policy, "items": 1, "fallback": None}

    person = make_profile("ada", tier="gold")
    asked = {
        "profile": {"namespace": "user_id", "value": "ada"},
        "policy": "front",
        "placement": "hero",
        "explain": True,
    }
    answer = post(api, "decisions/", asked).json()

    assert (answer["profile"], answer["policy"], answer["placement"]) == (str(person.pk), "front", "hero")
    assert answer["items"] == [
        {
            "offer": "sweater",
            "name": "Sweater",
            "title": "Warm",
            "body": "",
            "image_url": "",
            "link_url": "",
            "attributes": {"category": "knitwear"},
            "score": 5.0,
        }
    ]
    assert [one["reason"] for one in answer["candidates"]] == ["Ranked 1st: 5, and nothing stood behind it."]
    found = api.get(f"/api/v1/decisions/{answer['id']}/").json()
    assert (found["offers"], found["policy"], found["candidates"]) == (
        ["sweater"],
        "front",
        answer["candidates"],
    )
    assert list(AuditEvent.objects.order_by("id").values_list("action", "object_key")) == [
        ("save_placement", "hero"),
        ("save_offeritem", "sweater"),
        ("approve_offer", "sweater"),
        ("save_collection", "knits"),
        ("save_selectionstrategy", "knits"),
        ("save_decisionpolicy", "front"),
    ]


def test_without_explain_no_candidate_is_told(api: APIClient) -> None:
    make_policy(make_strategy(make_offer("a")))
    answer = post(api, "decisions/", asked_for(make_profile().pk)).json()
    assert "candidates" not in answer
    assert [item["offer"] for item in answer["items"]] == ["a"]


def asked_for(profile_id: int, **fields: Any) -> dict[str, Any]:
    return {"profile": {"id": str(profile_id)}, "policy": "front-page", "placement": "hero", **fields}


def test_a_rewritten_offer_keeps_its_state_and_what_its_caps_have_counted(api: APIClient) -> None:
    post(api, "placements/", PLACEMENT)
    post(api, "offers/", SWEATER)
    fields = {name: value for name, value in SWEATER.items() if name != "key"}
    rules = [
        {"scope": "profile", "period": "month", "limit": 9, "event": "shown"},
        {"scope": "total", "period": "day", "time_zone": "Asia/Tokyo", "limit": 3, "event": "decided"},
    ]
    before = _rules()
    again = put(api, "offers/sweater/", {**fields, "priority": 7, "capping_rules": rules}).json()
    assert (again["priority"], again["state"], again["capping_rules"][0]["limit"]) == (7, "draft", 9)
    assert _rules()[0] == before[0]
    assert len(_rules()) == 2
    put(api, "offers/sweater/", {**fields, "capping_rules": rules[1:]})
    assert _rules() == _rules()[-1:] != before


def _rules() -> list[int]:
    from offers.models import CappingRule

    return list(CappingRule.objects.order_by("id").values_list("id", flat=True))


@pytest.mark.parametrize(
    ("url", "change", "field", "said"),
    [
        ("offers/", {"eligibility": "profile.age >"}, "eligibility", "Line 1, column"),
        (
            "offers/",
            {"eligibility": "profile.age + 1"},
            "eligibility",
            "holds number where boolean is wanted",
        ),
        (
            "offers/",
            {"representations": [{"placement": "nowhere"}]},
            "representations",
            "no placement with the key",
        ),
        ("offers/", {"key": "taken"}, "key", "already exists"),
        (
            "offers/",
            {"capping_rules": [{"limit": 1, "time_zone": "Mars"}]},
            "capping_rules.0.time_zone",
            "Mars",
        ),
        ("offers/", {"capping_rules": [{"limit": 1}, {"limit": 2}]}, "capping_rules.1", "stands there twice"),
        ("offers/", {"lever": -100}, "lever", "-99"),
        (
            "offers/",
            {"valid_from": "2027-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            "",
            "begin",
        ),
        ("offers/", {"colour": "red"}, "colour", "no such field"),
        ("collections/", {"kind": "rule"}, "rule", "It has no rule"),
        ("collections/", {"kind": "rule", "rule": "profile.age > 1"}, "rule", "There is no profile here"),
        ("collections/", {"offers": ["nothing"]}, "offers", "no offer item with the key nothing"),
        ("strategies/", {"collection": "nowhere"}, "collection", "no collection with the key"),
        ("strategies/", {"collection": "all", "method": "formula"}, "formula", "has none"),
        (
            "strategies/",
            {"collection": "all", "value": '"much"'},
            "value",
            "holds text where number is wanted",
        ),
        ("policies/", {"strategies": ["nowhere"]}, "strategies", "no selection strategy with the key"),
        ("policies/", {"strategies": [], "fallback": "nothing"}, "fallback", "no offer item with the key"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    api: APIClient, url: str, change: dict[str, Any], field: str, said: str
) -> None:
    AttributeDefinition.objects.create(key="age", label="Age", type="number")
    make_offer("taken")
    make_strategy(key="all")
    count = AuditEvent.objects.count()
    body = problem(post(api, url, {"key": "new", "name": "New", **change}), 400, "invalid")
    assert any(error["field"].startswith(field) for error in body["errors"]), body
    assert said in body["detail"], body["detail"]
    assert api.get(f"/api/v1/{url}new/").status_code == 404
    assert AuditEvent.objects.count() == count


def test_an_approved_offer_cannot_be_made_unfit(api: APIClient) -> None:
    make_offer("a")
    body = problem(put(api, "offers/a/", {"name": "A"}), 400, "invalid")
    assert body["errors"][0]["field"] == "representations"
    assert api.get("/api/v1/offers/a/").json()["representations"][0]["title"] == "A"


def test_an_unfit_draft_is_not_approved(api: APIClient) -> None:
    post(api, "offers/", {"key": "a", "name": "A"})
    body = problem(post(api, "offers/a/approve/"), 409, "refused")
    assert body["errors"][0]["field"] == "representations"


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"profile": {}}, 400, "invalid", "profile"),
        ({"profile": {"id": "x"}}, 400, "invalid", "profile.id"),
        ({"profile": {"id": 5}}, 400, "invalid", "profile.id"),
        ({"profile": {"id": "1", "namespace": "email", "value": "a@b.example"}}, 400, "invalid", "profile"),
        ({"profile": {"namespace": "email", "value": "nobody@b.example"}}, 400, "unknown_profile", "profile"),
        ({"profile": {"namespace": "nothing", "value": "x"}}, 400, "unknown_profile", "profile"),
        ({"profile": {"id": "987654321"}}, 400, "unknown_profile", "profile"),
        ({"policy": "nowhere"}, 400, "invalid", "policy"),
        ({"placement": "nowhere"}, 400, "invalid", "placement"),
        ({"colour": "red"}, 400, "invalid", ""),
        ({"context": []}, 400, "invalid", "context"),
        ({"request_id": "x" * 256}, 400, "invalid", "request_id"),
    ],
)
def test_a_decision_that_cannot_be_made_names_the_field(
    api: APIClient, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    make_policy(make_strategy(make_offer("a")))
    body = problem(post(api, "decisions/", asked_for(make_profile().pk) | change), status, code)
    assert [error["field"] for error in body["errors"]] == ([field] if field else [])
    assert not Decision.objects.exists()


def test_a_repeated_request_gets_the_first_decision_and_uses_caps_once(api: APIClient) -> None:
    offer = make_offer("a")
    cap = make_cap(offer, 5)
    make_policy(make_strategy(offer))
    person, other = make_profile().pk, make_profile().pk
    asked = asked_for(person, request_id="r1")
    first = post(api, "decisions/", asked)
    again = post(api, "decisions/", asked)
    by_header = post(api, "decisions/", asked_for(person), HTTP_IDEMPOTENCY_KEY="r1")
    assert first.json() == again.json() == by_header.json()
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    problem(post(api, "decisions/", asked_for(other, request_id="r1")), 422, "key_reused")
    assert post(client_with(), "decisions/", asked).json()["id"] != first.json()["id"]  # another caller's r1
    assert CapCounter.objects.get(rule=cap).n == 2


def test_a_page_reports_what_it_shows_and_what_was_clicked(api: APIClient) -> None:
    offer, other = make_offer("a"), make_offer("b", eligibility="false")
    cap = make_cap(offer, 5, event="shown")
    make_policy(make_strategy(offer, other))
    url = f"decisions/{post(api, 'decisions/', asked_for(make_profile().pk)).json()['id']}/outcomes/"
    for outcome in (
        {"outcome": "shown"},
        {"outcome": "clicked", "offer": "a"},
        {"outcome": "clicked", "offer": "a"},
    ):
        assert post(api, url, outcome).status_code == 204
    problem(post(api, url, {"outcome": "clicked", "offer": "b"}), 400, "invalid")
    problem(post(api, url, {"outcome": "clicked"}), 400, "invalid")
    stats = OfferStat.objects.filter(offer=offer).values_list("decided", "shown", "clicked")
    assert [sum(column) for column in zip(*stats, strict=True)] == [1, 1, 1]
    assert not CapHold.objects.exists()
    assert CapCounter.objects.get(rule=cap).n == 1


def test_who_may_what() -> None:
    make_policy(make_strategy(make_offer("a")))
    asked = asked_for(make_profile().pk)
    problem(post(APIClient(), "decisions/", asked), 401, "not_authenticated")
    problem(post(client_with("offers:read"), "decisions/", asked), 403, "missing_scope")
    problem(post(client_with("offers:decide"), "offers/", SWEATER), 403, "missing_scope")
    problem(post(client_with("offers:write"), "offers/a/archive/"), 403, "missing_scope")
    decision = post(client_with("offers:decide"), "decisions/", asked).json()["id"]
    problem(client_with("offers:decide").get(f"/api/v1/decisions/{decision}/"), 403, "missing_scope")
    person = make_person("offers.add_decision")
    assert post(signed_in(person), "decisions/", asked).status_code == 200
    problem(
        post(signed_in(make_person("offers.view_decision")), "decisions/", asked), 403, "missing_permission"
    )
