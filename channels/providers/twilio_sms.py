"""SMS over Twilio's Messages API, or to the mailbox of the development runtime when no account is given."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings as django_settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from ajo.lib import http
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from channels.providers.calls import Caller, NotTaken
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel

MAILBOX_ACCOUNT = "AC" + 32 * "0"
STOPPED_CODE = "21610"
"""The person answered STOP, perhaps before this installation was asked."""
_CALL_SECONDS = 10.0
# Codes that blame the account or the sender, so that no message of the configuration can go.
_ACCOUNT_CODES = {20003, 20005, 20404, 21603, 21659, 21660, 21701, 21703}
# Too many messages for the account or the sender; later there is room again.
_THROTTLE_CODES = {14107, 20429, 21611, 30001, 30022, 63038}


class TwilioSettings(serializers.Serializer[dict[str, Any]]):
    """The account and who sends. The auth token stays in the environment and is named here."""

    account_sid = serializers.RegexField(
        r"^(AC[0-9a-fA-F]{32})?$",
        required=False,
        allow_blank=True,
        default="",
        label=_("Account SID"),
        help_text=_("Begins with AC. Empty: the mailbox of this installation."),
    )
    auth_token_env = SecretName("TWILIO_AUTH_TOKEN", label=_("Auth token"))
    messaging_service_sid = serializers.RegexField(
        r"^(MG[0-9a-fA-F]{32})?$",
        required=False,
        allow_blank=True,
        default="",
        label=_("Messaging service SID"),
        help_text=_("Begins with MG. Empty: the sender of the configuration, a number like +15005550006."),
    )
    connections = serializers.IntegerField(required=False, default=8, min_value=1, max_value=16)


@registry.register
class TwilioProvider(Provider):
    """One call for each message, several side by side: Twilio has no call for many, and drops no repeats."""

    kind = "twilio_sms"
    label = _("Twilio SMS")
    channel = Channel.SMS
    icon = "sms"
    help = _(
        "Sends text messages through Twilio. Without an account it uses the mailbox of this installation."
    )
    Settings = TwilioSettings
    timeout = 25.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._http: _Http | None = None
        self._client: Client | None = None
        self._caller: Caller | None = None

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._client is None:
            account, token, origin = credentials(self.settings)
            self._http = _Http(origin)
            self._client = Client(account, token, http_client=self._http)
            self._caller = Caller(int(self.settings.get("connections") or 8))
        assert self._caller is not None
        return self._caller.call_each(batch, self._call, seconds=self.timeout, call_seconds=_CALL_SECONDS)

    def close(self) -> None:
        if self._caller is not None and self._http is not None:
            self._caller.close()
            self._http.close()
        self._client = None

    def _call(self, outgoing: Outgoing) -> Receipt:
        assert self._client is not None
        service = self.settings.get("messaging_service_sid")
        sender = {"messaging_service_sid": service} if service else {"from_": outgoing.sender}
        try:
            made = self._client.messages.create(
                to=outgoing.address,
                body=outgoing.body.decode(),
                status_callback=self._status_url(outgoing.message_id),
                **sender,
            )
        except TwilioRestException as error:
            return _refused(outgoing, error)
        except (ValueError, TypeError, AttributeError):
            return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail="Twilio's answer was not understood.")
        if not isinstance(made.sid, str) or not made.sid:
            return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail="Twilio's answer names no message.")
        return Receipt(outgoing.message_id, Verdict.ACCEPTED, provider_id=made.sid)

    def _status_url(self, message_id: int) -> str:
        path = reverse("twilio-status", args=[self.key or "-"])
        return f"{django_settings.AJO_PUBLIC_URL.rstrip('/')}{path}?message={message_id}"


def credentials(settings: Mapping[str, Any]) -> tuple[str, str, str]:
    """Account, auth token and origin of a configuration. Raises ProviderError when the token is missing."""
    if account := settings.get("account_sid"):
        token = secret(str(settings.get("auth_token_env") or ""), what="Twilio's auth token")
        return account, token, django_settings.AJO_TWILIO_URL
    if not (django_settings.AJO_MAILBOX_URL and django_settings.AJO_MAILBOX_TOKEN):
        raise ProviderError(
            "The configuration names no account and this installation has no mailbox. Give it an account.",
            permanent=True,
        )
    return MAILBOX_ACCOUNT, django_settings.AJO_MAILBOX_TOKEN, django_settings.AJO_MAILBOX_URL


def _refused(outgoing: Outgoing, error: TwilioRestException) -> Receipt:
    """What an answer with an error means for the message. Raises NotTaken when it means the account."""
    if error.code in _ACCOUNT_CODES or error.status in {401, 403, 404}:
        raise NotTaken(
            f"Twilio refuses the account or the sender: {error.code} {error.msg}", is_permanent=True
        )
    if error.code in _THROTTLE_CODES:
        raise NotTaken(f"Twilio takes no more for now: {error.code} {error.msg}")
    if error.status >= 500 or error.status < 400:
        # By Twilio's own word a message may have been made all the same.
        detail = f"Twilio answered {error.status}."
        return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail=detail)
    return Receipt(
        outgoing.message_id,
        Verdict.REFUSED,
        detail=f"{error.code} {error.msg}",
        suppression="stop" if str(error.code) == STOPPED_CODE else "",
    )


def _encoded(auth: tuple[str, str] | None) -> str:
    return base64.b64encode(":".join(auth or ()).encode()).decode()


class _Http(HttpClient):
    """Twilio's client on our way out: another origin, exact failures, nothing in the log."""

    def __init__(self, origin: str) -> None:
        super().__init__(None, False)  # type: ignore[arg-type]
        self._origin = origin.rstrip("/")
        self._client = http.Client()

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        answer = self._client.request(
            method,
            f"{self._origin}{urlsplit(url).path}",
            body=urlencode(data or {}).encode(),
            headers={**(headers or {}), "Authorization": f"Basic {_encoded(auth)}"},
            timeout=_CALL_SECONDS,
        )
        if answer.status in {408, 429, 503}:
            raise NotTaken(f"Twilio answered {answer.status}.", retry_after=answer.retry_after)
        return Response(answer.status, answer.body.decode(errors="replace"), dict(answer.headers))

    def close(self) -> None:
        self._client.close()
