"""The HTTP side of the mailbox: what arrived, as JSON and as raw messages.

    GET    /healthz             {"status": "ok", "smtp": port, "first": n, "last": n}; needs no token
    GET    /messages.json       {"messages": […], "count": n}, newest first; to, q, after, limit, bodies
    DELETE /messages.json       empties the mailbox; numbering goes on
    GET    /messages/<id>.json  one message, also with headers, text, html, attachments, warnings
    GET    /messages/<id>.eml   the raw message
    GET    /people.json         {"people": […], "count": n}, the most recent first; q, limit
    GET    /log.jsonl           {n, received_at, rcpt, message_id, size} a line, oldest first; after, limit

A message in a list has `id, received_at, from, envelope_from, to, subject, message_id, snippet, size` and
`has_html`, and with `bodies=1` also `text` and `html` (null when missing). Ids are strings, times ISO 8601 in
UTC. A person has `address, count, last_id, last_subject, last_at`. `count` counts all that match, not only
those within `limit`. Errors are `{"detail": sentence}`. With a token every request but the health check needs
the header `X-Mailbox-Token`. What phones and browsers receive is at the addresses of the modules `phone`, `twilio`,
`fcm` and `web_push`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ajo.runtime.mailbox import mime
from ajo.runtime.mailbox.catalogue import Catalogue, Summary
from ajo.runtime.mailbox.store import Store

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_LOG_LIMIT: Final = 50_000
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 10 * 1024 * 1024

_IDLE_SECONDS: Final = 60
_PREVIEWS_A_SLICE: Final = 10


class Dropped(ConnectionError):
    """A request after which the connection ends without an answer."""


class Refused(Exception):
    """A request that is answered with this status and sentence."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower case, `values` are the named groups of the route."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    values: dict[str, str] = field(default_factory=dict)

    def number(self, name: str, default: int, largest: int = 2**63 - 1) -> int:
        """A number of the query, cut to `largest`; 400 when it is not a number."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter {name} must be a whole number from 0 on.")
        return min(int(text), largest)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    body: bytes
    content_type: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Method and whole path → handler; `is_open` answers without the token, as the vendors' own addresses do."""

    method: str
    path: re.Pattern[str]
    handler: Callable[[Request], Awaitable[Response]]
    is_open: bool = False


class Service:
    """The answers; every method that takes a request is the handler of a route in `routes`."""

    def __init__(self, store: Store, smtp_port: int) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._smtp_port = smtp_port
        self.routes: tuple[Route, ...] = (
            Route("GET", re.compile(r"/healthz"), self.show_health, is_open=True),
            Route("GET", re.compile(r"/messages\.json"), self.list_messages),
            Route("DELETE", re.compile(r"/messages\.json"), self.delete_messages),
            Route("GET", re.compile(r"/messages/(?P<number>\d{1,18})\.json"), self.show_message),
            Route("GET", re.compile(r"/messages/(?P<number>\d{1,18})\.eml"), self.show_source),
            Route("GET", re.compile(r"/people\.json"), self.list_people),
            Route("GET", re.compile(r"/log\.jsonl"), self.show_log),
        )

    async def show_health(self, request: Request) -> Response:
        """Whether the process is up, where its SMTP listens, and which numbers it keeps."""
        return json_response(
            {
                "status": "ok",
                "smtp": self._smtp_port,
                "first": self._store.first,
                "last": self._store.next - 1,
            }
        )

    async def list_messages(self, request: Request) -> Response:
        """A page of messages, newest first."""
        limit = request.number("limit", DEFAULT_LIMIT, MAX_LIMIT)
        await self._catalogue.catch_up()
        found = list(
            self._catalogue.messages(
                request.query.get("to", "").strip(), request.query.get("q", ""), request.number("after", 0)
            )
        )
        with_bodies = request.query.get("bodies") == "1"
        messages = []
        for index, summary in enumerate(found[:limit]):
            if index % _PREVIEWS_A_SLICE == 0:
                await asyncio.sleep(0)
            entry = self._entry(summary)
            if with_bodies:
                reading = await self._read(summary.number)
                entry |= {"text": reading.text, "html": reading.html}
            messages.append(entry)
        return json_response({"messages": messages, "count": len(found)})

    async def delete_messages(self, request: Request) -> Response:
        """Empty the mailbox."""
        self._store.clear()
        await self._catalogue.catch_up()
        return json_response({"messages": [], "count": 0})

    async def show_message(self, request: Request) -> Response:
        """One message, decoded."""
        await self._catalogue.catch_up()
        number = int(request.values["number"])
        summary = self._catalogue.summary(number)
        if summary is None:
            raise _no_such_message(number)
        reading = await self._read(number)
        return json_response(
            {
                **self._entry(summary),
                "headers": [{"name": name, "value": value} for name, value in reading.headers],
                "text": reading.text,
                "html": reading.html,
                "attachments": [asdict(attachment) for attachment in reading.attachments],
                "warnings": list(reading.warnings),
            }
        )

    async def show_source(self, request: Request) -> Response:
        """One message as it came over the wire."""
        number = int(request.values["number"])
        record = self._store.read(number)
        if record is None:
            raise _no_such_message(number)
        return Response(record.content, "message/rfc822")

    async def list_people(self, request: Request) -> Response:
        """Who received something, the most recent first."""
        limit = request.number("limit", DEFAULT_LIMIT, MAX_LIMIT)
        await self._catalogue.catch_up()
        query = request.query.get("q", "").strip().casefold()
        found = [item for item in self._catalogue.people() if query in item[0].address]
        people = [
            {
                "address": person.address,
                "count": len(person.numbers),
                "last_id": str(last.number),
                "last_subject": last.subject,
                "last_at": iso(last.received_at_us),
            }
            for person, last in found[:limit]
        ]
        return json_response({"people": people, "count": len(found)})

    async def show_log(self, request: Request) -> Response:
        """One line per accepted message, so that tests count duplicates outside the product."""
        after, limit = request.number("after", 0), request.number("limit", MAX_LOG_LIMIT, MAX_LOG_LIMIT)
        await self._catalogue.catch_up()
        lines = [
            json.dumps(
                {
                    "n": summary.number,
                    "received_at": iso(summary.received_at_us),
                    "rcpt": list(summary.recipients),
                    "message_id": summary.message_id,
                    "size": summary.size,
                }
            )
            for summary in self._catalogue.log(after, limit)
        ]
        return Response("".join(f"{line}\n" for line in lines).encode(), "application/jsonl")

    async def _read(self, number: int) -> mime.Reading:
        record = self._store.read(number)
        # A message of many megabytes takes seconds to parse; in a thread the listener goes on meanwhile.
        return await asyncio.to_thread(mime.read_message, record.content if record else b"")

    def _entry(self, summary: Summary) -> dict[str, Any]:
        preview = self._catalogue.preview(summary.number)
        return {
            "id": str(summary.number),
            "received_at": iso(summary.received_at_us),
            "from": summary.sender,
            "envelope_from": summary.envelope_from,
            "to": list(summary.recipients),
            "subject": summary.subject,
            "message_id": summary.message_id,
            "snippet": preview.snippet,
            "size": summary.size,
            "has_html": preview.has_html,
        }


