"""Events that are about no single person, through the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from profiles.models import BusinessEvent, EventType
from tests.api.support import client_with, problem

pytestmark = pytest.mark.django_db
URL = "/api/v1/business-events/"


def test_an_event_is_reported_once(api: APIClient) -> None:
    body = {"event": "Ride Closed", "properties": {"ride": "Log Flume"}, "message_id": "closing-1"}

    first = api.post(URL, body, format="json")
    again = api.post(URL, {**body, "properties": {}}, format="json")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["event"] == "Ride Closed"
    assert again.json() == first.json()
    assert [row["id"] for row in api.get(URL).json()["results"]] == [str(BusinessEvent.objects.get().pk)]


@pytest.mark.parametrize("name", ["$audience_entered", "", "x" * 201, "a\0b"])
def test_a_name_that_cannot_be_is_refused(api: APIClient, name: str) -> None:
    response = api.post(URL, {"event": name}, format="json")

    assert response.status_code == 400, response.content
    assert not EventType.objects.exists()


def test_properties_that_cannot_be_stored_are_refused(api: APIClient) -> None:
    response = api.post(URL, {"event": "Ride Closed", "properties": {"a": "b\0c"}}, format="json")

    assert response.status_code == 400
    assert not BusinessEvent.objects.exists()


def test_a_key_needs_the_scope() -> None:
    problem(
        client_with("profiles:read").post(URL, {"event": "Ride Closed"}, format="json"),
        403,
        "missing_scope",
    )
    assert not BusinessEvent.objects.exists()
