"""Web Push: notifications in browsers, encrypted for the browser (RFC 8291) and signed by us (VAPID, RFC 8292)."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from py_vapid import Vapid02, VapidException, b64urlencode
from pywebpush import WebPusher, WebPushException
from rest_framework import serializers

from ajo.lib import http
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from channels.providers.calls import Caller, NotTaken
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel

_CALL_SECONDS = 8.0
_TOKEN_SECONDS = 12 * 3600
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class WebPushSettings(serializers.Serializer[dict[str, Any]]):
    """The key that browsers know us by. It stays in the environment and is named here."""

    key_env = SecretName(
        "WEB_PUSH_KEY",
        label=_("VAPID key"),
        help_text=_(
            "Name of the environment variable that holds the private key: WEB_PUSH_KEY…"
            " Empty: a key of this installation, to try things out."
        ),
    )
    contact = serializers.EmailField(
        required=False,
        allow_blank=True,
        default="",
        label=_("Contact"),
        help_text=_("Whom a push service writes to when something is wrong with our pushes."),
    )
    ttl = serializers.IntegerField(
        required=False,
        default=24 * 3600,
        min_value=0,
        max_value=28 * 24 * 3600,
        label=_("Kept for"),
        help_text=_("Seconds that the service keeps a push for a browser that is not there."),
    )
    connections = serializers.IntegerField(required=False, default=16, min_value=1, max_value=16)


@registry.register
class WebPushProvider(Provider):
    """One call for each browser, to the service that the browser named. The services drop no repeats."""

    kind = "web_push"
    label = _("Web Push")
    channel = Channel.PUSH
    icon = "web"
    help = _("Sends notifications to browsers that subscribed, without any vendor between.")
    Settings = WebPushSettings
    timeout = 30.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._client: http.Client | None = None
        self._caller: Caller | None = None
        self._vapid = Vapid02()

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._client is None:
            self._vapid = vapid(self.settings)
            self._client = http.Client()
            self._caller = Caller(int(self.settings.get("connections") or 16))
        assert self._caller is not None
        return self._caller.call_each(batch, self._call, seconds=self.timeout, call_seconds=_CALL_SECONDS)

    def close(self) -> None:
        if self._caller is not None and self._client is not None:
            self._caller.close()
            self._client.close()
        self._client = None

    def _call(self, outgoing: Outgoing) -> Receipt:
        assert self._client is not None

        def refused(detail: str, *, is_gone: bool = False) -> Receipt:
            return Receipt(
                outgoing.message_id,
                Verdict.REFUSED,
                detail=detail,
                device_id=outgoing.device_id,
                is_device_gone=is_gone,
            )

        try:
            subscription = json.loads(outgoing.address)
            endpoint = str(subscription["endpoint"])
            encrypted = WebPusher(subscription).encode(outgoing.body)["body"]
        except (WebPushException, ValueError, KeyError, TypeError):
            return refused("The browser's subscription cannot be used.", is_gone=True)
        if problem := endpoint_problem(endpoint):
            return refused(problem)
        answer = self._client.request(
            "POST",
            endpoint,
            body=encrypted,
            headers={
                **self._signature(endpoint),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": str(self.settings.get("ttl", 24 * 3600)),
                "Urgency": "normal",
            },
            timeout=_CALL_SECONDS,
        )
        return _receipt(outgoing, answer)

    def _signature(self, endpoint: str) -> dict[str, str]:
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(time.time()) + _TOKEN_SECONDS,
            "sub": f"mailto:{self.settings.get('contact') or _contact()}",
        }
        return dict(self._vapid.sign(claims))


def endpoint_problem(endpoint: str) -> str:
    """Why a subscription's address is not called, empty when it may be: browsers name it, so only known services."""
    parts = urlsplit(endpoint)
    mailbox = django_settings.AJO_MAILBOX_URL
    if mailbox and endpoint.startswith(f"{mailbox}/push/"):
        return ""
    host = parts.hostname or ""
    is_known = any(
        host == known or (known.startswith(".") and host.endswith(known))
        for known in django_settings.AJO_WEB_PUSH_HOSTS
    )
    if parts.scheme != "https" or not is_known or "@" in parts.netloc or parts.port not in {None, 443}:
        return (
            f"{host or 'The address'} is no push service that this installation knows (AJO_WEB_PUSH_HOSTS)."
        )
    return ""


def public_key(settings: Mapping[str, Any]) -> str:
    """What a page gives to `pushManager.subscribe` as its applicationServerKey. Raises ProviderError."""
    key = vapid(settings).public_key
    numbers = key.public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    return str(b64urlencode(point))


def vapid(settings: Mapping[str, Any]) -> Vapid02:
    """The key of a configuration. Raises ProviderError when it is missing or no key."""
    variable = str(settings.get("key_env") or "")
    if not variable:
        # Stable while the installation's secret is, and nothing else can be made from it.
        seed = hmac.digest(django_settings.SECRET_KEY.encode(), b"ajo.web_push", hashlib.sha512)
        value = int.from_bytes(seed) % (_P256_ORDER - 1) + 1
        return Vapid02(ec.derive_private_key(value, ec.SECP256R1()))
    try:
        return Vapid02.from_string(secret(variable, what="The VAPID key"))
    except (VapidException, ValueError) as error:
        raise ProviderError(
            f"The VAPID key in {variable} cannot be read: it is 32 bytes in base64, or DER.", permanent=True
        ) from error


def _receipt(outgoing: Outgoing, answer: http.Answer) -> Receipt:
    """What an answer means for the browser. Raises NotTaken when it means our key."""
    text = f"{answer.status} {answer.body[:200].decode(errors='replace')}".strip()
    fields: dict[str, Any] = {"device_id": outgoing.device_id}
    match answer.status:
        case 200 | 201 | 202 | 204:
            fields |= {"provider_id": answer.headers.get("Location", "")}
            return Receipt(outgoing.message_id, Verdict.ACCEPTED, **fields)
        case 404 | 410:
            return Receipt(outgoing.message_id, Verdict.REFUSED, detail=text, is_device_gone=True, **fields)
        case 401:
            raise NotTaken(f"The push service refuses our key: {text}", is_permanent=True)
        case 429 | 503:
            # Of this browser's service: those of others go on.
            fields |= {"retry_after": answer.retry_after}
            return Receipt(outgoing.message_id, Verdict.DEFERRED, detail=text, **fields)
        case status if 400 <= status < 500:
            return Receipt(outgoing.message_id, Verdict.REFUSED, detail=text, **fields)
    detail = f"The push service answered {answer.status}."
    return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail=detail, **fields)


def _contact() -> str:
    return f"push@{urlsplit(django_settings.AJO_PUBLIC_URL).hostname}"
