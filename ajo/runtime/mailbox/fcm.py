"""Firebase Cloud Messaging, HTTP v1, with the sign-in of its service accounts.

    GET  /fcm/service-account.json               the account's file, as the console gives it; needs the mailbox's token
    POST /token                                  a token signed with the account's key → an access token
    POST /v1/projects/<project>/messages:send    needs that access token

A device's token may be any text without spaces; one that begins with `gone` is unregistered. Faults of its own:
`unregistered`, `invalid`, `forget_access` (the access token is not known any more, once).
"""

from __future__ import annotations

import json
import re
import secrets
import time
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ajo.runtime.mailbox import faults, jwt
from ajo.runtime.mailbox.faults import Faults
from ajo.runtime.mailbox.http import Request, Response, Route, json_response
from ajo.runtime.mailbox.phone import Phone

PROJECT = "mailbox"
CLIENT = f"sender@{PROJECT}.iam.gserviceaccount.example"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What Google's own library signs for, whatever the address of the account's file is."""
_ACCESS_SECONDS = 3600
_LONGEST = 4096
_TOKEN = re.compile(r"[\x21-\x7e]{4,4096}")
# status of HTTP, status of Google, code of FCM, text
_ERRORS = {
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    "invalid": (
        400,
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "The registration token is not a valid FCM registration token",
    ),
    "throttle": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Sending limit exceeded for the message."),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
    "error": (500, "INTERNAL", "INTERNAL", "Internal error encountered."),
    "unauthenticated": (
        401,
        "UNAUTHENTICATED",
        "THIRD_PARTY_AUTH_ERROR",
        "Request had invalid authentication credentials.",
    ),
}


class Fcm:
    """One project with one service account, whose key is made at its first use and kept."""

    def __init__(self, phone: Phone, commanded: Faults, folder: Path) -> None:
        self._phone = phone
        self._faults = commanded
        self._key_path = folder / "fcm-key.pem"
        self._key: rsa.RSAPrivateKey | None = None
        self._access: dict[str, float] = {}
        self.routes = (
            Route("GET", re.compile(r"/fcm/service-account\.json"), self.show_account),
            Route("POST", re.compile(r"/token"), self.sign_in, is_open=True),
            Route(
                "POST",
                re.compile(r"/v1/projects/(?P<project>[^/]+)/messages:send"),
                self.send,
                is_open=True,
            ),
        )

    async def show_account(self, request: Request) -> Response:
        """The file of the service account."""
        pem = self._private_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return json_response(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "mailbox",
                "private_key": pem.decode(),
                "client_email": CLIENT,
                "client_id": "1",
                "token_uri": _token_uri(request),
            }
        )

    async def sign_in(self, request: Request) -> Response:
        """An access token for an assertion that the account's key signed."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        now = time.time()
        try:
            if form.get("grant_type") != _GRANT:
                raise jwt.BadToken("The grant type is not that of an assertion.")
            claims = jwt.read(form.get("assertion", ""), self._private_key().public_key(), now=now)
            if claims.get("iss") != CLIENT or claims.get("aud") not in {_token_uri(request), _AUDIENCE}:
                raise jwt.BadToken("It is from another account or for another address.")
            if _SCOPE not in str(claims.get("scope", "")).split():
                raise jwt.BadToken(f"It does not ask for {_SCOPE}.")
        except jwt.BadToken as error:
            answer = {"error": "invalid_grant", "error_description": f"Invalid JWT: {error}"}
            return json_response(answer, HTTPStatus.BAD_REQUEST)
        access = f"ya29.{secrets.token_urlsafe(40)}"
        self._access = {token: until for token, until in self._access.items() if until > now}
        self._access[access] = now + _ACCESS_SECONDS
        return json_response(
            {"access_token": access, "expires_in": _ACCESS_SECONDS - 1, "token_type": "Bearer"}
        )

    async def send(self, request: Request) -> Response:
        """Take a push, or say in Google's words why not."""
        try:
            message = json.loads(request.body)["message"]
            token = str(message.get("token", ""))
            data = dict(message.get("data", {}))
            notification = dict(message.get("notification", {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error("invalid", "Invalid JSON payload received.")
        fault = self._faults.next("fcm", token)
        await faults.before(fault)
        kind = fault.kind if fault else ""
        if kind == "forget_access":
            self._access.clear()
        scheme, _, access = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._access.get(access, 0) <= time.time():
            return _error("unauthenticated")
        if fault and kind == "throttle":
            return _error("throttle", headers=(("Retry-After", str(fault.values.get("retry_after", 1))),))
        if kind in _ERRORS:
            return _error(kind)
        if request.values["project"] != PROJECT:
            return _error("invalid", "The project does not exist.")
        if not _TOKEN.fullmatch(token):
            return _error("invalid")
        if not all(isinstance(value, str) for value in data.values()):
            return _error("invalid", "Invalid value at 'message.data': values are strings.")
        if len(json.dumps([notification, data], ensure_ascii=False).encode()) > _LONGEST:
            return _error("invalid", "Message is too big.")
        if token.startswith("gone"):
            return _error("unregistered")
        name = f"projects/{PROJECT}/messages/0:{uuid4().hex}"
        link = message.get("webpush", {}).get("fcm_options", {}).get("link") or data.get("link_url", "")
        self._phone.add(
            channel="push",
            service="fcm",
            sender=PROJECT,
            to=token,
            provider_id=name,
            title=notification.get("title", ""),
            text=notification.get("body", ""),
            image_url=notification.get("image", ""),
            link_url=link,
            data=data,
        )
        return await faults.after(fault, json_response({"name": name}))

    def _private_key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            try:
                key = serialization.load_pem_private_key(self._key_path.read_bytes(), None)
                assert isinstance(key, rsa.RSAPrivateKey)
                self._key = key
            except FileNotFoundError:
                self._key = rsa.generate_private_key(65537, 2048)
                pem = self._key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                self._key_path.touch(0o600)
                self._key_path.write_bytes(pem)
        return self._key


def _token_uri(request: Request) -> str:
    return f"http://{request.headers.get('host', '')}/token"


def _error(kind: str, text: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Response:
    status, name, code, usual = _ERRORS[kind]
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    ]
    answer = {"error": {"code": status, "message": text or usual, "status": name, "details": details}}
    response = json_response(answer, HTTPStatus(status))
    return Response(
        response.body,
        response.content_type,
        response.status,
        (*headers, ("Date", formatdate(usegmt=True))),
    )
