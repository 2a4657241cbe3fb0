"""Which contents show offers, and which messages showed a decision, for the room of offers below."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext

from ajo.lib import sql
from ajo.lib.usage import Use
from channels import usage
from channels.models import Message

_TAG = re.compile(
    r"\{%-?\s*offer\s+[\"']([-\w]{1,60})[\"']\s*,?\s*placement\s*:\s*[\"']([-\w]{1,60})[\"']", re.ASCII
)
# The key of a message begins with its profile, and so leads from a decision to the few messages of its person.
_MESSAGES = """
SELECT DISTINCT s.decision_id, m.id, c.name FROM decision d JOIN message m ON m.profile_id = d.profile_id
JOIN message_decision s ON s.message_id = m.id AND s.decision_id = d.id
JOIN channels_variant v ON v.id = m.variant_id JOIN channels_contentversion cv ON cv.id = v.version_id
JOIN channels_content c ON c.id = cv.content_id
WHERE d.id = ANY(%b::uuid[]) ORDER BY m.id
"""

_DECISIONS = """
SELECT d.id, (
    SELECT string_agg(o.name, ', ' ORDER BY chosen.place) FROM unnest(d.offers) WITH ORDINALITY AS chosen(id, place)
    JOIN offers_offeritem o ON o.id = chosen.id
) AS names
FROM message_decision s JOIN decision d ON d.id = s.decision_id WHERE s.message_id = %s ORDER BY s.number
"""


def policies_in_use(keys: Iterable[str]) -> Mapping[str, list[Use]]:
    """The contents that name a policy in their draft or in the version that is sent; one statement."""
    return _named(keys, 0)


def placements_in_use(keys: Iterable[str]) -> Mapping[str, list[Use]]:
    """The same of placements."""
    return _named(keys, 1)


def messages_of(decision_ids: Iterable[str]) -> Mapping[str, list[Use]]:
    """Decision → the messages that show it; one statement."""
    found: dict[str, list[Use]] = {}
    with sql.cursor() as cur:
        cur.execute(_MESSAGES, [[UUID(one) for one in decision_ids]])
        for row in cur:
            url = reverse("admin:channels_message_change", args=[row.id])
            found.setdefault(str(row.decision_id), []).append(Use(row.name, url))
    return found


def decisions_of(message: Message) -> list[Use]:
    """The decisions that a message shows, named by what they chose; one statement."""
    with sql.cursor() as cur:
        cur.execute(_DECISIONS, [message.pk])
        return [
            Use(row.names or gettext("nothing"), reverse("admin:offers_decision_change", args=[row.id]))
            for row in cur
        ]


def _named(keys: Iterable[str], part: int) -> Mapping[str, list[Use]]:
    return usage.contents_naming(keys, "offer", lambda text: {found[part] for found in _TAG.findall(text)})
