"""Many small requests, one commit: each waits for the flush that holds its events."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from ajo.lib.pool import Unavailable
from profiles.ingest.decode import Event

logger = logging.getLogger(__name__)

FULL_FLUSH: Final = 1_000
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
    """Gives whatever waits to `flush`, in one thread of its own; a flush with FULL_FLUSH events takes no more.

    While one flush commits the next one gathers, so there is no delay to set: alone a request is flushed at once.
    """

    def __init__(self, flush: Callable[[Sequence[Event]], None]) -> None:
        self._flush = flush
        self._queue: SimpleQueue[_Waiting] = (
            SimpleQueue()
        )  # a lock around a deque made the requests queue for the lock
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def store(self, events: Sequence[Event]) -> None:
        """Return when `events` are committed; raise `Unavailable` when their flush failed."""
        waiting = _Waiting(events)
        self._queue.put(waiting)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if not waiting.done.acquire(timeout=_PATIENCE_SECONDS):
            raise Unavailable("The flush takes too long.")
        if waiting.error is not None:
            raise Unavailable(str(waiting.error)) from waiting.error

    def _start(self) -> None:
        """Start the thread: at the first request, also in a forked child, for threads do not come along."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="ingest flush", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            waiting = self._take()
            try:
                self._flush([event for one in waiting for event in one.events])
            except Exception as error:  # whatever it was, the requests must hear of it and the thread go on
                if isinstance(error, Unavailable):
                    # Those that came meanwhile have waited as well; another round of attempts would outlast a client.
                    waiting += self._more()
                else:
                    logger.exception("A flush of %s requests failed", len(waiting))
                for one in waiting:
                    one.error = error
            for one in waiting:
                one.done.release()

    def _take(self) -> list[_Waiting]:
        first = self._queue.get()
        return [first, *self._more(FULL_FLUSH - len(first.events))]

    def _more(self, events: float = math.inf) -> list[_Waiting]:
        """What waits, in its order, until it holds `events` events."""
        taken: list[_Waiting] = []
        try:
            while events > 0:
                taken.append(self._queue.get_nowait())
                events -= len(taken[-1].events)
        except Empty:
            pass
        return taken
