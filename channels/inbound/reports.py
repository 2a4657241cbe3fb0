"""What services say became of a message: delivered, bounced, complained about.

Services repeat themselves and keep no order. A report is an event with a key of its own, so a repeat is stored once;
and a message keeps the highest rank that was ever reported, whatever came first, even before our own call returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from ajo.lib import sql
from channels import addresses
from channels.models import Message, Suppression
from channels.tracking import feedback
from profiles import own_events
from profiles.consumers import StreamEvent
from profiles.models import EventType, Source
from profiles.own_events import OwnEvent

State = Message.State
DELIVERED, BOUNCED, COMPLAINED = "$message_delivered", "$message_bounced", "$message_complained"
RECEIVED = "$message_received"
_RANKS = {DELIVERED: State.DELIVERED.value, BOUNCED: State.BOUNCED.value, COMPLAINED: State.COMPLAINED.value}
# The column is as wide.
_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Report:
    """One word of a service about one message; `name` is the event's. `key` is the same for each repeat of it."""

    message_id: int
    name: str
    key: str
    detail: str = ""
    is_hard: bool = False
    """The address is no good, whatever the message."""
    properties: Mapping[str, Any] = field(default_factory=dict)


def store(reports: Sequence[Report], *, configuration_id: int, now: datetime) -> int:
    """Make them events, each once; returns how many were about messages of this configuration."""
    with sql.cursor() as cur:
        ids = sorted({report.message_id for report in reports})
        cur.execute(feedback.READ_MANY, {"ids": ids, "link": None, "uncertain": State.UNCERTAIN.value})
        sent = {row.id: row for row in map(feedback.Sent._make, cur)}
    known = [
        (report, message)
        for report in reports
        if (message := sent.get(report.message_id)) and message.configuration_id == configuration_id
    ]
    with transaction.atomic():
        own_events.record(
            [
                OwnEvent(
                    message.profile_id,
                    report.name,
                    {**feedback.describe(message), **_said(report), **report.properties},
                    now,
                    message.hops,
                    key=f"report:{report.key}",
                )
                for report, message in known
            ]
        )
    return len(known)


def _said(report: Report) -> dict[str, Any]:
    if report.name not in _RANKS:
        return {}
    return {"detail": report.detail[:_REASON_LENGTH].replace("\x00", ""), "is_hard": report.is_hard}


# --- on the messages -----------------------------------------------------------------------------------------

# In id order, as everybody locks messages. One that is still being sent takes its rank when its call is recorded.
_MOVE_ON = """
WITH seen AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)b::bigint[], %(ranks)b::smallint[], %(reasons)b::text[], %(times)b::timestamptz[])
    AS t(id, rank, reason, at)
), locked AS MATERIALIZED (
    SELECT m.id, m.state, m.feedback FROM message m JOIN seen s ON s.id = m.id ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE message m SET feedback = s.rank,
    state = CASE WHEN m.state = ANY(%(reported)b::smallint[]) THEN s.rank ELSE m.state END,
    reason = CASE WHEN s.rank = l.feedback THEN greatest(m.reason, s.reason) ELSE s.reason END,
    sent_at = CASE WHEN m.state = %(uncertain)s THEN s.at ELSE m.sent_at END
FROM locked l JOIN seen s ON s.id = l.id WHERE m.id = l.id AND s.rank >= l.feedback
"""
_REPORTED = [State.SENT.value, State.UNCERTAIN.value, *_RANKS.values()]
_SUPPRESS = """
INSERT INTO suppression (channel, address, reason)
SELECT * FROM unnest(%b::smallint[], %b::text[], %b::text[]) ORDER BY 1, 2
ON CONFLICT (channel, address) DO UPDATE SET reason = excluded.reason
WHERE suppression.reason = %s AND excluded.reason = %s
"""


@dataclass(slots=True)
class _Heard:
    """What a batch says about one message: the highest rank with its reason, and whether its address is no good."""

    rank: int
    reason: str
    at: datetime
    suppression: str = ""

    def hear(self, rank: int, reason: str, suppression: str) -> None:
        self.rank, self.reason = max((self.rank, self.reason), (rank, reason))
        # A complaint outlives a bounce; see the order of the words.
        self.suppression = max(self.suppression, suppression)


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Move the reported messages on, and suppress addresses that are no good or whose owners complained."""
    own = [event for event in events if event.source_id == Source.OWN]
    if not own:
        return
    names = dict(EventType.objects.filter(name__in=_RANKS).values_list("id", "name"))
    heard: dict[int, _Heard] = {}
    for event in own:
        if name := names.get(event.event_type_id):
            said = event.decoded()
            message = heard.setdefault(int(said["message_id"]), _Heard(0, "", event.occurred_at))
            message.hear(_RANKS[name], said["detail"], _suppression(name, said))
    if heard:
        _move_on(heard)
        _suppress({id: each.suppression for id, each in heard.items() if each.suppression})


def _suppression(name: str, said: Mapping[str, Any]) -> str:
    if name == COMPLAINED:
        return Suppression.Reason.COMPLAINT.value
    if name != BOUNCED:
        return ""
    return said.get("suppression") or (Suppression.Reason.BOUNCE.value if said["is_hard"] else "")


def _move_on(heard: Mapping[int, _Heard]) -> None:
    ids = sorted(heard)
    rows = [heard[id] for id in ids]
    with sql.cursor() as cur:
        cur.execute(
            _MOVE_ON,
            {
                "ids": ids,
                "ranks": [row.rank for row in rows],
                "reasons": [row.reason for row in rows],
                "times": [row.at for row in rows],
                "reported": _REPORTED,
                "uncertain": State.UNCERTAIN.value,
            },
        )


def _suppress(reasons: Mapping[int, str]) -> None:
    if not reasons:
        return
    rows: dict[tuple[int, str], str] = {}
    for id, channel, address in Message.objects.filter(pk__in=reasons).values_list(
        "id", "channel", "address"
    ):
        if normal := addresses.normalise(channel, address):
            rows[channel, normal] = max(rows.get((channel, normal), ""), reasons[id])
    with sql.cursor() as cur:
        cur.execute(
            _SUPPRESS,
            [
                [channel for channel, _ in rows],
                [address for _, address in rows],
                list(rows.values()),
                Suppression.Reason.BOUNCE.value,
                Suppression.Reason.COMPLAINT.value,
            ],
        )
