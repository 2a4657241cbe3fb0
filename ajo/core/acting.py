"""Which API key acts in this request, for the audit trail: services know people alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_prefix: ContextVar[str] = ContextVar("api_key_prefix", default="")


@contextmanager
def request() -> Iterator[None]:
    """One request, in which nobody acts yet. A thread answers many, so what one set must not last."""
    token = _prefix.set("")
    try:
        yield
    finally:
        _prefix.reset(token)


def by_api_key(prefix: str) -> None:
    """From here to the end of the request the key with this prefix acts."""
    _prefix.set(prefix)


def api_key() -> str:
    """The prefix of the key that acts; empty for a person, a task or a command."""
    return _prefix.get()
