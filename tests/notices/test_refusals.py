"""A member of operations opens the pages of notices and nothing else: every address of the admin and of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from ajo.core import roles
from tests.notices.conftest import Park
from tests.test_roles import make_colleague

pytestmark = pytest.mark.django_db

SAMPLES = {"int": "1", "slug": "x", "uuid": "00000000-0000-0000-0000-000000000001", "str": "x", "path": "x"}
# Open to everybody, signed in or not: the pages to sign in and out, translations, health, the description of the API.
PUBLIC = {
    "admin/login/",
    "admin/logout/",
    "admin/jsi18n/",
    "api/v1/",
    "api/v1/schema/",
    "api/v1/status/",
}


def addresses(prefix: str) -> Iterator[str]:
    """Every address below `prefix` that the product knows, with something in the place of its arguments."""

    def walk(patterns: list[Any], path: str) -> Iterator[str]:
        for each in patterns:
            here = path + written(each)
            if isinstance(each, URLResolver):
                yield from walk(each.url_patterns, here)
            elif here.startswith(prefix):
                yield here

    return walk(get_resolver().url_patterns, "")


def written(pattern: URLPattern | URLResolver) -> str:
    route = getattr(pattern.pattern, "_route", None)
    if route is None:  # a router writes regular expressions
        return re.sub(r"\(\?P<\w+>.*?\)(?=/|$)", "1", pattern.pattern.regex.pattern.strip("^$\\Z"))
    for name, converter in pattern.pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        for spelled in (f"<{kind}:{name}>", f"<{name}>"):
            route = route.replace(spelled, SAMPLES[kind])
    return str(route)


def test_every_address_of_the_admin_sends_operations_away(client: Client, park: Park) -> None:
    client.force_login(park.operator)
    found = set(addresses("admin/")) - PUBLIC
    assert len(found) > 80
    opened = []
    for path in sorted(found):
        for call in (client.get, client.post):
            answer = call(f"/{path}")
            if answer.status_code != 302 or not answer["Location"].startswith("/admin/login/"):
                opened.append(f"{call.__name__} {path}: {answer.status_code}")
    assert not opened


def test_every_call_of_the_api_is_refused(client: Client, park: Park) -> None:
    client.force_login(park.operator)
    found = set(addresses("api/v1/")) - PUBLIC
    assert len(found) > 25
    opened = []
    for path in sorted(found):
        for verb in ("get", "post", "put", "patch", "delete"):
            status = client.generic(
                verb.upper(), f"/{path}", "{}", content_type="application/json"
            ).status_code
            if status not in {403, 405}:
                opened.append(f"{verb} {path}: {status}")
    assert not opened


def test_signing_in_leads_to_the_notices_from_wherever_it_began(client: Client, park: Park) -> None:
    park.operator.set_password("correct-horse-battery")
    park.operator.save()
    credentials = {"username": "ola", "password": "correct-horse-battery"}
    for beginning in ("/notices/", "/", "/admin/", "/admin/journeys/journey/"):
        client.logout()
        answer = client.post("/admin/login/", {**credentials, "next": beginning}, follow=True)
        assert answer.redirect_chain[-1][0] == "/notices/", beginning
        assert "What do you want to tell?" in answer.content.decode()


def test_nobody_without_the_right_opens_the_notices(client: Client, park: Park) -> None:
    paths = [f"/{path}" for path in addresses("notices/")]
    assert len(paths) == 9
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 405 or answer["Location"].startswith("/admin/login/"), path
    for role in roles.BY_KEY:
        if role not in {"operations", "administrator"}:
            client.force_login(make_colleague(role))
            for path in paths:
                assert {client.get(path).status_code, client.post(path).status_code} <= {403, 405}, (
                    role,
                    path,
                )
    client.force_login(make_colleague("administrator"))
    assert client.get("/notices/").status_code == 200


def test_somebody_without_any_right_still_cannot_sign_in(client: Client) -> None:
    nobody = make_colleague(name="nobody")
    nobody.set_password("correct-horse-battery")
    nobody.save()
    answer = client.post("/admin/login/", {"username": "nobody", "password": "correct-horse-battery"})
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
