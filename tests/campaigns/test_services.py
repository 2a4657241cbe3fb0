from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ajo.core.models import AuditEvent, User
from campaigns import requests, runs, services
from campaigns.models import Campaign, CampaignRun
from campaigns.requests import Recipient
from channels import goals
from channels import services as contents
from channels.goals import GoalRefused, Wanted
from channels.models import CauseKind, GoalOrigin, Message, MessageClass, SendHold
from profiles.models import Audience
from tests.campaigns.helpers import (
    freeze,
    make_campaign,
    make_list,
    make_people,
    make_words,
    recipients,
    send,
)
from tests.factories import NOW, make_configuration, make_variant

pytestmark = pytest.mark.django_db
State = Campaign.State


def draft(**fields: Any) -> Campaign:
    return services.create_campaign(
        key=fields.pop("key", "survey"), name="Survey", kind=fields.pop("kind", "scheduled"), user=None, **fields
    )  # fmt: skip


def ready(**fields: Any) -> Campaign:
    """A draft that can be submitted."""
    return draft(**({"audience": make_list("buyers", make_people(3)), **make_words()} | fields))


def live(**fields: Any) -> Campaign:
    campaign = services.submit_for_review(campaign=ready(**fields), user=None, now=NOW)
    return services.approve(campaign=campaign, user=None, now=NOW)


def fields_of(campaign: Campaign) -> set[str]:
    return {problem.field for problem in services.problems(campaign, NOW)}


def test_from_draft_to_the_last_message(service: Any) -> None:
    user = User.objects.create_user("ada")
    campaign = ready(schedule={"kind": "at", "at": "2026-11-21T15:00", "zone": "Europe/Berlin"})
    services.submit_for_review(campaign=campaign, user=user, now=NOW)
    campaign = services.approve(campaign=campaign, user=user, now=NOW)
    assert (campaign.state, campaign.next_run_at) == (State.LIVE, NOW + timedelta(hours=2))
    assert (campaign.approved_by, campaign.approved_at) == (user, NOW)

    assert runs.start_due_runs(NOW + timedelta(minutes=119)) == 0
    at = NOW + timedelta(hours=2)
    assert runs.start_due_runs(at) == 1
    freeze(at)
    send(at)
    services.settle(at)

    campaign.refresh_from_db()
    assert campaign.state == State.FINISHED
    assert len(service.addresses) == 3
    assert list(AuditEvent.objects.order_by("id").values_list("action", flat=True)) == [
        "create_campaign", "submit_campaign", "approve_campaign",
    ]  # fmt: skip


def test_the_words_that_were_approved_are_sent_though_newer_ones_are_published(service: Any) -> None:
    campaign = live(schedule={"kind": "at", "at": "2026-11-21T13:00", "zone": "UTC"})
    words = {"subject": "Newer", "text": "{{ unsubscribe_url }}", "html": ""}
    contents.save_draft(key="welcome", name="Welcome", variants=[words])
    contents.publish_content(content=campaign.content, now=NOW)

    at = NOW + timedelta(hours=1)
    runs.start_due_runs(at)
    freeze(at)

    subjects = set(Message.objects.values_list("variant__subject", flat=True))
    assert subjects == {"Welcome, {{ profile.first_name | default: 'friend' }}"}


def test_what_is_missing_is_named_with_its_field() -> None:
    assert fields_of(draft()) == {"content", "configuration", "audience"}
    campaign = ready(key="other", schedule={"kind": "recurring", "every": "week", "time": "25:00"})
    assert fields_of(campaign) == {"schedule.time", "schedule.zone", "schedule.weekdays"}
    campaign.schedule = {"kind": "at", "at": "2026-11-21T11:59", "zone": "UTC"}
    assert fields_of(campaign) == {"schedule"}
    campaign.schedule = {"kind": "now"}
    campaign.exclusions.set([campaign.audience, Audience.objects.create(key="draft", name="Draft")])
    assert [problem.field for problem in services.problems(campaign, NOW)] == ["exclusions", "exclusions"]


def test_marketing_email_needs_a_way_out_also_in_a_campaign() -> None:
    words = make_variant("bare", html="<p>Hi</p>", text="Hi").version.content
    campaign = ready(content=words)
    assert fields_of(campaign) == {"content"}
    campaign.message_class = MessageClass.TRANSACTIONAL
    assert fields_of(campaign) == set()


