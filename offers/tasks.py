from __future__ import annotations

import logging
from datetime import datetime

from celery import shared_task

from ajo.lib import doorbell, sql
from ajo.lib.claiming import drain
from offers import capping, forgetting

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def release_expired_caps() -> None:
    """Give back what was held for offers that nobody showed in time."""
    with sql.outage_in_a_line(logger):
        if not drain(lambda: capping.release_expired(_now())).is_empty:
            doorbell.ring(release_expired_caps.name)


@shared_task(ignore_result=True)
def forget_decisions() -> None:
    """Old decisions, and counters of caps whose periods are over."""
    with sql.outage_in_a_line(logger):
        now = _now()
        forgetting.forget_decisions(now)
        forgetting.forget_counters(now)


def _now() -> datetime:
    with sql.cursor() as cur:
        return sql.database_now(cur)
