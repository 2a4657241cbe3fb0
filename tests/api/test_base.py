"""What every call of the API promises: who may ask, what a refusal looks like, and pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from ajo.core.models import ApiKey
from ajo.core.rest.views import Door
from ajo.core.scopes import SCOPES
from journeys.models import Journey
from profiles.models import EventType
from tests.api.support import client_with, make_key, make_person, problem, signed_in, with_secret
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
JOURNEYS = "/api/v1/journeys/"


# --- who may ask ---------------------------------------------------------------------------------------------


def test_without_key_or_login_the_answer_tells_how_to_come_in() -> None:
    answer = APIClient().get(JOURNEYS)
    assert "Api-Key" in problem(answer, 401, "not_authenticated")["detail"]
    assert answer["WWW-Authenticate"] == "Api-Key"


@pytest.mark.parametrize("secret", ["", "nonsense", "abcdefgh.nonsense", "ünwahr", "a b c", "x" * 5000])
def test_a_key_that_is_none_opens_nothing(secret: str) -> None:
    make_key()
    problem(with_secret(secret).get(JOURNEYS), 401, "bad_key")


def test_only_the_whole_key_opens() -> None:
    key, secret = make_key()
    assert with_secret(secret).get(JOURNEYS).status_code == 200
    problem(with_secret(secret[:-1]).get(JOURNEYS), 401, "bad_key")
    problem(with_secret(f"{key.prefix}.{key.hashed_key}").get(JOURNEYS), 401, "bad_key")


def test_revoked_and_expired_keys_open_nothing() -> None:
    problem(client_with(revoked=True).get(JOURNEYS), 401, "bad_key")
    problem(client_with(expiry_date=timezone.now() - timedelta(seconds=1)).get(JOURNEYS), 401, "key_expired")
    assert client_with(expiry_date=timezone.now() + timedelta(hours=1)).get(JOURNEYS).status_code == 200


def test_a_bad_key_is_not_saved_by_a_login() -> None:
    client = signed_in(make_person("journeys.view_journey"))
    client.credentials(HTTP_AUTHORIZATION="Api-Key nonsense")
    problem(client.get(JOURNEYS), 401, "bad_key")


def test_a_key_does_what_its_scopes_say_and_nothing_else() -> None:
    reader = client_with("journeys:read")
    assert reader.get(JOURNEYS).status_code == 200
    refused = reader.post(JOURNEYS, {"key": "a", "name": "A"})
    assert "journeys:write" in problem(refused, 403, "missing_scope")["detail"]
    assert not Journey.objects.exists()


def test_a_person_does_what_the_permissions_say() -> None:
    viewer = signed_in(make_person("journeys.view_journey"))
    assert viewer.get(JOURNEYS).status_code == 200
    problem(viewer.post(JOURNEYS, {"key": "a", "name": "A"}), 403, "missing_permission")
    writer = signed_in(
        make_person("journeys.view_journey", "journeys.add_journey", "journeys.change_journey")
    )
    assert writer.post(JOURNEYS, {"key": "a", "name": "A"}).status_code == 201
    problem(writer.post(f"{JOURNEYS}a/publish/"), 403, "missing_permission")
    problem(writer.post(f"{JOURNEYS}a/stop/"), 403, "missing_permission")


def test_who_is_not_staff_may_nothing() -> None:
    outsider = signed_in(make_person("journeys.view_journey", is_staff=False))
    problem(outsider.get(JOURNEYS), 403, "missing_permission")
    problem(outsider.get("/api/v1/activities/"), 403, "missing_permission")


def test_a_login_needs_the_csrf_token_and_a_key_does_not() -> None:
    person = make_person("journeys.view_journey", "journeys.add_journey", "journeys.change_journey")
    client = signed_in(person, enforce_csrf_checks=True)
    problem(client.post(JOURNEYS, {"key": "a", "name": "A"}), 403, "csrf")
    _, secret = make_key()
    with_key = APIClient(enforce_csrf_checks=True)
    with_key.credentials(HTTP_AUTHORIZATION=f"Api-Key {secret}")
    assert with_key.post(JOURNEYS, {"key": "a", "name": "A"}).status_code == 201


def doors() -> Iterator[tuple[str, type[Door], dict[str, str]]]:
    """(route, view, method → action) of every view of the API that is a Door."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, type[Door], dict[str, str]]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if not isinstance(pattern, URLPattern):
                yield from walk(pattern.url_patterns, route)
                continue
            view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
            if isinstance(view, type) and issubclass(view, Door):
                actions = getattr(pattern.callback, "actions", None) or {
                    name: name for name in view.http_method_names if hasattr(view, name)
                }
                yield route, view, actions

    yield from walk(get_resolver("ajo.api.urls").url_patterns, "")


