"""Helpers for tests: counting statements, waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import psycopg


@contextmanager
def count_statements() -> Iterator[list[str]]:
    """Collects the text of every statement that psycopg executes, Django's and the engine's alike."""
    seen: list[str] = []
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def spy(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(query))
        return execute(self, query, *args, **kwargs)

    def spy_many(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(query))
        return executemany(self, query, *args, **kwargs)

    with (
        mock.patch.object(psycopg.Cursor, "execute", spy),
        mock.patch.object(psycopg.Cursor, "executemany", spy_many),
    ):
        yield seen


def wait_until(condition: Callable[[], Any], *, seconds: float = 10.0, what: str = "the condition") -> Any:
    """Poll until `condition()` is true and return its value; fail with a sentence when it never is."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"Waited {seconds} s for {what}.")
