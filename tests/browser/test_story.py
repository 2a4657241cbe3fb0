"""One's own journey by hand, in a real browser, against the product's own web server.

Somebody writes an email, draws a journey, publishes it; a client that we did not write sends an event; three days pass;
the email arrives, its link is clicked, and the person's timeline tells all of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect
from pytest_django import Settings

from ajo.core.models import User
from ajo.runtime import paths
from channels import delivery
from channels.models import Message
from channels.starting_points import STARTING_POINTS
from journeys.models import Journey
from profiles.models import AttributeDefinition, Channel, Identity, IdentityNamespace
from profiles.stream import take_batch as take_stream_batch
from tests.browser.conftest import OpenPage
from tests.factories import make_configuration, make_event_type, make_source
from tests.journeys.helpers import tick
from tests.mailbox import HOST, TOKEN, Mailbox
from tests.sdk.conftest import WebServer
from tests.support import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a-long-password"
# The agent of a headless browser is one of those whose clicks do not count as a person's.
PERSON = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
SEND = """
import { Analytics } from "@segment/analytics-node";
const timestamp = new Date(process.env.AT);
const analytics = new Analytics({ writeKey: process.env.WRITE_KEY, host: process.env.HOST, path: "/v1/batch" });
let failure = null;
analytics.on("error", (error) => { failure = error; });
const traits = { email: "ada@people.example", first_name: "Ada", tier: "gold" };
analytics.identify({ userId: "ada", traits, timestamp });
analytics.track({ userId: "ada", event: "Order Completed", properties: { order_id: "A-1", total: 129.95 }, timestamp });
await analytics.closeAndFlush({ timeout: 10000 });
if (failure) { console.error(failure); process.exit(1); }
"""


@pytest.fixture
def url(
    mailbox: Mailbox, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The running web server, which shares keys and mailbox with this process."""
    server = WebServer(tmp_path / "web.log")
    settings.AJO_PUBLIC_URL = server.url
    # The server is a process of its own: it checks passwords as the product does, not as the tests do.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    for name, value in {
        "AJO_PUBLIC_URL": server.url,
        "AJO_SECRET_KEY": django_settings.SECRET_KEY,
        "AJO_MAILBOX_URL": mailbox.url,
        "AJO_MAILBOX_TOKEN": TOKEN,
        "AJO_MAILBOX_SMTP": f"{HOST}:{mailbox.smtp_port}",
    }.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def brand() -> str:
    """What a brand has on its first day; the write key of its source."""
    User.objects.create_superuser("ana", "ana@brand.example", PASSWORD)
    AttributeDefinition.objects.create(key="first_name", label="First name")
    AttributeDefinition.objects.create(key="tier", label="Tier")
    make_configuration()
    make_event_type("Order Completed")
    return make_source().write_key


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a picture of the window; `make screenshots` keeps those of the README."""
    folder = Path(os.environ.get("AJO_SCREENSHOTS") or tmp_path)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return take


def test_the_tour(
    open_page: OpenPage, url: str, brand: str, mailbox: Mailbox, picture: Callable[[Page, str], None]
) -> None:
    page = open_page(base_url=url, user_agent=PERSON)
    page.goto("/admin/login/")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")

    write_the_email(page, url, picture)
    journey = draw_the_journey(page)
    entered_at = timezone.now() - timedelta(days=3)
    send_the_event(url, brand, at=entered_at)

    assert take_stream_batch(now=entered_at) == 2
    assert tick(entered_at + timedelta(days=3, seconds=-1)) == 0  # a second too early nobody moves
    page.goto(reverse("admin:journeys_journey_change", args=[journey.pk]))
    expect(count_on(page, "Wait")).to_have_text(re.compile("1"))
    assert not Message.objects.exists()

    assert tick(entered_at + timedelta(days=3)) == 1
    assert delivery.take_batch(Channel.EMAIL) == 1
    (sent,) = wait_until(mailbox.log, what="the email in the mailbox")
    assert sent["rcpt"] == ["ada@people.example"]
    page.reload()
    expect(count_on(page, "Message")).to_have_text(re.compile("1"))
    picture(page, "journey")

    click_the_link(page)
    read_the_timeline(page)
    assert take_stream_batch() == 0
    assert tick(timezone.now()) == 0
    assert delivery.take_batch(Channel.EMAIL) == 0
    assert len(mailbox.log()) == 1


def write_the_email(page: Page, url: str, picture: Callable[[Page, str], None]) -> None:
    page.goto(reverse("admin:channels_content_add"))
    page.get_by_label("Name").fill("Thanks")
    page.get_by_label("Announcement").check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Subject", exact=True).fill("Thank you, ")
    page.get_by_role("button", name="Insert a field into the subject").click()
    page.get_by_placeholder("First name, order number").fill("first")
    page.keyboard.press("Enter")
    page.get_by_label("What to write for people without it").fill("friend")
    page.keyboard.press("Enter")
    page.get_by_label("Preheader", exact=True).fill("It is on its way to you.")
    code = page.locator(".cm-content")
    code.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(body(url))
    preview = page.frame_locator('iframe[title^="Email"]').locator("body")
    expect(preview).to_contain_text("leaves the harbour tonight")
    expect(page.get_by_label("In the inbox")).to_contain_text("Thank you, friend")
    expect(page.get_by_role("status").get_by_text("Saved", exact=True)).to_be_visible()
    picture(page, "email")
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is published", exact=True)).to_be_visible()


def body(url: str) -> str:
    """The starting point that was chosen, in the author's words."""
    source = STARTING_POINTS["announcement"].mjml
    for theirs, ours in {
        "Something new is here": 'Thank you, {{ profile.first_name | default: "friend" }}',
        "say in two or three sentences what is new and why it matters to the person who reads this.": (
            "your order {{ event.order_id }} is packed by hand and leaves the harbour tonight."
        ),
        "Add one detail that they can picture. Then ask for one thing only.": "Two days, and it is yours.",
        "https://www.example.com/new": f"{url}/docs/",
        "See what is new": "See how it travels",
    }.items():
        assert theirs in source
        source = source.replace(theirs, ours)
    return source


