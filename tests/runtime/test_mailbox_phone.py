"""The mailbox as a phone: the services' own HTTP, what it keeps, what it tells, what goes wrong on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.request_validator import RequestValidator

from tests.mailbox import TOKEN, Mailbox
from tests.support import wait_until

SID = "AC" + "0" * 32


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest.fixture(autouse=True)
def empty(mailbox: Mailbox) -> None:
    mailbox.get("/phone.json", method="DELETE")
    mailbox.get("/faults.json", method="DELETE")


class Product:
    """Where callbacks arrive: (path, form, signature)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], str]] = []
        self.status = 204
        product = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                product.calls.append((self.path, dict(parse_qsl(body)), self.headers["X-Twilio-Signature"]))
                self.send_response(product.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def product() -> Iterator[Product]:
    product = Product()
    thread = threading.Thread(target=product.server.serve_forever)
    thread.start()
    yield product
    product.server.shutdown()
    thread.join()
    product.server.server_close()


def text(mailbox: Mailbox, to: str = "+4930901820", token: str = TOKEN, **form: str) -> requests.Response:
    return requests.post(
        f"{mailbox.url}/2010-04-01/Accounts/{SID}/Messages.json",
        {"To": to, "From": "+15550100", "Body": "Hello", **form},
        auth=(SID, token),
        timeout=2,
    )


def command(mailbox: Mailbox, kind: str, service: str = "twilio", **more: Any) -> None:
    mailbox.get(
        "/faults.json", method="POST", body=json.dumps({"service": service, "kind": kind, **more}).encode()
    )


def phone(mailbox: Mailbox, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mailbox.json(f"/phone.json?{query}")["messages"]
    return found


def test_a_text_message_is_taken_reported_and_answered(mailbox: Mailbox, product: Product) -> None:
    callback = f"{product.url}/callbacks/twilio/sms/status?message=7"
    answer = text(mailbox, StatusCallback=callback)
    assert answer.status_code == 201
    assert answer.json()["status"] == "queued"
    sid = answer.json()["sid"]
    wait_until(lambda: len(product.calls) == 2, what="both callbacks")
    validator = RequestValidator(TOKEN)
    for state, (path, form, signature) in zip(("sent", "delivered"), product.calls, strict=True):
        assert path == "/callbacks/twilio/sms/status?message=7"
        assert (form["MessageSid"], form["MessageStatus"]) == (sid, state)
        assert validator.validate(product.url + path, form, signature)
    (message,) = phone(mailbox)
    assert (message["to"], message["from"], message["text"], message["provider_id"]) == (
        "+4930901820",
        "+15550100",
        "Hello",
        sid,
    )
    mailbox.get(f"/phone/{message['id']}/reply.json", method="POST", body=b'{"text": "Stop"}')
    path, form, signature = product.calls[2]
    assert path == "/callbacks/twilio/sms/inbound"
    assert (form["From"], form["To"], form["Body"]) == ("+4930901820", "+15550100", "Stop")
    assert form["OptOutType"] == "STOP"
    assert validator.validate(product.url + path, form, signature)
    refused = text(mailbox)
    assert (refused.status_code, refused.json()["code"]) == (400, 21610)
    assert text(mailbox, From="+15550199").status_code == 201, "it left that number only"
    mailbox.get(f"/phone/{message['id']}/reply.json", method="POST", body=b'{"text": "START"}')
    assert text(mailbox).status_code == 201
    # Under the person's number stand both sides.
    assert [each["is_reply"] for each in phone(mailbox, "to=%2B4930901820")] == [
        False,
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"to": "12345"}, 400, 21211),
        ({"to": ""}, 400, 21604),
        ({"Body": ""}, 400, 21602),
        ({"Body": "a" * 1601}, 400, 21617),
        ({"From": "not ok!"}, 400, 21212),
        ({"token": "wrong"}, 401, 20003),
    ],
)
def test_twilio_refuses_in_its_own_words(
    mailbox: Mailbox, form: dict[str, str], status: int, code: int
) -> None:
    answer = text(mailbox, **form)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert phone(mailbox) == []


def test_faults_happen_as_often_as_they_were_commanded(mailbox: Mailbox, product: Product) -> None:
    command(mailbox, "throttle", retry_after=7)
    command(mailbox, "unavailable", to="+49309")
    throttled, unavailable = text(mailbox), text(mailbox)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    assert unavailable.status_code == 503
    command(mailbox, "drop_before")
    with pytest.raises(requests.ConnectionError):
        text(mailbox)
    assert phone(mailbox) == []
    command(mailbox, "drop_after")
    with pytest.raises(requests.ConnectionError):
        text(mailbox)
    command(mailbox, "hang_after")
    with pytest.raises(requests.ReadTimeout):
        text(mailbox)
    command(mailbox, "garbage")
    with pytest.raises(requests.JSONDecodeError):
        text(mailbox).json()
    assert len(phone(mailbox)) == 3, "these were taken"
    command(mailbox, "undelivered", code=30005)
    text(mailbox, StatusCallback=f"{product.url}/status")
    wait_until(lambda: len(product.calls) == 2, what="both callbacks")
    assert product.calls[1][1]["ErrorCode"] == "30005"
    command(mailbox, "shuffled_callbacks")
    text(mailbox, StatusCallback=f"{product.url}/status")
    wait_until(lambda: len(product.calls) == 6, what="all callbacks")
    assert [form["MessageStatus"] for _, form, _ in product.calls[2:]] == [
        "delivered",
        "sent",
        "delivered",
        "sent",
    ]


def test_what_a_phone_received_survives_a_kill(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as mailbox:
        text(mailbox)
        mailbox.kill()
        mailbox.start()
        (message,) = phone(mailbox)
        assert message["text"] == "Hello"
        text(mailbox, to="+4930901821")
        assert [each["id"] for each in phone(mailbox)] == ["2", "1"]
        people = mailbox.json("/phone.json")["people"]
        assert [each["address"] for each in people] == ["+4930901821", "+4930901820"]


def test_only_who_has_the_token_reads_and_commands(mailbox: Mailbox) -> None:
    for path, method in (("/phone.json", "GET"), ("/phone.json", "DELETE"), ("/faults.json", "POST")):
        status, _ = mailbox.refusal(path, token="wrong", method=method)
        assert status == 403
