"""Day partitions of the event tables. A flush whose id finds no partition fails, so they are made days ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from psycopg import sql as pgsql

from ajo.lib import sql
from ajo.lib.ids import uuid_floor

PARTITIONED = ("event", "profile_event")
DAYS_AHEAD = 7


def partition_name(table: str, day: datetime) -> str:
    return f"{table}_{day:%Y%m%d}"


def ensure_partitions(now: datetime, *, days_back: int = 1, days_ahead: int = DAYS_AHEAD) -> list[str]:
    """Make what is missing for the days around `now` (aware); returns the names of the partitions made.

    Idempotent and safe to run twice at once. Takes a short exclusive lock on the table only when it makes one.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight + timedelta(days=offset) for offset in range(-days_back, days_ahead + 1)]
    wanted = {partition_name(table, day): (table, day) for table in PARTITIONED for day in days}
    with sql.cursor() as cur:
        cur.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [list(wanted)]
        )
        missing = sorted(row.name for row in cur)
    if not missing:
        return []
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute("SELECT pg_advisory_xact_lock(hashtext('ajo partitions'))")
        for name in missing:
            table, day = wanted[name]
            cur.execute(
                pgsql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})"
                ).format(
                    pgsql.Identifier(name),
                    pgsql.Identifier(table),
                    pgsql.Literal(str(uuid_floor(day))),
                    pgsql.Literal(str(uuid_floor(day + timedelta(days=1)))),
                )
            )
    return missing