def test_every_call_names_a_scope_that_exists() -> None:
    found = list(doors())
    assert len(found) > 10
    for route, view, actions in found:
        for name in set(actions.values()) - {"head"}:
            assert view.scopes.get(name) in SCOPES, f"{view.__name__}.{name} at {route}"


def test_every_scope_opens_something_and_every_permission_exists() -> None:
    used = {
        view.scopes[name] for _, view, actions in doors() for name in actions.values() if name in view.scopes
    }
    assert used == SCOPES.keys()
    known = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    assert {name for scope in SCOPES.values() for name in scope.permissions} <= known


# --- what a refusal looks like ---------------------------------------------------------------------------------


def test_each_wrong_field_is_named(api: APIClient) -> None:
    body = problem(api.post(JOURNEYS, {"key": "no spaces", "extra": 1}), 400, "invalid")
    assert {(error["field"], error["code"]) for error in body["errors"]} == {("extra", "unknown")}
    body = problem(api.post(JOURNEYS, {"key": "no spaces"}), 400, "invalid")
    assert {(error["field"], error["code"]) for error in body["errors"]} == {
        ("key", "invalid"),
        ("name", "required"),
    }
    assert body["title"] == "Bad Request"
    assert body["type"] == "/docs/api/#problems"
    assert "2 fields are wrong" in body["detail"]


@pytest.mark.parametrize("value", [1, True, ["x"], {"x": 1}, 1.5])
def test_a_text_is_never_guessed_from_something_else(api: APIClient, value: Any) -> None:
    body = problem(api.post(JOURNEYS, {"key": "a", "name": value}), 400, "invalid")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [("name", "wrong_type")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1, 2",
        b'"x"',
        b"null",
        b"[]",
        b"NaN",
        b'{"key": NaN}',
        b'{"key": 1e999}',
        b'{"key": "a", "name": "\xff"}',
        b'{"key": "a", "name": "x\\u0000y"}',
        b'{"key": "a", "name": "\\ud800"}',
        b'{"key": "a", "na\\u0000me": "x"}',
        b'{"key": "a", "name": ' + b"[" * 100_000,
        b'{"key": "a", "name": ' + b"[" * 90 + b"]" * 90 + b"}",
        b'{"key": "a", "name": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(16),
)
def test_a_body_that_cannot_be_stored_is_the_callers_fault(api: APIClient, body: bytes) -> None:
    answer = api.generic("POST", JOURNEYS, body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert json.loads(answer.content)["code"] in {"parse_error", "invalid"}
    assert not Journey.objects.exists()


def test_an_empty_body_of_a_call_without_fields_is_fine(api: APIClient) -> None:
    problem(api.post(f"{JOURNEYS}nothing/publish/"), 404, "not_found")


def test_a_body_that_is_too_large_is_not_read(api: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem(api.post(JOURNEYS, {"key": "a", "name": "x" * 1000}), 413, "too_large")


def test_other_media_types_methods_and_addresses_are_refused(api: APIClient) -> None:
    form = api.generic("POST", JOURNEYS, b"key=a", content_type="application/x-www-form-urlencoded")
    assert "application/json" in problem(form, 415, "unsupported_media_type")["detail"]
    deleted = api.delete(JOURNEYS)
    assert "GET, POST" in problem(deleted, 405, "method_not_allowed")["detail"]
    assert "POST" in deleted["Allow"]
    problem(api.options(JOURNEYS), 405, "method_not_allowed")
    problem(api.get(JOURNEYS, HTTP_ACCEPT="text/html"), 406, "not_acceptable")
    problem(api.get("/api/v1/nothing/here/"), 404, "not_found")
    problem(api.get(f"{JOURNEYS}nothing/"), 404, "not_found")
    problem(api.get("/api/v1/profiles/99999999999999999/"), 404, "not_found")


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/api/v1/messages/?stat=queued", "stat"),
        ("/api/v1/messages/?state=lost", "state"),
        ("/api/v1/messages/?profile=x", "profile"),
        ("/api/v1/messages/?profile=99999999999999999999", "profile"),
        ("/api/v1/messages/?after=yesterday", "after"),
        ("/api/v1/messages/?limit=0", "limit"),
        ("/api/v1/messages/?limit=201", "limit"),
        ("/api/v1/messages/?limit=ten", "limit"),
        ("/api/v1/messages/?cursor=x", "cursor"),
        ("/api/v1/messages/?cursor=PmFiYw", "cursor"),  # >abc
        ("/api/v1/journeys/?cursor=PgA", "cursor"),  # > and NUL
        ("/api/v1/profiles/?q=%00", "q"),
        ("/api/v1/journeys/x/counts/?version=0", "version"),
        ("/api/v1/journeys/x/?verbose=1", "verbose"),
    ],
)
def test_a_wrong_parameter_is_named_and_never_passed_over(api: APIClient, url: str, field: str) -> None:
    body = problem(api.get(url), 400, "invalid")
    assert [error["field"] for error in body["errors"]] == [field]


