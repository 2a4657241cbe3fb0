"""Events that are about no single person: a ride closes, a product is back in stock.

They never reach the stream. Rooms above register here and are told of each one in the transaction that stores it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from ajo.lib import sql
from ajo.lib.ids import uuid7
from profiles.models import BusinessEvent, EventKind, EventType, Source

# In a statement of its own: a report of the same that is in flight is waited for, and then seen.
_ADD = """
INSERT INTO business_event (id, message_id, event_type_id, occurred_at, received_at) VALUES (%b, %b, %b, %b, %b)
ON CONFLICT (message_id) DO NOTHING RETURNING id
"""
# No batch has the number 0, so the stream never takes it up.
_STORE = """
INSERT INTO event (id, batch_id, source_id, event_type_id, kind, occurred_at, properties, hops)
VALUES (%b, 0, %b, %b, %b, %b, %b::jsonb, 0)
"""

Told = Callable[[BusinessEvent, datetime], None]
"""told(event, now): what a room notes of it, in the same transaction."""

_told: dict[str, Told] = {}


def register(name: str, told: Told) -> None:
    """Called in an app's ready()."""
    _told[name] = told


def report(
    *,
    name: str,
    properties: Mapping[str, Any],
    now: datetime,
    occurred_at: datetime | None = None,
    message_id: str = "",
) -> tuple[BusinessEvent, bool]:
    """Store what happened; returns it, and whether it is new. A `message_id` that is known is of the same event."""
    event_id = uuid7()
    with transaction.atomic(), sql.cursor() as cur:
        event_type = EventType.objects.get_or_create(name=name)[0]
        event = BusinessEvent(
            id=event_id,
            message_id=message_id or str(event_id),
            event_type=event_type,
            occurred_at=min(occurred_at or now, now),
            received_at=now,
        )
        cur.execute(
            _ADD,
            [event.id, event.message_id, event_type.pk, event.occurred_at, event.received_at],
            binary=True,
        )
        if cur.fetchone() is None:
            return BusinessEvent.objects.select_related("event_type").get(message_id=event.message_id), False
        text = msgspec.json.encode(properties).decode()
        cur.execute(
            _STORE,
            [event.id, int(Source.OWN), event_type.pk, EventKind.BUSINESS.value, event.occurred_at, text],
        )
        for told in _told.values():
            told(event, now)
    return event, True


def properties_of(event_id: UUID) -> str:
    """The JSON text of its properties."""
    with sql.cursor() as cur:
        cur.execute("SELECT properties::text FROM event WHERE id = %b", [event_id])
        return str(cur.fetchall()[0][0])
