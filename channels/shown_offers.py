"""The decisions that messages show: made once for each message, whatever becomes of it, and told to ranking and caps.

A message shows the decision that it has; else the one that its walk made for the same policy and placement (an offer
activity keeps it under `walk_key`); else one is made for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from ajo.lib import purging, sql
from channels.models import CauseKind, Message
from channels.reaching import Slot
from offers import forgetting, outcomes
from offers.decide import Ask, Decided, decide, decisions_of, key_of, recall, simulate
from offers.models import Decision, DecisionOutcome
from offers.outcomes import Taken
from offers.plans import current_plan
from profiles.consumers import StreamEvent
from profiles.models import EventType, Source

HELD = timedelta(days=30)
"""Long after a message was sent, failed or expired, and its caps were confirmed or given back."""
SETTLED_AT_ONCE = 500

State = Message.State
_OPEN = [State.QUEUED.value, State.SENDING.value]
_GONE_OUT = {
    state.value for state in (State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED, State.UNCERTAIN)
}

_READ = """
SELECT message_id, number, decision_id FROM message_decision WHERE message_id = ANY(%b::bigint[])
"""
_KEEP = """
WITH kept AS (
    INSERT INTO message_decision (message_id, number, decision_id)
    SELECT t.message_id, %s, t.decision_id FROM unnest(%b::bigint[], %b::uuid[]) AS t(message_id, decision_id)
    ORDER BY 1 ON CONFLICT DO NOTHING RETURNING message_id
)
INSERT INTO message_offer_due (message_id) SELECT message_id FROM kept ORDER BY 1 ON CONFLICT DO NOTHING
"""
_CLAIM_SETTLED = """
WITH settled AS (
    SELECT d.message_id FROM message_offer_due d JOIN message m ON m.id = d.message_id
    WHERE m.state <> ALL(%b::smallint[]) ORDER BY d.message_id LIMIT %s FOR UPDATE OF d SKIP LOCKED
)
DELETE FROM message_offer_due d USING settled s WHERE d.message_id = s.message_id RETURNING d.message_id
"""
_READ_SETTLED = """
SELECT d.decision_id, m.state FROM message_decision d JOIN message m ON m.id = d.message_id
WHERE d.message_id = ANY(%b::bigint[])
"""


def walk_key(instance_id: int, slot: Slot) -> UUID:
    """Under which a walk keeps the decision that its messages show."""
    return key_of("walk", instance_id, *slot)


@dataclass(frozen=True, slots=True)
class Showing:
    """For whom to decide: a message, its profile, what made us write, and what expressions read as context."""

    message_id: int
    profile_id: int
    walk_id: int | None
    """The journey instance that made us write, if one did."""
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a message shows in a slot. `number` is the slot's among those of its content."""

    number: int
    decided: Decided
    content_type: str


def read_kept(message_ids: Sequence[int]) -> dict[tuple[int, int], UUID]:
    """(message, number) → the decision that it shows already. One statement."""
    with sql.cursor() as cur:
        cur.execute(_READ, [list(message_ids)])
        return {(row.message_id, row.number): row.decision_id for row in cur}


def choose(
    slot: Slot,
    number: int,
    showings: Sequence[Showing],
    kept: Mapping[tuple[int, int], UUID],
    now: datetime,
    *,
    is_trial: bool,
) -> dict[int, Chosen]:
    """What each message shows in this slot, by message; without those whose profile is gone. Raises PlanMissing.

    A trial simulates for those that have no decision yet, and leaves no trace.
    """
    plan = current_plan(slot.policy, slot.placement, now)
    with sql.unit_of_work() as cur:
        known = {
            one.message_id: kept[one.message_id, number]
            for one in showings
            if (one.message_id, number) in kept
        }
        walks = {
            walk_key(one.walk_id, slot): one.message_id
            for one in showings
            if one.walk_id is not None and one.message_id not in known
        }
        found = decisions_of(list(walks)) if walks else {}
        shared = {walks[key]: decision_id for key, decision_id in found.items()}
        known |= shared
        recalled = recall(sorted(set(known.values())), plan) if known else {}
        answers = {
            message_id: recalled[decision_id]
            for message_id, decision_id in known.items()
            if decision_id in recalled
        }
        rest = [one for one in showings if one.message_id not in answers]
        asks = [
            Ask(
                one.profile_id,
                one.context,
                key_of("message", one.message_id, *slot),
                Decision.Door.MESSAGE,
                one.message_id,
            )
            for one in rest
        ]
        if rest:
            made = simulate(asks, plan, now) if is_trial else decide(asks, plan, now, held_until=now + HELD)
            answers |= {
                one.message_id: each for one, each in zip(rest, made, strict=True) if each is not None
            }
        if not is_trial:
            new = [(id, one.id) for id, one in answers.items() if (id, number) not in kept]
            _keep(cur, number, new)
    return {id: Chosen(number, one, plan.content_type) for id, one in answers.items()}


def _keep(cur: psycopg.Cursor[Any], number: int, new: Sequence[tuple[int, UUID]]) -> None:
    if new:
        cur.execute(_KEEP, [number, *(list(column) for column in zip(*sorted(new), strict=True))])


def settle(now: datetime, limit: int = SETTLED_AT_ONCE) -> int:
    """Tell offers what became of messages that are through: shown when a provider took them, given back otherwise.

    Returns how many messages were settled; each once, in one transaction with what it counts.
    """
    with sql.unit_of_work() as cur:
        cur.execute(_CLAIM_SETTLED, [_OPEN, limit])
        message_ids = [row.message_id for row in cur]
        if not message_ids:
            return 0
        cur.execute(_READ_SETTLED, [message_ids])
        shown: dict[bool, list[UUID]] = {True: [], False: []}
        for row in cur.fetchall():
            shown[row.state in _GONE_OUT].append(row.decision_id)
        outcomes.note_shown(shown[True], now)
        outcomes.note_not_shown(shown[False])
    return len(message_ids)


def forget(now: datetime) -> int:
    """Delete what old messages showed, before the decisions go; returns how many rows."""
    return purging.purge_pages("message_decision", "decision_id < %s", [forgetting.named_floor(now)], now)


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Count the clicks of people on what a message's decision chose."""
    own = [event for event in events if event.source_id == Source.OWN]
    if not own:
        return
    clicked = EventType.objects.filter(name="$message_clicked").values_list("pk", flat=True).first()
    taken = []
    for event in own:
        if event.event_type_id == clicked:
            properties = event.decoded()
            if "decision_id" in properties and not properties["is_machine"]:
                taken.append(Taken(UUID(properties["decision_id"]), int(properties["offer_id"])))
    outcomes.note_taken(taken, DecisionOutcome.Kind.CLICKED, now)


def context_of(context: str | None, properties: str | None) -> dict[str, Any]:
    """What expressions of offers read as context: what the call gave, and the event at hand as context.event."""
    found = _decoded(context)
    if properties and "event" not in found:
        found["event"] = _decoded(properties)
    return found


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        return _decode(text) if text else {}
    except msgspec.ValidationError:
        return {}


def walk_of(cause_kind: int, cause_id: int) -> int | None:
    return cause_id if cause_kind == CauseKind.JOURNEY_INSTANCE else None


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
