from __future__ import annotations

import logging
from datetime import datetime

from celery import shared_task

from ajo.lib import doorbell, sql
from ajo.lib.claiming import drain
from journeys import readings, runner, services, tallies

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def tick_journeys() -> None:
    """Advance everybody whose wait is over."""
    with sql.outage_in_a_line(logger):
        if not drain(lambda: runner.take_due_batch(_now())).is_empty:
            doorbell.ring(tick_journeys.name)


@shared_task(ignore_result=True)
def read_audiences() -> None:
    """Let in the audiences that business events have opened journeys for."""
    with sql.outage_in_a_line(logger):
        if not drain(lambda: readings.read_piece(_now())).is_empty:
            doorbell.ring(read_audiences.name)


@shared_task(ignore_result=True)
def settle_versions() -> None:
    """Finish closed versions that are empty, and stops that were too large for one call."""
    services.settle_versions(now=_now())


@shared_task(ignore_result=True)
def fold_step_counts() -> None:
    """Add the counts of new steps to the others."""
    with sql.outage_in_a_line(logger):
        if not drain(tallies.fold_step_counts).is_empty:
            doorbell.ring(fold_step_counts.name)


def _now() -> datetime:
    with sql.cursor() as cur:
        return sql.database_now(cur)
