"""Ringing Celery without ever waiting for it.

A ring says only "look at your table". It is given by a thread of its own, at most once per `pause` for each task, and
may be lost: beat rings every second anyway.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)


class Doorbell:
    """Collects rings and hands each task name on once per `pause` seconds."""

    def __init__(self, send: Callable[[str], None], pause: float = 0.05) -> None:
        self._send = send
        self._pause = pause
        self._wanted: set[str] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, task_name: str) -> None:
        """Return at once; the task is sent soon, or not at all when the broker is down."""
        with self._condition:
            self._wanted.add(task_name)
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # also in a forked child, which has no thread
                self._thread = threading.Thread(target=self._work, name="doorbell", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._wanted:
                    self._condition.wait()
                names, self._wanted = self._wanted, set()
            for name in names:
                try:
                    self._send(name)
                except Exception as error:  # whatever the broker's client raises, beat rings within a second
                    logger.warning("The doorbell for %s did not ring: %s", name, error)
            time.sleep(self._pause)


def _send(task_name: str) -> None:
    current_app.send_task(task_name, expires=30)


_doorbell = Doorbell(_send)


def ring(task_name: str) -> None:
    """Wake `task_name` now. Call it after the commit; `ring_on_commit` does that."""
    _doorbell.ring(task_name)


def ring_on_commit(task_name: str) -> None:
    """Wake `task_name` once the open transaction is committed, or now when there is none."""
    transaction.on_commit(lambda: ring(task_name))
