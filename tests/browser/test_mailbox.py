"""The mailbox page in a real browser, with a real mailbox process behind it."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.mailbox import HOST, TOKEN, Mailbox

pytestmark = pytest.mark.browser

HTML = """<!doctype html><html><head><title>Welcome</title><style>
body{margin:0;background:#eef1f4;font-family:Arial,sans-serif;color:#1c2833}
.card{max-width:560px;margin:24px auto;background:#fff;border-radius:8px;padding:32px}
.go{display:inline-block;background:#0b6b7f;color:#fff;padding:12px 24px;border-radius:6px;text-decoration:none}
</style></head><body><div style="display:none">Your first ride is on us</div>
<div class="card"><h1>Welcome, %s!</h1><p>Good to have you with us. Your first ride is free this weekend,
and your sizes are kept for you in the store.</p><p><a class="go" href="%s">See the rides</a></p></div>
</body></html>"""


@pytest.fixture
def mailbox(tmp_path: Path, settings: Settings) -> Iterator[Mailbox]:
    with Mailbox(tmp_path) as running:
        settings.AJO_MAILBOX_URL = running.url
        settings.AJO_MAILBOX_TOKEN = TOKEN
        settings.AJO_MAILBOX_SMTP = f"{HOST}:{running.smtp_port}"
        settings.AJO_MAILBOX_OPEN = True
        yield running


@pytest.fixture
def deliver(mailbox: Mailbox, live_server: LiveServer) -> Callable[..., None]:
    """Send one message over SMTP, with HTML unless told otherwise."""

    def deliver(to: str, subject: str, html: str | None = HTML, name: str = "Ada") -> None:
        message = EmailMessage()
        message["From"] = "Nordlicht Park <hello@nordlicht.example>"
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
        message["Message-ID"] = f"<{abs(hash((to, subject)))}@nordlicht.example>"
        message.set_content(
            f"Welcome, {name}!\n\nGood to have you with us. Your first ride is free this weekend.\n"
        )
        if html is not None:
            message.add_alternative(html % (name, live_server.url), subtype="html")
        with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example") as client:
            client.send_message(message)

    return deliver


@pytest.fixture
def inbox(deliver: Callable[..., None]) -> None:
    """A small crowd: HTML, plain text, long words, markup in a subject."""
    deliver("bo@people.example", "Your ticket for Saturday", html=None, name="Bo")
    deliver(
        "carla.antonsen-with-a-long-name@customers.people.example", "Your parcel is late: " + "so sorry " * 9
    )
    deliver(
        "dan@people.example",
        "<b>Bold</b> & <script>alert(1)</script>",
        html="<p>Hi %s, <a href='%s'>look</a>",
    )
    deliver("ada@people.example", "Your sweater is back in your size")
    deliver("ada@people.example", "Welcome to the park")


def test_a_message_arrives_by_itself_and_opens(
    browser_page: Page, live_server: LiveServer, deliver: Callable[..., None]
) -> None:
    page = browser_page
    page.goto(f"{live_server.url}/mailbox/")
    expect(page.get_by_role("heading", name="Waiting for the first message")).to_be_visible()
    expect(page.get_by_text("Nothing has arrived yet.")).to_be_visible()
    expect(page.get_by_role("link", name="How to send an event")).to_have_attribute("href", "/docs/")

    deliver("ada@people.example", "Welcome to the park")

    row = page.get_by_role("link", name=re.compile("Welcome to the park"))
    expect(row).to_be_visible()
    expect(row).to_contain_text("Your first ride is on us Welcome, Ada!")
    expect(page.get_by_role("heading", name="Select a message")).to_be_visible()
    row.click()
    expect(page).to_have_url(f"{live_server.url}/mailbox/1/")
    expect(page).to_have_title("Welcome to the park · Mailbox")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Welcome, Ada!")).to_be_visible()
    expect(row).to_have_attribute("aria-current", "true")

    deliver("bo@people.example", "The second")

    expect(page.get_by_role("link", name=re.compile("The second"))).to_be_visible()
    expect(page.locator("#mailbox-count")).to_have_text("2 messages")
    expect(page.get_by_role("heading", name="Welcome to the park")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Select a message")).to_be_visible()


def test_the_tabs_show_text_headers_and_source(
    browser_page: Page, live_server: LiveServer, deliver: Callable[..., None]
) -> None:
    page = browser_page
    deliver("ada@people.example", "Welcome to the park")
    page.goto(f"{live_server.url}/mailbox/1/")

    page.get_by_role("button", name="Phone").click()
    width = page.locator("iframe").bounding_box()
    assert width is not None
    assert width["width"] == 390

    page.get_by_role("tab", name="Rendered").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Text")).to_contain_text("Your first ride is free")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("row", name="Message-ID")).to_contain_text("@nordlicht.example>")
    page.keyboard.press("End")
    expect(page.get_by_role("tabpanel", name="Source")).to_contain_text("Content-Type: multipart/alternative")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download .eml").click()
    assert download.value.suggested_filename == "message-1.eml"


@pytest.mark.usefixtures("inbox")
def test_one_person_and_the_search_narrow_the_list(browser_page: Page, live_server: LiveServer) -> None:
    page = browser_page
    page.goto(f"{live_server.url}/mailbox/")
    page.get_by_role("link", name="People", exact=True).click()
    rows = page.locator(".mailbox-row")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("ada@people.example")
    expect(rows.first).to_contain_text("2")

    rows.first.click()
    expect(page).to_have_url(f"{live_server.url}/mailbox/?to=ada%40people.example")
    expect(rows).to_have_count(2)

    page.get_by_role("searchbox", name="Search messages").fill("sweater")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Your sweater is back in your size")

    page.get_by_role("link", name="Show the messages of everyone").click()
    expect(rows).to_have_count(5)
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()


def test_a_message_cannot_run_anything_in_the_page(
    page: Page, live_server: LiveServer, deliver: Callable[..., None]
) -> None:
    script = "<script>document.body.textContent = 'ran'; parent.document.title = 'ran'; alert('ran')</script>"
    deliver("eve@people.example", f"Hello {script}", html=HTML.replace("</body>", f"{script}</body>"))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))

    page.goto(f"{live_server.url}/mailbox/1/")

    expect(page.get_by_role("heading", name=f"Hello {script}")).to_be_visible()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Welcome, Ada!")).to_be_visible()
    with page.expect_popup() as popup:
        frame.get_by_role("link", name="See the rides").click()
    assert popup.value.evaluate("window.opener") is None
    assert page.url == f"{live_server.url}/mailbox/1/"
    assert dialogs == []


def test_it_says_that_the_mailbox_is_gone_and_goes_on_when_it_is_back(
    page: Page, live_server: LiveServer, mailbox: Mailbox, settings: Settings
) -> None:
    page.goto(f"{live_server.url}/mailbox/")
    mailbox.stop()
    expect(page.get_by_text("The mailbox does not answer. Trying again.")).to_be_visible()

    mailbox.start()
    settings.AJO_MAILBOX_URL = mailbox.url
    expect(page.locator("#mailbox-status")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_overflows(
    request: pytest.FixtureRequest,
    mailbox: Mailbox,
    open_page: OpenPage,
    live_server: LiveServer,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    page = open_page(scheme=scheme, size=size, base_url=live_server.url)
    page.goto("/mailbox/")
    shot(page, "empty")
    assert not overflows(page)
    request.getfixturevalue("inbox")
    for name, path in {
        "list": "/mailbox/",
        "people": "/mailbox/?view=people",
        "person": "/mailbox/?to=ada@people.example",
        "nothing": "/mailbox/?q=nothing-like-it",
        "text": "/mailbox/1/",
        "long": "/mailbox/2/",
        "html": "/mailbox/5/",
    }.items():
        page.goto(path)
        shot(page, name)

        assert not overflows(page), path
        if size is DESKTOP:
            assert page.evaluate("document.documentElement.scrollHeight") <= size["height"], path
