"""What the contents of a batch may use, gathered in a constant number of statements before anything is rendered.

Whatever a content can name beside the profile comes in here: a new kind of value is one more set in `gather`, read for
all messages at once, and one more name in `Values.of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ajo.lib import sql
from channels.delivery.outbox import Loaded
from channels.liquid import decode_values
from channels.rendering import Compiled, Sender
from channels.tracking.tokens import Addresses


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a batch's messages."""

    properties: Mapping[UUID, str]
    """The properties of the events that the messages are about, as JSON."""

    def of(
        self, message: Loaded, profile: Mapping[str, Any], sender: Sender, public: Addresses
    ) -> dict[str, object]:
        """What the content of one message finds under its names. `profile` are the decoded attributes."""
        return {
            "profile": profile,
            "event": decoded(self.properties.get(message.event_id) if message.event_id else None),
            "context": decoded(message.context),
            "brand": {"name": sender.name, "address": sender.address},
            "unsubscribe_url": public.unsubscribe_url,
            "preferences_url": public.preferences_url,
        }


def gather(messages: Sequence[Loaded], compiled: Mapping[int, Compiled], now: datetime) -> Values:
    """The values for all messages of a batch; `compiled` are their contents by variant."""
    return Values(properties=_event_properties({each.event_id for each in messages if each.event_id}))


def _event_properties(event_ids: set[UUID]) -> dict[UUID, str]:
    if not event_ids:
        return {}
    with sql.cursor() as cur:
        cur.execute("SELECT id, properties::text FROM event WHERE id = ANY(%b::uuid[])", [sorted(event_ids)])
        return dict(cur.fetchall())


def decoded(text: str | None) -> dict[str, Any]:
    """The JSON object; nothing when it is none, which content shows as empty values."""
    try:
        return decode_values(text) if text else {}
    except msgspec.ValidationError:
        return {}