def test_a_campaign_with_problems_is_not_submitted_and_one_that_got_some_not_approved() -> None:
    with pytest.raises(services.CampaignRefused, match="Choose a content") as refused:
        services.submit_for_review(campaign=draft(), user=None, now=NOW)
    assert {problem.field for problem in refused.value.problems} >= {"content", "audience"}

    campaign = services.submit_for_review(campaign=ready(key="other"), user=None, now=NOW)
    Audience.objects.update(state=Audience.State.ARCHIVED)
    with pytest.raises(services.CampaignRefused, match="buyers is archived"):
        services.approve(campaign=campaign, user=None, now=NOW)
    assert set(Campaign.objects.values_list("key", "state")) == {("survey", "draft"), ("other", "in_review")}


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("draft", {"submit"}),
        ("in_review", {"approve", "send_back"}),
        ("live", {"pause", "stop"}),
        ("paused", {"resume", "stop"}),
        ("stopped", set()),
        ("finished", set()),
    ],
)
def test_each_state_allows_these_moves_and_no_others(state: str, allowed: set[str]) -> None:
    campaign = ready()
    moves = {
        "submit": lambda: services.submit_for_review(campaign=campaign, user=None, now=NOW),
        "approve": lambda: services.approve(campaign=campaign, user=None, now=NOW),
        "send_back": lambda: services.send_back(campaign=campaign, user=None),
        "pause": lambda: services.pause(campaign=campaign, user=None),
        "resume": lambda: services.resume(campaign=campaign, user=None, now=NOW),
        "stop": lambda: services.stop(campaign=campaign, user=None, now=NOW),
    }
    for name in allowed:
        Campaign.objects.update(state=state)
        moves[name]()
    for name in moves.keys() - allowed:
        Campaign.objects.update(state=state)
        with pytest.raises(
            services.CampaignRefused, match=f"^{campaign} is {State(state).label.lower()}; only"
        ):
            moves[name]()
        assert Campaign.objects.get().state == state


def test_only_a_draft_is_changed_but_a_name_always() -> None:
    campaign = services.submit_for_review(campaign=ready(), user=None, now=NOW)
    with pytest.raises(services.CampaignRefused, match="Send it back first") as refused:
        services.update_campaign(
            campaign=campaign, revision=1, user=None, changes={"schedule": {"kind": "now"}, "name": "X"}
        )
    assert [problem.field for problem in refused.value.problems] == ["schedule"]
    campaign = services.update_campaign(campaign=campaign, revision=1, user=None, changes={"name": "Other"})
    assert (campaign.name, campaign.revision) == ("Other", 2)


def test_nobody_overwrites_what_they_have_not_seen() -> None:
    campaign = draft()
    services.update_campaign(campaign=campaign, revision=1, user=None, changes={"name": "Mine"})
    with pytest.raises(services.StaleRevision):
        services.update_campaign(campaign=campaign, revision=1, user=None, changes={"name": "Yours"})
    assert Campaign.objects.get().name == "Mine"


def test_exclusions_and_context_are_written() -> None:
    campaign, staff = draft(), make_list("staff", [])
    services.update_campaign(
        campaign=campaign, revision=1, user=None, changes={"exclusions": [staff], "context": {"a": 1}}
    )
    campaign.refresh_from_db()
    assert list(campaign.exclusions.all()) == [staff]
    assert campaign.context == {"a": 1}


def test_a_key_is_taken_once_and_nul_is_refused() -> None:
    draft()
    with pytest.raises(services.CampaignRefused, match="already a campaign"):
        draft()
    with pytest.raises(services.CampaignRefused, match="NUL"):
        draft(key="other", context={"a": "\0"})


def test_a_campaign_pauses_with_its_runs_and_stops_with_them(service: Any) -> None:
    campaign = live()
    runs.start_due_runs(NOW)
    freeze()
    run = campaign.runs.get()

    services.pause(campaign=campaign, user=None)
    send()
    assert service.addresses == []
    with pytest.raises(runs.RunRefused, match="Resume the campaign"):
        runs.resume_run(run=run, now=NOW)

    services.resume(campaign=campaign, user=None, now=NOW)
    run.refresh_from_db()
    assert run.state == CampaignRun.State.SENDING

    services.stop(campaign=campaign, user=None, now=NOW)
    send()
    campaign.refresh_from_db()
    assert (campaign.state, campaign.ended_at) == (State.STOPPED, NOW)
    assert service.addresses == []
    assert Message.objects.filter(state=Message.State.WITHHELD).count() == len(recipients(run)) == 3


