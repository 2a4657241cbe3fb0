"""The mailbox's phones: whose they are, what they show, and the way of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from django.test import Client
from pytest_django import Settings

from channels import devices
from channels.devices import Registration
from channels.providers.base import Outgoing
from channels.providers.fcm import FcmProvider
from profiles.identity import PHONE
from profiles.models import Identity
from tests.factories import NOW, make_profile
from tests.mailbox import TOKEN, Mailbox

pytestmark = pytest.mark.django_db
SID = "AC" + "0" * 32
NUMBER = "+4930901820"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mailbox")) as mailbox:
        yield mailbox


@pytest.fixture
def mailbox(running: Mailbox, settings: Settings) -> Mailbox:
    settings.AJO_MAILBOX_URL, settings.AJO_MAILBOX_TOKEN = running.url, TOKEN
    settings.AJO_MAILBOX_OPEN = True
    running.get("/phone.json", method="DELETE")
    return running


def text(mailbox: Mailbox, body: str, to: str = NUMBER) -> None:
    requests.post(
        f"{mailbox.url}/2010-04-01/Accounts/{SID}/Messages.json",
        {"To": to, "From": "+15550100", "Body": body},
        auth=(SID, TOKEN),
        timeout=5,
    ).raise_for_status()


def push(to: str, **fields: str) -> None:
    document = {"title": "Back", "body": "In M", "image_url": "", "link_url": "", "data": {}} | fields
    provider = FcmProvider({})
    provider.send([Outgoing(1, to, "", json.dumps(document).encode(), "k", 1)])
    provider.close()


def test_a_phone_shows_whose_it_is_and_what_it_received(mailbox: Mailbox, client: Client) -> None:
    ada = make_profile(first_name="Ada", last_name="Berg")
    Identity.objects.create(namespace_id=PHONE, value=NUMBER, profile=ada)
    devices.register([Registration(ada.pk, "fcm", "token-of-ada", NOW)])
    text(mailbox, "<b>Hello</b> https://a.example/x")
    push("token-of-ada", link_url="javascript:alert(1)", image_url="https://img.example/a.png")
    page = client.get("/mailbox/phones/", {"to": NUMBER}).content.decode()
    assert page.count("Ada Berg") >= 3, "once for each of her addresses, and on the phone"
    assert "&lt;b&gt;Hello&lt;/b&gt;" in page
    assert 'href="https://a.example/x"' in page
    assert "In M" not in page
    page = client.get("/mailbox/phones/", {"to": "token-of-ada"}).content.decode()
    assert "In M" in page
    assert 'src="https://img.example/a.png"' in page
    assert 'href="javascript' not in page


def test_channels_are_told_apart(mailbox: Mailbox, client: Client) -> None:
    text(mailbox, "Hello")
    push("token-of-bob")
    assert "token-of-bob" not in client.get("/mailbox/phones/?channel=sms").content.decode()
    assert NUMBER not in client.get("/mailbox/phones/?channel=push").content.decode()
    assert client.get("/mailbox/phones.json?channel=push").json()["count"] == 1


def test_an_answer_that_nobody_takes_is_said(mailbox: Mailbox, client: Client) -> None:
    text(mailbox, "Hello")
    number = mailbox.json("/phone.json")["messages"][0]["id"]
    page = client.post(f"/mailbox/phones/{number}/reply/", {"to": NUMBER, "text": "STOP"})
    assert page.status_code == 200
    assert "no StatusCallback" in page.content.decode()
    assert client.get(f"/mailbox/phones/{number}/reply/").status_code == 405


def test_an_empty_mailbox_says_so(mailbox: Mailbox, client: Client) -> None:
    assert "Nothing has arrived on a phone yet." in client.get("/mailbox/phones/").content.decode()


def test_phones_are_not_for_strangers(mailbox: Mailbox, client: Client, settings: Settings) -> None:
    settings.AJO_MAILBOX_OPEN = False
    assert client.get("/mailbox/phones/").status_code == 302
    assert client.get("/mailbox/phones.json").status_code == 403
    assert client.post("/mailbox/phones/1/reply/", {"text": "STOP"}).status_code == 302
