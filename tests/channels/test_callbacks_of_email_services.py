"""What Mailgun and Resend call back, each signed in its own way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from django.test import Client

from ajo.lib import doorbell
from ajo.lib.standard_webhooks import sign
from channels.models import ChannelConfiguration, Message, Suppression
from channels.providers import registry
from channels.providers.base import Outgoing
from profiles.models import Event
from profiles.stream import take_batch
from tests.channels.contract.service import Mood, Reply, Service
from tests.channels.test_callbacks import make_message
from tests.factories import NOW, make_configuration

pytestmark = pytest.mark.django_db(transaction=True)

KEY = b"a signing key of many bytes"
State = Message.State


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda task: None)
    monkeypatch.setenv("MAILGUN_SIGNING_KEY", KEY.decode())
    monkeypatch.setenv("RESEND_SIGNING_SECRET", "whsec_" + base64.b64encode(KEY).decode())


@pytest.fixture(params=["mailgun", "resend"])
def service(request: pytest.FixtureRequest, db: None) -> ChannelConfiguration:
    names = {"mailgun": {"signing_key_env": "MAILGUN_SIGNING_KEY"}}
    settings = names.get(request.param, {"signing_secret_env": "RESEND_SIGNING_SECRET"})
    return make_configuration("letters", provider=request.param, settings=settings)


def mailgun(message: Message, what: str, nth: str, key: bytes) -> tuple[bytes, dict[str, str]]:
    names = {"delivered": "delivered", "bounced": "failed", "complained": "complained", "opened": "opened"}
    at = str(int(time.time()))
    data: dict[str, Any] = {
        "event": names[what],
        "timestamp": 1.0,
        "recipient": message.address,
        "user-variables": {"message": str(message.pk)},
        "message": {"headers": {"message-id": "x@mg"}},
    }
    if what == "bounced":
        data |= {"severity": "permanent", "reason": "bounce", "delivery-status": {"message": "550 nobody"}}
    signature = hmac.new(key, f"{at}{nth}".encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": at, "token": nth, "signature": signature}
    return json.dumps({"signature": signed, "event-data": data}).encode(), {}


def resend(message: Message, what: str, nth: str, key: bytes) -> tuple[bytes, dict[str, str]]:
    data: dict[str, Any] = {
        "email_id": "e1",
        "to": [message.address],
        "headers": [{"name": "X-Metadata", "value": json.dumps({"message": str(message.pk)})}],
    }
    if what == "bounced":
        data["bounce"] = {"message": "sent a hard bounce message", "type": "Permanent"}
    body = json.dumps({"type": f"email.{what}", "created_at": "2026-11-21T12:00:00Z", "data": data}).encode()
    at = int(time.time())
    return body, {"svix-id": nth, "svix-timestamp": str(at), "svix-signature": sign(key, nth, at, body)}


def tell(
    configuration: ChannelConfiguration, message: Message, what: str, nth: str = "n1", key: bytes = KEY
) -> int:
    body, headers = {"mailgun": mailgun, "resend": resend}[configuration.provider](message, what, nth, key)
    path = "/callbacks/anymail/letters/"
    return int(Client().post(path, body, "application/json", headers=headers).status_code)


@pytest.mark.parametrize(
    ("what", "state", "suppressed"),
    [
        ("delivered", State.DELIVERED, None),
        ("bounced", State.BOUNCED, "bounce"),
        ("complained", State.COMPLAINED, "complaint"),
    ],
)
def test_a_report_moves_the_message_on(
    service: ChannelConfiguration, what: str, state: int, suppressed: str | None
) -> None:
    message = make_message(service, address="ada@example.com")
    for nth in ("n1", "n1", "n2"):
        assert tell(service, message, what, nth) == 204
    take_batch(now=NOW)
    message.refresh_from_db()
    assert message.state == state
    assert Event.objects.count() == 2, "the repeat is no event"
    assert list(Suppression.objects.values_list("address", "reason")) == (
        [("ada@example.com", suppressed)] if suppressed else []
    )


def test_an_open_that_the_service_saw_is_marked_as_its_word(service: ChannelConfiguration) -> None:
    message = make_message(service, address="ada@example.com")
    assert tell(service, message, "opened") == 204
    take_batch(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.opened_at is not None) == (State.SENT, True)
    assert Event.objects.get().properties["reported_by"] == service.provider


def test_a_bad_signature_writes_nothing(service: ChannelConfiguration) -> None:
    message = make_message(service, address="ada@example.com")
    assert tell(service, message, "delivered", key=b"another key of many bytes") == 403
    for body in (b"{}", b"", b"[]", b'{"signature": 1}', b"\xff"):
        response = Client().post("/callbacks/anymail/letters/", body, "application/json")
        assert response.status_code in {400, 403}
    assert Client().post("/callbacks/anymail/letters/", {"a": "b"}).status_code == 403
    assert not Event.objects.exists()


def test_without_a_key_nobody_is_believed(
    service: ChannelConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILGUN_SIGNING_KEY")
    monkeypatch.delenv("RESEND_SIGNING_SECRET")
    assert tell(service, make_message(service, address="ada@example.com"), "delivered", key=b"") == 403
    assert not Event.objects.exists()


@pytest.mark.parametrize("kind", ["mailgun", "resend"])
def test_our_words_and_headers_go_along(kind: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Reply(200, b'{"id": "<1@mg>", "message": "Queued. Thank you."}')
    server = Service(lambda request: (Mood.ACCEPT, answer))
    settings.AJO_MAILGUN_URL = settings.AJO_RESEND_URL = server.url
    monkeypatch.setenv(f"{kind.upper()}_API_KEY", "key")
    provider = registry.get(kind)({"api_key_env": f"{kind.upper()}_API_KEY"})
    body = (
        "From: Brand <hello@brand.example>\r\nTo: ada@example.com\r\nSubject: Moin\r\n"
        "List-Unsubscribe: <https://brand.example/u/1>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain words\r\n"
        "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>rich words</p>\r\n--b--\r\n"
    )
    try:
        provider.send([Outgoing(7, "ada@example.com", "hello@brand.example", body.encode(), "key-7")])
    finally:
        provider.close()
        server.stop()
    (request,) = server.taken
    said = request.body.decode()
    for part in ("plain words", "rich words", "Moin", "brand.example/u/1", "List-Unsubscribe"):
        assert part in said or part.replace(" ", "+") in said or part.replace("/", "%2F") in said
    if kind == "resend":
        assert request.headers["Idempotency-Key"] == "key-7"