def test_a_stop_that_was_interrupted_is_finished_by_the_next_tick() -> None:
    campaign = live()
    runs.start_due_runs(NOW)
    freeze()
    services.begin_stop(campaign=campaign, user=None)
    services.settle(NOW)
    assert Message.objects.filter(state=Message.State.WITHHELD).count() == 3
    assert Campaign.objects.get().ended_at == NOW


def test_a_triggered_campaign_is_transactional_and_needs_no_audience() -> None:
    campaign = draft(kind="triggered", configuration=make_configuration(), content=make_words()["content"])
    assert campaign.message_class == MessageClass.TRANSACTIONAL
    assert fields_of(campaign) == set()
    services.submit_for_review(campaign=campaign, user=None, now=NOW)
    campaign = services.approve(campaign=campaign, user=None, now=NOW)
    assert campaign.next_run_at is None
    services.settle(NOW)
    assert Campaign.objects.get().state == State.LIVE


def test_a_pause_holds_what_calls_have_queued_and_the_resume_lets_it_go(service: Any) -> None:
    paused, other = (make_campaign(None, key=key, kind="triggered") for key in ("receipt", "other"))
    for campaign, email in ((paused, "ada@x.example"), (other, "bob@x.example")):
        requests.send(
            campaign=campaign,
            request_id="1",
            recipients=[Recipient(email=email)],
            context={},
            body=1,
            now=NOW,
        )

    services.pause(campaign=paused, user=None)
    send()
    assert service.addresses == ["bob@x.example"]
    assert SendHold.objects.get().scope == SendHold.Scope.TRIGGERED_CAMPAIGN
    assert SendHold.objects.get().ref == paused.pk

    services.resume(campaign=paused, user=None, now=NOW)
    send()
    assert service.addresses == ["bob@x.example", "ada@x.example"]
    assert not SendHold.objects.exists()

    requests.send(
        campaign=paused,
        request_id="2",
        recipients=[Recipient(email="ada@x.example")],
        context={},
        body=1,
        now=NOW,
    )
    services.pause(campaign=paused, user=None)
    services.begin_stop(campaign=paused, user=None)
    send()
    services.settle(NOW)
    send()
    assert len(service.addresses) == 2
    assert Message.objects.filter(state=Message.State.WITHHELD).count() == 1
    assert not SendHold.objects.exists()


def test_a_goal_is_set_at_any_time_and_followed_by_every_run() -> None:
    user = User.objects.create_user("ada")
    campaign = live(schedule={"kind": "recurring", "every": "day", "time": "12:00", "zone": "UTC"})
    runs.start_due_runs(NOW + timedelta(days=1))
    campaign = services.set_goal(campaign=campaign, wanted=Wanted("Booked", days=3), user=user)
    assert goals.said(campaign.goal) == Wanted("Booked", days=3)
    runs.start_due_runs(NOW + timedelta(days=2))
    begun = set(campaign.runs.values_list("pk", flat=True))
    assert len(begun) == 3
    followed = GoalOrigin.objects.filter(cause_kind=CauseKind.CAMPAIGN_RUN, goal=campaign.goal)
    assert set(followed.values_list("origin_id", flat=True)) == begun
    assert AuditEvent.objects.latest("id").action == "set_goal"
    with pytest.raises(GoalRefused):
        services.set_goal(campaign=campaign, wanted=Wanted("Booked", days=0), user=user)
    assert services.set_goal(campaign=campaign, wanted=None, user=user).goal is None
    campaign.refresh_from_db()
    assert campaign.goal is None

    triggered = draft(key="receipt", kind="triggered")
    services.set_goal(campaign=triggered, wanted=Wanted("Booked"), user=user)
    origin = GoalOrigin.objects.values_list("cause_kind", "origin_id").get()
    assert origin == (CauseKind.API_REQUEST, triggered.pk)
