from __future__ import annotations

from celery import shared_task

from ajo.core.rest import idempotency
from ajo.core.services import record_heartbeat


@shared_task(ignore_result=True)
def beat_engine() -> None:
    record_heartbeat("engine")


@shared_task(ignore_result=True)
def beat_sender() -> None:
    record_heartbeat("sender")


@shared_task(ignore_result=True)
def purge_idempotency_keys() -> None:
    while idempotency.purge():
        pass
