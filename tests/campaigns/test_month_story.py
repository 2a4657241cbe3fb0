"""A month of a daily campaign in a second: the clock changes, people come and go, it is paused, the workers sleep."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaigns import runs, services
from campaigns.models import Campaign, CampaignRun
from channels.models import Message
from profiles.audiences import services as audiences
from tests.campaigns.helpers import freeze, make_list, make_people, make_words, send

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 10, 12, 6, 0, tzinfo=UTC)
DAILY = {
    "kind": "recurring", "every": "day", "time": "02:30", "zone": "Europe/Berlin", "end": "2026-11-10",
}  # fmt: skip


class Clock:
    """Virtual time: every hour the beats ring, the recipients are collected and the senders send."""

    def __init__(self) -> None:
        self.now = BEGIN

    def sleep(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def run(self, until: datetime) -> None:
        while self.now < until:
            self.sleep(hours=1)
            runs.start_due_runs(self.now)
            runs.start_due_runs(self.now)  # there are two beats
            freeze(self.now, limit=100)
            send(self.now)
            services.settle(self.now)


def at(day: str) -> datetime:
    """Noon of a day in Berlin."""
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=BERLIN)


def test_a_month_of_a_daily_campaign(service: Any) -> None:
    ada, bo, cy = make_people(3)
    buyers, ill = make_list("buyers", [ada, bo]), make_list("ill", [])
    campaign = services.create_campaign(
        key="daily", name="Daily", kind="scheduled", user=None, audience=buyers, exclusions=[ill], schedule=DAILY,
        **make_words(),
    )  # fmt: skip
    clock = Clock()
    services.submit_for_review(campaign=campaign, user=None, now=clock.now)
    services.approve(campaign=campaign, user=None, now=clock.now)

    clock.run(until=at("2026-10-19"))
    audiences.replace_list(buyers, [ada.pk, bo.pk, cy.pk], now=clock.now)
    clock.run(until=at("2026-10-23"))
    audiences.replace_list(ill, [bo.pk], now=clock.now)
    clock.run(until=at("2026-10-27"))  # in between 02:30 comes twice
    audiences.replace_list(ill, [], now=clock.now)
    services.pause(campaign=campaign, user=None)
    clock.run(until=at("2026-10-30"))
    services.resume(campaign=campaign, user=None, now=clock.now)
    clock.run(until=at("2026-11-02"))
    clock.sleep(days=3)  # nothing works
    clock.run(until=at("2026-11-13"))

    found: Counter[tuple[int, date]] = Counter()
    for message in Message.objects.all():
        assert message.state == Message.State.SENT
        found[message.profile_id, message.created_at.astimezone(BERLIN).date()] += 1
    assert set(found.values()) == {1}
    days = {
        person.pk: {day for profile_id, day in found if profile_id == person.pk} for person in (ada, bo, cy)
    }
    everyday = {date(2026, 10, 13) + timedelta(days=number) for number in range(29)}
    missed = {date(2026, 10, day) for day in (28, 29, 30)} | {date(2026, 11, day) for day in (3, 4, 5)}
    ill_days = {date(2026, 10, day) for day in (24, 25, 26, 27)}
    assert days[ada.pk] == everyday - missed
    assert days[bo.pk] == everyday - missed - ill_days
    assert days[cy.pk] == {day for day in days[ada.pk] if day >= date(2026, 10, 20)}

    skipped = campaign.runs.filter(state=CampaignRun.State.SKIPPED)
    assert {run.due_at.astimezone(BERLIN).date() for run in skipped} == missed
    assert all("nothing could begin it within an hour" in run.reason for run in skipped)
    campaign.refresh_from_db()
    assert (campaign.state, campaign.runs.count()) == (Campaign.State.FINISHED, 29)
    assert len(service.addresses) == sum(found.values())
