from __future__ import annotations

import logging
from functools import partial

from celery import shared_task

from ajo.lib import claiming, doorbell, sql
from channels import delivery
from profiles.models import Channel

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def drain_email() -> None:
    """Send what is due by email; ring again when the time is up before the lane is empty."""
    with sql.outage_in_a_line(logger):
        if not claiming.drain(partial(delivery.take_batch, Channel.EMAIL)).is_empty:
            doorbell.ring(drain_email.name)
