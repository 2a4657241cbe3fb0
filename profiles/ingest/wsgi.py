"""The hot door: a WSGI application of its own, in front of Django and without its middleware."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from django.conf import settings

from ajo.lib.coalescing import Coalescer
from ajo.lib.pool import HotPool, Unavailable
from profiles.ingest import requests
from profiles.ingest.decode import Event, Problem, RequestRefused, decode_events, open_envelope
from profiles.ingest.event_types import EventTypes
from profiles.ingest.sources import KnownSource, Sources
from profiles.ingest.writer import SESSION, Writer

logger = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
Store = Callable[[Sequence[Event]], None]

POOL_SIZE: Final = 8
COALESCED_EVENTS: Final = 50
"""Requests with fewer events share a flush; larger ones are worth a commit of their own."""

RETRY_AFTER_BUSY: Final = ("Retry-After", "1")
RETRY_AFTER_AWAY: Final = ("Retry-After", "2")

_JSON: Final = ("Content-Type", "application/json")
_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")  # write keys are public, and no cookie counts here
_PREFLIGHT: Final = [
    _ORIGIN,
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    (
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Content-Encoding, X-Write-Key, X-Retry-Count",
    ),
    ("Access-Control-Max-Age", "86400"),
]
_STATUS: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class _Answer(msgspec.Struct, omit_defaults=True):
    """The body of every answer. Accepted events are not told from repeats: a repeated request gets the same answer."""

    success: bool
    accepted: int | msgspec.UnsetType = msgspec.UNSET
    code: str | None = None
    message: str | None = None
    field: str | None = None
    errors: list[Problem] = []


class Overloaded(Exception):
    """More events wait than this process may hold."""


class Gate:
    """Counts the events that wait for their commit in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Count `count` events while they wait; raise Overloaded when others already fill the process."""
        with self._lock:
            if self._held and self._held + count > self._limit:
                raise Overloaded
            self._held += count
        try:
            yield
        finally:
            with self._lock:
                self._held -= count


class Door:
    """Answers the ingest calls of Segment's HTTP spec. `store` commits events before it returns."""

    def __init__(self, sources: Sources, types: EventTypes, store: Store, *, queue: int) -> None:
        self._sources = sources
        self._types = types
        self._store = store
        self._gate = Gate(queue)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            start_response(_STATUS[204], _PREFLIGHT)
            return [b""]
        status, answer, extra = self._answer(environ, method)
        body = msgspec.json.encode(answer)
        start_response(_STATUS[status], [_JSON, _ORIGIN, ("Content-Length", str(len(body))), *extra])
        return [body]

    def _answer(self, environ: WSGIEnvironment, method: str) -> tuple[int, _Answer, Headers]:
        try:
            return self._take(environ, method)
        except RequestRefused as refused:
            extra = [("Allow", "POST, OPTIONS")] if refused.status == 405 else []
            return refused.status, _Answer(False, code=refused.code, message=refused.message), extra
        except Overloaded:
            message = "Too many events wait to be stored. Send this again later."
            return 429, _Answer(False, code="too_many_events", message=message), [RETRY_AFTER_BUSY]
        except Unavailable:
            message = "The events could not be stored now. Send this again later."
            return 503, _Answer(False, code="unavailable", message=message), [RETRY_AFTER_AWAY]
        except Exception:
            logger.exception("The ingest door failed")
            message = "The server failed to take the events. Send this again later."
            return 500, _Answer(False, code="server_error", message=message), []

    def _take(self, environ: WSGIEnvironment, method: str) -> tuple[int, _Answer, Headers]:
        path = environ["PATH_INFO"].rstrip("/")
        if path not in requests.PATHS:
            raise RequestRefused(
                404, "unknown_path", "There is no such call. Post to /v1/batch, for example."
            )
        if method != "POST":
            raise RequestRefused(405, "method_not_allowed", "Send events with POST.")
        key = requests.write_key(environ)
        source = self._source(key) if key else None
        body = requests.read_body(environ, settings.AJO_INGEST_BODY_BYTES)
        received_at = datetime.now(UTC)
        envelope = open_envelope(body, requests.PATHS[path])
        source = source or self._source(envelope.write_key)
        events, problems = decode_events(
            envelope, source_id=source.id, received_at=received_at, max_bytes=settings.AJO_INGEST_EVENT_BYTES
        )
        if events:
            with self._gate.hold(len(events)):
                events = self._name(events, problems)
                self._store(events)
            problems += [
                Problem(event.index, "refused", f"The database refused the event: {event.refusal}.")
                for event in events
                if event.refusal is not None
            ]
        if problems and envelope.is_single:
            first = problems[0]
            return 400, _Answer(False, code=first.code, message=first.message, field=first.field), []
        problems.sort(key=lambda problem: problem.index)
        accepted = len(envelope.events) - len(problems)
        return 200, _Answer(True, accepted=accepted, errors=problems), []

    def _source(self, key: str | None) -> KnownSource:
        if not key:
            raise RequestRefused(
                401,
                "missing_write_key",
                "The request has no write key. Send it as the user name of Basic authorization, for example.",
            )
        source = self._sources.find(key)
        if source is None:
            raise RequestRefused(401, "unknown_write_key", "No source has this write key.")
        if not source.is_active:
            raise RequestRefused(401, "inactive_source", "The source of this write key is switched off.")
        return source

    def _name(self, events: list[Event], problems: list[Problem]) -> list[Event]:
        """Set the event type of each event; those for whose name there is no room become problems."""
        ids = self._types.ids({event.type_name for event in events})
        named = []
        for event in events:
            id = ids.get(event.type_name)
            if id is None:
                problems.append(
                    Problem(
                        event.index,
                        "too_many_event_names",
                        f"There are already {self._types.limit} names of events, and this one is new. Use fewer names,"
                        " or raise AJO_INGEST_MAX_EVENT_TYPES.",
                        "event",
                    )
                )
            else:
                event.event_type_id = id
                named.append(event)
        return named


def store_with(writer: Writer, coalescer: Coalescer[Event]) -> Store:
    """Small requests share a flush, large ones get their own."""

    def store(events: Sequence[Event]) -> None:
        if len(events) < COALESCED_EVENTS:
            coalescer.submit(events)
        else:
            writer.store(events)

    return store


@functools.cache
def door() -> Door:
    """The door of this process, with its own connections. They open with the first request."""
    pool = HotPool(size=POOL_SIZE, settings=SESSION)
    writer = Writer(pool)
    return Door(
        Sources(pool),
        EventTypes(pool, settings.AJO_INGEST_MAX_EVENT_TYPES),
        store_with(writer, Coalescer(writer.store)),
        queue=settings.AJO_INGEST_QUEUE,
    )
