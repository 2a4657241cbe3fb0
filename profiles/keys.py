"""Forgetting old message ids, and the flushes that brought them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from ajo.lib import purging, sql
from ajo.lib.ids import uuid_floor
from profiles.models import IngestBatch

BATCHES_LONGER = timedelta(days=7)
"""The oldest batch tells whether any key is old, so batches outlive the keys by more than these live too long."""
_DONE = IngestBatch.State.DONE.value

_HAS_OLD = """
SELECT EXISTS (SELECT FROM profiles_ingestbatch WHERE id = (SELECT min(id) FROM profiles_ingestbatch) AND last_id < %b)
"""


def purge(now: datetime) -> int:
    """Delete the keys of events older than AJO_EVENT_KEY_DAYS; returns how many.

    Every key is met about once a day. One that lives longer makes a repeat be recognised longer.
    """
    floor = uuid_floor(now - timedelta(days=settings.AJO_EVENT_KEY_DAYS))
    with sql.cursor() as cur:
        cur.execute(_HAS_OLD, [floor])
        if not cur.fetchall()[0][0]:
            return 0
    return purging.purge_pages("profiles_eventkey", "event_id < %s", [floor], now)


def purge_batches(now: datetime) -> int:
    """Delete the records of flushes that are worked off, some days after their keys; returns how many."""
    floor = uuid_floor(now - timedelta(days=settings.AJO_EVENT_KEY_DAYS) - BATCHES_LONGER)
    return purging.purge_pages("profiles_ingestbatch", "state = %s AND last_id < %s", [_DONE, floor], now)
