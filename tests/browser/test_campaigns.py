"""A campaign by hand: made, counted, scheduled, reviewed, watched, paused and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from campaigns import runs, services
from campaigns.models import Campaign
from channels.models import Message, Suppression
from profiles.models import Channel
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, make_words, send, start
from tests.channels.conftest import FakeService, service
from tests.factories import NOW, make_profile

__all__ = ["service"]
pytestmark = pytest.mark.browser


@pytest.fixture
def world(live_server: LiveServer) -> User:
    """Twenty people who bought, five of whose parcels are late, and one address that is suppressed."""
    names = [{"first_name": "Ada"}, {"first_name": "Grace"}]
    people = [make_profile(**name) for name in names] + make_people(18)
    make_list("last-weeks-buyers", people)
    make_list("late-parcels", people[:5])
    Suppression.objects.create(channel=Channel.EMAIL, address=people[19].attributes["email"])
    make_words()
    return User.objects.create_superuser("boss", password="a-long-password")


def test_a_campaign_from_its_name_to_its_results(
    live_server: LiveServer,
    world: User,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
) -> None:
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url, world)
    page.goto("/admin/campaigns/campaign/add/")
    page.get_by_label("Name").fill("Survey")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("3 things are missing")).to_be_visible()
    shot(page, "new")

    page.get_by_label("Content", exact=True).select_option(label="Welcome")
    page.get_by_label("Send with").select_option(label="Email")
    page.get_by_label("To", exact=True).select_option(label="Last-Weeks-Buyers")
    expect(page.get_by_text("of 20 people get it")).to_be_visible()
    page.get_by_label("Late-Parcels").check()
    expect(page.get_by_text("of 15 people get it")).to_be_visible()
    expect(page.get_by_text("The address is suppressed")).to_be_visible()

    page.get_by_label("Again and again").check()
    page.get_by_label("Thu").check()
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    expect(page.locator(".campaign-dates li")).to_have_count(10)
    expect(page.locator(".campaign-dates")).to_contain_text("Thu")
    shot(page, "draft")
    page.get_by_label("As soon as it is approved").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    page.get_by_text("Submit for review", exact=True).click()
    page.get_by_role("button", name="Yes: Submit for review").click()
    expect(page.get_by_text("In review")).to_be_visible()
    assert page.get_by_label("Send with").is_disabled()
    page.get_by_text("Approve", exact=True).click()
    expect(page.get_by_text("It is sent at once.")).to_be_visible()
    shot(page, "approve")
    page.get_by_role("button", name="Yes: Approve").click()
    expect(page.get_by_text("Approved: it is live.")).to_be_visible()

    campaign = Campaign.objects.get()
    runs.start_due_runs(campaign.next_run_at)  # type: ignore[arg-type]
    freeze(campaign.next_run_at, limit=7)  # type: ignore[arg-type]
    page.reload()
    expect(page.locator(".campaign-numbers").first).to_contain_text("15")
    page.get_by_text("Pause", exact=True).click()
    expect(page.get_by_text("15 messages wait now.").first).to_be_visible()
    page.get_by_role("button", name="Yes: Pause").click()
    expect(page.locator("#campaign-runs")).to_contain_text("Paused")
    send(campaign.next_run_at)  # type: ignore[arg-type]
    assert not service.calls
    page.get_by_text("Resume", exact=True).click()
    page.get_by_role("button", name="Yes: Resume").click()
    expect(page.locator("#campaign-runs")).to_contain_text("Sending")

    send(timezone.now())
    services.settle(NOW)
    expect(page.locator("#campaign-runs")).to_contain_text("Finished")  # by itself
    shot(page, "live")
    assert len(service.calls) == 14
    page.get_by_role("link", name="Run 1").click()
    expect(page.get_by_text("Withheld, and why")).to_be_visible()
    shot(page, "run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_its_pages_are_for_everybody(
    live_server: LiveServer,
    world: User,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    from profiles.models import Audience

    live = make_campaign(
        Audience.objects.get(key="last-weeks-buyers"), key="news", name="The news of November"
    )
    run = start(live)
    freeze(limit=100)
    send()
    runs.settle_runs(NOW)
    Message.objects.filter(profile__attributes__first_name="Ada").update(opened_at=NOW, clicked_at=NOW)
    draft = services.create_campaign(key="survey", name="Survey", kind="scheduled", user=world)
    recurring = {
        "kind": "recurring",
        "every": "month",
        "day": "last",
        "time": "09:00",
        "zone": "Europe/Berlin",
    }
    services.update_campaign(campaign=draft, revision=None, user=world, changes={"schedule": recurring})
    triggered = services.create_campaign(key="receipt", name="Receipt", kind="triggered", user=world)

    page = open_page(scheme=scheme, size=size, base_url=live_server.url)
    sign_in(page, live_server.url, world)
    trouble: list[str] = []

    def look(name: str, path: str) -> None:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        shot(page, name)
        trouble.extend(f"{name}: {finding}" for finding in findings(page))
        if overflows(page):
            trouble.append(f"{name}: it scrolls sideways")

    look("list", reverse("admin:campaigns_campaign_changelist"))
    look("add", reverse("admin:campaigns_campaign_add"))
    look("draft", reverse("admin:campaigns_campaign_change", args=[draft.pk]))
    look("live", reverse("admin:campaigns_campaign_change", args=[live.pk]))
    look("triggered", reverse("admin:campaigns_campaign_change", args=[triggered.pk]))
    look("run", reverse("admin:campaigns_campaign_run", args=[run.pk]))
    look("notice", reverse("admin:campaigns_notice_add"))
    look("live-view", reverse("admin:notices_liveview_add"))
    assert not trouble, "\n".join(trouble)
