"""What a request of the door says: which call, which write key, which body. Reads the WSGI environ only."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any, Final

from profiles.ingest.decode import RequestRefused
from profiles.models import SEGMENT_CALLS, EventKind

_LETTERS: Final = {
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
    "b": "batch",
}
_CALLS: Final[dict[str, EventKind | None]] = {
    "batch": None,
    **{kind.name.lower(): kind for kind in SEGMENT_CALLS},
}


def _paths() -> dict[str, EventKind | None]:
    paths = {f"/v1/{letter}": _CALLS[call] for letter, call in _LETTERS.items()}
    # Segment; Dittofeed's client; Jitsu's client in the browser and on a server
    for prefix in ("/v1/", "/api/public/apps/", "/api/s/", "/api/s/s2s/"):
        paths |= {f"{prefix}{call}": kind for call, kind in _CALLS.items()}
    return paths


PATHS: Final = _paths()
"""Path → the kind of its one event, or None for a batch. Real clients of several projects post to these."""

PREFIXES: Final = ("/v1/", "/api/public/apps/", "/api/s/")


def write_key(environ: dict[str, Any]) -> str | None:
    """The write key in the headers: Basic's user name, the Authorization header itself, or X-Write-Key."""
    authorization = environ.get("HTTP_AUTHORIZATION", "").strip()
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            authorization = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            authorization = ""
    elif scheme.lower() == "bearer":
        authorization = credentials.strip()
    return authorization or environ.get("HTTP_X_WRITE_KEY", "").strip() or None


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """The body, unpacked when it is gzipped; at most `limit` bytes on the wire and at most as many unpacked.

    Raises RequestRefused: 413 before reading when the length is announced, else as soon as it is known.
    """
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    stream = environ["wsgi.input"]
    # A WSGI server need not end the stream for us; one that announces no length must (chunked bodies).
    body = stream.read(int(announced)) if announced.isdigit() else _read_at_most(stream, limit)
    if len(body) > limit:
        raise _too_large(limit)
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return _gunzip(body, limit)
    raise RequestRefused(415, "unsupported_encoding", "Content-Encoding must be gzip or left out.")


def _read_at_most(stream: Any, limit: int) -> bytes:
    pieces = []
    size = 0
    while size <= limit and (piece := stream.read(limit + 1 - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Unpack without ever holding more than `limit` bytes, so that a small bomb stays small."""
    unpacked = b""
    while body:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            unpacked += unpacker.decompress(body, limit + 1 - len(unpacked))
        except zlib.error:
            raise RequestRefused(
                400, "malformed_gzip", "Content-Encoding says gzip, but the body is not."
            ) from None
        if len(unpacked) > limit:
            raise _too_large(limit)
        if not unpacker.eof:
            raise RequestRefused(400, "malformed_gzip", "The gzipped body ends too early.")
        body = unpacker.unused_data  # gzip allows several members in a row
    return unpacked


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(413, "body_too_large", f"A body has at most {limit} bytes. Send smaller batches.")
