"""The README's tour of the three stories, by hand in a real browser, against the product's own web server.

A marketer approves the survey and looks at an apology; a phone reports the shop and shows what is back in their size;
somebody of operations closes a ride from a phone. `make screenshots` keeps the pictures.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from ajo.demo import late_parcels, parking_lot, seeding
from ajo.stories.closed_ride import PARK
from campaigns.models import Campaign, CampaignRun
from channels.delivery import sender
from channels.models import Message
from profiles.models import Audience, Identity, IdentityNamespace
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_story import PERSON, picture, url
from tests.campaigns.helpers import recipients
from tests.mailbox import TOKEN, Mailbox
from tests.stories.world import work

__all__ = ["picture", "url"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def demo(
    url: str, mailbox: Mailbox, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[seeding.Installation]:
    """The brand with 400 people; providers of this process send to the mailbox, too."""
    monkeypatch.setenv("AJO_HOME", str(tmp_path))
    settings.AJO_MAILBOX_URL, settings.AJO_MAILBOX_TOKEN = mailbox.url, TOKEN
    demo = seeding.seed_demo(
        profiles=400, seed=1, url=url, now=timezone.now(), make_secret=seeding.seeded_secrets(1)
    )
    work(timezone.now())
    yield demo
    sender.close_providers()


Happen = Callable[..., None]


@pytest.fixture
def happen(demo: seeding.Installation) -> Happen:
    """`happen(call, …)` sends calls of Segment's spec as the app does, and lets the workers work."""

    def send(*calls: dict[str, Any]) -> None:
        requests.post(
            f"{demo.url}/v1/batch", json={"batch": calls}, auth=(demo.write_key, ""), timeout=30
        ).raise_for_status()
        work(timezone.now())

    return send


def sign_in(page: Page, login: str, password: str) -> None:
    page.goto("/admin/login/")
    page.get_by_label("Username").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_three_stories(
    open_page: OpenPage, demo: seeding.Installation, happen: Happen, picture: Callable[[Page, str], None]
) -> None:
    page = open_page(base_url=demo.url, user_agent=PERSON)
    sign_in(page, demo.login, demo.password)
    page.wait_for_url("**/admin/")
    ask_the_buyers(page, picture)
    read_an_apology(page, picture)
    arrive_at_the_shop(page, demo, happen, picture)
    phone = open_page(base_url=demo.url, user_agent=PERSON, size=PHONE, touch=True)
    close_a_ride(phone, demo, picture)


def ask_the_buyers(page: Page, picture: Callable[[Page, str], None]) -> None:
    survey = Campaign.objects.get(key=late_parcels.SURVEY)
    audience = {row.key: row.memberships.count() for row in Audience.objects.all()}
    assert audience[late_parcels.BUYERS] > audience[late_parcels.DELAYED] > 0
    page.goto(reverse("admin:campaigns_campaign_change", args=[survey.pk]))
    expect(page.get_by_text(re.compile(r"of \d+ people get it, if it were sent now"))).to_be_visible()
    picture(page, "survey")
    page.get_by_text("Approve", exact=True).click()
    page.get_by_role("button", name="Yes: Approve").click()
    expect(page.get_by_text("Approved: it is live.")).to_be_visible()
    work(timezone.now())
    run = survey.runs.get()
    assert run.state == "finished"
    assert 0 < run.targeted <= audience[late_parcels.BUYERS]


def read_an_apology(page: Page, picture: Callable[[Page, str], None]) -> None:
    sent = Message.objects.filter(
        variant__version__content__key=late_parcels.APOLOGY, state=Message.State.SENT
    )
    apology = sent.order_by("pk")[0]
    page.goto(f"/mailbox/?to={apology.address}")
    page.get_by_text("Your parcel is late").first.click()
    letter = page.frame_locator("iframe").first
    expect(letter.get_by_text(re.compile(r"SORRY-[A-Z0-9]{4}-[A-Z0-9]{4}"))).to_be_visible()
    expect(letter.get_by_role("img")).to_have_count(4)
    picture(page, "apology")
    page.goto(reverse("admin:profiles_profile_change", args=[apology.profile_id]))
    expect(page.locator("ol.people-timeline")).to_contain_text("Entered the journey “Late parcels”")
    picture(page, "why")


def arrive_at_the_shop(
    page: Page, demo: seeding.Installation, happen: Happen, picture: Callable[[Page, str], None]
) -> None:
    traits = {"first_name": "Ada", "email": "ada@example.com", "loyalty_tier": "Gold", "clothing_size": "M"}
    device = {"device": {"type": "ios", "token": "adas-phone"}}
    arrival = {
        "type": "track",
        "userId": "ada",
        "event": parking_lot.ARRIVAL_EVENT,
        "properties": {"shop": "Harbour & Pine Whitby"},
    }
    happen({"type": "identify", "userId": "ada", "traits": traits, "context": device})
    happen(arrival)
    requests.put(
        f"{demo.url}/api/v1/lookups/stock/rows/",
        json={"key": "HP-1001-M", "values": {"on_hand": 12}},
        headers={"Authorization": f"Api-Key {demo.api_key}"},
        timeout=30,
    ).raise_for_status()
    happen(arrival)
    page.goto("/mailbox/phones/?to=adas-phone")
    expect(page.get_by_text("the coffee is on us")).to_be_visible()
    expect(page.get_by_text("The Skipper Wool Sweater is on the shelf again. In M, £89.00")).to_be_visible()
    page.get_by_text("The Skipper Wool Sweater").scroll_into_view_if_needed()
    page.mouse.move(830, 500)
    page.mouse.wheel(0, 2_000)
    picture(page, "phone")
    ada = Identity.objects.get(namespace_id=IdentityNamespace.USER_ID, value="ada").profile_id
    page.goto(reverse("admin:profiles_profile_change", args=[ada]))
    expect(page.locator("ol.people-timeline")).to_contain_text("sweater-is-back")


def close_a_ride(page: Page, demo: seeding.Installation, picture: Callable[[Page, str], None]) -> None:
    inside = Audience.objects.get(key=f"in-{PARK.key}-now").memberships.count()
    began = time.monotonic()
    sign_in(page, demo.operations_login, demo.operations_password)
    page.get_by_role("link", name=re.compile(re.escape(f"A ride is closed · {PARK.name}"))).tap()
    page.get_by_label("Which ride?").select_option("Kraken's Wake")
    page.get_by_label("Closed until about").fill("17:30")
    page.get_by_label("Where is the queue short?").select_option("Pilot Boat")
    page.get_by_role("button", name="Check it").tap()
    expect(page.get_by_text(re.compile(r"people? gets? it now|people get it now"))).to_be_visible()
    picture(page, "notice")
    page.get_by_role("button", name=f"Send to {inside}").tap()
    page.wait_for_url("**/sent/*/")
    work(timezone.now())
    expect(page.get_by_text("Finished")).to_be_visible()
    picture(page, "sent")
    page.get_by_role("link", name="Give the all-clear").tap()
    page.get_by_role("button", name=f"Send the all-clear to {inside}").tap()
    expect(page.get_by_role("heading", name="All-clear")).to_be_visible()
    page.wait_for_url("**/sent/*/")
    work(timezone.now())
    expect(page.get_by_text("Finished")).to_be_visible()
    assert time.monotonic() - began < 60
    told, cleared = CampaignRun.objects.exclude(campaign__isnull=False).order_by("pk")
    assert recipients(told) == recipients(cleared)
    assert len(recipients(told)) == inside
