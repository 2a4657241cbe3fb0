"""Whether each part of the product works: the one list behind `/healthz` and `GET /api/v1/status/`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

from celery import current_app
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from ajo.lib import sql

HEARTBEAT_SECONDS = 15
"""Beat rings every two seconds; a part silent for so long does not work."""
TIMEOUT_SECONDS = 2

# The mailbox is a neighbour; a proxy named in the environment could not reach it.
_opener = build_opener(ProxyHandler({}))
_WORKERS = {
    "engine": "The worker that reads events and moves journeys",
    "sender": "The worker that sends messages",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `problem` is empty when it works, else a sentence with the remedy."""

    name: str
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.problem


def check() -> list[Part]:
    """Ask every part, a few milliseconds each. What cannot be asked because the database is away is left out."""
    try:
        _check_database()
        parts = [Part("database"), _migrations(), *_workers()]
    except Error:
        parts = [Part("database", "The database does not answer. Start it, or correct DATABASE_URL.")]
    parts.append(_broker())
    if settings.AJO_MAILBOX_URL:
        parts.append(_mailbox())
    return parts


def silent_workers() -> list[str]:
    """Names of the workers without a fresh heartbeat. One statement."""
    with sql.cursor() as cur:
        cur.execute(
            "SELECT part FROM core_heartbeat WHERE beat_at > clock_timestamp() - make_interval(secs => %s)",
            [HEARTBEAT_SECONDS],
        )
        alive = {row.part for row in cur}
    return [name for name in _WORKERS if name not in alive]


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations() -> Part:
    missing = _migrations_on_disk() - set(MigrationRecorder(connection).applied_migrations())
    if not missing:
        return Part("migrations")
    app, name = min(missing)
    return Part(
        "migrations",
        f"{len(missing)} migrations are not applied, the first is {app}.{name}. Run `manage.py migrate`.",
    )


@functools.cache
def _migrations_on_disk() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


def _workers() -> Iterator[Part]:
    try:
        silent = silent_workers()
    except Error:  # the table comes with the first migration, which the line above already asks for
        silent = list(_WORKERS)
    for name, role in _WORKERS.items():
        problem = f"{role} has not reported for {HEARTBEAT_SECONDS} seconds. See `manage.py doctor`."
        yield Part(name, problem if name in silent else "")


def _broker() -> Part:
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=0, timeout=TIMEOUT_SECONDS)
            broker.default_channel.close()
    except Exception:  # every transport has errors of its own
        return Part(
            "broker",
            "The broker does not answer; events and messages wait in the database. Start it, or correct BROKER_URL.",
        )
    return Part("broker")


def _mailbox() -> Part:
    try:
        with _opener.open(f"{settings.AJO_MAILBOX_URL}/healthz", timeout=TIMEOUT_SECONDS):
            return Part("mailbox")
    except (OSError, HTTPException):
        return Part("mailbox", "The mailbox does not answer. Restart the product, or unset AJO_MAILBOX_URL.")
