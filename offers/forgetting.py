"""Forgetting decisions that are AJO_DECISION_DAYS old, and counters of periods that are long over.

A decision's id tells when it was made, and so does whatever names it. Keys go days before the decisions that they lead
to: a key whose decision is gone would let everybody who asks with it be decided for anew, each time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings

from ajo.lib import purging
from ajo.lib.ids import uuid_floor
from offers.capping import EVER

DECISIONS_LONGER = timedelta(days=3)
"""Every key is met about once a day."""
COUNTERS = timedelta(days=100)
"""A month, and the longest time for which a message holds a cap, and as long again."""


def named_floor(now: datetime) -> UUID:
    """Decisions with an id below it are forgotten: whatever names them may go."""
    return uuid_floor(now - timedelta(days=settings.AJO_DECISION_DAYS))


def forget_decisions(now: datetime) -> int:
    """Delete old decisions with their keys and outcomes, a while of it; returns how many rows. The sums stay."""
    floor = uuid_floor(now - timedelta(days=settings.AJO_DECISION_DAYS) - DECISIONS_LONGER)
    return (
        purging.purge_pages("decision_key", "decision_id < %s", [named_floor(now)], now)
        + purging.purge_oldest("decision_outcome", "decision_id", floor)
        + purging.purge_oldest("decision", "id", floor)
    )


def forget_counters(now: datetime) -> int:
    """Delete the counters of periods that ended long ago; returns how many. Caps without an end stay."""
    first = (now.astimezone(UTC) - COUNTERS).date()
    return purging.purge_pages("cap_counter", "period < %s AND period > %s", [first, EVER], now)
