"""Conversions: a message converted when its person did what its author had set as the goal, in time.

An event marks the newest message before it among those of one author, so that one purchase is not two conversions of
one campaign. It counts by when it happened, not by when it came, and a message keeps the first.

Lock order: the stream step holds the profiles, which other steps wait for; then messages in id order. Only messages
that were sent are touched, and no sender locks those again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import psycopg

from ajo.lib import sql
from channels.goals import DOCUMENTS
from channels.models import Message
from offers import outcomes
from offers.models import DecisionOutcome
from offers.outcomes import Taken
from profiles.catalog import read_catalog
from profiles.consumers import StreamEvent
from profiles.language import Scope, compile_condition, compile_rows, fields_of, parse_checked
from profiles.lookups.rows import read_rows

_ARRIVED = [state.value for state in (Message.State.SENT, Message.State.DELIVERED, Message.State.COMPLAINED)]

_TYPES = "SELECT DISTINCT event_type_id FROM goal WHERE event_type_id = ANY(%b::bigint[])"
# Messages keep the profile that they were sent to, whoever it became. OFFSET 0 keeps it a loop over the people.
_FIND = """
WITH RECURSIVE happened AS MATERIALIZED (
    SELECT * FROM unnest(%(places)b::int[], %(profile_ids)b::bigint[], %(types)b::bigint[], %(times)b::timestamptz[])
    AS t(place, profile_id, event_type_id, occurred_at)
), person AS (
    SELECT DISTINCT profile_id, profile_id AS former_id FROM happened
    UNION ALL
    SELECT person.profile_id, p.id FROM person JOIN profile p ON p.merged_into = person.former_id
)
SELECT DISTINCT ON (h.place, g.id) h.place, g.id AS goal_id, g.condition, m.id AS message_id
FROM happened h
JOIN person ON person.profile_id = h.profile_id
CROSS JOIN LATERAL (
    SELECT id, cause_kind, origin_id, sent_at FROM message
    WHERE profile_id = person.former_id AND state = ANY(%(arrived)b::smallint[]) AND sent_at <= h.occurred_at OFFSET 0
) AS m
JOIN goal_origin o ON o.cause_kind = m.cause_kind AND o.origin_id = m.origin_id
JOIN goal g ON g.id = o.goal_id AND g.event_type_id = h.event_type_id
WHERE h.occurred_at <= m.sent_at + g.days * interval '24 hours'
ORDER BY h.place, g.id, m.sent_at DESC, m.id DESC
"""
_MARK = """
WITH reached AS MATERIALIZED (SELECT * FROM unnest(%b::bigint[], %b::timestamptz[]) AS t(id, at)),
locked AS MATERIALIZED (
    SELECT m.id, r.at FROM message m JOIN reached r ON r.id = m.id
    WHERE m.converted_at IS NULL OR m.converted_at > r.at ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE message m SET converted_at = l.at FROM locked l WHERE m.id = l.id RETURNING m.id
"""
_SHOWN = """
SELECT d.id, o.id AS offer_id FROM message_decision md JOIN decision d ON d.id = md.decision_id
CROSS JOIN LATERAL unnest(d.offers) AS o(id) WHERE md.message_id = ANY(%b::bigint[])
"""


class _Candidate(NamedTuple):
    """An event that converts a message if the condition of the goal holds. `place` is the event's in its batch."""

    place: int
    goal_id: int
    condition: str
    message_id: int


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Mark the messages that these events convert, and tell ranking what they showed.

    One statement when no goal names such an event, otherwise a number that depends neither on the events nor on the
    people or goals.
    """
    with sql.cursor() as cur:
        cur.execute(_TYPES, [sorted({event.event_type_id for event in events})])
        wanted = {row.event_type_id for row in cur}
        of_goals = [event for event in events if event.event_type_id in wanted] if wanted else []
        if not of_goals:
            return
        candidates = _find(cur, of_goals)
        first: dict[int, datetime] = {}
        for one in _holding(cur, candidates, of_goals, now):
            at = of_goals[one.place].occurred_at
            first[one.message_id] = min(first.get(one.message_id, at), at)
        if not first:
            return
        ids = sorted(first)
        cur.execute(_MARK, [ids, [first[id] for id in ids]])
        cur.execute(_SHOWN, [[row.id for row in cur]])
        taken = [Taken(row.id, row.offer_id) for row in cur]
    outcomes.note_taken(taken, DecisionOutcome.Kind.CONVERTED, now)


def _find(cur: psycopg.Cursor[Any], events: Sequence[StreamEvent]) -> list[_Candidate]:
    cur.execute(
        _FIND,
        {
            "places": list(range(len(events))),
            "profile_ids": [event.profile_id for event in events],
            "types": [event.event_type_id for event in events],
            "times": [event.occurred_at for event in events],
            "arrived": _ARRIVED,
        },
    )
    return [_Candidate._make(row) for row in cur]


def _holding(
    cur: psycopg.Cursor[Any], candidates: Sequence[_Candidate], events: Sequence[StreamEvent], now: datetime
) -> list[_Candidate]:
    """Those whose condition holds, of the event at hand and of its profile as it is now."""
    free = [one for one in candidates if not one.condition]
    bound = [one for one in candidates if one.condition]
    if not bound:
        return free
    catalog = read_catalog(DOCUMENTS)
    trees = {condition: parse_checked(condition) for condition in {one.condition for one in bound}}
    holds: dict[str, Callable[[Scope], bool]] = {
        condition: compile_condition(tree, catalog) for condition, tree in trees.items()
    }
    places = sorted({one.place for one in bound})
    reads_profile = any(field.root == "profile" for tree in trees.values() for field in fields_of(tree))
    profiles = _read_profiles(cur, {events[place].profile_id for place in places}) if reads_profile else {}
    scopes = [
        Scope(
            now=now,
            profile=profiles.get(events[place].profile_id, {}),
            event=events[place].decoded(),
        )
        for place in places
    ]
    gathered = dict(zip(places, compile_rows(trees.values(), catalog)(scopes, read_rows), strict=True))
    return free + [one for one in bound if holds[one.condition](gathered[one.place])]


def _read_profiles(cur: psycopg.Cursor[Any], profile_ids: Collection[int]) -> dict[int, Mapping[str, Any]]:
    cur.execute(
        "SELECT id, attributes::text AS attributes FROM profile WHERE id = ANY(%b::bigint[])",
        [sorted(profile_ids)],
    )
    return {row.id: _decode(row.attributes) for row in cur}


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
