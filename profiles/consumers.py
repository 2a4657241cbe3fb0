"""News upwards: rooms above register here and are handed each batch of the stream, inside its transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec


class StreamEvent(NamedTuple):
    """One event of one (living, locked) profile. `properties` is the JSON object as it came in, and so is `device`, the
    `context.device` of an event that names a token to push to."""

    id: UUID
    batch_id: int
    source_id: int
    event_type_id: int
    kind: int
    hops: int
    occurred_at: datetime
    received_at: datetime
    profile_id: int
    properties: str
    device: str | None = None

    def decoded(self) -> dict[str, Any]:
        """The properties as Python values; numbers that are not whole become Decimal, so that cents stay cents."""
        return _decoder.decode(self.properties)


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

Consume = Callable[[Sequence[StreamEvent], datetime], None]
"""consume(events, now): called with the profiles of all events locked, under a savepoint. It keeps no state in memory
across calls, raises on bad data (the event is then found and quarantined) and lets database errors pass."""

_consumers: dict[str, Consume] = {}
_notetakers: set[str] = set()


def register(name: str, consume: Consume, *, reacts: bool = True) -> None:
    """Called in an app's ready(). A name stands once; registering it again replaces it (tests do).

    Events at the limit of hops are kept from consumers that react to events. One that only takes notes, from which
    nothing can follow, is registered with `reacts=False` and is handed them all.
    """
    _consumers[name] = consume
    (_notetakers.discard if reacts else _notetakers.add)(name)


def unregister(name: str) -> None:
    _consumers.pop(name, None)
    _notetakers.discard(name)


def registered() -> list[tuple[str, Consume]]:
    return list(_consumers.items())


def reacts(name: str) -> bool:
    return name not in _notetakers
