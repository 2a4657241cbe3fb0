"""A client of the door without a network, and stand-ins for what lies behind the door."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from profiles.ingest.decode import Event
from profiles.ingest.sources import KnownSource
from profiles.ingest.wsgi import Door

WRITE_KEY = "wk_website"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class OneSource:
    """Knows one active source and one that is switched off."""

    def find(self, write_key: str) -> KnownSource | None:
        known = {WRITE_KEY: KnownSource(7, True, 0.0), "wk_off": KnownSource(8, False, 0.0)}
        return known.get(write_key)


@dataclass
class FirstNames:
    """Numbers names as they come, up to `limit` of them."""

    limit: int = 1_000
    known: dict[str, int] = field(default_factory=dict)

    def ids(self, names: Collection[str]) -> dict[str, int]:
        for name in names:
            if len(self.known) < self.limit:
                self.known.setdefault(name, len(self.known) + 1)
        return {name: self.known[name] for name in names if name in self.known}


@dataclass
class Kept:
    """A store that keeps events, or raises what a test wants."""

    events: list[Event] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, events: Sequence[Event]) -> None:
        if self.error is not None:
            raise self.error
        self.events += events


def make_door(store: Any, *, names: FirstNames | None = None, queue: int = 20_000) -> Door:
    return Door(OneSource(), names or FirstNames(), store, queue=queue)  # type: ignore[arg-type]


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(
    door: Any,
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    path: str = "/v1/batch",
    *,
    method: str = "POST",
    key: str | None = WRITE_KEY,
    announce: bool = True,
    **headers: str,
) -> Answer:
    """Ask a WSGI application. `headers` are environ names; `key` goes into Basic; `announce` sets the length."""
    if isinstance(body, dict | list):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "wsgi.input": io.BytesIO(data),
        **headers,
    }
    if announce:
        environ["CONTENT_LENGTH"] = str(len(data))
    if key is not None:
        environ.setdefault("HTTP_AUTHORIZATION", basic(key))
    started: list[Any] = []
    chunks = door(environ, lambda status, headers: started.extend([status, headers]))
    return Answer(int(started[0][:3]), dict(started[1]), b"".join(chunks))


def track(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """A track call; `changes` replace or add fields."""
    return {
        "type": "track",
        "event": "Signed Up",
        "userId": f"user-{number}",
        "messageId": f"m-{number}",
        **changes,
    }
