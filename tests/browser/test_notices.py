"""The closed ride by hand: a phone, a login, a few taps; and what an administrator prepares for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from ajo.notices.models import LiveView
from campaigns import runs
from campaigns.models import CampaignRun, Notice, NoticeSending
from channels.models import Suppression
from profiles.models import Channel
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in
from tests.campaigns.helpers import freeze, recipients, send
from tests.channels.conftest import FakeService, service
from tests.factories import NOW
from tests.journeys.helpers import box, entry_box, line, make_live
from tests.notices.conftest import Park, make_park
from tests.notices.test_live import count_steps, walk

__all__ = ["make_park", "service"]
pytestmark = pytest.mark.browser
PASSWORD = "correct-horse-battery"


@pytest.fixture
def park(live_server: LiveServer, make_park: Callable[..., Park]) -> Park:
    found = make_park(40)
    found.operator.set_password(PASSWORD)
    found.operator.first_name, found.operator.last_name = "Ola", "Nordmann"
    found.operator.save()
    for visitor in found.visitors[:3]:
        Suppression.objects.create(channel=Channel.EMAIL, address=visitor.attributes["email"])
    return found


def settle() -> None:
    send()
    runs.settle_runs(NOW)


def test_the_closed_ride_takes_less_than_a_minute(
    live_server: LiveServer,
    park: Park,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
) -> None:
    page = open_page(size=PHONE, touch=True, base_url=live_server.url)
    began = time.monotonic()
    page.goto("/notices/")
    page.get_by_label("Username").fill("ola")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").tap()

    page.get_by_role("link", name="A ride is closed").tap()
    page.get_by_label("Which ride?").select_option("Sky Coaster")
    page.get_by_label("Closed until").fill("17:30")
    shot(page, "compose")
    page.get_by_role("button", name="Check it").tap()

    expect(page.get_by_text("37 people get it now")).to_be_visible()
    words = page.frame_locator("iframe").get_by_text("The Sky Coaster is closed until 17:30.")
    expect(words).to_be_visible()
    page.get_by_text("3 people do not").tap()
    expect(page.get_by_text("suppressed")).to_be_visible()
    shot(page, "check")
    page.get_by_role("button", name="Send to 37 people").dblclick()

    expect(page.get_by_text("Collecting recipients")).to_be_visible()
    freeze(limit=100)
    settle()
    expect(page.get_by_text("Finished")).to_be_visible()  # the page came to know it by itself
    expect(page.get_by_text("of 40 sent")).to_be_visible()
    shot(page, "sent")
    page.reload()
    expect(page.get_by_text("Finished")).to_be_visible()

    page.get_by_role("link", name="Give the all-clear").tap()
    expect(page.get_by_text("37 people got the notice and get this too")).to_be_visible()
    shot(page, "all-clear")
    page.get_by_role("button", name="Send the all-clear to 37 people").tap()
    expect(page.get_by_role("heading", name="All-clear: A ride is closed")).to_be_visible()
    seconds = time.monotonic() - began
    freeze(limit=100)
    settle()
    expect(page.get_by_text("Finished")).to_be_visible()
    shot(page, "cleared")

    told, cleared = NoticeSending.objects.order_by("pk")
    reached = [visitor.pk for visitor in park.visitors[3:]]
    assert recipients(cleared.run) == reached
    assert CampaignRun.objects.count() == 2  # the second tap sent nothing
    assert set(service.addresses) == {visitor.attributes["email"] for visitor in park.visitors[3:]}
    assert len(service.addresses) == 2 * len(reached)
    assert told.run.targeted == 40
    assert seconds < 60


def test_it_works_without_a_script(
    live_server: LiveServer, park: Park, service: FakeService, open_page: OpenPage
) -> None:
    page = open_page(size=PHONE, base_url=live_server.url, script=False)
    sign_in(page, live_server.url, park.operator)
    page.goto("/notices/")
    page.get_by_role("link", name="A ride is closed").click()
    page.get_by_label("Which ride?").select_option("Log Flume")
    page.get_by_label("Closed until").fill("18:00")
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name="Send to 37 people").click()
    freeze(limit=100)
    settle()
    expect(page.get_by_text("Finished")).to_be_visible()  # the page loads itself again
    assert NoticeSending.objects.count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_is_for_everybody(
    live_server: LiveServer,
    park: Park,
    service: FakeService,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    version = make_live(
        line(
            entry_box("Signed Up"),
            {
                **box("read-handbook", "wait", until="duration", amount=5, unit="days"),
                "label": "Reads the handbook",
            },
            box("end", "end"),
        ),
        key="onboarding",
    )
    for hours in (1, 2, 3, 30, 60):
        walk(version, hours_ago=hours)
    walk(version, hours_ago=2, state=2)
    count_steps(version, entry__next=8, read_handbook__failed=1, read_handbook__next=2, end__ended=2)
    LiveView.objects.create(journey=version.journey, label="Onboarding of new staff")

    page = open_page(scheme=scheme, size=size, base_url=live_server.url)
    sign_in(page, live_server.url, park.operator)
    trouble: list[str] = []

    def look(name: str, path: str) -> None:
        page.goto(path)
        shot(page, name)
        trouble.extend(f"{name}: {finding}" for finding in findings(page))
        if overflows(page):
            trouble.append(f"{name}: it scrolls sideways")

    filled_in = "?notice-ride=Sky+Coaster&notice-until=17%3A30"
    check = reverse("notice-check", args=["ride-closed"])
    look("compose", reverse("notice-compose", args=["ride-closed"]))
    look("check", check + filled_in)
    page.get_by_role("button", name="Send to").click()
    page.wait_for_url("**/sent/*/")
    first = NoticeSending.objects.get()
    freeze(limit=100)
    look("sending", reverse("notice-sending", args=[first.pk]))
    settle()
    look("sent", reverse("notice-sending", args=[first.pk]))
    look("all-clear", reverse("notice-all-clear", args=[first.pk]))
    look("index", "/notices/")
    look("live", reverse("notice-live", args=["onboarding"]))
    assert not trouble, "\n".join(trouble)


def test_a_field_that_is_wrong_is_named_beside_it(
    live_server: LiveServer, park: Park, open_page: OpenPage, shot: Callable[[Page, str], Path]
) -> None:
    page = open_page(size=PHONE, base_url=live_server.url, tolerated=["422"])
    sign_in(page, live_server.url, park.operator)
    page.goto(reverse("notice-check", args=["ride-closed"]) + "?notice-ride=&notice-until=soon")
    expect(page.get_by_text("Fill in “Which ride?”: the message needs it.")).to_be_visible()
    assert page.get_by_label("Which ride?").get_attribute("aria-invalid") == "true"
    shot(page, "wrong")
    assert findings(page) == []


def test_a_notice_is_prepared_in_the_administration(
    live_server: LiveServer, park: Park, open_page: OpenPage, shot: Callable[[Page, str], Path]
) -> None:
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url, User.objects.create_superuser("boss"))
    page.goto(reverse("admin:campaigns_notice_change", args=[park.notice.pk]))
    last = page.locator(".notice-row").last
    last.get_by_label("Label").fill("Who can help?")
    last.get_by_label("Help below the field").fill("A name and a place.")
    shot(page, "notice-editor")
    assert findings(page) == []
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("context.who_can_help")).to_be_visible()
    assert Notice.objects.get().fields[-1] == {
        "name": "who_can_help", "label": "Who can help?", "kind": "text", "required": True,
        "help": "A name and a place.",
    }  # fmt: skip
    page.locator(".notice-row", has_text="context.note").get_by_label("Delete").check()
    page.get_by_role("button", name="Save", exact=True).click()
    assert [field["name"] for field in Notice.objects.get().fields] == [
        "ride",
        "until",
        "minutes",
        "who_can_help",
    ]
