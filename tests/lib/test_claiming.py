from __future__ import annotations

from itertools import count

from ajo.lib.claiming import Drained, drain


def test_it_stops_when_a_batch_is_empty() -> None:
    batches = iter([5, 3, 0, 9])
    assert drain(lambda: next(batches)) == Drained(items=8, batches=2, is_empty=True)


def test_it_stops_at_the_limit_of_batches_and_says_that_work_is_left() -> None:
    assert drain(lambda: 2, batches=3) == Drained(items=6, batches=3, is_empty=False)


def test_it_stops_when_the_time_is_up_but_finishes_the_batch() -> None:
    clock = count(0, 2)
    assert drain(lambda: 1, seconds=5, clock=lambda: next(clock)) == Drained(
        items=3, batches=3, is_empty=False
    )
