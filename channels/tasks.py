from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from celery import shared_task
from django.utils import timezone

from ajo.lib import claiming, doorbell, sql
from channels import counting, delivery, mailings, shown_offers
from profiles.models import Channel

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def drain_email() -> None:
    _drain(Channel.EMAIL, drain_email.name)


@shared_task(ignore_result=True)
def drain_sms() -> None:
    _drain(Channel.SMS, drain_sms.name)


@shared_task(ignore_result=True)
def drain_push() -> None:
    _drain(Channel.PUSH, drain_push.name)


@shared_task(ignore_result=True)
def drain_webhook() -> None:
    _drain(Channel.WEBHOOK, drain_webhook.name)


@shared_task(ignore_result=True)
def drain_direct_mail() -> None:
    _drain(Channel.DIRECT_MAIL, drain_direct_mail.name)


def _drain(lane: Channel, task: str) -> None:
    """Send what is due in a lane; ring again when the time is up before it is empty."""
    with sql.outage_in_a_line(logger):
        if not claiming.drain(partial(delivery.take_batch, lane)).is_empty:
            doorbell.ring(task)


@shared_task(ignore_result=True)
def fold_message_counts() -> None:
    """Add the counts of messages that changed to the others."""
    with sql.outage_in_a_line(logger):
        if not claiming.drain(counting.fold_message_counts).is_empty:
            doorbell.ring(fold_message_counts.name)


@shared_task(ignore_result=True)
def close_mailings() -> None:
    """Complete the files of direct mail."""
    with sql.outage_in_a_line(logger):
        mailings.close_mailings(timezone.now())


@shared_task(ignore_result=True)
def settle_offers() -> None:
    """Tell offers which messages that show them went out."""
    with sql.outage_in_a_line(logger):
        if not claiming.drain(lambda: shown_offers.settle(_now())).is_empty:
            doorbell.ring(settle_offers.name)


@shared_task(ignore_result=True)
def forget_shown_offers() -> None:
    """Which decision old messages showed."""
    with sql.outage_in_a_line(logger):
        shown_offers.forget(_now())


def _now() -> datetime:
    with sql.cursor() as cur:
        return sql.database_now(cur)
