"""Signatures by the Standard Webhooks scheme: HMAC-SHA256 over id, time and body. Pure.

A secret is written `whsec_` and base64. Svix, and with it Resend, signs in the same way under other header names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"
TOLERANCE_SECONDS: Final = 300


def key_of(secret: str) -> bytes:
    """The bytes of a written secret. Raises ValueError when it is none, without repeating it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        raise ValueError("A signing secret is whsec_ and at least 16 bytes in base64.")
    return key


def sign(key: bytes, message_id: str, at: int, body: bytes) -> str:
    """The signature of one attempt, made at `at` (Unix seconds)."""
    signed = b"%s.%d.%s" % (message_id.encode(), at, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def is_signed(key: bytes, message_id: str, at: str, signatures: str, body: bytes, *, now: float) -> bool:
    """Whether one of the signatures, with spaces between them, is right and not older than five minutes."""
    if not (at.isascii() and at.isdigit()) or len(at) > 12 or abs(now - int(at)) > TOLERANCE_SECONDS:
        return False
    right = sign(key, message_id, int(at), body).encode()
    return any(hmac.compare_digest(right, each.encode(errors="replace")) for each in signatures.split(" "))