def draw_the_journey(page: Page) -> Journey:
    page.goto(reverse("admin:journeys_journey_add"))
    page.get_by_label("Name").fill("After the order")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name=re.compile("^Event entry")).click()
    page.get_by_label("Event", exact=True).click()
    page.get_by_role("option", name="Order Completed").click()
    add_after(page, "Event entry", "Wait Holds people for some time")
    page.get_by_label("Wait until").select_option("duration")
    page.get_by_label("How many").fill("3")
    add_after(page, "Wait", "Condition")
    page.get_by_role("textbox", name="Condition", exact=True).fill(
        'profile.tier == "gold" && entry.total > 100'
    )
    add_after(page, "Condition, Yes", "Message")
    page.get_by_label("Content", exact=True).fill("thanks")
    page.get_by_role("combobox", name="Channel configuration").click()
    page.get_by_role("option", name=re.compile("email")).click()
    expect(page.get_by_role("button", name="No problems")).to_be_visible()
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published. People can come in now.")).to_be_visible()
    return Journey.objects.get()


def add_after(page: Page, card: str, step: str) -> None:
    page.get_by_role("button", name=re.compile(rf"^Add (a step|what comes) after {card}$")).click()
    page.get_by_role("option", name=re.compile(f"^{step}")).click()


def count_on(page: Page, card: str) -> Locator:
    return page.locator("[data-card]").filter(has_text=card).locator(".jc-card-counts")


def send_the_event(url: str, write_key: str, at: datetime) -> None:
    """With Segment's own client for Node, as its package installs it."""
    node = Path(sysconfig.get_path("scripts")) / "node"
    done = subprocess.run(
        [str(node), "--input-type=module", "--eval", SEND],
        cwd=paths.REPOSITORY / "static",
        env={**os.environ, "WRITE_KEY": write_key, "HOST": url, "AT": at.isoformat()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def click_the_link(page: Page) -> None:
    message = Message.objects.get()
    assert message.sent_at is not None
    page.goto("/mailbox/?to=ada@people.example")
    page.get_by_text("Thank you, Ada").first.click()
    email = page.frame_locator("iframe").first
    expect(email.get_by_text("your order A-1 is packed by hand")).to_be_visible()
    link = email.get_by_role("link", name="See how it travels").get_attribute("href")
    assert link is not None
    assert re.fullmatch(rf"{re.escape(django_settings.AJO_PUBLIC_URL)}/t/c/[\w-]+/0", link)
    # Whoever clicks in the second of the sending is taken for a scanner.
    wait_until(lambda: is_past(message.sent_at), seconds=5, what="a second after the sending")
    page.goto(link)
    expect(page).to_have_url(re.compile("/docs/$"))


def is_past(sent_at: datetime | None) -> bool:
    return sent_at is not None and timezone.now() > sent_at + timedelta(seconds=2)


def read_the_timeline(page: Page) -> None:
    wait_until(take_stream_batch, what="the click among the events")
    message = Message.objects.get()
    assert message.clicked_at is not None
    ada = Identity.objects.get(namespace_id=IdentityNamespace.USER_ID, value="ada").profile_id
    page.goto(reverse("admin:profiles_profile_change", args=[ada]))
    timeline = page.locator("ol.people-timeline")
    expect(timeline).to_contain_text("Order Completed")
    expect(timeline).to_contain_text("was true")
    expect(timeline).to_contain_text("Thank you, Ada")
    expect(timeline).to_contain_text("clicked by the person")
