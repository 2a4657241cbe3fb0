"""Events that the product writes itself, about a profile that it knows: feedback to messages, consent given or taken.

They take the way of every other event, so history, audiences and journeys see them with no extra wiring. They come
from no source with a row, name their profile directly (whoever it is merged into is found by the stream step), and
count the hops: how many of our own reactions led to them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ajo.lib import doorbell, sql
from ajo.lib.coalescing import Coalescer
from ajo.lib.ids import uuid7
from ajo.lib.pool import HotPool
from profiles.identity import UnusableIdentifier
from profiles.ingest.decode import Event
from profiles.ingest.event_types import EventTypes
from profiles.ingest.writer import STORE, STORE_UNKEYED, STREAM_TASK, Writer, parameters
from profiles.models import EventKey, EventKind, EventType, Source

_PREFIX = "profile:"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """What happened to a profile. The name begins with $, as no event that comes in from outside may.

    One with a `key` is stored once, however often it is told: for AJO_EVENT_KEY_DAYS days.
    """

    profile_id: int
    name: str
    properties: Mapping[str, Any]
    occurred_at: datetime
    hops: int = 0
    key: str = ""


def is_known(key: str) -> bool:
    """Whether something with this key was recorded, or noted."""
    return EventKey.objects.filter(source_id=Source.OWN, key_hash=_hash(key)).exists()


def note(key: str) -> None:
    """Remember a key of which there is no event."""
    EventKey.objects.bulk_create(
        [EventKey(source_id=Source.OWN, key_hash=_hash(key), event_id=uuid7())], ignore_conflicts=True
    )


def record(events: Sequence[OwnEvent]) -> None:
    """Store the events in the caller's transaction; the stream is woken on commit."""
    if not events:
        return
    types = {name: EventType.objects.get_or_create(name=name)[0].pk for name in {e.name for e in events}}
    rows = list(zip(uuid7.many(len(events)), _rows(events, types), strict=True))
    with sql.cursor() as cur:
        cur.execute(STORE if any(event.key for event in events) else STORE_UNKEYED, parameters(rows))
    doorbell.ring_on_commit(STREAM_TASK)


class Recorder:
    """Stores events for a hot door: many callers share one commit, and each returns after it."""

    def __init__(self, pool: HotPool) -> None:
        # Names of our own always find room, however many others the write keys have filled the table with.
        self._types = EventTypes(pool, limit=sys.maxsize)
        self._store = Coalescer(Writer(pool).store).submit

    def store(self, events: Sequence[OwnEvent]) -> None:
        """Return when the events are committed; raise `Unavailable` when that cannot be known."""
        self._store(_rows(events, self._types.ids({event.name for event in events})))


def _rows(events: Sequence[OwnEvent], types: Mapping[str, int]) -> list[Event]:
    return [
        Event(
            index=0,
            source_id=Source.OWN,
            key_hash=_hash(event.key) if event.key else os.urandom(16),
            kind=EventKind.TRACK.value,
            type_name=event.name,
            occurred_at=event.occurred_at,
            user_id=f"{_PREFIX}{event.profile_id}",
            anonymous_id=None,
            properties=_encode(event.properties).decode(),
            context=None,
            event_type_id=types[event.name],
            hops=event.hops,
        )
        for event in events
    ]


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(errors="replace"), digest_size=16).digest()


def profile_named(user_id: str | None) -> int:
    """The profile that an event of our own names."""
    number = (user_id or "").removeprefix(_PREFIX)
    if not number.isdecimal():
        raise UnusableIdentifier("The event is one of our own, but names no profile.")
    return int(number)
