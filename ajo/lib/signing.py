"""Short signed numbers for addresses that anybody may open. Pure: keys come in, no settings are read.

A token is 28 characters of base64url: the number and a keyed hash of it. Each purpose has signatures of its own, so a
token that opens one door opens no other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

_NUMBER_BYTES = 8
_MARK_BYTES = 13
"""With the number 21 bytes, which base64 writes without padding and without spare bits: one token, one spelling."""
LENGTH = 28
_TOKEN = re.compile(r"[A-Za-z0-9_-]{28}", re.ASCII)


class Signer:
    """Signs with the first key and reads what any of them signed, so that a key can be replaced."""

    def __init__(self, purpose: str, keys: Sequence[str]) -> None:
        """`purpose`: at most 16 bytes. `keys`: secrets of any length, at least one."""
        # Hashed first, for a key of BLAKE2b has at most 64 bytes.
        self._hashes = [
            blake2b(
                digest_size=_MARK_BYTES,
                key=blake2b(key.encode(), digest_size=32).digest(),
                person=purpose.encode(),
            )
            for key in keys
        ]

    def sign(self, number: int) -> str:
        """The token of a number from 0 up to 2^63 - 1."""
        body = number.to_bytes(_NUMBER_BYTES, signed=True)
        return base64.urlsafe_b64encode(body + _mark(self._hashes[0], body)).decode()

    def read(self, token: str) -> int | None:
        """The number of a token; None unless one of our keys signed it for this purpose."""
        if not _TOKEN.fullmatch(token):
            return None
        signed = base64.urlsafe_b64decode(token)
        body, mark = signed[:_NUMBER_BYTES], signed[_NUMBER_BYTES:]
        # All are tried: how long it takes must not tell which key was the right one.
        is_ours = [compare_digest(mark, _mark(each, body)) for each in self._hashes]
        return int.from_bytes(body, signed=True) if any(is_ours) else None


def _mark(keyed: blake2b, body: bytes) -> bytes:
    copy = keyed.copy()
    copy.update(body)
    return copy.digest()
