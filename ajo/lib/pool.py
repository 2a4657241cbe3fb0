"""Connections for the hot doors: psycopg's pool, made on first use in each process.

Django's connections belong to a thread and bind on the client; the hot doors take one of these for the length of one
statement instead.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg_pool import ConnectionPool

logger = logging.getLogger(__name__)

_RECONNECT_SECONDS = 3.0


class Unavailable(Exception):
    """The database is away, or too busy: nothing was stored for sure, the client must ask again."""


@contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Turns every error of the driver into `Unavailable`."""
    try:
        yield
    except psycopg.Error as error:
        logger.warning("A hot door lost the database: %s", in_words(error))
        raise Unavailable(in_words(error)) from error


def in_words(error: psycopg.Error) -> str:
    """What happened, without the values in it: they may be personal data, and this goes to the log."""
    return error.diag.message_primary or type(error).__name__


class HotPool:
    """A pool of autocommit connections to Django's database, at most `size` in each process.

    `settings` are set for the session of every connection, after `synchronous_commit = on`: what a hot door answered
    is durable whatever the server's own default is.
    """

    def __init__(
        self, *, size: int, settings: Mapping[str, str] | None = None, using: str = DEFAULT_DB_ALIAS
    ) -> None:
        self._size = size
        self._settings = {"synchronous_commit": "on", **(settings or {})}
        self._using = using
        self._lock = threading.Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        os.register_at_fork(after_in_child=self._forget)

    @contextmanager
    def connection(self, timeout: float) -> Iterator[psycopg.Connection[Any]]:
        """A connection of one's own; `psycopg.OperationalError` when none can be had within `timeout` seconds."""
        with self._opened().connection(timeout=timeout) as connection:
            yield connection

    def check(self) -> None:
        """Replace the idle connections that are dead. Call it after one was lost: the others probably are, too."""
        if pool := self._pool:
            pool.check()

    def close(self) -> None:
        """Close all connections; the next use opens the pool again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            atexit.unregister(self.close)
            pool.close()

    def _opened(self) -> ConnectionPool[psycopg.Connection[Any]]:
        if pool := self._pool:
            return pool
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    kwargs={**_parameters(self._using), "autocommit": True, "prepare_threshold": 0},
                    min_size=1,
                    max_size=self._size,
                    open=True,
                    configure=self._configure,
                    # After this long the pool gives up and tries anew for the next caller: its own pauses between
                    # attempts double without a bound, and would outlast a long outage by as much again.
                    reconnect_timeout=_RECONNECT_SECONDS,
                    name="hot",
                )
                atexit.register(self.close)
            return self._pool

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        for name, value in self._settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value], prepare=False)

    def _forget(self) -> None:
        """In a forked child: the sockets belong to the parent, and the pool's threads did not come along."""
        self._lock = threading.Lock()
        self._pool = None


def _parameters(using: str) -> dict[str, Any]:
    """What Django connects with, without what only Django's backend understands."""
    settings = connections[using].settings_dict
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    found = {names[key]: settings[key] for key in names if settings.get(key)}
    backend_only = {"pool", "isolation_level", "server_side_binding", "assume_role"}
    options = {key: value for key, value in settings.get("OPTIONS", {}).items() if key not in backend_only}
    return {"connect_timeout": 2, **options, **found}