def test_a_database_that_is_away_is_said(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def fail(**_: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("journeys.services.create_journey", fail)
    problem(api.post(JOURNEYS, {"key": "a", "name": "A"}), 503, "unavailable")


# --- pages -----------------------------------------------------------------------------------------------------


def walk(api: APIClient, url: str, follow: str, between: Any = lambda: None) -> Iterator[dict[str, Any]]:
    next_url: str | None = url
    while next_url:
        body = api.get(next_url).json()
        yield from body["results"]
        next_url = body[follow]
        between()


def test_five_hundred_rows_come_once_each_while_others_are_added(api: APIClient) -> None:
    wanted = {str(make_profile().pk) for _ in range(500)}
    seen = [row["id"] for row in walk(api, "/api/v1/profiles/?limit=37", "next", make_profile)]
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted  # newest first: who came during the walk stands before its beginning
    assert seen == sorted(wanted, key=int, reverse=True)


def test_pages_lead_back_the_same_way(api: APIClient) -> None:
    names = [f"e{number:02}" for number in range(10)]
    EventType.objects.bulk_create(EventType(name=name) for name in names)
    url = "/api/v1/event-types/?limit=4&q=e"
    pages = []
    while url:
        pages.append(api.get(url).json())
        url = pages[-1]["next"]
    assert [[row["name"] for row in page["results"]] for page in pages] == [names[:4], names[4:8], names[8:]]
    assert pages[0]["previous"] is None
    second = api.get(pages[2]["previous"]).json()
    assert [row["name"] for row in second["results"]] == names[4:8]
    first = api.get(second["previous"]).json()
    assert [row["name"] for row in first["results"]] == names[:4]
    assert first["previous"] is None
    assert [row["name"] for row in api.get(first["next"]).json()["results"]] == names[4:8]


# --- keys --------------------------------------------------------------------------------------------------------


def test_an_administrator_gives_a_key_its_scopes(admin_client: Client) -> None:
    page = admin_client.get("/admin/core/apikey/add/").content.decode()
    assert 'type="checkbox"' in page
    assert "journeys:publish" in page
    form = {
        "name": "shop",
        "scopes": ["journeys:read", "messages:read"],
        "expiry_date_0": "",
        "expiry_date_1": "",
    }
    added = admin_client.post("/admin/core/apikey/add/", form)
    assert added.status_code == 302
    key = ApiKey.objects.get()
    assert key.scopes == ["journeys:read", "messages:read"]
    admin_client.post("/admin/core/apikey/add/", {**form, "scopes": ["everything"]})
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_a_bug_is_answered_with_a_problem_too(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr("ajo.api.views.health.check", broken)
    client.raise_request_exception = False

    answer = client.get("/api/v1/status/")

    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "server_error"
    assert "secret" not in answer.content.decode()
    assert "ZeroDivisionError" in caplog.text
