"""The pages to unsubscribe and to choose, as a stranger with a link meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from channels.models import CauseKind, Message, MessageClass
from channels.tracking import tokens
from profiles.models import Channel, Consent
from tests.browser import axe
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.factories import make_configuration, make_profile, make_variant

pytestmark = pytest.mark.browser
Scheme = Literal["light", "dark"]


@pytest.fixture
def way_out(live_server: LiveServer, settings: Settings) -> str:
    """The address to unsubscribe in a message that was sent."""
    settings.AJO_PUBLIC_URL = live_server.url
    make_configuration("sms", channel=Channel.SMS)
    message = Message.objects.create(
        profile=make_profile(),
        cause_kind=CauseKind.JOURNEY_INSTANCE,
        cause_id=1,
        activity="welcome",
        visit=1,
        channel=Channel.EMAIL,
        origin_id=1,
        configuration=make_configuration(),
        variant=make_variant(),
        message_class=MessageClass.MARKETING,
        state=Message.State.SENT,
    )
    return tokens.addresses(message.pk).unsubscribe_url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_who_wants_to_leave_finds_the_way_and_the_way_back(
    way_out: str,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Scheme,
    size: dict[str, int],
) -> None:
    page = open_page(scheme=scheme, size=size)

    def look(name: str) -> None:
        assert not overflows(page), name
        assert axe.findings(page, impacts=axe.ANY) == [], name
        assert shot(page, f"{name}-{scheme}-{size['width']}").exists()

    page.goto(way_out)
    look("ask")
    assert not Consent.objects.exists(), "looking changes nothing"
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    look("done")
    assert Consent.objects.get().state == Consent.State.OPTED_OUT
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="You are subscribed again")).to_be_visible()
    assert Consent.objects.get().state == Consent.State.OPTED_IN
    page.get_by_role("link", name="Choose how we may reach you").click()
    page.get_by_label("SMS").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Your choice is saved.")
    look("choices")
    assert page.get_by_label("Email").is_checked()
    assert not page.get_by_label("SMS").is_checked()


def test_it_works_without_scripts_and_by_keyboard(way_out: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(way_out)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    assert context.cookies() == []
    context.close()


def test_a_link_that_is_not_known_says_so_and_nothing_else(
    way_out: str, page: Page, shot: Callable[[Page, str], Path]
) -> None:
    page.goto(way_out[:-1])
    expect(page.get_by_role("heading")).to_have_text("This link is not known")
    expect(page.get_by_role("paragraph")).to_have_count(1)
    assert shot(page, "unknown").exists()
