"""Puts events into the database as the ingest door leaves them, without the door."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ajo.lib import sql
from ajo.lib.ids import uuid7
from profiles.models import RESERVED_EVENT_TYPES, EventKind, EventType, IngestBatch
from tests.factories import NOW, as_json


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Segment's spec. `properties` is what the door stores there; a string is JSON as it came in."""

    kind: EventKind
    user_id: str | None = None
    anonymous_id: str | None = None
    name: str = ""
    properties: dict[str, Any] | str = field(default_factory=dict)
    context: dict[str, Any] | None = None
    at: datetime = NOW
    hops: int = 0


def track(user_id: str | None = None, name: str = "Viewed", *, anon: str | None = None, **rest: Any) -> Call:
    return Call(EventKind.TRACK, user_id, anon, name, **rest)


def identify(user_id: str | None = None, traits: Any = None, *, anon: str | None = None, **rest: Any) -> Call:
    return Call(EventKind.IDENTIFY, user_id, anon, properties={} if traits is None else traits, **rest)


def alias(previous_id: str, user_id: str | None = None, *, anon: str | None = None) -> Call:
    return Call(EventKind.ALIAS, user_id, anon, properties={"previousId": previous_id})


def store(*calls: Call, source_id: int = 1, received_at: datetime | None = None) -> IngestBatch:
    """One waiting batch of these calls, with rising ids."""
    ids = uuid7.many(max(len(calls), 1))
    batch = IngestBatch.objects.create(
        source_id=source_id,
        n=len(calls),
        first_id=ids[0],
        last_id=ids[-1],
        received_at=received_at or NOW + timedelta(seconds=1),
    )
    types = event_types({name_of(call) for call in calls})
    with sql.cursor() as cur:
        cur.executemany(
            "INSERT INTO event (id, batch_id, source_id, event_type_id, kind, hops, occurred_at, user_id, anonymous_id,"
            " properties, context) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb)",
            [_row(call, id, batch, types) for call, id in zip(calls, ids, strict=False)],
        )
    return batch


def name_of(call: Call) -> str:
    return call.name or RESERVED_EVENT_TYPES[call.kind]


def event_types(names: Iterable[str]) -> dict[str, int]:
    EventType.objects.bulk_create([EventType(name=name) for name in sorted(names)], ignore_conflicts=True)
    return dict(EventType.objects.filter(name__in=names).values_list("name", "id"))


def _row(call: Call, id: UUID, batch: IngestBatch, types: dict[str, int]) -> tuple[Any, ...]:
    properties = call.properties if isinstance(call.properties, str) else as_json(call.properties)
    return (
        id,
        batch.id,
        batch.source_id,
        types[name_of(call)],
        int(call.kind),
        call.hops,
        call.at,
        call.user_id,
        call.anonymous_id,
        properties,
        None if call.context is None else as_json(call.context),
    )
