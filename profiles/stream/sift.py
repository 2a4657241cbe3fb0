"""One bad event hurts only itself: telling data errors from others, and finding the event that causes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error as DjangoDatabaseError
from django.db import transaction

T = TypeVar("T")

# Ended by the clock, the memory or the machine: a smaller batch would not say which event is bad.
_NOT_THE_DATA = (SoftTimeLimitExceeded, MemoryError)
_DATA_CLASSES = ("22", "23", "54")  # data exception, integrity constraint violation, a value beyond a limit
_TIMEOUT = "57014"
_CONFLICT = "40"  # deadlock, serialization failure


def is_data_error(error: BaseException) -> bool:
    """True when the data of some event is to blame: a database error about a value, or an exception of our own."""
    if isinstance(error, _NOT_THE_DATA) or not isinstance(error, Exception):
        return False
    if not isinstance(error, psycopg.Error | DjangoDatabaseError):
        return True
    return _state(error).startswith(_DATA_CLASSES) and not _lacks_partition(error)


def is_deadlock(error: BaseException) -> bool:
    """True when the same transaction may simply run again."""
    return _state(error).startswith(_CONFLICT)


def counts_as_death(error: BaseException) -> bool:
    """True when the batch was too much for the worker: it would be for the next one as well."""
    return isinstance(error, _NOT_THE_DATA) or _state(error) == _TIMEOUT


def describe(error: BaseException) -> str:
    """One sentence for people. A database error without its DETAIL, which quotes the row."""
    cause = _cause(error)
    text = cause.diag.message_primary if isinstance(cause, psycopg.Error) else str(error)
    return f"{type(cause).__name__}: {text or 'no message'}"[:1_000]


def sift(
    items: Sequence[T], run: Callable[[Sequence[T]], object], refuse: Callable[[T, Exception], None]
) -> None:
    """Run `items` under a savepoint; on a data error halve them until the bad one is alone, and `refuse` it.

    The order stays. Whatever is not a data error passes.
    """
    if not items:
        return
    try:
        with transaction.atomic():
            run(items)
    except Exception as error:
        if not is_data_error(error):
            raise
        if len(items) == 1:
            refuse(items[0], error)
            return
        half = len(items) // 2
        sift(items[:half], run, refuse)
        sift(items[half:], run, refuse)


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, DjangoDatabaseError) and error.__cause__ else error


def _state(error: BaseException) -> str:
    return getattr(_cause(error), "sqlstate", None) or ""


def _lacks_partition(error: BaseException) -> bool:
    cause = _cause(error)
    return isinstance(cause, psycopg.errors.CheckViolation) and cause.diag.constraint_name is None
