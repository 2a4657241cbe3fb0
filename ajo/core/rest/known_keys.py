"""API keys as the hot doors know them: looked up once in a while, not once a call."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from ajo.core.models import ApiKey

REMEMBERED_SECONDS: Final = 3.0
_MAX_KNOWN: Final = 1_000


@dataclass(frozen=True, slots=True)
class KnownKey:
    prefix: str
    scopes: frozenset[str]
    read_at: float


class KnownKeys:
    """Secret → key. A key that is revoked, expires or loses a scope counts here for REMEMBERED_SECONDS more.

    Only good keys are remembered, by a hash of their secret; bad ones are looked up one at a time, so that they can
    neither fill the memory nor take all connections.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[bytes, KnownKey] = {}
        self._lookup = threading.Lock()

    def find(self, secret: str) -> KnownKey | None:
        """The key of a secret; None for one that is unknown, revoked or expired. Lets database errors pass."""
        if not (secret.isascii() and secret.isprintable()):
            return None
        name = hashlib.sha256(secret.encode()).digest()
        known = self._known.get(name)
        if known is not None and self._clock() - known.read_at < REMEMBERED_SECONDS:
            return known
        with self._lookup:
            if (again := self._known.get(name)) is not known:  # another call has just looked it up
                return again
            self._known.pop(name, None)
            try:
                key = cast(ApiKey, ApiKey.objects.get_from_key(secret))
            except ApiKey.DoesNotExist:
                return None
            if key.has_expired:
                return None
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            found = KnownKey(key.prefix, frozenset(key.scopes), self._clock())
            self._known[name] = found
            return found
