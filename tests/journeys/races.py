"""Two transactions at once: threads with connections of their own, and steps held in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from journeys.activities.base import Activity, Outcome, Place, Wake, Walk

A_WHILE = 0.3


def start(workers: ThreadPoolExecutor, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Run `work` in a thread whose connection is closed at its end."""

    def run() -> Any:
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return workers.submit(run)


def is_blocked(future: Future[Any]) -> bool:
    """Whether it still waits after a while; raises what it raised."""
    try:
        future.result(A_WHILE)
    except NotDone:
        return True
    return False


class Gate:
    """Holds an activity's steps of one kind of wake-up in the middle of their transaction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, activity: type[Activity], wake: Wake) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        step = activity.step

        def held(box: Activity, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
            if walks[0].wake is wake:
                self.reached.set()
                assert self.opened.wait(10)
            return step(box, walks, place, now)

        monkeypatch.setattr(activity, "step", held)

    def await_reached(self) -> None:
        assert self.reached.wait(10)

    def open(self) -> None:
        self.opened.set()
