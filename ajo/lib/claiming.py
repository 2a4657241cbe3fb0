"""The loop of every drain task: take batches until the table is empty or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Drained:
    items: int
    batches: int
    is_empty: bool
    """False when the loop stopped because of its limits: ring again."""


def drain(
    take_batch: Callable[[], int],
    *,
    seconds: float = 5.0,
    batches: int = 1_000,
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Call `take_batch` (which claims, works, commits and returns how many items it took) until it returns 0."""
    items = 0
    ends_at = clock() + seconds
    for done in range(batches):
        taken = take_batch()
        if not taken:
            return Drained(items=items, batches=done, is_empty=True)
        items += taken
        if clock() >= ends_at:
            return Drained(items=items, batches=done + 1, is_empty=False)
    return Drained(items=items, batches=batches, is_empty=False)
