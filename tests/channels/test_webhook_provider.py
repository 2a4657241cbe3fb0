"""What the webhook provider adds to the contract: what a call carries, and what its settings refuse."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ajo.lib.standard_webhooks import is_signed, key_of, sign
from channels.providers.base import Outgoing, ProviderError, Verdict
from channels.providers.webhook import WebhookProvider, WebhookSettings
from tests.channels.contract.service import Mood, Reply, Request, Service

KEY = b"a key of at least sixteen bytes"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Crm:
    """The other system."""

    def __init__(self) -> None:
        self.status = 200
        self.service = Service(self._answer)

    def _answer(self, request: Request) -> tuple[Mood, Reply]:
        return Mood.ACCEPT, Reply(self.status, b"", {"Location": "http://127.0.0.1:1/"})


@pytest.fixture
def crm(settings: Any) -> Iterator[Crm]:
    crm = Crm()
    settings.AJO_ALLOWED_PRIVATE_HOSTS = [crm.service.url.removeprefix("http://")]
    yield crm
    crm.service.stop()


def send(crm: Crm, **settings: Any) -> Any:
    provider = WebhookProvider({"url": f"{crm.service.url}/hook", **settings})
    try:
        return provider.send([Outgoing(7, "", "", b'{"n": 1}', "m7@brand.example")])
    finally:
        provider.close()


def test_a_call_is_signed_and_carries_its_key(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET_CRM", "Bearer abc")
    send(
        crm,
        method="PUT",
        headers={"X-Team": "growth"},
        secret_headers={"Authorization": "WEBHOOK_SECRET_CRM"},
        signing_secret_env="WEBHOOK_SECRET",
    )
    (request,) = crm.service.taken
    headers = request.headers
    assert (request.method, request.path, request.body) == ("PUT", "/hook", b'{"n": 1}')
    assert (headers["Content-Type"], headers["X-Team"]) == ("application/json", "growth")
    assert headers["Authorization"] == "Bearer abc"
    assert headers["webhook-id"] == headers["Idempotency-Key"] == "m7@brand.example"
    at, signature = headers["webhook-timestamp"], headers["webhook-signature"]
    assert is_signed(KEY, "m7@brand.example", at, signature, request.body, now=time.time())


def test_without_a_secret_a_call_is_not_signed(crm: Crm) -> None:
    send(crm)
    (request,) = crm.service.taken
    assert request.headers["webhook-signature"] is None
    assert request.headers["webhook-id"] == "m7@brand.example"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACCEPTED),
        (204, Verdict.ACCEPTED),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (410, Verdict.REFUSED),
        (408, Verdict.DEFERRED),
        (425, Verdict.DEFERRED),
        (500, Verdict.DEFERRED),
        (504, Verdict.DEFERRED),
    ],
)
def test_each_status_has_its_verdict(crm: Crm, status: int, verdict: Verdict) -> None:
    crm.status = status
    (receipt,) = send(crm)
    assert receipt.verdict is verdict
    assert len(crm.service.taken) == 1


@pytest.mark.parametrize(("status", "permanent"), [(429, False), (503, False), (301, True), (307, True)])
def test_what_stands_in_the_way_of_all_is_no_attempt(crm: Crm, status: int, permanent: bool) -> None:
    crm.status = status
    with pytest.raises(ProviderError, match=str(status)) as caught:
        send(crm)
    assert caught.value.permanent is permanent
    assert len(crm.service.taken) == 1


def test_an_address_inside_is_refused_even_when_it_is_stored(crm: Crm, settings: Any) -> None:
    settings.AJO_ALLOWED_PRIVATE_HOSTS = []
    with pytest.raises(ProviderError) as caught:
        send(crm)
    assert caught.value.permanent
    assert crm.service.requests == []


def test_the_window_is_the_configurations_word() -> None:
    assert WebhookProvider({"url": "https://example.com"}).idempotency_window == 0
    assert WebhookProvider({"url": "https://example.com", "idempotency_window": 60}).idempotency_window == 60


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://10.0.0.1/"),
        ("url", "http://169.254.169.254/"),
        ("url", "https://user:pw@example.com/"),
        ("url", "https://example.com:22/"),
        ("url", "ftp://example.com/"),
        ("headers", {"Host": "evil"}),
        ("headers", {"webhook-signature": "v1,x"}),
        ("headers", {"X": "a\r\nY: b"}),
        ("headers", {"X Y": "a"}),
        ("headers", {"X\r\n": "a"}),
        ("secret_headers", {"Authorization": "AJO_SECRET_KEY"}),
        ("secret_headers", {"Authorization": "WEBHOOK_SECRET; x"}),
        ("signing_secret_env", "DATABASE_URL"),
    ],
)
def test_settings_that_lead_astray_are_refused_by_name(settings: Any, field: str, value: Any) -> None:
    settings.AJO_ALLOWED_PRIVATE_HOSTS = []
    serializer = WebhookSettings(data={"url": "https://example.com/hook", field: value})
    assert not serializer.is_valid()
    assert list(serializer.errors) == [field]


def test_a_missing_secret_is_named(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBHOOK_SECRET_CRM", raising=False)
    with pytest.raises(ProviderError, match="WEBHOOK_SECRET_CRM"):
        send(crm, secret_headers={"Authorization": "WEBHOOK_SECRET_CRM"})
    monkeypatch.setenv("WEBHOOK_SECRET", "not a secret")
    with pytest.raises(ProviderError, match="WEBHOOK_SECRET") as caught:
        send(crm, signing_secret_env="WEBHOOK_SECRET")
    assert "not a secret" not in str(caught.value)
    assert crm.service.requests == []


def test_the_scheme_is_the_published_one() -> None:
    """The example of the specification's reference libraries."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == signature
    assert is_signed(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", f"v1,old {signature}", body, now=1614265330
    )
    for at, said, now in [
        ("1614265330", "v1,old", 1614265330),
        ("1614265330", signature, 1614265330 + 301),
        ("1614265331", signature, 1614265330),
        ("", signature, 1614265330),
        ("x", signature, 1614265330),
        ("1614265330", "", 1614265330),
    ]:
        assert not is_signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, said, body, now=now)
