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
from campaigns.models import Campaign
from channels import counting, reports
from channels.models import CauseKind, Message, MessageClass, MessageMark
from journeys.models import Journey, JourneyVersion
from profiles.models import Channel
from tests.factories import make_configuration, make_profile, make_variant
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
        assert found.parts["bye", Channel.SMS][Mark.SENT] == 1
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


@pytest.mark.parametrize("name", ["reports", "report-journey"])
def test_who_may_not_see_reports_is_refused(version: JourneyVersion, client: Client, name: str) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    url = reverse(name, args=["welcome"] if name != "reports" else [])
    assert client.get(url).status_code == 403
    assert client.post(url).status_code == 405
