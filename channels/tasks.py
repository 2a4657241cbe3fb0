from __future__ import annotations

from functools import partial

from celery import shared_task

from ajo.lib import claiming, doorbell
from channels import delivery
from profiles.models import Channel


@shared_task(ignore_result=True)
def drain_email() -> None:
    """Send what is due by email; ring again when the time is up before the lane is empty."""
    drained = claiming.drain(partial(delivery.take_batch, Channel.EMAIL))
    if not drained.is_empty:
        doorbell.ring("channels.tasks.drain_email")
