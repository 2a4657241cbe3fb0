"""The mailbox page and its JSON: who may read them, what they say when there is no mailbox."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from tests.mailbox import HOST, TOKEN, Mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mailbox")) as mailbox:
        message = EmailMessage()
        message["From"] = "Brand <hello@brand.example>"
        message["To"] = "ada@people.example"
        message["Subject"] = "Hello Ada"
        message["Message-ID"] = "<1@brand.example>"
        message.set_content("In words.")
        message.add_alternative('<p class="x">In colour.</p>', subtype="html")
        with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example") as client:
            client.send_message(message)
            message.replace_header("To", "bo@people.example")
            client.send_message(message)
        yield mailbox


@pytest.fixture
def mailbox(running: Mailbox, settings: Settings) -> Mailbox:
    settings.AJO_MAILBOX_URL = running.url
    settings.AJO_MAILBOX_TOKEN = TOKEN
    settings.AJO_MAILBOX_OPEN = True
    return running


@pytest.mark.usefixtures("mailbox")
def test_the_json_carries_what_a_test_wants_to_know(client: Client) -> None:
    answer = client.get("/mailbox/messages.json", {"to": "ada@people.example"}).json()

    [message] = answer["messages"]
    assert answer["count"] == 1
    assert message.pop("received_at").endswith("+00:00")
    assert message.pop("size") > 100
    assert message == {
        "id": "1",
        "from": "Brand <hello@brand.example>",
        "envelope_from": "hello@brand.example",
        "to": ["ada@people.example"],
        "subject": "Hello Ada",
        "message_id": "<1@brand.example>",
        "snippet": "In colour.",
        "has_html": True,
        "text": "In words.\n",
        "html": '<p class="x">In colour.</p>\n',
    }


@pytest.mark.usefixtures("mailbox")
def test_the_json_can_be_paged_and_made_small(client: Client) -> None:
    answer = client.get("/mailbox/messages.json", {"bodies": "0", "limit": "1", "q": "hello"}).json()

    assert answer["count"] == 2
    assert [message["id"] for message in answer["messages"]] == ["2"]
    assert "text" not in answer["messages"][0]
    assert client.get("/mailbox/messages.json", {"after": "1"}).json()["count"] == 1
    refused = client.get("/mailbox/messages.json", {"limit": "many"})
    assert (refused.status_code, refused.json()) == (
        400,
        {"detail": "The parameter limit must be a whole number from 0 on."},
    )


@pytest.mark.usefixtures("mailbox")
def test_a_message_is_escaped_into_its_frame_and_downloads_raw(client: Client) -> None:
    page = client.get("/mailbox/1/")
    raw = client.get("/mailbox/1.eml")

    assert (
        'srcdoc="&lt;base target=&quot;_blank&quot;&gt;&lt;p class=&quot;x&quot;&gt;In colour.' in page.text
    )
    assert raw["Content-Type"] == "message/rfc822"
    assert raw["Content-Disposition"] == 'attachment; filename="message-1.eml"'
    assert raw.content.startswith(b"From: Brand")
    assert client.get("/mailbox/99/").status_code == 404
    assert client.get("/mailbox/99.eml").status_code == 404
    assert client.post("/mailbox/").status_code == 405


def test_without_a_mailbox_it_says_so(client: Client, settings: Settings) -> None:
    settings.AJO_MAILBOX_URL = ""
    settings.AJO_MAILBOX_OPEN = True

    page, answer = client.get("/mailbox/"), client.get("/mailbox/messages.json")

    assert page.status_code == answer.status_code == 404
    assert "This deployment has no mailbox." in page.text
    assert answer.json()["detail"].startswith("This deployment has no mailbox.")


def test_a_silent_mailbox_is_503(client: Client, mailbox: Mailbox, settings: Settings) -> None:
    settings.AJO_MAILBOX_TOKEN = "wrong"
    wrong = client.get("/mailbox/messages.json")
    settings.AJO_MAILBOX_URL = f"http://{HOST}:9"
    silent = client.get("/mailbox/")

    assert (wrong.status_code, silent.status_code) == (503, 503)
    assert wrong.json()["detail"] == "The header X-Mailbox-Token is missing or wrong."
    assert "The mailbox does not answer." in silent.text


@pytest.mark.usefixtures("mailbox")
def test_a_closed_mailbox_is_for_staff(client: Client, settings: Settings) -> None:
    settings.AJO_MAILBOX_OPEN = settings.DEBUG = False
    users = get_user_model().objects

    assert client.get("/mailbox/1/")["Location"] == "/admin/login/?next=/mailbox/1/"
    assert client.get("/mailbox/1.eml").status_code == 302
    assert client.get("/mailbox/messages.json").status_code == 403

    client.force_login(users.create_user("visitor", password="x"))
    assert client.get("/mailbox/").status_code == 403
    assert client.get("/mailbox/messages.json").status_code == 403

    client.force_login(users.create_user("helper", password="x", is_staff=True))
    assert client.get("/mailbox/").status_code == 200
    assert client.get("/mailbox/messages.json").status_code == 200
