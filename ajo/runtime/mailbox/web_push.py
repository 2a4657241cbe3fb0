"""A push service of the Web (RFC 8030) and the browsers behind it: it made their keys, so it reads what they do.

    POST   /subscriptions.json    {"application_server_key": …, "name": …} → {"endpoint": …, "keys": {"p256dh", "auth"}}
    DELETE /subscriptions/<id>    the browser leaves: its address answers 410; needs the mailbox's token, as the first
    POST   /push/<id>             a push, encrypted (RFC 8291, aes128gcm) and signed (VAPID, RFC 8292)

Faults of its own: `gone` (410), `too_large` (413).
"""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ajo.runtime.mailbox import faults, jwt
from ajo.runtime.mailbox.faults import Faults
from ajo.runtime.mailbox.http import Refused, Request, Response, Route, json_response
from ajo.runtime.mailbox.phone import Phone

_LONGEST = 4096
_MOST_SECONDS = 24 * 3600
_VAPID = re.compile(r"vapid\s+t=([\w\-.]+)\s*,\s*k=([\w\-=]+)", re.ASCII)
_NO_CONTENT_LEFT = {
    "gone": HTTPStatus.GONE,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "error": HTTPStatus.INTERNAL_SERVER_ERROR,
}


class WebPush:
    """The subscriptions, in a file, and their addresses."""

    def __init__(self, phone: Phone, commanded: Faults, folder: Path) -> None:
        self._phone = phone
        self._faults = commanded
        self._path = folder / "subscriptions.json"
        self._subscriptions: dict[str, dict[str, Any]] = (
            json.loads(self._path.read_bytes()) if self._path.exists() else {}
        )
        number = r"(?P<id>[0-9a-f]{32})"
        self.routes = (
            Route("POST", re.compile(r"/subscriptions\.json"), self.subscribe),
            Route("DELETE", re.compile(rf"/subscriptions/{number}"), self.leave),
            Route("POST", re.compile(rf"/push/{number}"), self.push, is_open=True),
        )

    async def subscribe(self, request: Request) -> Response:
        """A new browser that takes pushes of one sender."""
        try:
            asked = json.loads(request.body)
            server_key, name = str(asked["application_server_key"]), str(asked.get("name", ""))
            _public_key(server_key)
        except (ValueError, KeyError, TypeError, jwt.BadToken) as error:
            raise Refused(
                HTTPStatus.BAD_REQUEST, "The application_server_key is missing or no key of P-256."
            ) from error
        key = ec.generate_private_key(ec.SECP256R1())
        subscription_id, auth = uuid4().hex, jwt.encode(token_bytes(16))
        self._subscriptions[subscription_id] = {
            "name": name,
            "server_key": server_key,
            "private": f"{key.private_numbers().private_value:x}",
            "auth": auth,
            "is_gone": False,
        }
        self._save()
        p256dh = key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        endpoint = f"{_origin(request)}/push/{subscription_id}"
        keys = {"p256dh": jwt.encode(p256dh), "auth": auth}
        return json_response({"endpoint": endpoint, "keys": keys}, HTTPStatus.CREATED)

    async def leave(self, request: Request) -> Response:
        """The browser takes no pushes any more."""
        self._subscription(request)["is_gone"] = True
        self._save()
        return json_response({})

    async def push(self, request: Request) -> Response:
        """Take a push: decrypt it and show it."""
        fault = self._faults.next("web_push", request.path)
        await faults.before(fault)
        kind = fault.kind if fault else ""
        if fault and kind == "throttle":
            wait = str(fault.values.get("retry_after", 1))
            return _answer(HTTPStatus.TOO_MANY_REQUESTS, "Too many pushes", ("Retry-After", wait))
        if status := _NO_CONTENT_LEFT.get(kind):
            return _answer(status, status.phrase)
        subscription = self._subscription(request)
        if subscription["is_gone"]:
            return _answer(HTTPStatus.GONE, "The subscription is gone")
        if problem := _signature_problem(request, subscription["server_key"]):
            return _answer(HTTPStatus.FORBIDDEN, problem)
        if not request.headers.get("ttl", "").isdigit():
            return _answer(HTTPStatus.BAD_REQUEST, "The header TTL is missing")
        if request.headers.get("content-encoding") != "aes128gcm":
            return _answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The content is not encoded with aes128gcm")
        if len(request.body) > _LONGEST:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"More than {_LONGEST} bytes")
        try:
            shown = json.loads(_decrypted(request.body, subscription))
        except (http_ece.ECEException, ValueError) as error:
            return _answer(HTTPStatus.BAD_REQUEST, f"It cannot be decrypted, or is no JSON: {error}")
        provider_id = f"{_origin(request)}/m/{uuid4().hex}"
        self._phone.add(
            channel="push",
            service="web_push",
            sender=subscription["name"],
            to=f"{_origin(request)}{request.path}",
            provider_id=provider_id,
            title=str(shown.get("title", "")),
            text=str(shown.get("body", "")),
            image_url=str(shown.get("image_url", "")),
            link_url=str(shown.get("link_url", "")),
            data=shown.get("data", {}),
        )
        created = _answer(HTTPStatus.CREATED, "", ("Location", provider_id))
        return await faults.after(fault, created)

    def _subscription(self, request: Request) -> dict[str, Any]:
        found = self._subscriptions.get(request.values["id"])
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such subscription.")
        return found

    def _save(self) -> None:
        unfinished = self._path.with_suffix(".new")
        unfinished.touch(0o600)
        unfinished.write_text(json.dumps(self._subscriptions))
        unfinished.replace(self._path)


def _decrypted(body: bytes, subscription: dict[str, Any]) -> bytes:
    key = ec.derive_private_key(int(subscription["private"], 16), ec.SECP256R1())
    return bytes(
        http_ece.decrypt(
            body, private_key=key, auth_secret=jwt.decode(subscription["auth"]), version="aes128gcm"
        )
    )


def _signature_problem(request: Request, server_key: str) -> str:
    """Why the sender's signature is not believed; empty when it is."""
    found = _VAPID.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return "The header Authorization has no VAPID signature"
    token, key = found.groups()
    now = time.time()
    try:
        if jwt.decode(key) != jwt.decode(server_key):
            return "The subscription is for another application server"
        claims = jwt.read(token, _public_key(key), now=now)
    except jwt.BadToken as error:
        return f"The VAPID token is not believed. {error}"
    if claims.get("aud") != _origin(request):
        return "The VAPID token is for another push service"
    if float(claims["exp"]) > now + _MOST_SECONDS:
        return "The VAPID token lives for more than a day"
    if not str(claims.get("sub", "")).startswith(("mailto:", "https:")):
        return "The VAPID token does not say whom to write to"
    return ""


def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), jwt.decode(text))


def _origin(request: Request) -> str:
    return f"http://{request.headers.get('host', '')}"


def _answer(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    return Response(text.encode(), "text/plain", status, headers)
