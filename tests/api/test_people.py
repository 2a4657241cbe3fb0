"""Profiles, messages, consent and suppressions through the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from channels.models import CauseKind, Message, MessageClass, MessageDue, Suppression, Variant
from profiles.models import AttributeDefinition, Channel, Consent, Profile
from tests.api.support import problem
from tests.factories import NOW, make_configuration, make_event_type, make_profile, make_variant
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def make_message(profile: Profile, variant: Variant, number: int = 1, **fields: Any) -> Message:
    configuration = fields.pop("configuration", None) or make_configuration(f"email-{number}")
    defaults: dict[str, Any] = {
        "cause_kind": CauseKind.JOURNEY_INSTANCE,
        "origin_id": 7,
        "activity": "hello",
        "visit": 2,
        "channel": Channel.EMAIL,
        "message_class": MessageClass.MARKETING,
        "created_at": NOW,
    }
    return Message.objects.create(
        profile=profile, variant=variant, configuration=configuration, cause_id=number, **(defaults | fields)
    )


def ids(response: Any) -> list[str]:
    return [row["id"] for row in response.json()["results"]]


def test_a_profile_is_found_by_any_whole_identity(api: APIClient) -> None:
    ada = make_profile("ada", "ada@example.com", first_name="Ada")
    make_profile("bob")
    wanted = [str(ada.pk)]
    assert ids(api.get("/api/v1/profiles/", {"email": " ADA@example.com"})) == wanted
    assert ids(api.get("/api/v1/profiles/", {"user_id": "ada"})) == wanted
    assert ids(api.get("/api/v1/profiles/", {"q": "ada@example.com"})) == wanted
    assert ids(api.get("/api/v1/profiles/", {"user_id": "ada", "email": "bob@example.com"})) == []
    assert ids(api.get("/api/v1/profiles/", {"q": "ada@"})) == []
    assert len(ids(api.get("/api/v1/profiles/"))) == 2


def test_a_profile_shows_identities_and_consents(api: APIClient) -> None:
    ada = make_profile("ada", first_name="Ada")
    Consent.objects.create(
        profile=ada, channel=Channel.EMAIL, state=Consent.State.OPTED_IN, changed_at=NOW, reason="Form"
    )
    body = api.get(f"/api/v1/profiles/{ada.pk}/").json()
    assert body == {
        "id": str(ada.pk),
        "name": "Ada",
        "attributes": {"email": "ada@example.com", "first_name": "Ada"},
        "identities": [
            {"namespace": "user_id", "value": "ada"},
            {"namespace": "email", "value": "ada@example.com"},
        ],
        "consents": [
            {"channel": "email", "state": "opted_in", "reason": "Form", "changed_at": "2026-11-21T12:00:00Z"}
        ],
        "merged_into": None,
        "created_at": body["created_at"],
    }


def test_a_merged_profile_says_into_whom(api: APIClient) -> None:
    ada, other = make_profile(), make_profile()
    Profile.objects.filter(pk=other.pk).update(merged_into=ada.pk)
    assert ids(api.get("/api/v1/profiles/")) == [str(ada.pk)]
    assert api.get(f"/api/v1/profiles/{other.pk}/").json()["merged_into"] == str(ada.pk)


def test_opting_out_withholds_what_waits(api: APIClient) -> None:
    ada = make_profile()
    message = make_message(ada, make_variant())
    MessageDue.objects.create(message=message, lane=Channel.EMAIL, due_at=NOW)
    url = f"/api/v1/profiles/{ada.pk}/consents/email/"
    answer = api.put(url, {"state": "opted_out", "reason": "Call of 3 May"})
    assert answer.json() == {"state": "opted_out", "reason": "Call of 3 May", "is_settled": True}
    shown = api.get(f"/api/v1/messages/{message.pk}/").json()
    assert (shown["state"], shown["reason"]) == ("withheld", "The profile opted out of this channel.")
    assert AuditEvent.objects.get().data["channel"] == "email"
    assert api.put(url, {"state": "opted_in", "reason": "Form"}).status_code == 200
    assert Consent.objects.get().state == Consent.State.OPTED_IN
    problem(api.put(f"/api/v1/profiles/{ada.pk}/consents/pigeon/", {}), 404, "not_found")
    problem(api.put("/api/v1/profiles/999999/consents/email/", {}), 404, "not_found")


def test_messages_are_filtered_and_named_by_words(api: APIClient) -> None:
    ada, bob = make_profile(), make_profile()
    variant = make_variant()
    old = make_message(ada, variant, 1)
    new = make_message(
        ada, variant, 2, created_at=NOW + timedelta(hours=1), state=Message.State.WITHHELD, reason="No."
    )
    other = make_message(bob, variant, 3)
    url = "/api/v1/messages/"
    assert ids(api.get(url)) == [str(other.pk), str(new.pk), str(old.pk)]
    assert ids(api.get(url, {"profile": str(ada.pk)})) == [str(new.pk), str(old.pk)]
    assert ids(api.get(url, {"state": "withheld"})) == [str(new.pk)]
    assert ids(api.get(url, {"channel": "sms"})) == []
    assert ids(api.get(url, {"after": "2026-11-21T12:30:00Z"})) == [str(new.pk)]
    body = api.get(f"{url}{new.pk}/").json()
    assert {name: body[name] for name in ("channel", "state", "reason", "content", "content_version")} == {
        "channel": "email",
        "state": "withheld",
        "reason": "No.",
        "content": "welcome",
        "content_version": 1,
    }
    assert body["cause"] == {"kind": "journey_instance", "id": "2", "activity": "hello", "visit": 2}


def test_an_address_is_suppressed_once_and_normalised(api: APIClient) -> None:
    asked = {"channel": "email", "address": " Ada@Example.com "}
    for _ in range(2):
        made = api.post("/api/v1/suppressions/", asked)
        assert (made.status_code, made.json()["address"]) == (201, "ada@example.com")
    assert Suppression.objects.get().reason == Suppression.Reason.MANUAL
    body = problem(
        api.post("/api/v1/suppressions/", {"channel": "email", "address": "nobody"}), 400, "invalid"
    )
    assert [error["field"] for error in body["errors"]] == ["address"]


def test_pickers_know_the_names(api: APIClient) -> None:
    make_configuration("news")
    make_event_type("Paid")
    make_event_type("Signed Up")
    AttributeDefinition.objects.create(key="park_day", label="Day in the park", type="time")
    assert api.get("/api/v1/configurations/").json()["results"] == [
        {"key": "news", "name": "News", "channel": "email", "provider": "smtp", "is_active": True}
    ]
    assert [row["name"] for row in api.get("/api/v1/event-types/", {"q": "sign"}).json()["results"]] == [
        "Signed Up"
    ]
    assert [row["key"] for row in api.get("/api/v1/attributes/", {"q": "park"}).json()["results"]] == [
        "park_day"
    ]


def test_lists_cost_the_same_for_few_and_many(api: APIClient) -> None:
    def costs() -> list[int]:
        found = []
        for name in ("profiles", "messages", "configurations", "event-types", "attributes"):
            with count_statements() as seen:
                assert api.get(f"/api/v1/{name}/").status_code == 200
            found.append(len(seen))
        return found

    variant = make_variant()
    for number in range(2):
        make_message(make_profile(), variant, number)
    few = costs()
    for number in range(2, 9):
        make_message(make_profile(), variant, number)
        make_event_type(f"Event {number}")
    assert costs() == few
    assert max(few) <= 5
