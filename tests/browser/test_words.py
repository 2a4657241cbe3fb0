"""Writing what is no email in a real browser, down to the proof on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from channels import devices, services
from channels.models import Content, Variant
from profiles.models import AttributeDefinition, Channel
from tests.browser import axe
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.factories import make_configuration, make_profile
from tests.mailbox import HOST, TOKEN, Mailbox
from tests.support import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Look = tuple[Literal["light", "dark"], dict[str, int]]
LOOKS: list[Look] = [("light", DESKTOP), ("dark", PHONE)]


@pytest.fixture
def mailbox(tmp_path: Path, settings: Settings) -> Iterator[Mailbox]:
    with Mailbox(tmp_path) as running:
        settings.AJO_MAILBOX_URL, settings.AJO_MAILBOX_TOKEN = running.url, TOKEN
        settings.AJO_MAILBOX_SMTP = f"{HOST}:{running.smtp_port}"
        yield running


@pytest.fixture
def open_words(open_page: OpenPage, live_server: LiveServer) -> Callable[..., tuple[Page, Content]]:
    """The editor of a content of the channel, for an administrator. There is one person, Ada, with a phone."""
    AttributeDefinition.objects.create(key="first_name", label="First name")
    ada = make_profile(first_name="Ada", last_name="Lovelace", phone="+491701234567")
    token = devices.Registration(ada.pk, devices.FCM, "ada-token-0123456789", timezone.now(), "android")
    devices.register([token])

    def open_one(
        channel: Channel,
        provider: str,
        words: dict[str, Any] | None = None,
        look: Look = LOOKS[0],
    ) -> tuple[Page, Content]:
        sender = {Channel.SMS: "+15005550006"}.get(channel, "")
        make_configuration(
            "sender", channel=channel, provider=provider, sender_name="Harbour & Pine", sender_address=sender
        )
        version = services.create_content(key="stock", name="Stock", channel=channel, variants=[words or {}])
        person = get_user_model().objects.create_superuser("author", "author@brand.example", "x")
        client = Client()
        client.force_login(person)
        page = open_page(scheme=look[0], size=look[1], base_url=live_server.url)
        session = client.cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page.goto(f"/admin/channels/content/{version.content_id}/change/")
        expect(page.get_by_role("button", name="Publish", exact=True)).to_be_visible()
        return page, version.content

    return open_one


def insert_first_name(page: Page, button: str, fallback: str) -> None:
    page.get_by_role("button", name=button).click()
    page.get_by_placeholder("First name, order number").fill("first")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="First name")
    expect(dialog.get_by_role("button", name="Insert", exact=True)).to_be_disabled()
    dialog.get_by_label("What to write for people without it").fill(fallback)
    page.keyboard.press("Enter")
    # Whoever types on before the caret is back would type into another field.
    expect(page.locator(":is(input, textarea):focus")).to_have_value(re.compile("first_name"))


def publish(page: Page, content: Content) -> None:
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is published", exact=True)).to_be_visible()
    assert content.versions.get().state == "published"


def send_proof(page: Page) -> Locator:
    page.get_by_role("button", name="Send a proof").click()
    return page.get_by_role("dialog", name="Send a proof")


def arrived(mailbox: Mailbox) -> dict[str, Any]:
    (message,) = wait_until(
        lambda: mailbox.json("/phone.json")["messages"], what="the proof on the phone of the mailbox"
    )
    return dict(message)


def test_an_sms_is_written_measured_proved_and_published(
    open_words: Callable[..., tuple[Page, Content]], mailbox: Mailbox
) -> None:
    page, content = open_words(Channel.SMS, "twilio_sms")
    text = page.get_by_label("Text", exact=True)
    text.fill("Back in your size, ")
    insert_first_name(page, "Insert a field into the text", "friend")
    expect(text).to_have_value('Back in your size, {{ profile.first_name | default: "friend" }}')
    phone = page.get_by_role("group", name="On the phone")
    expect(phone).to_contain_text("Back in your size, Ada")
    length = page.get_by_role("group", name="Length")
    expect(length).to_contain_text("1 part · 22 characters, 138 left · GSM-7")

    text.press("End")
    text.type(" 👟")
    expect(length).to_contain_text("1 part · 25 characters, 45 left · UCS-2, because of “👟”")

    # Somebody we know nothing about reads the default.
    page.get_by_role("combobox", name="Preview as").click()
    page.get_by_role("option", name="Somebody we know nothing about").click()
    expect(phone).to_contain_text("Back in your size, friend 👟")

    text.fill("Hi {{ profile.first_name")
    problem = page.locator(".ce-line .ce-problem")
    expect(problem).to_be_visible()
    expect(text).to_have_attribute("aria-invalid", "true")
    text.fill("Back in your size 👟")
    expect(problem).to_have_count(0)
    expect(page.get_by_role("status").get_by_text("Saved", exact=True)).to_be_visible()

    dialog = send_proof(page)
    dialog.get_by_label("To").fill("+49 170 7654321")
    dialog.get_by_role("button", name="Send proof").click()
    expect(dialog).to_contain_text("The proof was sent to +49 170 7654321.")
    message = arrived(mailbox)
    assert (message["to"], message["text"]) == ("+491707654321", "[Proof] Back in your size 👟")
    page.keyboard.press("Escape")

    # The same in another language, seen as its readers get it.
    page.get_by_role("button", name="Add a language").click()
    dialog = page.get_by_role("dialog", name="Add a language")
    dialog.get_by_label("Locale").fill("german")
    expect(dialog).to_contain_text("A locale is a language, such as de")
    expect(dialog.get_by_role("button", name="Add", exact=True)).to_be_disabled()
    dialog.get_by_label("Locale").fill("de")
    page.keyboard.press("Enter")
    expect(page.get_by_label("For", exact=True)).to_have_value("1")
    expect(text).to_have_value("Back in your size 👟")
    text.fill("Wieder da")
    expect(phone).to_contain_text("Wieder da")
    page.get_by_label("For", exact=True).select_option("Everybody")
    expect(phone).to_contain_text("Back in your size 👟")
    expect(page.get_by_role("status").get_by_text("Saved", exact=True)).to_be_visible()
    publish(page, content)
    assert list(Variant.objects.order_by("locale").values_list("locale", "text")) == [
        ("", "Back in your size 👟"),
        ("de", "Wieder da"),
    ]


def test_a_push_is_written_and_proved_on_the_devices_of_a_person(
    open_words: Callable[..., tuple[Page, Content]], mailbox: Mailbox
) -> None:
    page, content = open_words(Channel.PUSH, "fcm")
    page.get_by_label("Title", exact=True).fill("Hi ")
    insert_first_name(page, "Insert a field into the title", "you")
    page.get_by_label("Text", exact=True).fill("It is back.")
    page.get_by_label("Link", exact=True).fill("https://shop.example/s")
    page.get_by_role("button", name="Add a value").click()
    page.get_by_role("button", name="Add a value").click()
    page.get_by_label("Value of value 1").fill("sweater")
    page.get_by_label("Name of value 2").fill("screen")
    page.get_by_label("Value of screen").fill("shop")
    expect(page.get_by_text("It has no name. Give it one, or remove it.").first).to_be_visible()
    page.get_by_role("button", name=re.compile("Values for the app, line 1")).click()
    expect(page.get_by_label("Value of value 1")).to_be_focused()
    page.get_by_label("Name of value 1").fill("sku")
    page.get_by_role("button", name="Move screen up").click()

    phone = page.get_by_role("group", name="On the phone")
    expect(phone).to_contain_text("Hi Ada")
    expect(phone).to_contain_text("https://shop.example/s")
    expect(page.get_by_text("No problems")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("Saved", exact=True)).to_be_visible()
    assert Variant.objects.get().columns == [["screen", "shop"], ["sku", "sweater"]]

    dialog = send_proof(page)
    expect(dialog).to_contain_text("To the devices of Ada Lovelace.")
    dialog.get_by_role("button", name="Send proof").click()
    expect(dialog).to_contain_text("The proof was sent to the devices of this person.")
    message = arrived(mailbox)
    assert (message["title"], message["text"]) == ("[Proof] Hi Ada", "It is back.")
    page.keyboard.press("Escape")
    publish(page, content)
    page.reload()
    expect(page.get_by_label("Name of value 2")).to_have_value("sku")


WORDS: dict[Channel, tuple[str, dict[str, Any]]] = {
    Channel.SMS: ("twilio_sms", {"text": "Dear {{ profile.first_name | default: 'friend' }}, it is back."}),
    Channel.PUSH: (
        "fcm",
        {
            "subject": "Back in your size",
            "text": "The sweater that you looked at is here again.",
            "link_url": "https://shop.example/s",
            "columns": [["sku", "sweater"], ["screen", "shop"]],
        },
    ),
    Channel.WEBHOOK: (
        "webhook",
        {
            "text": json.dumps(
                {"person": '{{ profile.first_name | default: "nobody" }}', "price": 19.9, "tags": ["a", "b"]}
            ).replace('\\"', "'")
        },
    ),
    Channel.DIRECT_MAIL: (
        "direct_mail",
        {
            "columns": [
                ["name", "{{ profile.first_name }}"],
                ["street", "Harbour Street 12"],
                ["city", "Bergen"],
            ]
        },
    ),
}
SEEN = {
    Channel.SMS: "Dear Ada, it is back.",
    Channel.PUSH: "Back in your size",
    Channel.WEBHOOK: '"price": 19.9,',
    Channel.DIRECT_MAIL: "Harbour Street 12",
}


@pytest.mark.parametrize("look", LOOKS, ids=["light-desktop", "dark-phone"])
@pytest.mark.parametrize("channel", WORDS)
def test_the_page_of_every_channel_is_accessible_and_fits(
    open_words: Callable[..., tuple[Page, Content]],
    shot: Callable[[Page, str], Path],
    channel: Channel,
    look: Look,
) -> None:
    provider, words = WORDS[channel]
    page, _ = open_words(channel, provider, words, look)
    expect(page.get_by_label("Review").get_by_role("button").first).to_contain_text("No problems")
    shot(page, "write")
    assert axe.findings(page) == []
    assert not overflows(page)
    if look[1] is PHONE:
        page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.get_by_label("Preview", exact=True)).to_contain_text(SEEN[channel])
    shot(page, "preview")
    assert axe.findings(page) == []
    assert not overflows(page)
