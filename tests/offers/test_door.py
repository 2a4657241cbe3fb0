"""The hot door of decisions: many callers share a transaction, and everything odd goes on to Django."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from django.db import OperationalError, connections

from ajo.core.models import ApiKey
from ajo.core.rest.known_keys import REMEMBERED_SECONDS, KnownKeys
from ajo.lib.coalescing import Coalescer
from offers import requests
from offers.models import CapCounter, Decision
from offers.requests import Call
from offers.wsgi import PATH, Door, flush
from tests.api.support import make_key
from tests.factories import make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 32


@pytest.fixture
def door() -> Door:
    """As a web process has it; its thread's connection is closed with the test."""

    def closing(calls: Sequence[Call]) -> None:
        try:
            flush(calls)
        finally:
            connections.close_all()

    return Door(KnownKeys(), Coalescer(closing, 100).submit)


def environ(secret: str, body: Any, **headers: str) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "HTTP_AUTHORIZATION": f"Api-Key {secret}",
        "wsgi.input": BytesIO(data),
        **headers,
    }


def call(door: Door, secret: str, body: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
    said: list[Any] = []
    asked = environ(secret, body, **headers)
    key = door.takes(asked)
    assert key is not None
    answer = b"".join(door.answer(key, asked, lambda status, lines: said.extend([status, dict(lines)])))  # type: ignore[arg-type]
    return int(said[0][:3]), said[1], json.loads(answer)


def asked_for(profile_id: int, **fields: Any) -> dict[str, Any]:
    return {"profile": {"id": str(profile_id)}, "policy": "front-page", "placement": "hero", **fields}


def test_32_callers_of_the_door_give_exactly_500_away(door: Door) -> None:
    prize, other = make_offer("prize", priority=2), make_offer("other")
    cap, own = make_cap(prize, 500), make_cap(prize, 1, "profile")
    make_policy(make_strategy(prize, other))
    _, secret = make_key("offers:decide")
    people = [make_profile().pk for _ in range(640)]
    together = threading.Barrier(CALLERS)

    def ask(number: int) -> list[str]:
        together.wait()
        won = []
        for person in people[number::CALLERS]:
            for _ in range(2):  # a client that has lost the answer asks again
                status, _headers, answer = call(door, secret, asked_for(person, request_id=f"r{person}"))
                assert status == 200
            won.append(answer["items"][0]["offer"])
        connections.close_all()
        return won

    with ThreadPoolExecutor(CALLERS) as pool:
        won = Counter(offer for found in pool.map(ask, range(CALLERS)) for offer in found)

    assert won == {"prize": 500, "other": 140}
    assert CapCounter.objects.get(rule=cap).n == 500
    assert sum(CapCounter.objects.filter(rule=own).values_list("n", flat=True)) == 500
    assert Decision.objects.filter(offers=[prize.pk]).count() == 500
    assert Decision.objects.count() == 640


def test_the_door_answers_as_django_does(door: Door, client: Any) -> None:
    make_policy(make_strategy(make_offer("a", attributes={"price": 19.9})))
    _, secret = make_key("offers:decide")
    asked = asked_for(make_profile().pk, request_id="r1", explain=True)
    status, headers, answer = call(door, secret, asked)
    assert (status, "Idempotent-Replayed" in headers) == (200, False)
    again = client.post(PATH, asked, "application/json", headers={"Authorization": f"Api-Key {secret}"})
    assert again.json() == answer
    assert again["Idempotent-Replayed"] == "true"
    _, headers, repeated = call(
        door, secret, asked_for(int(answer["profile"]), explain=True), HTTP_IDEMPOTENCY_KEY="r1"
    )
    assert (headers["Idempotent-Replayed"], repeated) == ("true", answer)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "parse_error"),
        (b'{"profile": "\\u0000"}', 400, "parse_error"),
        ({}, 400, "invalid"),
        (asked_for(987654321), 400, "unknown_profile"),
        ({**asked_for(1), "policy": "nowhere"}, 400, "unknown_profile"),
    ],
)
def test_refusals_have_the_shape_of_all(door: Door, client: Any, body: Any, status: int, code: str) -> None:
    _, secret = make_key("offers:decide")
    found, headers, problem = call(door, secret, body)
    assert (found, problem["code"], headers["Content-Type"]) == (status, code, "application/problem+json")
    same = client.post(PATH, body, "application/json", headers={"Authorization": f"Api-Key {secret}"})
    assert (same.status_code, same.json()) == (status, problem)


@pytest.mark.parametrize(
    "change",
    [
        {"REQUEST_METHOD": "GET"},
        {"PATH_INFO": f"{PATH}7/"},
        {"CONTENT_TYPE": "text/plain"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "99999999999"},
        {"QUERY_STRING": "a=b"},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_AUTHORIZATION": "Bearer x"},
        {"HTTP_AUTHORIZATION": "Api-Key unknown.unknown"},
        {"HTTP_AUTHORIZATION": "Api-Key \x00"},
        {"HTTP_ACCEPT": "text/html"},
    ],
)
def test_whatever_else_comes_is_left_to_django(door: Door, change: dict[str, str]) -> None:
    _, secret = make_key("offers:decide")
    assert door.takes(environ(secret, {}))
    assert door.takes(environ(secret, {}, **change)) is None
    assert door.takes(environ(make_key("offers:read")[1], {})) is None


def test_a_revoked_key_opens_nothing_after_seconds() -> None:
    key, secret = make_key("offers:decide")
    now = [100.0]
    keys = KnownKeys(clock=lambda: now[0])
    assert keys.find(secret)
    ApiKey.objects.filter(pk=key.pk).update(revoked=True)
    with count_statements() as seen:
        assert keys.find(secret)
    assert not seen
    now[0] += REMEMBERED_SECONDS
    assert keys.find(secret) is None


def test_one_call_that_fails_does_not_fail_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    make_policy(make_strategy(make_offer("a")))
    good, bad, last = (called(make_profile().pk) for _ in range(3))
    answer = requests.answer

    def failing(calls: Sequence[Call], now: Any) -> None:
        if bad in calls:
            raise ValueError("planted")
        answer(calls, now)

    monkeypatch.setattr(requests, "answer", failing)
    flush([good, bad, last])
    assert [one.answer is None for one in (good, bad, last)] == [False, True, False]
    assert isinstance(bad.error, ValueError)
    assert Decision.objects.count() == 2


def called(profile_id: int) -> Call:
    asked = requests.read(asked_for(profile_id))
    assert isinstance(asked, requests.Asked)
    return Call(asked, "key:test")


def test_a_database_that_is_away_is_said(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(calls: Sequence[Call], now: Any) -> None:
        raise OperationalError("planted")

    monkeypatch.setattr(requests, "answer", away)
    _, secret = make_key("offers:decide")
    status, _headers, problem = call(door, secret, asked_for(1))
    assert (status, problem["code"]) == (503, "unavailable")


def test_a_flush_has_as_many_statements_as_one_call() -> None:
    make_policy(make_strategy(make_offer("a")))
    people = [make_profile().pk for _ in range(50)]
    counts = []
    for size in (1, 50):
        for _ in range(2):  # the first reads the plan
            with count_statements() as seen:
                flush([called(person) for person in people[:size]])
        counts.append(len(seen))
    # the clock, who the profiles are today, the plan's version, Django's look at its connection; profiles, record
    assert counts == [6, 6]
