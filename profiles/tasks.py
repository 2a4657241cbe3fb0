from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from ajo.lib import doorbell, sql
from ajo.lib.claiming import drain
from profiles import keys, partitions
from profiles.audiences import services
from profiles.stream import take_batch

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def drain_stream() -> None:
    with sql.outage_in_a_line(logger):
        if not drain(take_batch).is_empty:
            doorbell.ring(drain_stream.name)


@shared_task(ignore_result=True)
def keep_audiences() -> None:
    """What time alone changes first, then a while of full evaluation, which may take long."""
    with sql.outage_in_a_line(logger):
        due = drain(services.evaluate_due, seconds=2.0)
        behind = drain(services.evaluate_range, seconds=2.0)
        if not (due.is_empty and behind.is_empty):
            doorbell.ring(keep_audiences.name)


@shared_task(ignore_result=True)
def make_partitions() -> None:
    partitions.ensure_partitions(timezone.now())


@shared_task(ignore_result=True)
def purge_event_keys() -> None:
    now = timezone.now()
    keys.purge(now)
    keys.purge_batches(now)
