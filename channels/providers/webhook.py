"""Webhook: any system that takes JSON over HTTP is a channel. Signed by the Standard Webhooks scheme."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ajo.lib import http
from ajo.lib.standard_webhooks import key_of, sign
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from channels.providers.calls import Caller, NotTaken, put_off
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel

_PREFIX = "WEBHOOK_SECRET"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e\t]{0,1000}")
_VARIABLE = re.compile(rf"{_PREFIX}[A-Z0-9_]*")
# Those that frame the request, and those that we sign with.
_OURS = {
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "expect",
    "te",
    "trailer",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
}


def _check_names(headers: Mapping[str, str]) -> None:
    for name in headers:
        if not _NAME.fullmatch(name):
            raise serializers.ValidationError(_("%(name)r cannot be the name of a header.") % {"name": name})
        if name.lower() in _OURS:
            raise serializers.ValidationError(_("The header %(name)s is set by us.") % {"name": name})


class WebhookSettings(serializers.Serializer[dict[str, Any]]):
    """Whom to call and how. Secrets stay in the environment and are named here."""

    url = serializers.URLField(max_length=2000, label=_("Address"), help_text=_("Begins with https://."))
    method = serializers.ChoiceField(
        choices=[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH")], required=False, default="POST"
    )
    headers = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        default=dict,
        help_text=_('Headers as they are sent: {"X-Team": "growth"}. No secrets.'),
    )
    secret_headers = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        default=dict,
        help_text=_(
            "Headers with a secret: the name of the environment variable that holds the whole value, "
            'WEBHOOK_SECRET…: {"Authorization": "WEBHOOK_SECRET_CRM"}.'
        ),
    )
    signing_secret_env = SecretName(_PREFIX, label=_("Signing secret"))
    idempotency_window = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=7 * 24 * 3600,
        help_text=_(
            "For how many seconds the other system drops a repeat with the same webhook-id. 0: it does not."
        ),
    )
    connections = serializers.IntegerField(required=False, default=8, min_value=1, max_value=16)
    timeout = serializers.FloatField(required=False, default=10.0, min_value=1.0, max_value=20.0)

    def validate_url(self, value: str) -> str:
        try:
            _client().check(value)
        except http.Forbidden as error:
            raise serializers.ValidationError(str(error)) from error
        return value

    def validate_headers(self, value: dict[str, str]) -> dict[str, str]:
        _check_names(value)
        if not all(_VALUE.fullmatch(each) for each in value.values()):
            raise serializers.ValidationError(_("The value of a header is one line of plain characters."))
        return value

    def validate_secret_headers(self, value: dict[str, str]) -> dict[str, str]:
        _check_names(value)
        if not all(_VARIABLE.fullmatch(each) for each in value.values()):
            raise serializers.ValidationError(
                _("A secret header names an environment variable that begins with WEBHOOK_SECRET.")
            )
        return value


@registry.register
class WebhookProvider(Provider):
    """One call for each message. An answer from 200 to 299 is an acceptance, and so is nothing else."""

    kind = "webhook"
    label = _("Webhook")
    channel = Channel.WEBHOOK
    icon = "webhook"
    help = _("Sends a JSON document to an address of yours for each message.")
    Settings = WebhookSettings
    timeout = 30.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.idempotency_window = float(settings.get("idempotency_window") or 0)
        self._target: _Target | None = None

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._target is None:
            self._target = _Target(self.settings)
        target = self._target
        return target.caller.call_each(
            batch, target.call, seconds=self.timeout - 2, call_seconds=target.timeout
        )

    def close(self) -> None:
        if self._target is not None:
            self._target.close()
            self._target = None


class _Target:
    """The other system, ready to be called."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        values = WebhookSettings(data=dict(settings))
        if not values.is_valid():
            problems = "; ".join(
                f"{name}: {' '.join(map(str, said))}" for name, said in values.errors.items()
            )
            raise ProviderError(
                f"The settings of the configuration are not valid: {problems}", permanent=True
            )
        chosen = values.validated_data
        self.timeout = float(chosen["timeout"])
        self._url, self._method = chosen["url"], chosen["method"]
        self._key = _signing_key(chosen["signing_secret_env"])
        hidden = {
            name: secret(variable, what=f"The header {name}")
            for name, variable in chosen["secret_headers"].items()
        }
        if not all(_VALUE.fullmatch(each) for each in hidden.values()):
            raise ProviderError(
                "A secret header holds a line break or another control character.", permanent=True
            )
        self._headers = {**chosen["headers"], **hidden, "Content-Type": "application/json"}
        self._client = _client()
        self.caller = Caller(chosen["connections"])

    def call(self, outgoing: Outgoing) -> Receipt:
        headers = {
            **self._headers,
            "webhook-id": outgoing.idempotency_key,
            "Idempotency-Key": outgoing.idempotency_key,
        }
        if self._key:
            at = int(time.time())
            headers["webhook-timestamp"] = str(at)
            headers["webhook-signature"] = sign(self._key, outgoing.idempotency_key, at, outgoing.body)
        answer = self._client.request(
            self._method, self._url, body=outgoing.body, headers=headers, timeout=self.timeout
        )
        said = f"HTTP {answer.status}"
        match answer.status:
            case status if 200 <= status < 300:
                return Receipt(outgoing.message_id, Verdict.ACCEPTED, provider_id=said)
            case status if 300 <= status < 400:
                raise NotTaken(
                    f"The address leads elsewhere ({said}). Enter the one it leads to.", is_permanent=True
                )
            case 429 | 503:
                raise NotTaken(
                    f"The other system takes no more for now ({said}).", retry_after=answer.retry_after
                )
            case status if status in {408, 425} or status >= 500:
                return put_off(outgoing, NotTaken(said, retry_after=answer.retry_after))
        return Receipt(outgoing.message_id, Verdict.REFUSED, detail=said)

    def close(self) -> None:
        self.caller.close()
        self._client.close()


def _client() -> http.Client:
    return http.guarded_client(allowed=django_settings.AJO_ALLOWED_PRIVATE_HOSTS)


def _signing_key(variable: str) -> bytes:
    """Empty when the configuration does not sign."""
    if not variable:
        return b""
    try:
        return key_of(secret(variable, what="The signing secret"))
    except ValueError as error:
        raise ProviderError(f"{variable}: {error}", permanent=True) from error
