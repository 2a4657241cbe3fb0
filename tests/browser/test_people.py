"""People in a real browser: find somebody, read what happened, load older, look into a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from channels import delivery
from channels.models import Message
from profiles import services as profile_services
from profiles.models import Channel, Consent, Identity
from profiles.stream import take_batch
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.factories import NOW, make_configuration, make_source, make_variant
from tests.journeys.helpers import box, entry_box, line, make_live, message_box, tick
from tests.profiles.store import identify, store, track

pytestmark = pytest.mark.browser
DAY = timedelta(days=1)


@pytest.fixture
def story(live_server: LiveServer) -> str:
    """Ada signed up, looked at sixty things, was written to and waits; a second message was withheld."""
    User.objects.create_superuser("boss", password="a-long-password")
    make_source(pk=1)
    make_configuration()
    words = (
        "<p>{{ profile.first_name }}, welcome to the <a href='https://brand.example/'>harbour</a>.</p>" * 12
    )
    leave = "<p><a href='{{ unsubscribe_url }}'>Leave</a></p>"
    make_variant(html=f"<h1>Hello</h1>{words}{leave}", text="Hello. {{ unsubscribe_url }}")
    rest = box("rest", "wait", until="weekday", weekdays=["tuesday"], time="09:00")
    for key in ("first-steps", "second-thoughts"):
        make_live(line(entry_box(), message_box(), rest, box("end", "end")), key=key)
    traits = {
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Byron",
        "time_zone": "Europe/Berlin",
    }
    views = [
        track("ada", "Product Viewed", at=NOW - DAY, properties={"name": f"Sweater {n}"}) for n in range(60)
    ]
    store(identify("ada", traits, at=NOW - DAY), *views, track("ada", "Signed Up"), received_at=NOW)
    take_batch(now=NOW)
    ada = Identity.objects.get(namespace_id=1, value="ada").profile_id
    later = Message.objects.latest("pk")
    Message.objects.exclude(pk=later.pk).update(
        state=Message.State.SENT, sent_at=NOW, address="ada@example.com"
    )
    profile_services.set_consent(
        profile_ids=[ada],
        channel=Channel.EMAIL,
        state=Consent.State.OPTED_OUT,
        reason="Wrote to us.",
        now=NOW,
    )
    delivery.take_batch(Channel.EMAIL, now=NOW + timedelta(seconds=1))
    store(
        track("ada", "$message_opened", properties={"message_id": str(later.pk - 1), "is_machine": True}),
        track("ada", "Signed Up", at=NOW + timedelta(minutes=5)),
        received_at=NOW + timedelta(minutes=6),
    )
    take_batch(now=NOW)
    tick(NOW)
    return live_server.url


def sign_in(page: Page, base: str) -> None:
    page.goto(f"{base}/admin/login/")
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password").fill("a-long-password")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)


def test_somebody_is_found_read_about_and_their_message_opened(story: str, open_page: OpenPage) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, story)
    page.goto(f"{story}{reverse('admin:profiles_profile_changelist')}?q=ada%40example.com")
    page.get_by_role("link", name="Ada Byron").click()

    entries = page.locator("ol.people-timeline > li[data-kind]")
    expect(entries).to_have_count(50)
    expect(
        page.get_by_text("Waits until Tuesday 24 November 2026, 09:00 (Europe/Berlin).").first
    ).to_be_visible()
    expect(page.get_by_text("Withheld: the person opted out of email on 21 November 2026.")).to_be_visible()
    expect(page.get_by_text("Opened by a machine")).to_be_visible()
    expect(page.get_by_text("People enter it once in a lifetime").first).to_be_visible()
    page.get_by_role("link", name="Load older").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Load older")).to_have_count(0)
    assert entries.count() > 60
    assert "before" not in page.url

    page.get_by_role("navigation", name="Show").get_by_role("link", name="Messages").click()
    expect(page.locator("li[data-kind=message]")).to_have_count(2)
    expect(page.locator("li[data-kind=event]")).to_have_count(0)
    page.get_by_role("link", name="Email: Welcome").last.click()
    expect(page.get_by_role("heading", name="The message")).to_be_visible()
    expect(page.frame_locator("iframe.people-frame").get_by_role("heading", name="Hello")).to_be_visible()
    page.get_by_text("Source", exact=True).click()
    expect(page.get_by_text("MIME-Version: 1.0")).to_be_visible()
    expect(page.get_by_text("/t/o/")).to_be_visible()
    assert not [url for url in asked if "/t/" in url], "Looking at a message counted as opening it."


def test_consent_is_noted_by_hand(story: str, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, story)
    ada = Identity.objects.get(namespace_id=1, value="ada").profile_id
    page.goto(f"{story}{reverse('admin:profiles_profile_change', args=[ada])}")
    page.get_by_text("Set by hand").first.click()
    page.get_by_label("Channel").select_option("SMS")
    page.get_by_label("What they said").select_option("Opted out")
    page.get_by_label("Reason").fill("Told the shop.")
    page.get_by_role("button", name="Note it").click()
    expect(page.get_by_text("Set by hand by boss. Told the shop.")).to_be_visible()
    assert Consent.objects.filter(profile=ada, channel=Channel.SMS).exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_screens_fit_and_everybody_can_use_them(
    story: str,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    page = open_page(scheme=scheme, size=size)
    sign_in(page, story)
    ada = Identity.objects.get(namespace_id=1, value="ada").profile_id
    sent, withheld = Message.objects.order_by("pk")
    for name, url in {
        "person": reverse("admin:profiles_profile_change", args=[ada]),
        "sent": reverse("admin:channels_message_change", args=[sent.pk]),
        "withheld": reverse("admin:channels_message_change", args=[withheld.pk]),
        "messages": reverse("admin:channels_message_changelist"),
    }.items():
        page.goto(story + url)
        page.wait_for_load_state("networkidle")
        assert not overflows(page), name
        assert shot(page, f"{name}-{scheme}-{size['width']}").exists()
        assert findings(page) == [], name
