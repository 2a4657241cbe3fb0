from __future__ import annotations

import logging
from datetime import datetime

from celery import shared_task

from ajo.lib import doorbell, sql
from ajo.lib.claiming import drain
from campaigns import runs, services

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def start_due_runs() -> None:
    """Begin the runs that are due."""
    with sql.outage_in_a_line(logger):
        runs.start_due_runs(_now())


@shared_task(ignore_result=True)
def freeze_recipients() -> None:
    """Write the recipients of runs that have begun."""
    with sql.outage_in_a_line(logger):
        if not drain(lambda: runs.freeze_next(_now())).is_empty:
            doorbell.ring(freeze_recipients.name)


@shared_task(ignore_result=True)
def settle_runs() -> None:
    """Finish what is over, and stops that were interrupted."""
    with sql.outage_in_a_line(logger):
        services.settle(_now())


def _now() -> datetime:
    with sql.cursor() as cur:
        return sql.database_now(cur)
