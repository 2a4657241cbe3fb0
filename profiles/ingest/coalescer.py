"""Many small requests, one commit: each waits for the flush that holds its events."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ajo.lib.pool import Unavailable
from profiles.ingest.decode import Event

logger = logging.getLogger(__name__)

MAX_FLUSH: Final = 1_000
_PATIENCE_SECONDS: Final = 30.0


class _Waiting:
    """The events of one request, and how their flush ended. `done` is locked until then: the cheapest of signals."""

    __slots__ = ("done", "error", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.error: Exception | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Coalescer:
    """Gives whatever waits to `flush`, at most MAX_FLUSH events at a time, in one thread of its own.

    While one flush commits the next one gathers, so there is no delay to set: alone a request is flushed at once.
    """

    def __init__(self, flush: Callable[[Sequence[Event]], None]) -> None:
        self._flush = flush
        self._queue: deque[_Waiting] = deque()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def store(self, events: Sequence[Event]) -> None:
        """Return when `events` are committed; raise `Unavailable` when their flush failed."""
        waiting = _Waiting(events)
        with self._condition:
            self._queue.append(waiting)
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # also in a forked child, which has no thread
                self._thread = threading.Thread(target=self._work, name="ingest flush", daemon=True)
                self._thread.start()
            self._condition.notify()
        if not waiting.done.acquire(timeout=_PATIENCE_SECONDS):
            raise Unavailable("The flush takes too long.")
        if waiting.error is not None:
            raise Unavailable(str(waiting.error)) from waiting.error

    def _work(self) -> None:
        while True:
            waiting = self._take()
            try:
                self._flush([event for one in waiting for event in one.events])
            except Exception as error:  # whatever it was, the requests must hear of it and the thread go on
                if not isinstance(error, Unavailable):
                    logger.exception("A flush of %s requests failed", len(waiting))
                for one in waiting:
                    one.error = error
            for one in waiting:
                one.done.release()

    def _take(self) -> list[_Waiting]:
        with self._condition:
            while not self._queue:
                self._condition.wait()
            taken = [self._queue.popleft()]
            size = len(taken[0].events)
            while self._queue and size + len(self._queue[0].events) <= MAX_FLUSH:
                taken.append(self._queue.popleft())
                size += len(taken[-1].events)
            return taken
