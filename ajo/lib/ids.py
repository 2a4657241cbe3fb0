"""UUIDv7 ids: 48 bits of milliseconds, then a counter and randomness. They sort by time of making."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_COUNTER_BITS = 42  # rand_a (12) and the first 30 bits of rand_b, used as one counter within a millisecond


class UUID7Factory:
    """Makes ids that rise strictly within a process, so that a batch is the range first_id..last_id."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def __call__(self) -> UUID:
        return self.many(1)[0]

    def many(self, count: int) -> list[UUID]:
        """`count` ids in rising order; nobody else's id of this process falls between them."""
        with self._lock:
            now_ms = self._clock() // 1_000_000
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._counter = secrets.randbits(_COUNTER_BITS - 2)  # room to count upwards
            ms, start = self._last_ms, self._counter + 1
            self._counter += count
        tail = secrets.randbits(32)
        return [_compose(ms, start + i, tail) for i in range(count)]


def _compose(ms: int, counter: int, tail: int) -> UUID:
    high, low = counter >> 30, counter & 0x3FFFFFFF
    return UUID(int=(ms << 80) | _VERSION_AND_VARIANT | (high << 64) | (low << 32) | tail)


uuid7 = UUID7Factory()


def uuid_floor(at: datetime) -> UUID:
    """The lowest UUID that a UUIDv7 made at `at` (aware) or later can have: a bound for partitions and for ages."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
