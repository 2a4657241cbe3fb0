"""The hot door of decisions: a WSGI application in front of Django in which many requests share a transaction.

It takes what nearly every call is, JSON with an API key that may decide; whatever else comes to its address goes on to
Django, where the same call is a view that says what is wrong.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError

from ajo.core.rest import problems
from ajo.core.rest.idempotency import REPLAYED
from ajo.core.rest.known_keys import KnownKey, KnownKeys
from ajo.core.rest.parsing import StrictJsonParser
from ajo.lib import sql
from ajo.lib.coalescing import Coalescer
from ajo.lib.pool import Unavailable
from offers import requests
from offers.requests import Answer, Asked, Call, Refusal

logger = logging.getLogger(__name__)

PATH: Final = "/api/v1/decisions/"
SCOPE: Final = "offers:decide"
FULL_FLUSH: Final = 100
"""Requests that share a transaction at most: totals stay locked until it ends."""
_SCHEME: Final = "api-key "

Decide = Callable[[Sequence[Call]], None]
Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class Door:
    """`decide` sets the answer, or the error, of the calls that it is given before it returns."""

    def __init__(self, keys: KnownKeys, decide: Decide) -> None:
        self._keys = keys
        self._decide = decide

    def takes(self, environ: WSGIEnvironment) -> KnownKey | None:
        """The key of a call that is for this door; None: Django shall answer it."""
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST" or environ.get("QUERY_STRING"):
            return None
        content_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if content_type != "application/json" or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isdigit() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return None
        if environ.get("HTTP_ACCEPT", "*/*") not in {"*/*", "application/json"}:
            return None
        try:
            key = self._keys.find(authorization[len(_SCHEME) :])
        except Error:
            return None
        return key if key is not None and SCOPE in key.scopes else None

    def answer(
        self, key: KnownKey, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        status, headers, body = self._answer(key, environ)
        lines = [*headers, ("Content-Length", str(len(body)))]
        start_response(f"{status} {HTTPStatus(status).phrase}", lines)
        return [body]

    def _answer(self, key: KnownKey, environ: WSGIEnvironment) -> tuple[int, list[tuple[str, str]], bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            asked = requests.read(StrictJsonParser().parse(BytesIO(body)))
        except ParseError as error:
            return _problem(Refusal(400, "parse_error", "", str(error.detail)))
        if isinstance(asked, Refusal):
            return _problem(asked)
        call = Call(with_header(asked, environ.get("HTTP_IDEMPOTENCY_KEY")), f"key:{key.prefix}")
        try:
            self._decide([call])
        except Unavailable as error:
            call.error = error
        if isinstance(call.answer, Answer):
            repeated = [(REPLAYED, "true")] if call.is_repeat else []
            return 200, [("Content-Type", "application/json"), *repeated], encode(call.answer)
        if isinstance(call.answer, Refusal):
            return _problem(call.answer)
        if isinstance(call.error, Unavailable | OperationalError | InterfaceError):
            logger.warning("A decision found the database busy or away: %s", call.error)
            sentence = _("The database is busy or away. Send the request again in a few seconds.")
            return _problem(Refusal(503, "unavailable", "", sentence))
        logger.error("A decision failed", exc_info=call.error)
        sentence = _("The server failed to decide. Send the request again later.")
        return _problem(Refusal(500, "server_error", "", sentence))


def with_header(asked: Asked, idempotency_key: str | None) -> Asked:
    """The header `Idempotency-Key` says the same as request_id, which goes first."""
    if asked.request_id or not idempotency_key:
        return asked
    return msgspec.structs.replace(asked, request_id=idempotency_key)


encode = msgspec.json.Encoder(decimal_format="number").encode


def _problem(refusal: Refusal) -> tuple[int, list[tuple[str, str]], bytes]:
    document = refusal_document(refusal)
    return refusal.status, [("Content-Type", problems.CONTENT_TYPE)], msgspec.json.encode(document)


def refusal_document(refusal: Refusal) -> dict[str, Any]:
    errors = (
        [{"field": refusal.field, "code": refusal.code, "message": refusal.message}] if refusal.field else []
    )
    detail = f"{refusal.field}: {refusal.message}" if refusal.code == "invalid" else refusal.message
    return problems.document(refusal.status, code=refusal.code, detail=detail, errors=errors)


def flush(calls: Sequence[Call]) -> None:
    """Decide for all that wait; where that fails, one by one, so that none fails its neighbours."""
    connection.close_if_unusable_or_obsolete()
    try:
        with sql.cursor() as cur:
            now = sql.database_now(cur)
        requests.answer(calls, now)
    except Exception as error:
        open_calls = [call for call in calls if call.answer is None]
        if len(calls) > 1 and not isinstance(error, OperationalError | InterfaceError):
            for call in open_calls:
                flush([call])
        else:
            for call in open_calls:
                call.error = error


@functools.cache
def door() -> Door:
    """The door of this process. Its flushes run in a thread of their own, on that thread's connection."""
    return Door(KnownKeys(), Coalescer(flush, FULL_FLUSH).submit)
