"""Which source a write key belongs to, remembered for a few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ajo.lib.pool import HotPool, Unavailable, unavailable_when_lost

REMEMBERED_SECONDS: Final = 5.0
_LOOKUP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class KnownSource:
    id: int
    is_active: bool
    read_at: float


class Sources:
    """Write key → source. A change in the table counts everywhere after REMEMBERED_SECONDS.

    Only keys that exist are remembered, so made-up keys cannot fill the memory; they are looked up one at a time, so
    they cannot take all connections either.
    """

    def __init__(self, pool: HotPool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._known: dict[str, KnownSource] = {}
        self._lookup = threading.Lock()

    def find(self, write_key: str) -> KnownSource | None:
        """The source of a write key, or None. Raises `Unavailable` when the database is away and the key not known."""
        known = self._known.get(write_key)
        if known is not None and self._clock() - known.read_at < REMEMBERED_SECONDS:
            return known
        if "\0" in write_key:
            return None
        if not self._lookup.acquire(timeout=_LOOKUP_SECONDS):
            raise Unavailable("Looking up write keys takes too long.")
        try:
            again = self._known.get(write_key)
            if again is not known:  # another request has just looked it up
                return again
            return self._read(write_key)
        except Unavailable:
            if known is None:
                raise
            # Nothing has changed that could be known, and one request that waits for the answer is enough.
            return self._remember(write_key, known.id, known.is_active)
        finally:
            self._lookup.release()

    def forget(self) -> None:
        """Look every key up again."""
        self._known.clear()

    def _read(self, write_key: str) -> KnownSource | None:
        with unavailable_when_lost(), self._pool.connection(_LOOKUP_SECONDS) as connection:
            row = connection.execute(
                "SELECT id, is_active FROM profiles_source WHERE write_key = %s", [write_key]
            ).fetchone()
        if row is None:
            self._known.pop(write_key, None)
            return None
        return self._remember(write_key, *row)

    def _remember(self, write_key: str, id: int, is_active: bool) -> KnownSource:
        source = KnownSource(id, is_active, self._clock())
        self._known[write_key] = source
        return source
