"""Server-side psycopg cursors on Django's own connection.

Django's cursor binds parameters on the client, which turns binary arrays into text and costs three to five times.
These cursors share Django's connection, so a transaction, a test and the ORM see the same thing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from psycopg.rows import RowFactory, namedtuple_row


@contextmanager
def cursor(
    row_factory: RowFactory[Any] = namedtuple_row, using: str = DEFAULT_DB_ALIAS
) -> Iterator[psycopg.Cursor[Any]]:
    """A plain psycopg cursor inside whatever transaction Django has open. Use `%b` for arrays."""
    wrapper = connections[using]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors, psycopg.Cursor(wrapper.connection, row_factory=row_factory) as cur:
        yield cur


@contextmanager
def unit_of_work(using: str = DEFAULT_DB_ALIAS) -> Iterator[psycopg.Cursor[Any]]:
    """One transaction and its cursor: commit on leaving, roll back on an error."""
    with transaction.atomic(using=using), cursor(using=using) as cur:
        yield cur


@contextmanager
def outage_in_a_line(logger: logging.Logger) -> Iterator[None]:
    """For tasks that beat rings again anyway: a lost connection or a deadlock is a line in the log, no traceback."""
    try:
        yield
    except OperationalError as error:
        logger.warning("The work waits for the database: %s", str(error).strip().partition("\n")[0])


def database_now(cur: psycopg.Cursor[Any]) -> Any:
    """The database's clock, read once per batch and passed down. Leases use `clock_timestamp()` in SQL instead."""
    cur.execute("SELECT clock_timestamp()")
    return cur.fetchone()[0]  # type: ignore[index]
