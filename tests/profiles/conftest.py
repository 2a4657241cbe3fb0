from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest

from profiles import consumers, merging
from profiles.consumers import Consume, StreamEvent


@pytest.fixture(autouse=True)
def _only_this_room() -> Iterator[None]:
    """The rooms above are not asked: their consumers and merges are tested where they live."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumers, "_consumers", {})
        patch.setattr(merging, "_merges", {})
        yield


class Listener:
    """A consumer that remembers what it was handed, and what it kept after the savepoints were done."""

    def __init__(self) -> None:
        self.calls: list[list[StreamEvent]] = []

    def __call__(self, events: Sequence[StreamEvent], now: datetime) -> None:
        self.calls.append(list(events))

    @property
    def events(self) -> list[StreamEvent]:
        return [event for call in self.calls for event in call]


@pytest.fixture
def listener() -> Listener:
    listener = Listener()
    consume: Consume = listener
    consumers.register("listener", consume)
    return listener
