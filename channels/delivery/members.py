"""The outbox for crowds: one statement writes the messages of people that it selects itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from channels.delivery import languages
from channels.delivery.outbox import State, wake_senders

_ENQUEUE = f"""
WITH RECURSIVE {{recipients}}, {languages.VARIANTS.format(which="= %(variant_id)b")}, made AS (
    INSERT INTO message (profile_id, cause_kind, cause_id, activity, visit, channel, origin_id,
        configuration_id, variant_id, message_class, context, created_at)
    SELECT r.profile_id, %(cause_kind)b, %(cause_id)b, '', 1, %(channel)b, %(origin_id)b,
        %(configuration_id)b, {languages.CHOSEN.format(variant_id="%(variant_id)b", profile_id="r.profile_id")},
        %(message_class)b, %(context)b::jsonb, %(now)b
    FROM recipient r ORDER BY r.profile_id
    ON CONFLICT (profile_id, cause_kind, cause_id, activity, visit, channel) DO NOTHING
    RETURNING id
), queued AS (
    INSERT INTO message_due (message_id, lane, due_at) SELECT id, %(channel)b, %(now)b FROM made
)
{{then}}
"""
# What somebody else has locked is in work already.
_RELEASE = """
UPDATE message_due d SET due_at = %(now)b WHERE d.ctid = ANY(ARRAY(
    SELECT w.ctid FROM message_due w JOIN message m ON m.id = w.message_id
    WHERE m.cause_kind = %(cause_kind)b AND m.origin_id = %(origin_id)b AND m.state = %(queued)b
        AND w.reservations = 0 AND w.due_at > %(now)b
    FOR UPDATE OF w SKIP LOCKED))
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What the messages of many people have in common; each of them gets one at most."""

    cause_kind: int
    cause_id: int
    origin_id: int
    channel: int
    configuration_id: int
    variant_id: int
    message_class: int
    context: Mapping[str, Any] | None = None


def enqueue_members(
    cur: psycopg.Cursor[Any],
    crowd: Crowd,
    *,
    recipients: str,
    then: str,
    parameters: Mapping[str, Any],
    now: datetime,
) -> None:
    """Put a message to everybody who is selected into the outbox, and execute `then`, in one statement.

    `recipients` are common table expressions, one of them `recipient (profile_id)`; `then` is the statement that they
    belong to, such as the checkpoint of the caller, which can also read `made (id)`, the messages that are new. The
    cursor holds what `then` returns. The senders are woken on commit.
    """
    named = {
        "cause_kind": crowd.cause_kind,
        "cause_id": crowd.cause_id,
        "origin_id": crowd.origin_id,
        "channel": crowd.channel,
        "configuration_id": crowd.configuration_id,
        "variant_id": crowd.variant_id,
        "message_class": crowd.message_class,
        "context": json.dumps(crowd.context) if crowd.context else None,
        "now": now,
    }
    cur.execute(_ENQUEUE.format(recipients=recipients, then=then), {**parameters, **named})
    wake_senders(crowd.channel)


def release_origin(
    cur: psycopg.Cursor[Any], *, cause_kind: int, origin_id: int, channel: int, now: datetime
) -> None:
    """Look again at once at what a hold of this author put off."""
    cur.execute(
        _RELEASE,
        {"cause_kind": cause_kind, "origin_id": origin_id, "queued": State.QUEUED.value, "now": now},
    )
    wake_senders(channel)
