"""Contents through the API, from a starting point to a proof."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from channels.models import Content, Message
from tests.api.support import client_with, make_person, problem, signed_in
from tests.channels.conftest import FakeService
from tests.factories import make_configuration, make_event_type, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(db: None) -> APIClient:
    """A client whose key may do everything."""
    return client_with()


URL = "/api/v1/contents/"
BODY = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ profile.first_name }}</mj-text>"
    "</mj-column></mj-section></mj-body></mjml>"
)
WORDS = {"subject": "Hello", "preheader": "", "mjml": BODY, "html": "", "text": ""}


def make(api: APIClient, key: str = "news", **fields: str) -> dict[str, Any]:
    answer = api.post(URL, {"key": key, "name": "News", **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_an_email_is_made_written_and_published(api: APIClient) -> None:
    made = make(api, starting_point="receipt")
    assert made == {
        "key": "news",
        "name": "News",
        "channel": "email",
        "versions": [{"number": 1, "state": "draft", "published_at": None}],
        "created_at": made["created_at"],
    }
    draft = api.get(f"{URL}news/draft/").json()
    assert (draft["number"], draft["state"], draft["problems"]) == (1, "draft", [])
    (variant,) = draft["variants"]
    assert variant["subject"] == "Your order {{ event.order_id }}"
    assert variant["html"].lower().startswith("<!doctype html>")

    saved = api.put(f"{URL}news/draft/", {"revision": draft["revision"], "variants": [WORDS]}).json()
    assert saved["revision"] != draft["revision"]
    assert saved["variants"][0]["subject"] == "Hello"
    published = api.post(f"{URL}news/publish/").json()
    assert [version["state"] for version in published["versions"]] == ["published"]

    after = api.get(f"{URL}news/draft/").json()
    assert (after["number"], after["state"], after["revision"]) == (1, "published", None)
    again = api.put(f"{URL}news/draft/", {"revision": None, "variants": [{**WORDS, "subject": "Two"}]}).json()
    assert again["number"] == 2
    assert api.get(f"{URL}news/versions/1/").json()["variants"][0]["subject"] == "Hello"
    problem(api.get(f"{URL}news/versions/9/"), 404, "not_found")
    assert api.patch(f"{URL}news/", {"name": "Spring"}).json()["name"] == "Spring"


def test_who_was_slower_gets_409_and_changes_nothing(api: APIClient) -> None:
    make(api)
    revision = api.get(f"{URL}news/draft/").json()["revision"]
    api.put(f"{URL}news/draft/", {"revision": revision, "variants": [WORDS]})
    late = api.put(f"{URL}news/draft/", {"revision": revision, "variants": [{**WORDS, "subject": "Late"}]})
    problem(late, 409, "stale_revision")
    problem(api.put(f"{URL}news/draft/", {"revision": None, "variants": [WORDS]}), 409, "stale_revision")
    assert api.get(f"{URL}news/draft/").json()["variants"][0]["subject"] == "Hello"


def test_a_taken_key_and_wrong_words_are_said_at_their_field(api: APIClient) -> None:
    make(api)
    assert problem(api.post(URL, {"key": "news", "name": "X"}), 409, "refused")["errors"][0]["field"] == "key"
    body = {"revision": None, "variants": [{"subject": "a\nb"}]}
    revision = api.get(f"{URL}news/draft/").json()["revision"]
    refused = problem(api.put(f"{URL}news/draft/", {**body, "revision": revision}), 400, "invalid")
    assert "one line" in refused["errors"][0]["message"]
    twice = {"revision": revision, "variants": [WORDS, WORDS]}
    problem(api.put(f"{URL}news/draft/", twice), 400, "invalid")


def test_publishing_says_every_problem(api: APIClient) -> None:
    make(api)
    revision = api.get(f"{URL}news/draft/").json()["revision"]
    broken = {**WORDS, "subject": " ", "mjml": BODY.replace("mj-text>", "mj-txt>")}
    api.put(f"{URL}news/draft/", {"revision": revision, "variants": [broken]})
    refused = problem(api.post(f"{URL}news/publish/"), 409, "refused")
    messages = [error["message"] for error in refused["errors"]]
    assert messages == [
        "Subject: The subject is empty. Write what the message is about.",
        "MJML: Line 1: There is no tag <mj-txt>. Did you mean mj-text?",
    ]


def test_a_preview_stores_nothing_and_shows_a_person_and_an_event(api: APIClient) -> None:
    make(api)
    ada = make_profile(first_name="Ada")
    make_event_type("Ordered")
    before = api.get(f"{URL}news/draft/").json()
    asked = {
        "words": {**WORDS, "subject": "For {{ profile.first_name }}"},
        "profile": str(ada.pk),
        "event": "Ordered",
    }
    seen = api.post(f"{URL}news/preview/", asked).json()
    assert (seen["is_rendered"], seen["subject"], seen["problems"]) == (True, "For Ada", [])
    assert "Hi Ada" in seen["html"]
    assert seen["text"].strip() == "Hi Ada"
    assert seen["values"]["profile"]["first_name"] == "Ada"
    assert {"code": "defaults", "level": "warning"}.items() <= next(
        check for check in seen["checks"] if check["code"] == "defaults"
    ).items()
    assert api.get(f"{URL}news/draft/").json() == before
    broken = api.post(f"{URL}news/preview/", {"words": {**WORDS, "mjml": "<mjml>\n<mj-body>\n<x>"}}).json()
    assert broken["is_rendered"] is False
    assert {3} <= {found["line"] for found in broken["problems"]}


def test_people_are_shown_to_those_who_may_see_them(api: APIClient) -> None:
    make(api)
    ada = make_profile(first_name="Ada")
    asked = {"words": WORDS, "profile": str(ada.pk)}
    refused = problem(
        client_with("contents:read").post(f"{URL}news/preview/", asked), 403, "permission_denied"
    )
    assert "read profiles" in refused["detail"]
    person = make_person("channels.view_content")
    problem(signed_in(person).post(f"{URL}news/preview/", asked), 403, "permission_denied")
    assert signed_in(person).post(f"{URL}news/preview/", {"words": WORDS}).status_code == 200
    allowed = make_person("channels.view_content", "profiles.view_profile")
    assert signed_in(allowed).post(f"{URL}news/preview/", asked).status_code == 200
    gone = problem(api.post(f"{URL}news/preview/", {"words": WORDS, "profile": "999999"}), 400, "invalid")
    assert gone["errors"][0]["field"] == "profile"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "", "contents:read"),
        ("post", "", "contents:write"),
        ("patch", "news/", "contents:write"),
        ("put", "news/draft/", "contents:write"),
        ("post", "news/publish/", "contents:publish"),
        ("post", "news/preview/", "contents:read"),
        ("post", "news/proof/", "contents:proof"),
    ],
)
def test_every_call_needs_its_scope(api: APIClient, method: str, path: str, scope: str) -> None:
    make(api)
    others = {"contents:read", "contents:write", "contents:publish", "contents:proof"} - {scope}
    answer = getattr(client_with(*others), method)(f"{URL}{path}")
    assert scope in problem(answer, 403, "missing_scope")["detail"]


def test_a_proof_is_sent_really_and_is_no_message(api: APIClient, service: FakeService) -> None:
    make(api)
    make_configuration("mail")
    asked = {"address": "author@example.com", "configuration": "mail"}
    sent = api.post(f"{URL}news/proof/", asked)
    assert (sent.status_code, sent.json()) == (200, {"detail": "The proof was sent to author@example.com."})
    assert service.addresses == ["author@example.com"]
    assert not Message.objects.exists()
    refused = problem(api.post(f"{URL}news/proof/", {**asked, "address": "x"}), 409, "refused")
    assert refused["errors"][0]["field"] == "address"
    problem(api.post(f"{URL}news/proof/", {**asked, "configuration": "none"}), 400, "invalid")
    problem(api.post(f"{URL}news/proof/", {**asked, "locale": "de"}), 400, "invalid")


def test_the_list_costs_the_same_for_one_and_for_many(api: APIClient) -> None:
    def statements() -> int:
        with count_statements() as seen:
            assert api.get(URL).status_code == 200
        return len(seen)

    make(api, "one")
    one = statements()
    for number in range(5):
        make(api, f"more-{number}")
    assert statements() == one
    assert Content.objects.count() == 6


def test_content_of_other_channels_is_written_seen_and_published(api: APIClient) -> None:
    made = api.post("/api/v1/contents/", {"key": "late-sms", "name": "Late", "channel": "sms"})
    assert (made.status_code, made.json()["channel"]) == (201, "sms")
    draft = api.get("/api/v1/contents/late-sms/draft/").json()
    assert draft["problems"] == ["Text: The text is empty. Write what the SMS says."]
    words = {"text": "Hi {{ profile.first_name | default: 'you' }} 😀"}
    seen = api.post("/api/v1/contents/late-sms/preview/", {"words": words}).json()
    assert (seen["is_rendered"], seen["text"], seen["problems"]) == (True, "Hi you 😀", [])
    assert [check["code"] for check in seen["checks"]] == ["parts", "defaults"]
    assert "UCS-2, because of 😀" in seen["checks"][0]["message"]
    saved = api.put("/api/v1/contents/late-sms/draft/", {"revision": draft["revision"], "variants": [words]})
    assert (saved.status_code, saved.json()["problems"]) == (200, [])
    assert api.post("/api/v1/contents/late-sms/publish/").status_code == 200


def test_a_push_keeps_all_of_its_fields(api: APIClient) -> None:
    api.post("/api/v1/contents/", {"key": "back", "name": "Back", "channel": "push"})
    revision = api.get("/api/v1/contents/back/draft/").json()["revision"]
    words = {
        "subject": "Back",
        "text": "In M",
        "image_url": "https://img.example/a.png",
        "link_url": "myapp://x",
        "columns": [["screen", "shop"]],
    }
    saved = api.put("/api/v1/contents/back/draft/", {"revision": revision, "variants": [words]}).json()
    assert saved["variants"][0].items() >= words.items()
    seen = api.post("/api/v1/contents/back/preview/", {"words": words}).json()
    assert {name: seen[name] for name in words} == words
