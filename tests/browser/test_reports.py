"""Reports by hand: a goal is set, somebody does it, and the reports show it, from page to page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from channels.models import Message
from offers import outcomes
from offers.decide import Ask, decide
from offers.models import DecisionOutcome
from offers.outcomes import Taken
from offers.plans import current_plan
from profiles.models import Identity
from profiles.stream import take_batch
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, send, start
from tests.channels.conftest import FakeService, service
from tests.factories import make_profile
from tests.journeys.helpers import make_cast_of_message, make_live, welcome_graph
from tests.offers.helpers import make_offer, make_policy, make_strategy
from tests.profiles.store import store, track

__all__ = ["service"]
pytestmark = pytest.mark.browser


def test_from_the_goal_to_the_reports_and_back(
    live_server: LiveServer,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
) -> None:
    boss = User.objects.create_superuser("boss")
    people = make_people(12)
    campaign = make_campaign(make_list("buyers", people), name="Winter sale")
    run = start(campaign)
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url, boss)
    page.goto(reverse("admin:campaigns_campaign_change", args=[campaign.pk]))
    page.get_by_label("People should do").fill("Booked")
    page.get_by_label("Only when").fill("event.total >")
    page.get_by_role("button", name="Set the goal").click()
    expect(page.get_by_text("The condition of the goal cannot be used.")).to_be_visible()
    page.get_by_label("Only when").fill("event.total > 5")
    page.get_by_role("button", name="Set the goal").click()
    expect(page.get_by_text("The goal counts from now on.")).to_be_visible()
    assert not findings(page)

    freeze()
    send()
    days_ago = timezone.now() - timedelta(days=3)
    Message.objects.update(sent_at=days_ago)
    for person in people[:5]:
        Message.objects.filter(profile=person).update(opened_at=days_ago)
    for person, total in zip(people, (4, 6, 7), strict=False):
        user_id = Identity.objects.get(profile=person, namespace_id=1).value
        store(track(user_id, "Booked", properties={"total": total}, at=days_ago + timedelta(hours=1)))
    take_batch()

    page.reload()
    expect(page.locator(".campaign-numbers")).to_contain_text("Converted 2 17 %", use_inner_text=True)
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.locator(".report-tiles > :last-child")).to_contain_text("16.7 %")
    expect(page.get_by_text("Converted: Booked within 7 days of a message")).to_be_visible()
    shot(page, "campaign")
    page.get_by_role("region", name="Runs").get_by_role("link").click()
    expect(page).to_have_url(f"{live_server.url}{reverse('report-run', args=['survey', run.number])}")
    page.get_by_role("link", name="The run and its recipients").click()
    expect(page.get_by_role("heading", name="Recipients")).to_be_visible()


def test_the_map_of_a_journey_leads_to_its_goal_and_its_report(
    live_server: LiveServer, open_page: OpenPage, shot: Callable[[Page, str], Path]
) -> None:
    boss = User.objects.create_superuser("boss")
    make_cast_of_message()
    journey = make_live(welcome_graph(), key="welcome").journey
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url, boss)
    page.goto(reverse("admin:journeys_journey_change", args=[journey.pk]))
    page.get_by_role("button", name="Version 1").click()
    page.get_by_role("link", name="Set a goal").click()
    page.get_by_label("People should do").fill("Booked")
    page.get_by_role("button", name="Set the goal").click()
    expect(page.get_by_role("button", name="Change the goal")).to_be_visible()
    assert not findings(page)
    shot(page, "goal")
    page.get_by_role("link", name="The map").click()
    page.get_by_role("button", name="Version 1").click()
    expect(page.get_by_text("Booked within 7 days of a message")).to_be_visible()
    shot(page, "map")
    assert not findings(page)
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.get_by_text("Converted: Booked within 7 days of a message")).to_be_visible()


def test_the_reports_can_be_read_in_every_look(
    live_server: LiveServer,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
) -> None:
    boss = User.objects.create_superuser("boss")
    start(make_campaign(make_list("buyers", make_people(3)), name="Winter sale"))
    freeze()
    send()
    today = timezone.now()
    offer = make_offer("sweater")
    make_policy(make_strategy(offer))
    for number in range(6):
        at = today - timedelta(days=number % 3)
        (one,) = decide([Ask(make_profile().pk)], current_plan("front-page", "hero", at), at)
        assert one is not None
        outcomes.note_shown([one.id], at)
        if number % 2:
            outcomes.note_taken([Taken(one.id, offer.pk)], DecisionOutcome.Kind.CLICKED, at)
    paths = [
        reverse("reports"),
        reverse("report-campaign", args=["survey"]),
        reverse("report-offer", args=["sweater"]),
    ]
    for scheme, size, look in (("light", DESKTOP, "light"), ("dark", PHONE, "dark-phone")):
        page = open_page(base_url=live_server.url, scheme=scheme, size=size)
        sign_in(page, live_server.url, boss)
        for path in paths:
            page.goto(path)
            page.get_by_text("The numbers of each day").click()
            assert not findings(page), f"{path} {look}"
            assert not overflows(page), f"{path} {look}"
            shot(page, f"{path.strip('/').replace('/', '-')}-{look}")
    page.goto(reverse("reports"))
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "Winter sale" in download.value.path().read_text()
