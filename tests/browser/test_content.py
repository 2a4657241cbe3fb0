"""Writing an email in a real browser, down to the proof that a real mail server takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from channels import services
from channels.models import Content
from profiles.models import AttributeDefinition
from tests.browser import axe
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.factories import make_configuration, make_profile
from tests.mailbox import Mailbox
from tests.support import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BODY = """<mjml>
<mj-body>
<mj-section>
<mj-column>
<mj-text>Hello</mj-text>
</mj-column>
</mj-section>
</mj-body>
</mjml>"""

OpenEditor = Callable[..., Page]


@pytest.fixture
def content(live_server: LiveServer) -> Content:
    AttributeDefinition.objects.create(key="first_name", label="First name")
    make_profile(first_name="Ada", last_name="Lovelace", email="ada@example.com")
    make_configuration("mail")
    words = {"subject": "Hi", "preheader": "Soon", "mjml": BODY}
    return services.save_draft(key="news", name="News", variants=[words]).content


@pytest.fixture
def open_editor(open_page: OpenPage, live_server: LiveServer, content: Content) -> OpenEditor:
    """The editor of `content` for an administrator, when its first preview is there."""

    def open_one(
        *,
        scheme: Literal["light", "dark"] = "light",
        size: dict[str, int] = DESKTOP,
        tolerated: Sequence[str] = (),
    ) -> Page:
        name = f"user-{get_user_model().objects.count()}"
        person = get_user_model().objects.create_superuser(name, f"{name}@brand.example", "x")
        client = Client()
        client.force_login(person)
        page = open_page(scheme=scheme, size=size, base_url=live_server.url, tolerated=tolerated)
        page.context.add_cookies(
            [
                {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url},
            ]
        )
        page.goto(f"/admin/channels/content/{content.pk}/change/")
        expect(page.get_by_role("button", name="Publish", exact=True)).to_be_visible()
        expect(page.locator(".cm-content")).to_be_visible()
        return page

    return open_one


def email_in(page: Page) -> Any:
    """The body of the previewed email."""
    return page.frame_locator('iframe[title^="Email"]').locator("body")


def replace_body(page: Page, source: str) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)


def test_an_email_is_written_previewed_published_and_proved(
    open_editor: OpenEditor, content: Content, mailbox: Mailbox
) -> None:
    page = open_editor(tolerated=["409"])  # the refusal to publish
    expect(email_in(page)).to_contain_text("Hello")
    expect(page.get_by_role("combobox", name="Preview as")).to_have_value("Ada Lovelace")

    # A field, with what to write for people without it.
    subject = page.get_by_label("Subject", exact=True)
    subject.fill("For ")
    page.get_by_role("button", name="Insert a field into the subject").click()
    page.get_by_placeholder("First name, order number").fill("first")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="First name")
    expect(dialog).to_contain_text("Ada")
    expect(dialog.get_by_role("button", name="Insert", exact=True)).to_be_disabled()
    dialog.get_by_label("What to write for people without it").fill("friend")
    page.keyboard.press("Enter")
    expect(subject).to_have_value('For {{ profile.first_name | default: "friend" }}')
    expect(page.get_by_label("In the inbox")).to_contain_text("For Ada")

    # A problem has its line and leads to it; the preview stays; it is not published.
    replace_body(page, BODY.replace("<mj-text>Hello</mj-text>", "<mj-txt>Hello</mj-txt>"))
    problem = page.get_by_role("button", name=re.compile("MJML, line 5 There is no tag <mj-txt>"))
    expect(problem).to_be_visible()
    expect(email_in(page)).to_contain_text("Hello")
    problem.click()
    expect(page.locator(".cm-activeLine")).to_contain_text("<mj-txt>")
    page.get_by_role("button", name="Publish", exact=True).click()
    dialog = page.get_by_role("dialog", name="Publish version 1")
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Line 5: There is no tag <mj-txt>")
    page.keyboard.press("Escape")
    assert content.versions.get().state == "draft"

    replace_body(page, BODY.replace("Hello", "Dear {{ profile.first_name | default: 'friend' }}"))
    expect(email_in(page)).to_contain_text("Dear Ada")
    expect(page.get_by_role("status").get_by_text("Saved")).to_be_visible()

    # A proof, through a real SMTP conversation.
    page.get_by_role("button", name="Send a proof").click()
    dialog = page.get_by_role("dialog", name="Send a proof")
    dialog.get_by_label("To").fill("author@brand.example")
    dialog.get_by_role("button", name="Send proof").click()
    expect(dialog).to_contain_text("The proof was sent to author@brand.example.")
    (sent,) = wait_until(mailbox.log, what="the proof in the mailbox")
    assert sent["rcpt"] == ["author@brand.example"]
    proof = mailbox.json(f"/messages/{sent['n']}.json")
    assert proof["subject"] == "[Proof] For Ada"
    assert "Dear Ada" in proof["html"]
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is published", exact=True)).to_be_visible()
    assert content.versions.get().state == "published"

    # Written again, it is a new draft; the old words can be looked at.
    subject.fill("Again")
    expect(page.get_by_text("Draft of version 2")).to_be_visible()
    page.get_by_role("button", name="Versions").click()
    page.get_by_role("dialog").get_by_role("button", name="Look at", exact=True).click()
    expect(subject).to_have_value('For {{ profile.first_name | default: "friend" }}')
    page.get_by_role("button", name="Back to what you write").click()
    expect(subject).to_have_value("Again")
    page.reload()
    expect(page.get_by_label("Subject", exact=True)).to_have_value("Again")


def test_two_authors_do_not_overwrite_each_other(open_editor: OpenEditor, content: Content) -> None:
    page = open_editor(tolerated=["409"])  # the draft that came too late
    services.save_draft(
        key="news", name="News", variants=[{"subject": "Theirs", "preheader": "", "mjml": BODY}]
    )
    subject = page.get_by_label("Subject", exact=True)
    subject.fill("Mine")
    dialog = page.get_by_role("dialog", name="Somebody else changed this draft")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Show theirs, drop mine").click()
    expect(subject).to_have_value("Theirs")
    assert content.versions.get().variants.get().subject == "Theirs"


def test_all_of_it_works_by_keyboard(open_editor: OpenEditor) -> None:
    page = open_editor()
    page.get_by_label("Subject", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("Typed")
    code = page.locator(".cm-content")
    for _ in range(12):
        if code.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(code).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(code).not_to_be_focused()
    page.get_by_role("combobox", name="Preview as").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", name=re.compile("Ada"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Preview as")).to_have_value("Somebody we know nothing about")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_editor_is_accessible_and_fits(
    open_editor: OpenEditor, scheme: Literal["light", "dark"], size: dict[str, int]
) -> None:
    page = open_editor(scheme=scheme, size=size)
    expect(page.get_by_label("Problems and checks")).to_be_visible()
    assert axe.findings(page) == []
    assert not overflows(page)
    if size == PHONE:
        page.get_by_role("button", name="Preview", exact=True).click()
    page.get_by_role("button", name="Phone").click()
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(email_in(page)).to_contain_text("Hello")
    # The email in the frame is the author's, and its colours are what they make of it.
    assert axe.findings(page, exclude=["iframe"]) == []
    assert not overflows(page)
    if size == PHONE:
        page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_role("button", name="Insert a field into the subject").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe.findings(page, exclude=["iframe"]) == []


def test_the_preview_runs_nothing_and_asks_nobody(open_editor: OpenEditor, content: Content) -> None:
    """The page fixture fails on any request to another host and on any error."""
    services.save_draft(
        key="news",
        name="News",
        variants=[{"subject": "x", "html": '<p>Plain</p><a href="https://elsewhere.example/">away</a>'}],
    )
    page = open_editor()
    expect(email_in(page)).to_contain_text("Plain")
    frame = page.locator('iframe[title^="Email"]')
    assert frame.get_attribute("sandbox") == ""
    assert urlsplit(page.url).path == f"/admin/channels/content/{content.pk}/change/"