class Server:
    """Speaks HTTP/1.1 for a table of routes; keeps connections open, bodies need a Content-Length."""

    def __init__(self, routes: tuple[Route, ...], token: str) -> None:
        self._routes = routes
        self._token = token.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side closes it."""
        try:
            is_open = True
            while is_open:
                async with asyncio.timeout(_IDLE_SECONDS):
                    is_open = await self._serve_one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # The client went away or fell silent: there is nobody to tell.
        except asyncio.CancelledError:
            pass  # The process stops. Python 3.11 logs a traceback for a handler that ends cancelled.
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            request = _parse_head(await reader.readuntil(b"\r\n\r\n"))
            length = _body_length(request)
        except asyncio.LimitOverrunError:
            refused = Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's header is too large."
            )
            is_kept, response = False, _refusal(refused)
        except Refused as refused:
            # Where the next request starts is not known after this one: the connection ends.
            is_kept, response = False, _refusal(refused)
        else:
            is_kept = request.headers.get("connection", "").lower() != "close"
            request = replace(request, body=await reader.readexactly(length))
            response = await self._answer(request)
        writer.write(_render(response, is_kept))
        await writer.drain()
        return is_kept

    async def _answer(self, request: Request) -> Response:
        try:
            route, values = self._find(request)
            if not route.is_open and not self._has_token(request):
                raise Refused(HTTPStatus.FORBIDDEN, "The header X-Mailbox-Token is missing or wrong.")
            return await route.handler(replace(request, values=values))
        except Refused as refused:
            return _refusal(refused)
        except Dropped:
            raise
        except Exception:
            # One request that fails must not end the process that receives the mail.
            traceback.print_exc()
            return _refusal(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "The mailbox failed; see its log."))

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        is_known = False
        for route in self._routes:
            match = route.path.fullmatch(request.path)
            if match is None:
                continue
            is_known = True
            if route.method == request.method:
                return route, match.groupdict()
        if is_known:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} does not answer {request.method}.")
        raise Refused(HTTPStatus.NOT_FOUND, f"There is nothing at {request.path}.")

    def _has_token(self, request: Request) -> bool:
        given = request.headers.get("x-mailbox-token", "").encode()
        return not self._token or hmac.compare_digest(given, self._token)


def _parse_head(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Refused(HTTPStatus.BAD_REQUEST, "This is not an HTTP/1.1 request.")
    method, target, _ = parts
    url = urlsplit(target)
    headers: dict[str, str] = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon:
            raise Refused(HTTPStatus.BAD_REQUEST, "A header line has no colon.")
        headers[name.strip().lower()] = value.strip()
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, unquote(url.path), query, headers, b"")


def _body_length(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(HTTPStatus.BAD_REQUEST, "The Content-Length is not a number.")
    if len(length) > 12 or int(length) > MAX_BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    return int(length)


def _render(response: Response, is_kept: bool) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    head = (
        f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        f"X-Content-Type-Options: nosniff\r\n{more}"
        f"Connection: {'keep-alive' if is_kept else 'close'}\r\n\r\n"
    )
    return head.encode("latin-1") + response.body


def json_response(value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer in JSON."""
    # A message may hold lone surrogates, which JSON can escape and UTF-8 cannot carry: hence ASCII.
    return Response(json.dumps(value, ensure_ascii=True).encode(), status=status)


def _refusal(refused: Refused) -> Response:
    return json_response({"detail": refused.detail}, refused.status)


def _no_such_message(number: int) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"There is no message {number}; the oldest may have been dropped.")


def iso(microseconds: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat()
