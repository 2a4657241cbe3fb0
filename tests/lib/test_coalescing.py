from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ajo.lib.coalescing import FULL_FLUSH, Coalescer
from ajo.lib.pool import Unavailable
from profiles.ingest.decode import Event
from tests.profiles.ingest.test_writer import event
from tests.support import wait_until


class Flushes:
    """Remembers the size of every flush; holds the first one until it may end."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.may_end = threading.Event()
        self.error: Exception | None = None

    def __call__(self, events: Sequence[Event]) -> None:
        self.sizes.append(len(events))
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error


def post(coalescer: Coalescer[Event], count: int, ended: list[object]) -> threading.Thread:
    def store() -> None:
        try:
            coalescer.submit([event(number) for number in range(count)])
            ended.append(None)
        except Unavailable as error:
            ended.append(error)

    thread = threading.Thread(target=store)
    thread.start()
    return thread


def waiting(coalescer: Coalescer[Event]) -> int:
    return coalescer._queue.qsize()


def test_what_waits_is_flushed_together_and_answered_after_the_flush() -> None:
    flushes = Flushes()
    coalescer = Coalescer(flushes)
    ended: list[object] = []
    threads = [post(coalescer, 1, ended)]
    wait_until(lambda: flushes.sizes == [1])
    threads += [post(coalescer, 2, ended) for _ in range(20)]
    wait_until(lambda: waiting(coalescer) == 20)
    assert ended == []
    flushes.may_end.set()
    for thread in threads:
        thread.join(10)
    assert flushes.sizes == [1, 40]
    assert ended == [None] * 21


def test_a_flush_has_a_limit() -> None:
    flushes = Flushes()
    coalescer = Coalescer(flushes)
    ended: list[object] = []
    threads = [post(coalescer, 1, ended)]
    wait_until(lambda: flushes.sizes == [1])
    threads += [post(coalescer, FULL_FLUSH // 2, ended) for _ in range(3)]
    wait_until(lambda: waiting(coalescer) == 3)
    flushes.may_end.set()
    for thread in threads:
        thread.join(10)
    assert flushes.sizes == [1, FULL_FLUSH, FULL_FLUSH // 2]


@pytest.mark.parametrize("error", [Unavailable("away"), ZeroDivisionError("a mistake")])
def test_every_request_of_a_failed_flush_hears_of_it_and_the_next_flush_works(error: Exception) -> None:
    flushes = Flushes()
    flushes.error = error
    flushes.may_end.set()
    coalescer = Coalescer(flushes)
    ended: list[object] = []
    threads = [post(coalescer, 1, ended) for _ in range(3)]
    for thread in threads:
        thread.join(10)
    assert [type(one) for one in ended] == [Unavailable] * 3
    flushes.error = None
    coalescer.submit([event(1)])


def test_those_that_came_during_a_failing_flush_hear_of_it_at_once() -> None:
    flushes = Flushes()
    flushes.error = Unavailable("away")
    coalescer = Coalescer(flushes)
    ended: list[object] = []
    threads = [post(coalescer, 1, ended)]
    wait_until(lambda: flushes.sizes == [1])
    threads += [post(coalescer, 2, ended) for _ in range(5)]
    wait_until(lambda: waiting(coalescer) == 5)
    flushes.may_end.set()
    for thread in threads:
        thread.join(10)
    assert [type(one) for one in ended] == [Unavailable] * 6
    assert flushes.sizes == [1]
