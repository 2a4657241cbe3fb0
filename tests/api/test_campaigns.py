"""Campaigns through the API: from the first draft to the last message, and sent by a call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from campaigns import runs, services
from campaigns.models import Campaign, CampaignRequest, CampaignRun
from channels.models import CauseKind, Message, MessageClass
from profiles.audiences import services as audiences
from profiles.models import Audience, Identity, IdentityNamespace, Membership, Profile
from tests.api.support import client_with, make_person, problem, signed_in
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, make_words
from tests.factories import NOW, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db
URL = "/api/v1/campaigns/"
DAILY = {"kind": "recurring", "every": "day", "time": "09:00", "zone": "Europe/Berlin"}


def make_receipt(**fields: Any) -> Campaign:
    """A triggered campaign that takes calls."""
    defaults = {"kind": "triggered", "next_run_at": None, "message_class": MessageClass.TRANSACTIONAL}
    return make_campaign(None, key="receipt", **(defaults | fields))


def call(api: APIClient, *recipients: dict[str, Any], request_id: str = "order-1", **more: Any) -> Any:
    body = {"request_id": request_id, "recipients": list(recipients), **more}
    return api.post(f"{URL}receipt/requests/", body)


# --- scheduled -----------------------------------------------------------------------------------------------


def test_a_campaign_is_written_reviewed_run_paused_and_stopped(api: APIClient) -> None:
    make_list("buyers", make_people(3))
    make_list("staff", make_people(1))
    make_words()
    made = api.post(URL, {"key": "survey", "name": "Survey"})
    assert made.status_code == 201, made.content
    body = made.json()
    assert [each["field"] for each in body.pop("problems")] == ["content", "configuration", "audience"]
    assert body == {
        "key": "survey", "name": "Survey", "description": "", "kind": "scheduled", "state": "draft",
        "content": None, "configuration": None, "message_class": "marketing", "audience": None, "exclusions": [],
        "schedule": {"kind": "now"}, "context": {}, "goal": None, "revision": 1, "next_run_at": None,
        "created_at": body["created_at"], "approved_at": None, "ended_at": None,
    }  # fmt: skip

    refused = problem(api.post(f"{URL}survey/submit/"), 409, "refused")
    assert {error["field"] for error in refused["errors"]} == {"content", "configuration", "audience"}

    parts = {"content": "welcome", "configuration": "email", "audience": "buyers", "exclusions": ["staff"]}
    saved = api.patch(f"{URL}survey/", {**parts, "schedule": {"kind": "now"}, "revision": 1})
    assert saved.status_code == 200, saved.content
    assert (saved.json()["revision"], saved.json()["problems"]) == (2, [])
    assert {name: saved.json()[name] for name in parts} == parts
    problem(api.patch(f"{URL}survey/", {"name": "X", "revision": 1}), 409, "stale_revision")

    assert api.get(f"{URL}survey/reach/").json() == {
        "total": 3, "reached": 3, "held": 0, "quiet_until": None, "withheld": [], "problem": "",
    }  # fmt: skip
    assert api.post(f"{URL}survey/submit/").json()["state"] == "in_review"
    assert api.post(f"{URL}survey/send-back/", {"comment": "Too soon"}).json()["state"] == "draft"
    api.post(f"{URL}survey/submit/")
    live = api.post(f"{URL}survey/approve/").json()
    assert live["state"] == "live"
    assert live["next_run_at"] == live["approved_at"]

    runs.start_due_runs(timezone.now())
    freeze(timezone.now())
    (run,) = api.get(f"{URL}survey/runs/").json()["results"]
    assert (run["number"], run["state"], run["targeted"]) == (1, "sending", 3)
    assert {name: n for name, n in run["messages"].items() if n} == {"targeted": 3, "waiting": 3}
    assert run["withheld"] == []

    assert api.post(f"{URL}survey/runs/1/pause/").json()["state"] == "paused"
    assert api.post(f"{URL}survey/runs/1/resume/").json()["state"] == "sending"
    assert api.post(f"{URL}survey/pause/").json()["state"] == "paused"
    problem(api.post(f"{URL}survey/runs/1/resume/"), 409, "refused")
    assert api.post(f"{URL}survey/resume/").json()["state"] == "live"
    assert api.post(f"{URL}survey/stop/").json()["state"] == "stopped"
    problem(api.post(f"{URL}survey/runs/1/stop/"), 409, "refused")
    assert AuditEvent.objects.filter(object_key="survey").count() == 9


def test_a_goal_is_set_with_the_campaign_and_changed_when_it_is_live(api: APIClient) -> None:
    goal = {"event": "Booked", "condition": "event.total > 5", "days": 3}
    made = api.post(URL, {"key": "survey", "name": "Survey", "goal": goal})
    assert made.json()["goal"] == goal
    Campaign.objects.update(state=Campaign.State.LIVE)
    changed = api.patch(f"{URL}survey/", {"goal": {"event": "Bought"}, "revision": 1})
    assert changed.json()["goal"] == {"event": "Bought", "condition": "", "days": 7}
    refused = problem(
        api.patch(f"{URL}survey/", {"name": "X", "goal": {**goal, "condition": "event.total +"}, "revision": 2}),
        409, "refused",
    )  # fmt: skip
    assert [error["field"] for error in refused["errors"]] == ["goal.condition"]
    stored = api.get(f"{URL}survey/").json()
    assert (stored["name"], stored["revision"]) == ("Survey", 2), "nothing was changed"
    problem(api.patch(f"{URL}survey/", {"goal": {**goal, "days": 91}, "revision": 2}), 400, "invalid")
    assert api.patch(f"{URL}survey/", {"name": "Y", "revision": 2}).json()["goal"]["event"] == "Bought"
    assert api.patch(f"{URL}survey/", {"goal": None, "revision": 3}).json()["goal"] is None


@pytest.mark.django_db(transaction=True)
def test_a_stop_withholds_after_its_answer() -> None:
    api, campaign = client_with(), make_campaign(make_list("buyers", make_people(2)))
    runs.start_due_runs(NOW)
    freeze()
    assert api.post(f"{URL}survey/stop/").status_code == 200
    (run,) = api.get(f"{URL}survey/runs/").json()["results"]
    assert run["state"] == "stopped"
    assert {name: n for name, n in run["messages"].items() if n} == {"targeted": 2, "withheld": 2}
    assert [each["count"] for each in run["withheld"]] == [2]
    campaign.refresh_from_db()
    assert campaign.ended_at is not None


def test_one_run_is_stopped_alone(api: APIClient) -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)), schedule=DAILY)
    runs.start_due_runs(NOW)
    assert api.post(f"{URL}survey/runs/1/stop/").json()["state"] == "stopped"
    assert Campaign.objects.get(pk=campaign.pk).state == "live"
    problem(api.post(f"{URL}survey/runs/7/stop/"), 404, "not_found")
    problem(api.post(f"{URL}survey/runs/99999999999/stop/"), 404, "not_found")


def test_the_list_and_the_runs_cost_the_same_however_many_there_are(api: APIClient) -> None:
    audience = make_list("buyers", make_people(1))
    seen = []
    for keys in (["a"], ["b", "c", "d"]):
        for key in keys:
            campaign = make_campaign(audience, key=key, exclusions=[audience])
            CampaignRun.objects.create(
                campaign=campaign, due_at=NOW, configuration=campaign.configuration, message_class=1,
                variant=campaign.content.versions.get().variants.get(),
            )  # fmt: skip
        with count_statements() as statements:
            assert api.get(URL).status_code == 200
        seen.append(len(statements))
    assert seen[0] == seen[1]


def test_dates_of_a_schedule(api: APIClient) -> None:
    found = api.post("/api/v1/schedules/preview/", {"schedule": DAILY}).json()
    assert len(found["dates"]) == 10
    assert found["problems"] == []
    wrong = api.post("/api/v1/schedules/preview/", {"schedule": {"kind": "at", "zone": "UTC"}}).json()
    assert (wrong["dates"], wrong["problems"][0]["field"]) == ([], "at")
    make_campaign(None, schedule=DAILY | {"count": 3})
    assert len(api.get(f"{URL}survey/dates/").json()["dates"]) == 3


def test_what_does_not_exist_or_is_missing_is_named(api: APIClient) -> None:
    body = problem(api.post(URL, {"key": "x", "name": "X", "audience": "nobody"}), 400, "invalid")
    assert body["errors"][0]["field"] == "audience"
    body = problem(api.post(URL, {"key": "x", "name": "X", "exclusions": ["nobody"]}), 400, "invalid")
    assert body["errors"][0]["field"] == "exclusions.0"
    api.post(URL, {"key": "x", "name": "X"})
    body = problem(api.post(URL, {"key": "x", "name": "X"}), 409, "refused")
    assert body["errors"][0]["field"] == "key"
    assert "Choose an audience" in api.get(f"{URL}x/reach/").json()["problem"]
    audience = Audience.objects.create(key="new", name="New")
    Campaign.objects.update(audience=audience, configuration=make_words()["configuration"])
    assert "audience new yet" in api.get(f"{URL}x/reach/").json()["problem"]
    problem(api.get(f"{URL}nothing/"), 404, "not_found")
    problem(api.get(f"{URL}x/requests/none/"), 404, "not_found")


def test_each_deed_needs_its_scope_and_its_permission() -> None:
    make_campaign(None, key="receipt", kind="triggered", state="in_review")
    reader = client_with("campaigns:read", "campaigns:write")
    assert reader.get(URL).status_code == 200
    for deed in ("approve", "send-back", "pause", "resume", "stop", "requests"):
        problem(reader.post(f"{URL}receipt/{deed}/"), 403, "missing_scope")
    person = signed_in(make_person("campaigns.view_campaign", "campaigns.approve_campaign"))
    assert person.get(URL).status_code == 200
    problem(person.post(f"{URL}receipt/stop/"), 403, "missing_permission")
    assert person.post(f"{URL}receipt/approve/").status_code == 200


# --- triggered -----------------------------------------------------------------------------------------------


def test_known_people_and_new_ones_are_sent_to_and_the_others_are_refused_each_with_the_reason(
    api: APIClient,
) -> None:
    campaign = make_receipt(context={"shop": "Pine", "currency": "EUR"})
    ada, bo, gone = make_profile("ada"), make_profile("bo", email="bo@x.example"), make_profile("gone")
    Profile.objects.filter(pk=gone.pk).update(merged_into=bo.pk)

    answer = call(
        api,
        {"profile_id": str(ada.pk), "context": {"order": "1"}},
        {"identity": {"namespace": "user_id", "value": "bo"}},
        {"email": " New@X.example", "attributes": {"first_name": "Nia", "email": "other@x.example"}},
        {"phone": "+49 30 901820", "context": {"order": "4"}},
        {"email": "BO@x.example"},
        {"profile_id": str(gone.pk)},
        {"profile_id": "999999"},
        {"identity": {"namespace": "user_id", "value": "stranger"}},
        {"identity": {"namespace": "loyalty", "value": "1"}},
        {"email": "not an address"},
        {"phone": "12"},
        context={"currency": "USD"},
    )  # fmt: skip

    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (4, 7)
    rows = body["recipients"]
    assert [row["is_accepted"] for row in rows] == [True] * 4 + [False] * 7
    assert {row["state"] for row in rows[:4]} == {"queued"}
    assert "same person as recipient 1" in rows[4]["reason"]
    assert "same person as recipient 1" in rows[5]["reason"]
    assert rows[6]["reason"].startswith("Nobody is known by this.")
    assert rows[7]["reason"].startswith("Nobody is known by this.")
    assert "namespace 'loyalty'" in rows[8]["reason"]
    assert "not an email address" in rows[9]["reason"]
    assert "not a phone number" in rows[10]["reason"]
    new = Profile.objects.get(pk=rows[2]["profile"])
    assert new.attributes == {"first_name": "Nia", "email": "New@X.example"}
    assert set(new.attribute_times) == {"first_name", "email"}
    assert Identity.objects.get(profile=new).value == "new@x.example"
    assert Identity.objects.get(namespace_id=IdentityNamespace.PHONE).profile_id == int(rows[3]["profile"])

    messages = Message.objects.filter(cause_kind=CauseKind.API_REQUEST, cause_id=body["id"]).order_by("pk")
    assert {m.profile_id: m.context for m in messages} == {
        ada.pk: {"shop": "Pine", "currency": "USD", "order": "1"},
        bo.pk: {"shop": "Pine", "currency": "USD"},
        new.pk: {"shop": "Pine", "currency": "USD"},
        int(rows[3]["profile"]): {"shop": "Pine", "currency": "USD", "order": "4"},
    }
    assert {(m.origin_id, m.message_class) for m in messages} == {(campaign.pk, MessageClass.TRANSACTIONAL)}


def test_the_same_request_is_done_once_and_another_body_is_refused(api: APIClient) -> None:
    make_receipt()
    first = call(api, {"email": "a@x.example"})
    again = call(client_with(), {"email": "a@x.example"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert Message.objects.count() == 1

    problem(call(api, {"email": "b@x.example"}), 409, "request_reused")
    assert Message.objects.count() == 1
    assert call(api, {"email": "a@x.example"}, request_id="order-2").status_code == 202
    assert Message.objects.count() == 2


def test_a_repeat_is_answered_also_when_the_campaign_takes_no_calls_any_more(api: APIClient) -> None:
    campaign = make_receipt()
    first = call(api, {"email": "a@x.example"})
    services.pause(campaign=campaign, user=None)
    assert call(api, {"email": "a@x.example"}).json() == first.json()
    body = problem(call(api, {"email": "a@x.example"}, request_id="order-2"), 409, "refused")
    assert "is paused, so nothing was sent" in body["detail"]
    assert CampaignRequest.objects.count() == 1


def test_a_scheduled_campaign_takes_no_calls(api: APIClient) -> None:
    make_campaign(None, key="receipt")
    body = problem(call(api, {"email": "a@x.example"}), 409, "refused")
    assert "Only a triggered campaign takes calls" in body["detail"]
    assert not Profile.objects.exists()


def test_the_state_of_every_message_can_be_asked(api: APIClient) -> None:
    make_receipt()
    answer = call(api, {"email": "a@x.example"}, {"email": "nothing"}).json()
    Message.objects.update(state=Message.State.WITHHELD, reason="The address is suppressed.")
    now = api.get(f"{URL}receipt/requests/order-1/").json()
    assert (now["id"], now["accepted"], now["refused"]) == (answer["id"], 1, 1)
    assert now["recipients"][0] == {
        **answer["recipients"][0], "state": "withheld", "reason": "The address is suppressed.",
    }  # fmt: skip
    assert now["recipients"][1] == answer["recipients"][1]


def test_a_stop_withholds_what_calls_have_queued(api: APIClient) -> None:
    campaign = make_receipt()
    call(api, {"email": "a@x.example"})
    services.stop(campaign=campaign, user=None, now=NOW)
    assert Message.objects.get().state == Message.State.WITHHELD


@pytest.mark.parametrize(
    ("recipient", "field"),
    [
        ({}, "recipients.0"),
        ({"email": "a@x.example", "phone": "+4930901820"}, "recipients.0"),
        ({"profile_id": 7}, "recipients.0.profile_id"),
        ({"email": "a@x.example", "colour": "red"}, "recipients.0.colour"),
        ({"email": "a@x.example", "attributes": {"": 1}}, "recipients.0.attributes"),
        ({"identity": {"namespace": "user_id"}}, "recipients.0.identity.value"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(
    api: APIClient, recipient: dict[str, Any], field: str
) -> None:
    make_receipt()
    body = problem(call(api, {"email": "good@x.example"}, recipient), 400, "invalid")
    assert [error["field"] for error in body["errors"]] == [field.replace(".0", ".1")]
    assert not CampaignRequest.objects.exists()


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_call_has_1_to_1000_recipients(api: APIClient, count: int) -> None:
    make_receipt()
    problem(call(api, *({"email": f"{i}@x.example"} for i in range(count))), 400, "invalid")


@pytest.mark.parametrize("are_new", [True, False])
def test_a_thousand_recipients_cost_as_many_statements_as_one(api: APIClient, are_new: bool) -> None:
    make_receipt()
    api.get(URL)
    seen = []
    for count in (1, 1_000):
        emails = [f"{count}-{index}@x.example" for index in range(count)]
        if not are_new:
            call(api, *({"email": email} for email in emails), request_id=f"before-{count}")
        with count_statements() as statements:
            answer = call(api, *({"email": email} for email in emails), request_id=f"of-{count}")
        assert answer.json()["accepted"] == count
        seen.append(len(statements))
    assert seen[0] == seen[1]


def test_somebody_new_enters_the_audiences_that_fit(api: APIClient) -> None:
    audience = Audience.objects.create(key="ghent", name="Ghent")
    audiences.write_rule(audience, 'profile.city == "Ghent"')
    audiences.activate(audience)
    while audiences.evaluate_range(now=NOW - timedelta(days=1)):
        pass
    make_receipt()
    call(api, {"email": "a@x.example", "attributes": {"city": "Ghent"}}, {"email": "b@x.example"})
    member = Membership.objects.get(audience=audience)
    assert member.profile_id == Identity.objects.get(value="a@x.example").profile_id
