"""What people do with messages, written down as events of their profiles.

`$message_opened` and `$message_clicked` come through the hot door, `$unsubscribed` and `$resubscribed` with the change
of consent. The stream step hands them to everybody, and `consume` notes on the message when a person first opened and
clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ajo.lib import sql
from channels.models import CauseKind
from channels.tracking.machines import BURST, BURST_WITHIN
from profiles.consumers import StreamEvent
from profiles.models import Channel, EventType, Source
from profiles.own_events import OwnEvent

OPENED, CLICKED = "$message_opened", "$message_clicked"
UNSUBSCRIBED, RESUBSCRIBED = "$unsubscribed", "$resubscribed"

# By primary keys only. A message that became uncertain has no time of sending, but whoever opens it has it.
_READ = """
SELECT m.id, m.profile_id, m.channel, m.cause_kind, m.cause_id, m.origin_id, m.activity, m.hops, m.configuration_id,
    m.variant_id, m.event_id, m.context::text AS context,
    coalesce(m.sent_at, CASE WHEN m.state = %(uncertain)s THEN m.created_at END) AS sent_at,
    c.key AS content, v.treatment, v.locale, ver.number AS version, l.url
FROM message m LEFT JOIN channels_variant v ON v.id = m.variant_id
LEFT JOIN channels_contentversion ver ON ver.id = v.version_id
LEFT JOIN channels_content c ON c.id = ver.content_id
LEFT JOIN channels_link l ON l.variant_id = m.variant_id AND l.number = %(link)s
"""
READ = f"{_READ} WHERE m.id = %(id)s"
READ_MANY = f"{_READ} WHERE m.id = ANY(%(ids)b::bigint[])"

READ_OFFER = """
SELECT d.id, o.id, o.key, r.link_url
FROM message_decision md JOIN decision d ON d.id = md.decision_id
JOIN offers_offeritem o ON o.id = d.offers[%(place)s]
JOIN offers_representation r ON r.offer_id = o.id AND r.placement_id = d.placement_id
WHERE md.message_id = %(id)s AND md.number = %(number)s
"""


class Sent(NamedTuple):
    """A message as its feedback describes it. `url` is that of the link that was asked for."""

    id: int
    profile_id: int
    channel: int
    cause_kind: int
    cause_id: int
    origin_id: int
    activity: str
    hops: int
    configuration_id: int
    variant_id: int
    event_id: Any
    context: str | None
    sent_at: datetime | None
    content: str | None
    treatment: str | None
    locale: str | None
    version: int | None
    url: str | None


class ShownOffer(NamedTuple):
    """An item of a decision that a message shows, and where it leads."""

    decision_id: UUID
    offer_id: int
    key: str
    url: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a pixel or a link of a message."""

    at: datetime
    machine_reason: str
    agent: str
    link: int | str | None = None
    """The number of the link; of an offer's, its slot and place."""
    offer: ShownOffer | None = None


def visited(sent: Sent, visit: Visit) -> OwnEvent:
    """The event of an open, or of a click when the visit has a link."""
    properties = describe(sent)
    if visit.link is not None:
        properties |= {"link": visit.link, "url": sent.url}
    if visit.offer is not None:
        properties |= {
            "offer": visit.offer.key,
            "offer_id": str(visit.offer.offer_id),
            "decision_id": str(visit.offer.decision_id),
        }
    properties |= {
        "is_machine": bool(visit.machine_reason),
        "machine_reason": visit.machine_reason,
        "agent": visit.agent,
    }
    name = OPENED if visit.link is None else CLICKED
    return OwnEvent(sent.profile_id, name, properties, visit.at, sent.hops)


def describe(sent: Sent) -> dict[str, Any]:
    """The message in the properties of an event: ids as text, kinds as words."""
    return {
        "message_id": str(sent.id),
        "channel": Channel(sent.channel).name.lower(),
        "content": sent.content,
        "version": sent.version,
        "variant": str(sent.variant_id),
        "treatment": sent.treatment or "",
        "locale": sent.locale or "",
        "cause": CauseKind(sent.cause_kind).name.lower(),
        "cause_id": str(sent.cause_id),
        "origin_id": str(sent.origin_id),
        "activity": sent.activity,
    }


# --- on the message ------------------------------------------------------------------------------------------

