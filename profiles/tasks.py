from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from ajo.lib import doorbell
from ajo.lib.claiming import drain
from profiles import keys, partitions
from profiles.stream import take_batch


@shared_task(ignore_result=True)
def drain_stream() -> None:
    if not drain(take_batch).is_empty:
        doorbell.ring(drain_stream.name)


@shared_task(ignore_result=True)
def make_partitions() -> None:
    partitions.ensure_partitions(timezone.now())


@shared_task(ignore_result=True)
def purge_event_keys() -> None:
    keys.purge(timezone.now())
