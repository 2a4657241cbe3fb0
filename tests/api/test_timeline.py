"""A person's timeline and a message's source through the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from channels.models import Message
from profiles.models import Consent, Profile
from profiles.stream import take_batch
from tests.api.support import client_with, problem
from tests.api.test_people import make_message
from tests.factories import NOW, make_profile, make_source, make_variant
from tests.profiles.store import store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api() -> APIClient:
    return client_with()


@pytest.fixture
def ada() -> Profile:
    """Somebody with three events."""
    make_source(pk=1)
    ada = make_profile("ada")
    store(
        *[track("ada", f"Looked {number}", properties={"price": 1.5}) for number in range(3)], received_at=NOW
    )
    take_batch(now=NOW)
    return ada


def test_the_timeline_is_read_by_pages(api: APIClient, ada: Profile) -> None:
    url = f"/api/v1/profiles/{ada.pk}/timeline/"
    first = api.get(url, {"limit": 2, "kind": "event"}).json()
    second = api.get(url, {"limit": 2, "kind": "event", "before": first["next"]}).json()

    assert [entry["title"] for entry in first["results"] + second["results"]] == [
        "Looked 2",
        "Looked 1",
        "Looked 0",
    ]
    assert second["next"] is None
    assert (first["time_zone"], first["merged_profile_ids"]) == ("UTC", [])
    entry = first["results"][0]
    assert entry["profile_id"] == str(ada.pk)
    assert entry["data"]["properties"] == {"price": 1.5}
    assert entry["text"] == "price: 1.5 · track call from Website"
    assert entry["event_id"] == entry["data"]["id"]


def test_what_cannot_be_asked_is_said(api: APIClient, ada: Profile) -> None:
    url = f"/api/v1/profiles/{ada.pk}/timeline/"
    assert problem(api.get(url, {"before": "x"}), 400, "invalid")["errors"][0]["field"] == "before"
    assert problem(api.get(url, {"kind": "x"}), 400, "invalid")["errors"][0]["field"] == "kind"
    assert problem(api.get(url, {"limit": 201}), 400, "invalid")["errors"][0]["field"] == "limit"
    for number in ("4711", "9" * 40):
        problem(api.get(f"/api/v1/profiles/{number}/timeline/"), 404, "not_found")
        problem(api.get(f"/api/v1/messages/{number}/source/"), 404, "not_found")
    problem(client_with("messages:read").get(url), 403, "missing_scope")


def test_a_page_costs_the_same_whatever_it_holds(api: APIClient, ada: Profile) -> None:
    counts = []
    for limit in (1, 200):
        with count_statements() as statements:
            api.get(f"/api/v1/profiles/{ada.pk}/timeline/", {"limit": limit, "kind": "event"})
        counts.append(len(statements))
    assert counts[0] == counts[1] < 20


def test_consent_noted_by_a_key_is_told_with_its_name(api: APIClient, ada: Profile) -> None:
    answer = api.put(
        f"/api/v1/profiles/{ada.pk}/consents/email/", {"state": "opted_out", "reason": "Told the shop."}
    )
    assert answer.status_code == 200
    assert Consent.objects.get().state == Consent.State.OPTED_OUT
    prefix = AuditEvent.objects.get(action="set_consent").data["api_key"]

    (entry,) = api.get(f"/api/v1/profiles/{ada.pk}/timeline/", {"kind": "consent"}).json()["results"]

    assert (entry["title"], entry["text"]) == (
        "Opted out of email",
        f"Set by hand by the API key {prefix}. Told the shop.",
    )


def test_the_source_is_text(api: APIClient, ada: Profile) -> None:
    message = make_message(ada, make_variant())
    answer = api.get(f"/api/v1/messages/{message.pk}/source/")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert b"To: ada@example.com\r\n" in answer.content
    assert Message.objects.get().state == Message.State.QUEUED
    Profile.objects.update(attributes={})
    assert (
        "no usable address"
        in problem(api.get(f"/api/v1/messages/{message.pk}/source/"), 409, "refused")["detail"]
    )
    problem(client_with("profiles:read").get(f"/api/v1/messages/{message.pk}/source/"), 403, "missing_scope")
