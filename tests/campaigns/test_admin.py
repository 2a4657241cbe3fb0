"""The screens of campaigns: a draft is written on one page, reviewed, watched; notices are prepared."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core.models import AuditEvent
from campaigns import runs, services
from campaigns.models import Campaign, Notice
from channels.goals import Wanted, said
from channels.models import Message, Suppression
from profiles.models import Audience, Channel
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, make_words, send, start
from tests.channels.conftest import FakeService
from tests.factories import NOW
from tests.support import count_statements
from tests.test_roles import make_colleague

pytestmark = pytest.mark.django_db
State = Campaign.State


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def page_of(campaign: Campaign) -> str:
    return reverse("admin:campaigns_campaign_change", args=[campaign.pk])


def act(client: Client, campaign: Campaign, verb: str) -> Any:
    url = reverse("admin:campaigns_campaign_act", args=[campaign.pk, verb])
    return client.post(url, follow=True)


def filled_in(campaign: Campaign, **fields: Any) -> dict[str, Any]:
    words = make_words()
    return {
        "name": campaign.name, "revision": campaign.revision, "content": words["content"].pk,
        "configuration": words["configuration"].pk, "message_class": 1, "schedule-when": "now",
        "schedule-every": "week", "schedule-time": "09:00", "schedule-zone": "Europe/Berlin", "schedule-day": "1",
        **fields,
    }  # fmt: skip


@pytest.fixture
def marketer(client: Client) -> Client:
    client.force_login(make_colleague("marketer", name="mia"))
    return client


@pytest.fixture
def approver() -> Client:
    client = Client()
    client.force_login(make_colleague("approver", name="abe"))
    return client


@pytest.fixture
def draft() -> Campaign:
    return services.create_campaign(key="survey", name="Survey", kind=Campaign.Kind.SCHEDULED, user=None)


def test_from_a_name_to_a_campaign_that_is_live(marketer: Client, approver: Client) -> None:
    people = make_people(5)
    buyers, delayed = make_list("buyers", people), make_list("delayed", people[:2])
    fields = {"name": "Survey", "key": "survey", "kind": "scheduled"}
    answer = marketer.post(reverse("admin:campaigns_campaign_add"), fields)
    campaign = Campaign.objects.get()
    assert answer["Location"] == page_of(campaign)
    page = text_of(marketer.get(page_of(campaign)))
    assert "There is nothing to send. Choose a content." in page
    assert "Submit for review" in page

    refused = act(marketer, campaign, "submit")
    assert "cannot be submitted" in text_of(refused)

    recurring = {
        "schedule-when": "recurring", "schedule-every": "week", "schedule-weekdays": ["1", "4"],
        "audience": buyers.pk, "exclusions": [delayed.pk],
    }  # fmt: skip
    saved = marketer.post(page_of(campaign), filled_in(campaign, **recurring), follow=True)
    assert "Saved." in text_of(saved)
    campaign.refresh_from_db()
    assert campaign.schedule == {
        "kind": "recurring", "every": "week", "weekdays": [1, 4], "time": "09:00", "zone": "Europe/Berlin"
    }  # fmt: skip
    assert list(campaign.exclusions.all()) == [delayed]

    assert "Submitted for review." in text_of(act(marketer, campaign, "submit"))
    assert act(marketer, campaign, "approve").status_code == 403
    assert "It goes live with the words that are published now. Its first run is on" in text_of(
        approver.get(page_of(campaign))
    )
    assert "Approved: it is live." in text_of(act(approver, campaign, "approve"))
    campaign.refresh_from_db()
    assert campaign.state == State.LIVE
    assert campaign.next_run_at > timezone.now()
    assert act(marketer, campaign, "pause").status_code == 403
    assert marketer.post(page_of(campaign), filled_in(campaign)).status_code == 403


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_saved(
    marketer: Client, draft: Campaign
) -> None:
    wrong = {"schedule-when": "recurring", "schedule-every": "week", "schedule-weekdays": [], "name": ""}
    page = text_of(marketer.post(page_of(draft), filled_in(draft, **wrong)))
    assert "It is not saved yet" in page
    wrong = {"schedule-when": "at", "schedule-at_day": ""}
    page = text_of(marketer.post(page_of(draft), filled_in(draft, **wrong)))
    assert "Give a day and a time without a zone" in page
    draft.refresh_from_db()
    assert (draft.revision, draft.schedule) == (1, {"kind": "now"})


def test_nobody_overwrites_a_colleague_unseen(marketer: Client, draft: Campaign) -> None:
    services.update_campaign(campaign=draft, revision=None, user=None, changes={"name": "Autumn survey"})
    page = marketer.post(page_of(draft), filled_in(draft, name="Survey!", revision=1))
    assert "somebody changed it in the meantime" in text_of(page)
    draft.refresh_from_db()
    assert draft.name == "Autumn survey"


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [("send-back", State.IN_REVIEW, State.DRAFT), ("pause", State.LIVE, State.PAUSED),
     ("resume", State.PAUSED, State.LIVE)],
)  # fmt: skip
def test_each_verb_does_what_it_says(approver: Client, verb: str, before: str, after: str) -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)), state=before)
    act(approver, campaign, verb)
    campaign.refresh_from_db()
    assert campaign.state == after
    assert "cannot" in (page := text_of(act(approver, campaign, verb))) or "only one that is" in page


def test_who_sends_back_says_why_until_it_is_submitted_again(marketer: Client, approver: Client) -> None:
    draft = make_campaign(make_list("buyers", make_people(1)), state=State.IN_REVIEW)
    assert "What its author should know" in text_of(approver.get(page_of(draft)))
    url = reverse("admin:campaigns_campaign_act", args=[draft.pk, "send-back"])
    approver.post(url, {"comment": " Too long <b>. "})
    page = text_of(marketer.get(page_of(draft)))
    assert "Sent back by" in page
    assert "Too long <b>." in page
    act(marketer, draft, "submit")
    act(approver, draft, "send-back")
    assert "Sent back by" not in text_of(marketer.get(page_of(draft)))


@pytest.mark.django_db(transaction=True)
def test_stopping_withholds_what_waits(approver: Client) -> None:
    campaign = make_campaign(make_list("buyers", make_people(3)))
    start(campaign)
    freeze()
    assert "3 messages wait now." in text_of(approver.get(page_of(campaign)))
    act(approver, campaign, "stop")
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.WITHHELD}


def test_a_verb_needs_a_post_and_must_exist(approver: Client) -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)))
    url = reverse("admin:campaigns_campaign_act", args=[campaign.pk, "pause"])
    assert approver.get(url).status_code == 405
    assert act(approver, campaign, "explode").status_code == 403
    campaign.refresh_from_db()
    assert campaign.state == State.LIVE


# --- parts that refresh ------------------------------------------------------------------------------------------


def test_the_reach_follows_the_form_before_it_is_saved(marketer: Client, draft: Campaign) -> None:
    people = make_people(5)
    buyers, delayed = make_list("buyers", people), make_list("delayed", people[:2])
    Suppression.objects.create(channel=Channel.EMAIL, address=people[4].attributes["email"])
    url = reverse("admin:campaigns_campaign_reach", args=[draft.pk])
    configuration = make_words()["configuration"].pk

    assert "Choose an audience" in text_of(marketer.post(url, {}))
    assert "Choose what it is sent with" in text_of(marketer.post(url, {"audience": buyers.pk}))
    fields = {"audience": buyers.pk, "configuration": configuration, "message_class": 1}
    assert text_of(marketer.post(url, fields)).startswith(" 4 of 5 people get it")
    found = text_of(marketer.post(url, {**fields, "exclusions": [delayed.pk]}))
    assert found.startswith(" 2 of 3 people get it")
    assert "suppressed 1" in found
    stored = {"audience": buyers, "configuration": make_words()["configuration"]}
    services.update_campaign(campaign=draft, revision=None, user=None, changes=stored)
    assert text_of(marketer.get(url)).startswith(" 4 of 5 people get it")
    Audience.objects.filter(pk=buyers.pk).update(state=Audience.State.DRAFT)
    assert "Activate it first." in text_of(marketer.post(url, fields))
    assert "people get it" not in text_of(marketer.post(url, {**fields, "audience": "x" * 30}))


def test_the_next_ten_dates_follow_the_form(marketer: Client, draft: Campaign) -> None:
    url = reverse("admin:campaigns_campaign_dates", args=[draft.pk])
    daily = filled_in(draft, **{"schedule-when": "recurring", "schedule-every": "day"})
    page = marketer.post(url, daily).content.decode()
    assert page.count("<li>") == 10
    assert page.count(", 09:00</li>") == 10
    assert "Local times of Europe/Berlin." in page
    assert "as soon as it is approved" in text_of(marketer.post(url, filled_in(draft)))
    past = {"schedule-when": "at", "schedule-at_day": "2020-01-01"}
    assert "all of them have passed" in text_of(marketer.post(url, filled_in(draft, **past)))
    weekly = {"schedule-when": "recurring", "schedule-every": "week", "schedule-weekdays": []}
    assert "Choose at least one day of the week" in text_of(marketer.post(url, filled_in(draft, **weekly)))


# --- results -----------------------------------------------------------------------------------------------------


def test_the_results_of_a_run_and_its_recipients(approver: Client, service: FakeService) -> None:
    people = make_people(5)
    Suppression.objects.create(channel=Channel.EMAIL, address=people[4].attributes["email"])
    run = start(make_campaign(make_list("buyers", people)))
    freeze()
    send()
    runs.settle_runs(NOW)
    Message.objects.filter(profile=people[0].pk).update(opened_at=NOW, clicked_at=NOW)

    page = text_of(approver.get(reverse("admin:campaigns_campaign_run", args=[run.pk])))
    assert "Targeted 5 Withheld 1 Sent 4" in page
    assert "Opened 1 25 % Clicked 1 25 %" in page
    assert "Address suppressed 1" in page
    for person in people:
        assert str(person) in page
    withheld = (
        f"{reverse('admin:campaigns_campaign_run', args=[run.pk])}?state={Message.State.WITHHELD.value}"
    )
    only = text_of(approver.get(withheld))
    assert str(people[4]) in only
    assert str(people[0]) not in only
    listed = text_of(approver.get(reverse("admin:campaigns_campaign_changelist")))
    assert "4 of 5" in listed


def test_the_pages_cost_the_same_for_few_and_for_many(approver: Client) -> None:
    def statements(url: str) -> int:
        approver.get(url)  # what the shell keeps for half a minute is read before
        with count_statements() as seen:
            approver.get(url)
        return len(seen)

    one = make_campaign(make_list("few", make_people(2)), key="few")
    run = start(one)
    freeze()
    urls = [
        reverse("admin:campaigns_campaign_changelist"),
        page_of(one),
        reverse("admin:campaigns_campaign_run", args=[run.pk]),
    ]
    before = [statements(url) for url in urls]
    for n in range(4):
        start(make_campaign(make_list(f"list-{n}", make_people(20)), key=f"more-{n}"))
    freeze(limit=100)
    run = Campaign.objects.get(key="more-0").runs.get()
    urls[1:] = [page_of(run.campaign), reverse("admin:campaigns_campaign_run", args=[run.pk])]
    assert [statements(url) for url in urls] == before


def test_one_run_is_stopped_and_the_campaign_goes_on(approver: Client) -> None:
    campaign = make_campaign(
        make_list("buyers", make_people(2)),
        schedule={"kind": "recurring", "every": "day", "time": "12:00", "zone": "UTC"},
    )
    run = start(campaign)
    url = reverse("admin:campaigns_campaign_run_stop", args=[run.pk])
    assert approver.get(url).status_code == 405
    viewer = Client()
    viewer.force_login(make_colleague("viewer"))
    assert viewer.post(url).status_code == 403
    run.refresh_from_db()
    assert run.state == "freezing"


def test_a_triggered_campaign_shows_how_it_is_set_off(marketer: Client) -> None:
    campaign = services.create_campaign(
        key="receipt", name="Receipt", kind=Campaign.Kind.TRIGGERED, user=None, context={"order": "O'Hara"}
    )
    page = unescape(marketer.get(page_of(campaign)).content.decode())
    assert "/api/v1/campaigns/receipt/requests/" in page
    assert "O'\\''Hara" in page
    assert 'name="audience"' not in page
    saved = marketer.post(
        page_of(campaign), filled_in(campaign, name="Receipts", message_class=2), follow=True
    )
    assert "Saved." in text_of(saved)
    campaign.refresh_from_db()
    assert (campaign.name, campaign.schedule) == ("Receipts", {"kind": "now"})


# --- notices -----------------------------------------------------------------------------------------------------


def notice_fields(**fields: Any) -> dict[str, Any]:
    words = make_words()
    rows = {
        "field-TOTAL_FORMS": 2, "field-INITIAL_FORMS": 0, "field-0-label": "Which ride?", "field-0-kind": "choice",
        "field-0-choices": "Sky Coaster\nLog Flume\n\nSky Coaster", "field-0-required": "on", "field-1-kind": "text",
    }  # fmt: skip
    audience = Audience.objects.filter(key="park").first() or make_list("park", make_people(1))
    return {
        "name": "A ride is closed", "key": "ride-closed", "configuration": words["configuration"].pk,
        "content": words["content"].pk, "message_class": 2, "audience": audience.pk, "is_ready": "on", **rows, **fields,
    }  # fmt: skip


def test_a_notice_is_prepared_with_its_form(marketer: Client) -> None:
    marketer.post(reverse("admin:campaigns_notice_add"), notice_fields())
    notice = Notice.objects.get()
    assert notice.fields == [
        {"name": "which_ride", "label": "Which ride?", "kind": "choice", "required": True,
         "choices": ["Sky Coaster", "Log Flume"]},
    ]  # fmt: skip
    assert AuditEvent.objects.get(action="create_notice").data["changes"]["fields"][0] is None

    change = reverse("admin:campaigns_notice_change", args=[notice.pk])
    more = {
        "field-INITIAL_FORMS": 1, "field-0-name": "which_ride", "field-1-label": "Until", "field-1-kind": "time",
        "field-1-name": "until",
    }  # fmt: skip
    marketer.post(change, notice_fields(**more))
    notice.refresh_from_db()
    assert [field["name"] for field in notice.fields] == ["which_ride", "until"]
    before, after = AuditEvent.objects.get(action="change_notice").data["changes"]["fields"]
    assert (len(before), len(after)) == (1, 2)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"field-0-choices": "One"}, "Write at least two choices"),
        ({"field-0-name": "Which Ride"}, "Use small letters, digits and _"),
        ({"field-1-label": "Which ride"}, "Two fields have the name which_ride."),
    ],
)
def test_a_form_that_cannot_work_is_refused(marketer: Client, fields: dict[str, str], said: str) -> None:
    page = marketer.post(reverse("admin:campaigns_notice_add"), notice_fields(**fields))
    assert said in text_of(page)
    assert not Notice.objects.exists()


def test_a_notice_is_ready_only_when_it_could_be_sent(marketer: Client) -> None:
    fields = notice_fields()
    Audience.objects.filter(key="park").update(state=Audience.State.DRAFT)
    page = marketer.post(reverse("admin:campaigns_notice_add"), fields)
    assert "Activate it first." in text_of(page)
    make_words()["content"].versions.update(state="draft")
    page = marketer.post(reverse("admin:campaigns_notice_add"), fields)
    assert "has no published version" in text_of(page)
    del fields["is_ready"]
    marketer.post(reverse("admin:campaigns_notice_add"), fields)
    assert not Notice.objects.get().is_ready


def test_dates_are_shown_in_the_zone_of_the_campaign(marketer: Client, draft: Campaign) -> None:
    url = reverse("admin:campaigns_campaign_dates", args=[draft.pk])
    day = (timezone.now() + timedelta(days=3)).date()
    at = {"schedule-when": "at", "schedule-at_day": day.isoformat(), "schedule-zone": "Asia/Tokyo"}
    assert ", 09:00</li>" in marketer.post(url, filled_in(draft, **at)).content.decode()


def test_the_goal_is_set_changed_and_removed_on_the_page_of_a_live_campaign(marketer: Client) -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)))
    url = reverse("admin:campaigns_campaign_goal", args=[campaign.pk])
    form = {"goal-event": "Booked", "goal-days": "3", "goal-condition": "event.total >"}
    answer = marketer.post(url, form)
    assert "The condition of the goal cannot be used." in text_of(answer)
    assert 'value="Booked"' in answer.content.decode(), "what was filled in is still there"
    answer = marketer.post(url, form | {"goal-condition": "event.total > 5"}, follow=True)
    assert "The goal counts from now on." in text_of(answer)
    campaign.refresh_from_db()
    assert said(campaign.goal) == Wanted("Booked", "event.total > 5", 3)
    marketer.post(url, form | {"remove": "1"})
    campaign.refresh_from_db()
    assert campaign.goal is None
    viewer = Client()
    viewer.force_login(make_colleague("viewer", name="vic"))
    assert viewer.post(url, form).status_code == 403
    assert "fieldset disabled" in viewer.get(page_of(campaign)).content.decode()
