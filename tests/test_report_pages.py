"""Reports: the same numbers on the pages, in the CSV and over the API, each a count over the messages."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core.models import User
from campaigns.models import Campaign, CampaignRun
from campaigns.services import set_goal as set_campaign_goal
from channels import counting, reports
from channels.goals import Wanted
from channels.models import CauseKind, ChannelConfiguration, Message, MessageClass, MessageMark, Variant
from journeys.models import Journey, JourneyVersion
from offers import outcomes
from offers.decide import Ask, decide
from offers.models import DecisionOutcome
from offers.outcomes import Taken
from offers.plans import current_plan
from profiles.models import Channel
from tests.api.support import client_with, problem
from tests.factories import NOW, make_configuration, make_profile, make_variant
from tests.offers.helpers import make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db

Mark, State = MessageMark, Message.State
Make = Callable[..., Message]


@pytest.fixture
def make() -> Make:
    configuration, variant = make_configuration(), make_variant()

    def make_message(cause_kind: int, origin_id: int, state: int, **fields: Any) -> Message:
        profile = make_profile()
        at = timezone.now()
        if state in {State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED}:
            fields.setdefault("sent_at", at)
        return Message.objects.create(
            **{
                "profile": profile, "cause_kind": cause_kind, "cause_id": profile.pk, "activity": "hello", "visit": 1,
                "channel": Channel.EMAIL, "origin_id": origin_id, "configuration": configuration, "variant": variant,
                "message_class": MessageClass.MARKETING, "state": state, "created_at": at,
            }
            | fields
        )  # fmt: skip

    return make_message


@pytest.fixture
def version() -> JourneyVersion:
    journey = Journey.objects.create(key="welcome", name="=Welcome")
    return JourneyVersion.objects.create(journey=journey, number=1)


def fill(make: Make, cause_kind: int, origin_id: int) -> None:
    now = timezone.now()
    for state in (State.SENT, State.DELIVERED, State.COMPLAINED, State.BOUNCED, State.QUEUED, State.FAILED):
        make(cause_kind, origin_id, state)
    for code in (Message.Reason.OPTED_OUT, Message.Reason.OPTED_OUT, Message.Reason.FREQUENCY_CAP):
        make(cause_kind, origin_id, State.WITHHELD, reason_code=code)
    make(cause_kind, origin_id, State.SENT, opened_at=now, clicked_at=now, converted_at=now)
    make(cause_kind, origin_id, State.SENT, opened_by_machine_at=now, clicked_by_machine_at=now)
    make(
        cause_kind, origin_id, State.SENT, sent_at=now - timedelta(days=3), opened_at=now - timedelta(days=2)
    )


def test_a_report_counts_what_became_of_the_messages(make: Make) -> None:
    fill(make, CauseKind.JOURNEY_INSTANCE, 7)
    make(CauseKind.JOURNEY_INSTANCE, 8, State.SENT, activity="bye", channel=Channel.SMS)
    make(CauseKind.CAMPAIGN_RUN, 7, State.SENT)
    for _ in range(2):  # from the deltas, then from the counts
        found = reports.report(CauseKind.JOURNEY_INSTANCE, [7, 8])
        total = found.total
        assert {mark: total[mark] for mark in Mark if total[mark]} == {
            Mark.TARGETED: 13, Mark.SENT: 8, Mark.DELIVERED: 2, Mark.BOUNCED: 1, Mark.COMPLAINED: 1, Mark.WITHHELD: 3,
            Mark.FAILED: 1, Mark.OPENED: 2, Mark.OPENED_BY_MACHINE: 1, Mark.CLICKED: 1, Mark.CLICKED_BY_MACHINE: 1,
            Mark.CONVERTED: 1,
        }  # fmt: skip
        assert dict(total.withheld_for) == {"opted_out": 2, "frequency_cap": 1}
        assert (total.waiting, total.lost) == (1, 1)
        assert (total.rate(Mark.SENT), total.rate(Mark.OPENED)) == (8 / 13, 2 / 8)
        assert (total.rate(Mark.WITHHELD), total.rate(Mark.CONVERTED)) == (3 / 13, 1 / 8)
        assert found.parts["bye", Channel.SMS][Mark.SENT] == 1
        assert {id: numbers[Mark.SENT] for id, numbers in found.origins.items()} == {7: 7, 8: 1}
        today = timezone.now().date()
        assert found.days[today - timedelta(days=3)][Mark.SENT] == 1
        assert found.days[today - timedelta(days=2)][Mark.OPENED] == 1
        assert sum(day[Mark.SENT] for day in found.days.values()) == 8
        counting.fold_message_counts()
    assert reports.report(CauseKind.JOURNEY_INSTANCE, [7, 8]).total.rate(Mark.CLICKED) == 1 / 8
    assert reports.report(CauseKind.API_REQUEST, [7]).total.rate(Mark.SENT) is None


def test_the_overview_knows_the_last_days_only(make: Make) -> None:
    now = timezone.now()
    make(
        CauseKind.CAMPAIGN_RUN,
        1,
        State.SENT,
        sent_at=now - timedelta(days=6),
        created_at=now - timedelta(days=7),
    )
    with count_statements() as seen:
        found = reports.overview(now.date(), 7)
    assert len(seen) == 1
    assert (found.total[Mark.SENT], found.total[Mark.TARGETED]) == (1, 0)
    assert list(found.origins) == [reports.Origin(CauseKind.CAMPAIGN_RUN, 1)]


def test_the_pages_show_the_numbers(make: Make, version: JourneyVersion, admin_client: Client) -> None:
    fill(make, CauseKind.JOURNEY_INSTANCE, version.pk)
    Campaign.objects.create(key="sale", name="Winter sale")
    page = admin_client.get(reverse("reports")).content.decode()
    assert "=Welcome" in page
    assert reverse("report-journey", args=["welcome"]) in page
    page = admin_client.get(reverse("report-journey", args=["welcome"])).content.decode()
    for text in ("Opted out", "Frequency cap reached", "Opened by a machine", "Converted"):
        assert text in page
    page = admin_client.get(reverse("report-campaign", args=["sale"])).content.decode()
    assert "Nothing was sent yet." in page
    answer = admin_client.get(reverse("reports"), {"format": "csv"})
    (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (row["name"], row["targeted"], row["sent"]) == ("'=Welcome", "12", "7")
    answer = admin_client.get(reverse("report-journey", args=["welcome"]), {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert sum(int(row["sent"]) for row in rows) == 7


def test_a_message_of_something_deleted_is_counted_all_the_same(make: Make, admin_client: Client) -> None:
    make(CauseKind.CAMPAIGN_RUN, 12345, State.SENT)
    assert "Deleted" in admin_client.get(reverse("reports")).content.decode()


def make_run(campaign: Campaign, number: int) -> CampaignRun:
    configuration, variant = ChannelConfiguration.objects.get(), Variant.objects.get()
    return CampaignRun.objects.create(
        campaign=campaign, number=number, due_at=NOW + timedelta(days=number), configuration=configuration,
        variant=variant, message_class=MessageClass.MARKETING,
    )  # fmt: skip


def test_a_campaign_is_reported_as_a_whole_and_run_by_run(make: Make, admin_client: Client) -> None:
    campaign = Campaign.objects.create(key="sale", name="Winter sale")
    first, second = (make_run(campaign, number) for number in (1, 2))
    set_campaign_goal(campaign=campaign, wanted=Wanted("Booked", "event.total > 5", days=3), user=None)
    fill(make, CauseKind.CAMPAIGN_RUN, first.pk)
    make(CauseKind.CAMPAIGN_RUN, second.pk, State.SENT)
    fill(make, CauseKind.CAMPAIGN_RUN, 987)  # of somebody else
    whole, urls = reverse("report-campaign", args=["sale"]), [
        reverse("report-run", args=["sale", number]) for number in (1, 2)
    ]  # fmt: skip
    page = admin_client.get(whole).content.decode()
    assert all(url in page for url in urls)
    assert "Converted: Booked within 3 days of a message" in page
    assert "<code>event.total &gt; 5</code>" in page
    page = admin_client.get(urls[0]).content.decode()
    for url in (whole, reverse("admin:campaigns_campaign_run", args=[first.pk])):
        assert f'href="{url}"' in page

    api = client_with("reports:read")
    body = api.get("/api/v1/reports/campaigns/sale/").json()
    assert (body["kind"], body["key"], body["goal"]["event"]) == ("campaign", "sale", "Booked")
    assert body["messages"] == {
        "targeted": 13, "sent": 8, "delivered": 2, "bounced": 1, "complained": 1, "withheld": 3, "failed": 1,
        "expired": 0, "uncertain": 0, "quarantined": 0, "opened": 2, "opened_by_machine": 1, "clicked": 1,
        "clicked_by_machine": 1, "unsubscribed": 0, "converted": 1, "waiting": 1,
    }  # fmt: skip
    assert body["rates"] == {
        "withheld": 3 / 13, "sent": 8 / 13, "delivered": 2 / 8, "opened": 2 / 8, "clicked": 1 / 8, "converted": 1 / 8,
    }  # fmt: skip
    assert body["withheld"] == [
        {"reason": "opted_out", "count": 2},
        {"reason": "frequency_cap", "count": 1},
    ]
    assert [(each["number"], each["messages"]["sent"]) for each in body["origins"]] == [(2, 1), (1, 7)]
    assert sum(each["messages"]["sent"] for each in body["by_day"]) == 8
    run = api.get("/api/v1/reports/campaigns/sale/runs/1/").json()
    assert (run["kind"], run["messages"]["sent"], run["origins"]) == ("run", 7, [])
    problem(api.get("/api/v1/reports/campaigns/sale/runs/3/"), 404, "not_found")
    problem(api.get(f"/api/v1/reports/campaigns/sale/runs/{10**30}/"), 404, "not_found")
    problem(api.get("/api/v1/reports/campaigns/none/"), 404, "not_found")
    csv_url, page_url = "/api/v1/reports/campaigns/sale/", f"{whole}?format=csv"
    assert api.get(csv_url, {"format": "csv"}).content == admin_client.get(page_url).content


def test_a_triggered_campaign_is_its_own_origin(make: Make, admin_client: Client) -> None:
    campaign = Campaign.objects.create(key="receipt", name="Receipt", kind=Campaign.Kind.TRIGGERED)
    make(CauseKind.API_REQUEST, campaign.pk, State.SENT)
    make(CauseKind.CAMPAIGN_RUN, campaign.pk, State.SENT)
    body = client_with().get("/api/v1/reports/campaigns/receipt/").json()
    assert (body["messages"]["targeted"], body["origins"]) == (1, [])


def test_the_boxes_of_a_journey_have_the_names_that_its_author_gave(
    make: Make, version: JourneyVersion, admin_client: Client
) -> None:
    boxes = [{"id": "hello", "kind": "message", "label": "Say hello"}, {"id": 5}, "broken"]
    JourneyVersion.objects.update(graph={"activities": boxes})
    make(CauseKind.JOURNEY_INSTANCE, version.pk, State.SENT)
    page = admin_client.get(reverse("report-journey", args=["welcome"])).content.decode()
    assert "Say hello" in page
    assert "Version 1" in page
    body = client_with().get("/api/v1/reports/journeys/welcome/").json()
    assert [(part["activity"], part["channel"]) for part in body["parts"]] == [("hello", "email")]


def test_an_offer_is_reported_by_placement_and_by_day(admin_client: Client) -> None:
    today = timezone.now()
    offer = make_offer("sweater", shown_in=("hero", "footer"))
    make_policy(make_strategy(offer))
    made = [
        decide([Ask(make_profile().pk)], current_plan("front-page", place, today), at)[0]
        for place, at in (("hero", today), ("hero", today - timedelta(days=1)), ("footer", today))
    ]
    ids = [one.id for one in made if one]
    outcomes.note_shown(ids, today)
    outcomes.note_taken([Taken(ids[0], offer.pk)], DecisionOutcome.Kind.CLICKED, today)
    outcomes.note_taken([Taken(ids[0], offer.pk)], DecisionOutcome.Kind.CONVERTED, today)
    api = client_with("reports:read")
    body = api.get("/api/v1/reports/offers/sweater/").json()
    sums = {"decided": 3, "shown": 3, "clicked": 1, "converted": 1}
    assert {name: body[name] for name in sums} == sums
    assert [(place["key"], place["decided"], place["clicked"]) for place in body["placements"]] == [
        ("hero", 2, 1), ("footer", 1, 0),
    ]  # fmt: skip
    assert [(each["decided"], each["shown"]) for each in body["by_day"]] == [(1, 0), (2, 3)]
    overview = api.get("/api/v1/reports/overview/", {"days": 1}).json()
    assert overview["offers"] == [{"key": "sweater", "name": "Sweater", **sums, "decided": 2}]
    page = admin_client.get(reverse("report-offer", args=["sweater"])).content.decode()
    assert "Footer" in page
    assert reverse("report-offer", args=["sweater"]) in admin_client.get(reverse("reports")).content.decode()
    (*_, last) = csv.DictReader(
        io.StringIO(api.get("/api/v1/reports/offers/sweater/", {"format": "csv"}).content.decode())
    )
    assert (last["decided"], last["shown"], last["name"]) == ("2", "3", "Sweater")


def test_the_overview_costs_the_same_however_many_wrote(make: Make) -> None:
    api, seen = client_with("reports:read"), []
    for number in range(2):
        journey = Journey.objects.create(key=f"j{number}", name=f"J{number}")
        version = JourneyVersion.objects.create(journey=journey, number=1)
        campaign = Campaign.objects.create(key=f"c{number}", name=f"C{number}")
        make(CauseKind.JOURNEY_INSTANCE, version.pk, State.SENT)
        make(CauseKind.CAMPAIGN_RUN, make_run(campaign, 1).pk, State.SENT)
        with count_statements() as statements:
            body = api.get("/api/v1/reports/overview/").json()
        seen.append(len(statements))
    assert seen[0] == seen[1]
    assert [(each["kind"], each["key"]) for each in body["authors"]] == [
        ("campaign", "c0"), ("campaign", "c1"), ("journey", "j0"), ("journey", "j1"),
    ]  # fmt: skip
    problem(api.get("/api/v1/reports/overview/", {"days": 0}), 400, "invalid")
    problem(client_with("messages:read").get("/api/v1/reports/overview/"), 403, "missing_scope")


def test_messages_lead_to_the_report_that_counts_them(
    make: Make, version: JourneyVersion, admin_client: Client
) -> None:
    campaign = Campaign.objects.create(key="sale", name="Winter sale")
    run = make_run(campaign, 1)
    for origin, url in {
        (CauseKind.JOURNEY_INSTANCE, version.pk): reverse("report-journey", args=["welcome"]),
        (CauseKind.CAMPAIGN_RUN, run.pk): reverse("report-run", args=["sale", 1]),
        (CauseKind.API_REQUEST, campaign.pk): reverse("report-campaign", args=["sale"]),
    }.items():
        answer = admin_client.get(reverse("report-of", args=origin))
        assert (answer.status_code, answer.headers["Location"]) == (302, url)
    for cause, origin_id in ((CauseKind.CAMPAIGN_RUN, 99999), (CauseKind.NOTICE, 1), (77, 1)):
        assert admin_client.get(reverse("report-of", args=[cause, origin_id])).status_code == 404


@pytest.mark.parametrize("name", ["reports", "report-journey"])
def test_who_may_not_see_reports_is_refused(version: JourneyVersion, client: Client, name: str) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    url = reverse(name, args=["welcome"] if name != "reports" else [])
    assert client.get(url).status_code == 403
    assert client.post(url).status_code == 405
