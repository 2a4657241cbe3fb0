"""Many small requests, one commit: each waits for the flush that holds its items."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from ajo.lib.pool import Unavailable

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

FULL_FLUSH: Final = 1_000
_PATIENCE_SECONDS: Final = 30.0


class _Waiting(Generic[Item]):
    """The items of one request, and how their flush ended. `done` is locked until then: the cheapest of signals."""

    __slots__ = ("done", "error", "items")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.error: Exception | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Coalescer(Generic[Item]):
    """Gives whatever waits to `flush`, in one thread of its own; a flush with `full` items takes no more.

    While one flush commits the next one gathers, so there is no delay to set: alone a request is flushed at once.
    """

    def __init__(self, flush: Callable[[Sequence[Item]], None], full: int = FULL_FLUSH) -> None:
        self._flush = flush
        self._full = full
        self._queue: SimpleQueue[_Waiting[Item]] = (
            SimpleQueue()
        )  # a lock around a deque made the requests queue for the lock
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, items: Sequence[Item]) -> None:
        """Return when the flush of `items` is over; raise `Unavailable` when it failed."""
        waiting = _Waiting(items)
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
                self._thread = threading.Thread(target=self._work, name="flush", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            waiting = self._take()
            try:
                self._flush([item for one in waiting for item in one.items])
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

    def _take(self) -> list[_Waiting[Item]]:
        first = self._queue.get()
        return [first, *self._more(self._full - len(first.items))]

    def _more(self, items: float = math.inf) -> list[_Waiting[Item]]:
        """What waits, in its order, until it holds `items` items."""
        taken: list[_Waiting[Item]] = []
        try:
            while items > 0:
                taken.append(self._queue.get_nowait())
                items -= len(taken[-1].items)
        except Empty:
            pass
        return taken
