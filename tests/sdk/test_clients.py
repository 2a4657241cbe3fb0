"""Clients that we did not write, unmodified, against the running web server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

from profiles.models import Event, EventKey, EventKind, IngestBatch
from tests.sdk.conftest import Installation

# The server commits; the tests only read, so a transaction that is rolled back is enough for them.
pytestmark = pytest.mark.django_db

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def errors() -> list[Any]:
    return []


@pytest.fixture(params=["segment", "segment gzip", "rudder", "rudder plain"])
def client(request: pytest.FixtureRequest, installation: Installation, errors: list[Any]) -> Iterator[Any]:
    """Each client as its documentation says, pointed at us; `errors` hears what its error callback hears."""

    def on_error(error: Any, items: Any) -> None:
        errors.append(error)

    kind, _, packing = request.param.partition(" ")
    make = {"segment": SegmentClient, "rudder": RudderClient}[kind]
    is_packed = packing == "gzip" or (kind == "rudder" and packing != "plain")
    client = make(
        installation.source.write_key,
        host=installation.url,
        on_error=on_error,
        gzip=is_packed,
        upload_interval=0.05,
    )
    yield client
    client.shutdown()


def stored() -> dict[str, Event]:
    return {event.event_type.name: event for event in Event.objects.select_related("event_type")}


def test_every_call_arrives(client: Any, installation: Installation, errors: list[Any]) -> None:
    client.identify("ada", {"email": "ada@example.com", "age": 36})
    client.track("ada", "Order Completed", {"revenue": 129.95}, timestamp=YESTERDAY)
    client.page("ada", "Docs", "Home", {"url": "/docs"})
    client.screen("ada", "Shop", "Cart")
    client.group("ada", "harbour", {"plan": "pro"})
    client.alias("visitor-1", "ada")
    client.track(None, "Viewed", anonymous_id="visitor-2")
    client.flush()
    assert errors == []
    events = stored()
    assert {name: event.kind for name, event in events.items()} == {
        "$identify": EventKind.IDENTIFY,
        "Order Completed": EventKind.TRACK,
        "$page": EventKind.PAGE,
        "$screen": EventKind.SCREEN,
        "$group": EventKind.GROUP,
        "$alias": EventKind.ALIAS,
        "Viewed": EventKind.TRACK,
    }
    assert events["$identify"].properties == {"email": "ada@example.com", "age": 36}
    assert events["Order Completed"].properties == {"revenue": 129.95}
    assert abs(events["Order Completed"].occurred_at - YESTERDAY) < timedelta(seconds=5)
    assert events["$page"].properties == {"category": "Docs", "name": "Home", "url": "/docs"}
    assert events["$group"].properties == {"groupId": "harbour", "traits": {"plan": "pro"}}
    assert events["$alias"].properties == {"previousId": "visitor-1"}
    assert (events["Viewed"].user_id, events["Viewed"].anonymous_id) == (None, "visitor-2")
    assert {event.source_id for event in events.values()} == {installation.source.pk}
    assert events["$identify"].context["library"]["name"]


def test_a_thousand_events_arrive_once_although_half_of_them_are_sent_twice(
    client: Any, errors: list[Any]
) -> None:
    numbers = [*range(700), *range(300)]
    for number in numbers:
        client.track(f"user-{number}", "Product Viewed", {"number": number}, message_id=f"view-{number}")
    client.flush()
    assert errors == []
    assert Event.objects.count() == EventKey.objects.count() == 700
    assert sum(IngestBatch.objects.values_list("n", flat=True)) == 700


def test_text_of_every_script_and_prices_survive_the_journey(client: Any, errors: list[Any]) -> None:
    properties = {"greeting": "Grüße 😀 مرحبا \u200d", "price": 19.99, "big": 2**60, "nothing": None}
    client.track("Ünï", "Café Visited", properties)
    client.flush()
    assert errors == []
    event = stored()["Café Visited"]
    assert (event.user_id, event.properties) == ("Ünï", properties)


def test_a_client_with_a_wrong_key_hears_so(installation: Installation, errors: list[Any]) -> None:
    client = SegmentClient(
        "wk_wrong", host=installation.url, on_error=lambda error, items: errors.append(error)
    )
    client.track("ada", "Signed Up")
    client.flush()
    client.shutdown()
    [error] = errors
    assert (error.status, error.code) == (401, "unknown_write_key")
    assert Event.objects.count() == 0


@pytest.mark.parametrize("path", ["/v1/t", "/v1/track", "/api/s/track", "/api/public/apps/track"])
def test_a_browser_posts_text_with_the_key_in_the_body(installation: Installation, path: str) -> None:
    body = '{"event": "Viewed", "anonymousId": "a", "writeKey": "wk_sdk", "messageId": "m"}'
    answer = requests.post(
        installation.url + path,
        body,
        headers={"Content-Type": "text/plain", "Origin": "https://shop.example"},
    )
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert stored()["Viewed"].anonymous_id == "a"


def test_a_chunked_body_without_a_length_is_read(installation: Installation) -> None:
    pieces = iter([b'{"batch": [{"type": "track", "event": "A", ', b'"userId": "u"}]}'])
    answer = requests.post(f"{installation.url}/v1/batch", pieces, auth=("wk_sdk", ""))
    assert answer.json() == {"success": True, "accepted": 1}


def test_a_chunked_flood_is_refused_while_it_comes(installation: Installation) -> None:
    answer = requests.post(
        f"{installation.url}/v1/batch", (b"x" * 65_536 for _ in range(12)), auth=("wk_sdk", "")
    )
    assert answer.status_code == 413


def test_a_body_that_is_too_large_is_refused(installation: Installation) -> None:
    answer = requests.post(f"{installation.url}/v1/batch", b"x" * 600_000, auth=("wk_sdk", ""))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_django_answers_everything_else(installation: Installation) -> None:
    assert requests.get(f"{installation.url}/v1x").status_code == 404
    assert requests.get(f"{installation.url}/v1/batch").status_code == 405
