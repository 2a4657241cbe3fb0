from __future__ import annotations

from datetime import timedelta

from axes.models import AccessAttempt
from celery import shared_task
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

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


@shared_task(ignore_result=True)
def purge_sign_ins() -> None:
    """Sessions that are over, and wrong passwords that lock nobody any more."""
    now = timezone.now()
    Session.objects.filter(expire_date__lt=now).delete()
    AccessAttempt.objects.filter(
        attempt_time__lt=now - settings.AXES_COOLOFF_TIME - timedelta(days=1)
    ).delete()
