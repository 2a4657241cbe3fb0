"""Push over Firebase Cloud Messaging (HTTP v1): Android, iOS and the web, or the mailbox of the development runtime."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _
from google.auth import exceptions as google
from google.auth import transport
from google.oauth2.service_account import Credentials
from rest_framework import serializers

from ajo.lib import http
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from channels.providers.calls import Caller, NotTaken
from channels.providers.secrets import SecretName, secret
from profiles.models import Channel

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_CALL_SECONDS = 8.0


class FcmSettings(serializers.Serializer[dict[str, Any]]):
    """The project's service account. Its file stays in the environment and is named here."""

    account_env = SecretName(
        "FCM_ACCOUNT",
        label=_("Service account"),
        help_text=_(
            "Name of the environment variable that holds the account's JSON file: FCM_ACCOUNT…"
            " Empty: the mailbox of this installation."
        ),
    )
    connections = serializers.IntegerField(required=False, default=16, min_value=1, max_value=16)


@registry.register
class FcmProvider(Provider):
    """One call for each device, several side by side. FCM drops no repeats."""

    kind = "fcm"
    label = _("Firebase Cloud Messaging")
    channel = Channel.PUSH
    icon = "notifications"
    help = _(
        "Sends pushes to Android, iOS and web apps with Firebase. Without an account it uses the mailbox of this"
        " installation."
    )
    Settings = FcmSettings
    timeout = 30.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._account: _Account | None = None
        self._caller: Caller | None = None

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._account is None:
            self._account = _Account(str(self.settings.get("account_env") or ""))
            self._caller = Caller(int(self.settings.get("connections") or 16))
        assert self._caller is not None
        self._account.sign_in()
        return self._caller.call_each(batch, self._call, seconds=self.timeout, call_seconds=_CALL_SECONDS)

    def close(self) -> None:
        if self._caller is not None and self._account is not None:
            self._caller.close()
            self._account.close()
        self._account = None

    def _call(self, outgoing: Outgoing) -> Receipt:
        assert self._account is not None
        body = _body(outgoing)
        answer = self._account.post(body)
        if answer.status == 401:  # the access was taken back before its time
            try:
                self._account.sign_in(again=True)
            except ProviderError as error:
                raise NotTaken(str(error), is_permanent=error.permanent) from error
            answer = self._account.post(body)
        return _receipt(outgoing, answer)


def _body(outgoing: Outgoing) -> bytes:
    """Our JSON in FCM's words."""
    push = json.loads(outgoing.body)
    notification = {"title": push["title"], "body": push["body"]}
    message: dict[str, Any] = {"token": outgoing.address, "notification": notification}
    data = {name: str(value) for name, value in push["data"].items()}
    if image := push["image_url"]:
        notification["image"] = image
        message["apns"] = {"payload": {"aps": {"mutable-content": 1}}, "fcm_options": {"image": image}}
    if link := push["link_url"]:
        data["link_url"] = link
        if link.startswith("https://"):
            message["webpush"] = {"fcm_options": {"link": link}}
    if data:
        message["data"] = data
    return json.dumps({"message": message}, ensure_ascii=False).encode()


def _receipt(outgoing: Outgoing, answer: http.Answer) -> Receipt:
    """What an answer means for the device. Raises NotTaken when it means the account or the service."""

    def receipt(verdict: Verdict, **fields: Any) -> Receipt:
        return Receipt(outgoing.message_id, verdict, device_id=outgoing.device_id, **fields)

    if answer.status == 200:
        name = _object(answer.body).get("name")
        if not (isinstance(name, str) and name):
            return receipt(Verdict.UNKNOWN, detail="Firebase's answer names no message.")
        return receipt(Verdict.ACCEPTED, provider_id=name)
    code, said = _error(answer)
    if answer.status in {429, 503}:
        raise NotTaken(f"Firebase takes no more for now: {said}", retry_after=answer.retry_after)
    if answer.status == 401 or (answer.status in {403, 404} and code not in _OF_THE_DEVICE):
        raise NotTaken(f"Firebase refuses the account or its project: {said}", is_permanent=True)
    if answer.status >= 500 or answer.status < 400:
        return receipt(Verdict.UNKNOWN, detail=f"Firebase answered {answer.status}.")
    return receipt(Verdict.REFUSED, detail=said, is_device_gone=code == "UNREGISTERED")


