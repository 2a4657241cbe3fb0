"""Twilio's Messages API as far as one sends text messages with it, with its callbacks and its opt-out keywords.

    POST /2010-04-01/Accounts/<sid>/Messages.json    basic auth: the SID and, as the auth token, the mailbox's token

A taken message is reported to its StatusCallback as sent and delivered, signed. Who answers STOP gets nothing more from
that number (21610) until START. The answer goes to the address of the StatusCallback, whose last word `status` becomes
`inbound`. Faults of its own: `refuse` (with a `code`), `undelivered` (accepted, then reported so, with a `code`),
`no_callbacks`, `shuffled_callbacks` (out of order, and each twice).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import sys
import urllib.request
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from ajo.runtime.mailbox import faults
from ajo.runtime.mailbox.faults import Fault, Faults
from ajo.runtime.mailbox.http import Refused, Request, Response, Route, json_response
from ajo.runtime.mailbox.phone import Phone

_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")
_STOP = {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"}
_START = {"start", "yes", "unstop"}
_HELP = {"help", "info"}
_LONGEST = 1600
_CALLBACK_SECONDS = 5
_TEXTS = {
    20003: "Authenticate",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service Unavailable",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Number",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
}


class Twilio:
    """One account: whatever SID is used, its auth token is the mailbox's token."""

    def __init__(self, phone: Phone, commanded: Faults, token: str) -> None:
        self._phone = phone
        self._faults = commanded
        self._token = token
        self._stopped: set[tuple[str, str]] = set()
        self._callbacks: dict[str, str] = {}
        """Our number → the StatusCallback that it was last used with."""
        self._tasks: set[asyncio.Task[None]] = set()
        phone.reply = self.reply
        path = re.compile(r"/2010-04-01/Accounts/(?P<sid>AC[0-9a-fA-F]{32})/Messages\.json")
        self.routes = (Route("POST", path, self.create_message, is_open=True),)

    async def create_message(self, request: Request) -> Response:
        """Take a text message, or say in Twilio's words why not."""
        sid = request.values["sid"]
        if not self._may_enter(request, sid):
            return _error(HTTPStatus.UNAUTHORIZED, 20003)
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        to, sender = form.get("To", ""), form.get("From", "") or form.get("MessagingServiceSid", "")
        fault = self._faults.next("twilio", to)
        await faults.before(fault)
        if refusal := self._refusal(form, to, sender, fault):
            return refusal
        message_sid = f"SM{uuid4().hex}"
        self._phone.add(
            channel="sms",
            service="twilio",
            sender=sender,
            to=to,
            provider_id=message_sid,
            text=form["Body"],
            callback=form.get("StatusCallback", ""),
            account=sid,
        )
        if callback := form.get("StatusCallback", ""):
            self._callbacks[sender] = callback
            self._begin(self._report(callback, sid, message_sid, sender, to, fault))
        return await faults.after(fault, _created(sid, message_sid, form, to, sender))

    async def reply(self, message: dict[str, Any], text: str) -> None:
        """The person answers: their number, our number and the words go to the inbound address."""
        person, sender = message["to"], message["from"]
        callback = message.get("callback") or self._callbacks.get(sender, "")
        if not callback:
            raise Refused(
                HTTPStatus.BAD_REQUEST, "The message had no StatusCallback, so nobody is told of an answer."
            )
        parts = urlsplit(callback)
        address = parts._replace(
            path=re.sub(r"/status/?$", "/inbound", parts.path), query="", fragment=""
        ).geturl()
        sid = f"SM{uuid4().hex}"
        form = {
            "AccountSid": message["account"],
            "ApiVersion": "2010-04-01",
            "Body": text,
            "From": person,
            "MessageSid": sid,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "To": sender,
        }
        word = text.casefold()
        for kind, words in (("STOP", _STOP), ("START", _START), ("HELP", _HELP)):
            if word in words:
                form["OptOutType"] = kind
        if word in _STOP:
            self._stopped.add((sender, person))
        elif word in _START:
            self._stopped.discard((sender, person))
        self._phone.add(
            channel="sms",
            service="twilio",
            sender=person,
            to=sender,
            provider_id=sid,
            text=text,
            is_reply=True,
        )
        status = await asyncio.to_thread(self._post, address, form)
        if status is None or status >= 400:
            raise Refused(
                HTTPStatus.BAD_GATEWAY, f"The answer was not taken: {status or 'no answer'} from {address}."
            )

    def _may_enter(self, request: Request, sid: str) -> bool:
        if not self._token:
            return True
        scheme, _, coded = request.headers.get("authorization", "").partition(" ")
        try:
            name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        is_right = hmac.compare_digest(secret.encode(), self._token.encode())
        return scheme.lower() == "basic" and name == sid and is_right

    def _refusal(self, form: dict[str, str], to: str, sender: str, fault: Fault | None) -> Response | None:
        kind = fault.kind if fault else ""
        if fault and kind == "throttle":
            wait = str(fault.values.get("retry_after", 1))
            return _error(HTTPStatus.TOO_MANY_REQUESTS, 20429, ("Retry-After", wait))
        if kind == "unavailable":
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, 20503)
        if kind == "error":
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, 20500)
        if fault and kind == "refuse":
            return _error(HTTPStatus.BAD_REQUEST, int(fault.values.get("code", 21614)))
        code = 0
        if not to:
            code = 21604
        elif not _NUMBER.fullmatch(to):
            code = 21211
        elif not sender:
            code = 21603
        elif "MessagingServiceSid" not in form and not _SENDER.fullmatch(sender):
            code = 21212
        elif not form.get("Body"):
            code = 21602
        elif len(form["Body"]) > _LONGEST:
            code = 21617
        elif (sender, to) in self._stopped:
            code = 21610
        return _error(HTTPStatus.BAD_REQUEST, code) if code else None

    async def _report(
        self, callback: str, account: str, sid: str, sender: str, to: str, fault: Fault | None
    ) -> None:
        kind = fault.kind if fault else ""
        if fault and kind == "no_callbacks":
            return
        states = ["sent", "undelivered" if kind == "undelivered" else "delivered"]
        if kind == "shuffled_callbacks":
            states = [states[1], states[0], states[1], states[0]]
        for state in states:
            await asyncio.sleep(0.05)
            form = {
                "AccountSid": account,
                "ApiVersion": "2010-04-01",
                "From": sender,
                "MessageSid": sid,
                "MessageStatus": state,
                "SmsSid": sid,
                "SmsStatus": state,
                "To": to,
            }
            if fault and state == "undelivered":
                form["ErrorCode"] = str(fault.values.get("code", 30003))
            await asyncio.to_thread(self._post, callback, form)

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post(self, address: str, form: dict[str, str]) -> int | None:
        """Call an address of the product as Twilio does; the status, None without an answer."""
        signed = address + "".join(name + form[name] for name in sorted(form))
        signature = base64.b64encode(hmac.digest(self._token.encode(), signed.encode(), hashlib.sha1))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature.decode(),
        }
        try:
            asked = urllib.request.Request(address, urlencode(form).encode(), headers)
            with _opener.open(asked, timeout=_CALLBACK_SECONDS) as response:
                return int(response.status)
        except HTTPError as error:
            with error:
                return error.code
        except (OSError, ValueError) as error:
            print(f"A callback to {address} failed: {error}", file=sys.stderr)
            return None


# What is called is on this machine: a proxy of the environment must not see it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _created(account: str, sid: str, form: dict[str, str], to: str, sender: str) -> Response:
    uri = f"/2010-04-01/Accounts/{account}/Messages/{sid}"
    now = formatdate(usegmt=False)
    answer = {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": form["Body"],
        "date_created": now,
        "date_sent": None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": sender,
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": to,
        "uri": f"{uri}.json",
    }
    return json_response(answer, HTTPStatus.CREATED)


def _error(status: HTTPStatus, code: int, *headers: tuple[str, str]) -> Response:
    text = _TEXTS.get(code, "The message was refused")
    answer = {
        "code": code,
        "message": text,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status.value,
    }
    response = json_response(answer, status)
    return Response(response.body, response.content_type, status, headers)
