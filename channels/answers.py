"""What came back about messages, from people, machines and services: read for one message, told in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ajo.lib import sql
from channels.inbound.reports import BOUNCED, COMPLAINED, DELIVERED
from channels.models import Message
from channels.tracking import machines
from channels.tracking.feedback import CLICKED, OPENED, RESUBSCRIBED, UNSUBSCRIBED

NAMES = (DELIVERED, BOUNCED, COMPLAINED, OPENED, CLICKED, UNSUBSCRIBED, RESUBSCRIBED)
"""Events that say by their property message_id which message they answer."""
SHOWN = 50
ICONS: Mapping[str, str] = {
    DELIVERED: "done_all",
    BOUNCED: "undo",
    COMPLAINED: "report",
    OPENED: "drafts",
    CLICKED: "ads_click",
    UNSUBSCRIBED: "unsubscribe",
    RESUBSCRIBED: "mark_email_read",
}
# They are events of the person, who may be another profile by now.
_READ = """
SELECT pe.occurred_at, t.name, e.properties::text
FROM profile_event pe JOIN event e ON e.id = pe.event_id JOIN profiles_eventtype t ON t.id = pe.event_type_id
WHERE pe.profile_id = ANY(ARRAY(
        SELECT unnest(ARRAY[p.id, p.merged_into]) FROM profile p WHERE p.id = %(profile_id)b))
    AND pe.event_type_id = ANY(ARRAY(SELECT id FROM profiles_eventtype WHERE name = ANY(%(names)b::text[])))
    AND pe.occurred_at >= %(since)b AND e.properties->>'message_id' = %(message_id)b::text
ORDER BY pe.occurred_at, pe.event_id LIMIT %(limit)b
"""


class Answer(NamedTuple):
    occurred_at: datetime
    name: str
    properties: Mapping[str, Any]

    @property
    def icon(self) -> str:
        return ICONS.get(self.name, "reply")

    @property
    def text(self) -> str:
        return in_words(self)


def answers_to(message: Message) -> list[Answer]:
    """What came back about one message, oldest first, the first 50."""
    parameters = {
        "profile_id": message.profile_id,
        "names": list(NAMES),
        "since": message.created_at,
        "message_id": str(message.pk),
        "limit": SHOWN,
    }
    with sql.cursor() as cur:
        cur.execute(_READ, parameters)
        return [Answer(row.occurred_at, row.name, json.loads(row.properties)) for row in cur]


def in_words(answer: Answer) -> str:
    """What the person, a machine of theirs, or the service did with a message."""
    said = answer.properties
    who = _("a machine") if said.get("is_machine") else _("the person")
    values = {"who": who, "url": said.get("url") or _("a link")}
    match answer.name:
        case name if name == DELIVERED:
            text = _("Delivered")
        case name if name == BOUNCED:
            text = (
                _("Not delivered, and its address is no good") if said.get("is_hard") else _("Not delivered")
            )
        case name if name == COMPLAINED:
            text = _("The person complained")
        case name if name == OPENED:
            text = _("Opened by %(who)s") % values
        case name if name == CLICKED:
            text = _("%(url)s clicked by %(who)s") % values
        case name if name == UNSUBSCRIBED:
            text = _("Unsubscribed through it")
        case name if name == RESUBSCRIBED:
            text = _("Took the unsubscribing back")
        case name:
            text = name
    machine = said.get("machine_reason")
    reason = str(_MACHINES.get(machine, machine)) if machine else said.get("detail")
    return f"{text} ({reason})" if reason else text


_MACHINES = {
    machines.HEAD: gettext_lazy("it only looked whether the address exists"),
    machines.PREFETCH: gettext_lazy("the browser looked ahead"),
    machines.NOT_SENT: gettext_lazy("it came before the message was accepted"),
    machines.TOO_SOON: gettext_lazy("it came within a second of sending"),
    machines.APPLE: gettext_lazy("Apple Mail’s privacy protection"),
    machines.SCANNER: gettext_lazy("a scanner of mail"),
    machines.ROBOT: gettext_lazy("a robot"),
    machines.NAMELESS: gettext_lazy("a program without a name"),
    machines.BURST: gettext_lazy("two links within two seconds"),
}