_OF_THE_DEVICE = {"UNREGISTERED", "SENDER_ID_MISMATCH"}


def _error(answer: http.Answer) -> tuple[str, str]:
    """FCM's own code and a text for people."""
    error = _object(answer.body).get("error")
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    codes = [each.get("errorCode") for each in details or () if isinstance(each, dict)]
    code = next((str(each) for each in codes if each), str(error.get("status", "")))
    return code, f"{answer.status} {code} {error.get('message', '')}".strip()[:300]


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class _Account:
    """A service account that is signed in, and its connections."""

    def __init__(self, variable: str) -> None:
        self._client = http.Client()
        info, origin = self._info(variable)
        try:
            self._credentials = Credentials.from_service_account_info(info, scopes=[_SCOPE])
            project = info["project_id"]
        except (google.GoogleAuthError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(
                "The file of the service account cannot be used: it is not what Firebase's console gives.",
                permanent=True,
            ) from error
        self._url = f"{origin.rstrip('/')}/v1/projects/{project}/messages:send"
        self._lock = threading.Lock()

    def sign_in(self, *, again: bool = False) -> None:
        """Have an access token that is good, another one `again` when it was refused. Raises ProviderError."""
        before = self._credentials.token
        with self._lock:  # of many calls that are refused at once, one asks
            is_stale = again and self._credentials.token == before
            if self._credentials.valid and not is_stale:
                return
            try:
                self._credentials.refresh(_Transport(self._client))
            except google.TransportError as error:
                raise ProviderError(
                    f"Firebase's sign-in cannot be reached: {error}", permanent=False
                ) from error
            except google.GoogleAuthError as error:
                raise ProviderError(
                    "Firebase does not let the service account in. Look whether its key is still valid.",
                    permanent=True,
                ) from error

    def post(self, body: bytes) -> http.Answer:
        headers = {
            "Authorization": f"Bearer {self._credentials.token}",
            "Content-Type": "application/json; charset=utf-8",
        }
        return self._client.request("POST", self._url, body=body, headers=headers, timeout=_CALL_SECONDS)

    def close(self) -> None:
        self._client.close()

    def _info(self, variable: str) -> tuple[dict[str, Any], str]:
        """The account's file and where messages go."""
        if variable:
            return _object(secret(variable, what="The service account").encode()), django_settings.AJO_FCM_URL
        origin = django_settings.AJO_MAILBOX_URL
        if not origin:
            raise ProviderError(
                "The configuration names no service account and this installation has no mailbox. Name one.",
                permanent=True,
            )
        try:
            answer = self._client.request(
                "GET",
                f"{origin}/fcm/service-account.json",
                headers={"X-Mailbox-Token": django_settings.AJO_MAILBOX_TOKEN},
                timeout=_CALL_SECONDS,
            )
        except (http.NotSent, http.Lost) as error:
            raise ProviderError(f"The mailbox cannot be reached: {error}", permanent=False) from error
        return _object(answer.body), origin


class _Transport(transport.Request):  # type: ignore[misc]  # google-auth has no types
    """google-auth's way out is ours."""

    def __init__(self, client: http.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> transport.Response:
        try:
            answer = self._client.request(
                method, url, body=body or b"", headers=headers, timeout=_CALL_SECONDS
            )
        except (http.NotSent, http.Lost) as error:
            raise google.TransportError(str(error)) from error
        return _Answer(answer)


class _Answer(transport.Response):  # type: ignore[misc]
    def __init__(self, answer: http.Answer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.body