# In id order, as everybody locks messages. A burst takes back the click before it, which nobody could tell from a
# person's when it came, and the open that had followed from it.
_NOTE = """
WITH seen AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)b::bigint[], %(opens)b::timestamptz[], %(clicks)b::timestamptz[],
        %(bursts)b::timestamptz[], %(machine_opens)b::timestamptz[], %(machine_clicks)b::timestamptz[],
        %(departures)b::timestamptz[])
    AS t(id, opened_at, clicked_at, burst_at, opened_by_machine_at, clicked_by_machine_at, unsubscribed_at)
), locked AS MATERIALIZED (
    SELECT m.id, m.opened_at, m.clicked_at,
        m.clicked_at > s.burst_at - %(within)s AND m.clicked_at <= s.burst_at AS is_taken_back
    FROM message m JOIN seen s ON s.id = m.id ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE message m SET
    clicked_at = least(CASE WHEN l.is_taken_back THEN NULL ELSE l.clicked_at END, s.clicked_at),
    opened_at = least(CASE WHEN l.is_taken_back AND l.opened_at = l.clicked_at THEN NULL ELSE l.opened_at END,
        s.opened_at),
    opened_by_machine_at = least(m.opened_by_machine_at, s.opened_by_machine_at),
    clicked_by_machine_at = least(m.clicked_by_machine_at, s.clicked_by_machine_at),
    unsubscribed_at = least(m.unsubscribed_at, s.unsubscribed_at)
FROM locked l JOIN seen s ON s.id = l.id WHERE m.id = l.id
"""


@dataclass(slots=True)
class _Noted:
    """What a batch says about one message: when what first happened to it, and its last burst of clicks."""

    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    burst_at: datetime | None = None
    opened_by_machine_at: datetime | None = None
    clicked_by_machine_at: datetime | None = None
    unsubscribed_at: datetime | None = None

    def open(self, at: datetime) -> None:
        self.opened_at = min(self.opened_at or at, at)

    def take_back(self, burst_at: datetime) -> None:
        """A burst: the click just before it was no person's."""
        self.burst_at = max(self.burst_at or burst_at, burst_at)
        if self.clicked_at is not None and burst_at - self.clicked_at < BURST_WITHIN:
            if self.opened_at == self.clicked_at:
                self.opened_at = None
            self.clicked_at = None


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Note on the messages when a person, or a machine, first opened them and clicked in them, and when a person opted
    out by them. A person's click implies an open."""
    own = [event for event in events if event.source_id == Source.OWN]
    if not own:
        return
    names = dict(EventType.objects.filter(name__in=[OPENED, CLICKED, UNSUBSCRIBED]).values_list("id", "name"))
    noted: dict[int, _Noted] = {}
    for event in own:
        if name := names.get(event.event_type_id):
            properties = event.decoded()
            # Who opts out by hand, or by a text of their own, answers no message.
            if message_id := properties.get("message_id"):
                _note(noted.setdefault(int(message_id), _Noted()), name, properties, event.occurred_at)
    if noted:
        ids = sorted(noted)
        rows = [noted[id] for id in ids]
        with sql.cursor() as cur:
            cur.execute(
                _NOTE,
                {
                    "ids": ids,
                    "opens": [row.opened_at for row in rows],
                    "clicks": [row.clicked_at for row in rows],
                    "bursts": [row.burst_at for row in rows],
                    "machine_opens": [row.opened_by_machine_at for row in rows],
                    "machine_clicks": [row.clicked_by_machine_at for row in rows],
                    "departures": [row.unsubscribed_at for row in rows],
                    "within": BURST_WITHIN,
                },
            )


def _note(message: _Noted, name: str, properties: dict[str, Any], at: datetime) -> None:
    if name == UNSUBSCRIBED:
        message.unsubscribed_at = min(message.unsubscribed_at or at, at)
        return
    if properties["machine_reason"] == BURST:
        message.take_back(at)
    if not properties["is_machine"]:
        message.open(at)
        if name == CLICKED:
            message.clicked_at = min(message.clicked_at or at, at)
    elif name == CLICKED:
        message.clicked_by_machine_at = min(message.clicked_by_machine_at or at, at)
    else:
        message.opened_by_machine_at = min(message.opened_by_machine_at or at, at)
