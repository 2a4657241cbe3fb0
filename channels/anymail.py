"""Email services through django-anymail: our rendered email in its words, on our way out, with exact verdicts."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Mapping, Sequence
from email.message import EmailMessage as Mime
from typing import Any, ClassVar

import requests
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import AnymailError, AnymailRequestsAPIError
from django.core.mail import EmailMultiAlternatives

from ajo.lib import http
from channels.providers.base import Outgoing, Provider, Receipt, Verdict
from channels.providers.calls import Caller, NotTaken

CALL_SECONDS = 8.0
_THREADS = 8
# What the service writes itself; everything else of ours goes along.
_THEIRS = {"from", "to", "subject", "reply-to", "date", "mime-version", "message-id"}


class AnymailProvider(Provider):
    """One call for each message, several side by side. A kind says its backend."""

    timeout = 25.0
    name: ClassVar[str]
    """The service, in words."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._backend: AnymailRequestsBackend | None = None
        self._caller: Caller | None = None
        self._way_out: http.Client | None = None

    def make_backend(self) -> AnymailRequestsBackend:
        """The backend, with the secrets of the environment. Raises ProviderError when one is missing."""
        raise NotImplementedError

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        if self._backend is None or self._caller is None:
            self._backend = self.make_backend()
            self._way_out = http.Client()
            self._backend.session = _Session(self._way_out, self.name)
            self._caller = Caller(_THREADS)
        return self._caller.call_each(batch, self._call, seconds=self.timeout, call_seconds=CALL_SECONDS)

    def close(self) -> None:
        if self._caller is not None and self._way_out is not None:
            self._caller.close()
            self._way_out.close()
        self._backend = None

    def _call(self, outgoing: Outgoing) -> Receipt:
        assert self._backend is not None
        message = _message(outgoing)
        try:
            self._backend.send_messages([message])
        except AnymailRequestsAPIError as error:
            answer = error.response
            if answer is not None and 400 <= answer.status_code < 500:
                return Receipt(outgoing.message_id, Verdict.REFUSED, detail=self._said(answer))
            detail = f"{self.name}'s answer was not understood."
            return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail=detail)
        except AnymailError as error:
            # Before any call: the service has no word for what the message says.
            detail = f"{type(error).__name__} while handing it to {self.name}."
            return Receipt(outgoing.message_id, Verdict.REFUSED, detail=detail)
        provider_id = message.anymail_status.message_id  # type: ignore[attr-defined]
        if not isinstance(provider_id, str) or not provider_id:
            detail = f"{self.name}'s answer names no message."
            return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail=detail)
        return Receipt(outgoing.message_id, Verdict.ACCEPTED, provider_id=provider_id)

    def _said(self, answer: requests.Response) -> str:
        try:
            said = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            said = ""
        return f"{self.name} answered {answer.status_code}. {said}".strip()


def _message(outgoing: Outgoing) -> EmailMultiAlternatives:
    mime = email.message_from_bytes(outgoing.body, policy=email.policy.default)
    assert isinstance(mime, Mime)
    text, html = mime.get_body(("plain",)), mime.get_body(("html",))
    headers = {
        name: str(value)
        for name, value in mime.items()
        if name.lower() not in _THEIRS and not name.lower().startswith("content-")
    }
    message = EmailMultiAlternatives(
        subject=str(mime["Subject"] or ""),
        body=text.get_content() if text is not None else "",
        from_email=str(mime["From"] or outgoing.sender),
        to=[outgoing.address],
        reply_to=[str(mime["Reply-To"])] if mime["Reply-To"] else None,
        headers=headers,
    )
    if html is not None:
        message.attach_alternative(html.get_content(), "text/html")
    message.metadata = {"message": str(outgoing.message_id)}  # type: ignore[attr-defined]
    message.idempotency_key = outgoing.idempotency_key  # type: ignore[attr-defined]
    return message


class _Session:
    """Stands where anymail keeps its session. What is no word about the message itself does not reach anymail."""

    def __init__(self, client: http.Client, name: str) -> None:
        self._client = client
        self._name = name

    def request(self, *, timeout: float, **parts: Any) -> requests.Response:
        prepared = requests.Request(**parts).prepare()
        body: Any = prepared.body or b""
        answer = self._client.request(
            str(prepared.method),
            str(prepared.url),
            body=body.encode() if isinstance(body, str) else body,
            headers={str(n): str(v) for n, v in prepared.headers.items() if n.lower() != "content-length"},
            timeout=CALL_SECONDS,
        )
        if answer.status in {408, 429, 503}:
            raise NotTaken(
                f"{self._name} takes no more for now ({answer.status}).", retry_after=answer.retry_after
            )
        if answer.status in {401, 403, 404} or 300 <= answer.status < 400:
            detail = f"{self._name} refuses the account, the sender or the address ({answer.status})."
            raise NotTaken(detail, is_permanent=True)
        if answer.status >= 500:
            raise http.Lost(f"{self._name} answered {answer.status}.")
        response = requests.Response()
        response.status_code, response._content = answer.status, answer.body
        response.url, response.encoding = str(prepared.url), "utf-8"
        return response

    def close(self) -> None:
        """The provider closes the way out."""
