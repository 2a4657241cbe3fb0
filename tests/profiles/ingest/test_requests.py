from __future__ import annotations

import gzip
import io
from functools import partial
from typing import Any

import pytest

from profiles.ingest.decode import RequestRefused
from profiles.ingest.requests import PATHS, read_body, write_key
from profiles.models import EventKind
from tests.profiles.ingest.client import basic

LIMIT = 1_000


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/batch", None),
        ("/v1/b", None),
        ("/v1/identify", EventKind.IDENTIFY),
        ("/v1/track", EventKind.TRACK),
        ("/v1/page", EventKind.PAGE),
        ("/v1/screen", EventKind.SCREEN),
        ("/v1/group", EventKind.GROUP),
        ("/v1/alias", EventKind.ALIAS),
        ("/v1/i", EventKind.IDENTIFY),
        ("/v1/t", EventKind.TRACK),
        ("/v1/p", EventKind.PAGE),
        ("/v1/s", EventKind.SCREEN),
        ("/v1/g", EventKind.GROUP),
        ("/v1/a", EventKind.ALIAS),
        ("/api/public/apps/batch", None),
        ("/api/public/apps/identify", EventKind.IDENTIFY),
        ("/api/s/track", EventKind.TRACK),
        ("/api/s/s2s/page", EventKind.PAGE),
    ],
)
def test_the_paths_of_real_clients_are_known(path: str, kind: EventKind | None) -> None:
    assert PATHS[path] == kind


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"HTTP_AUTHORIZATION": basic("wk")}, "wk"),
        ({"HTTP_AUTHORIZATION": basic("wk", "secret")}, "wk"),
        ({"HTTP_AUTHORIZATION": basic("wk").replace("Basic", "basic")}, "wk"),
        ({"HTTP_AUTHORIZATION": "wk"}, "wk"),
        ({"HTTP_AUTHORIZATION": "Bearer wk"}, "wk"),
        ({"HTTP_X_WRITE_KEY": " wk "}, "wk"),
        ({"HTTP_AUTHORIZATION": basic("wk"), "HTTP_X_WRITE_KEY": "other"}, "wk"),
        ({"HTTP_AUTHORIZATION": "Basic !!!", "HTTP_X_WRITE_KEY": "wk"}, "wk"),
        ({"HTTP_AUTHORIZATION": "Basic /w==", "HTTP_X_WRITE_KEY": "wk"}, "wk"),
        ({"HTTP_AUTHORIZATION": basic(""), "HTTP_X_WRITE_KEY": "wk"}, "wk"),
        ({"HTTP_AUTHORIZATION": "Basic"}, None),
        ({"HTTP_AUTHORIZATION": "Bearer "}, None),
        ({}, None),
    ],
)
def test_the_write_key_is_found_wherever_clients_put_it(headers: dict[str, str], key: str | None) -> None:
    assert write_key(headers) == key


class Stream(io.BytesIO):
    """A body that comes a few bytes at a time, as chunked ones do, and counts what was taken from it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(min(size, 100) if size and size > 0 else size)
        self.taken += len(piece)
        return piece


def environ(body: bytes, announced: int | str | None, **headers: str) -> dict[str, Any]:
    length = {} if announced is None else {"CONTENT_LENGTH": str(announced)}
    stream = Stream(body) if announced is None else io.BytesIO(body)
    return {"wsgi.input": stream, **length, **headers}


squeezed = partial(gzip.compress, mtime=0)  # the time would be part of a test's name
GZIP = {"HTTP_CONTENT_ENCODING": "gzip"}


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{}", {}, b"{}"),
        (b"", {}, b""),
        (b"x" * LIMIT, {}, b"x" * LIMIT),
        (b"{}", {"HTTP_CONTENT_ENCODING": "identity"}, b"{}"),
        (squeezed(b"{}"), GZIP, b"{}"),
        (squeezed(b"{}"), {"HTTP_CONTENT_ENCODING": "GZip "}, b"{}"),
        (squeezed(b"{") + squeezed(b"}"), GZIP, b"{}"),
        (squeezed(b"x" * LIMIT), GZIP, b"x" * LIMIT),
        (b"", GZIP, b""),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_is_read_and_unpacked(
    body: bytes, headers: dict[str, str], expected: bytes, is_announced: bool
) -> None:
    assert read_body(environ(body, len(body) if is_announced else None, **headers), LIMIT) == expected


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (LIMIT + 1), {}, 413),
        (squeezed(b"x" * (LIMIT + 1)), GZIP, 413),
        (squeezed(b"x" * LIMIT) + squeezed(b"x"), GZIP, 413),
        (squeezed(b"\0" * 100_000_000)[:LIMIT], GZIP, 413),
        (b"{}", GZIP, 400),
        (squeezed(b"{}")[:-1], GZIP, 400),
        (squeezed(b"{}") + b"trailing", GZIP, 400),
        (b"{}", {"HTTP_CONTENT_ENCODING": "br"}, 415),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_bad_body_is_refused(body: bytes, headers: dict[str, str], status: int, is_announced: bool) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_body(environ(body, len(body) if is_announced else None, **headers), LIMIT)
    assert refused.value.status == status


def test_an_announced_flood_is_refused_unread() -> None:
    stream = Stream(b"x" * 10_000)
    with pytest.raises(RequestRefused):
        read_body({"wsgi.input": stream, "CONTENT_LENGTH": "10000"}, LIMIT)
    assert stream.taken == 0


def test_an_unannounced_flood_is_read_no_further_than_the_limit() -> None:
    stream = Stream(b"x" * 1_000_000)
    with pytest.raises(RequestRefused):
        read_body({"wsgi.input": stream}, LIMIT)
    assert stream.taken == LIMIT + 1
