"""Home, documentation and the API's page in a real browser: a newcomer's first steps, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect
from pytest_django import Settings

from profiles.models import Source
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows

pytestmark = pytest.mark.browser
PATHS = {"home": "/", "docs": "/docs/", "demo": "/docs/demo/", "search": "/docs/?q=event", "api": "/api/v1/"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_its_screen(
    product: str,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
) -> None:
    page = open_page(scheme=scheme)
    for name, path in PATHS.items():
        page.goto(product + path)
        expect(page.locator("h1").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(ViewportSize(width=size["width"], height=size["height"]))
            assert not overflows(page), name
            assert shot(page, f"{name}-{scheme}-{size['width']}").exists()


def test_a_stranger_on_a_server_sees_what_this_is(
    product: str, open_page: OpenPage, settings: Settings
) -> None:
    settings.AJO_MAILBOX_OPEN = False
    page = open_page(size=PHONE)
    page.goto(product)
    expect(page.get_by_role("link", name="Read the docs")).to_be_visible()
    assert not overflows(page)


def test_the_first_event_is_copied_as_it_stands(product: str, open_page: OpenPage) -> None:
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(product)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {product}/v1/batch")
    assert Source.objects.get(key="website").write_key in copied


def test_the_language_of_the_example_is_chosen_by_keyboard(product: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(product)
    expect(page.locator("#code-curl")).to_be_visible()
    page.get_by_role("radio", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#code-python")).to_be_visible()
    expect(page.locator("#code-curl")).to_be_hidden()


def test_the_first_stop_of_the_keyboard_skips_the_bar(product: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{product}/docs/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_docs_are_searched_and_read(product: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{product}/docs/")
    page.get_by_role("searchbox", name="Search the docs").fill("sweater")
    page.keyboard.press("Enter")
    page.get_by_role("article").get_by_role("link", name="The demo brand").click()
    expect(page.get_by_role("heading", level=1, name="The demo brand")).to_be_visible()
    page.get_by_role("navigation", name="Documentation").get_by_role("link", name="Signing in").click()
    assert page.url.endswith("#signing-in")


def test_the_api_describes_itself(product: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{product}/api/v1/")
    expect(page.get_by_text("/api/v1/status/")).to_be_visible()


def test_an_address_that_does_not_exist_leads_on(product: str, browser_page: Page) -> None:
    answer = browser_page.request.get(f"{product}/nothing-here/")
    assert answer.status == 404
    assert "There is nothing at this address" in answer.text()
