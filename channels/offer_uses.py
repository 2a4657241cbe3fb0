"""Which contents show offers, and which messages showed a decision, for the room of offers below."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext

from ajo.lib import sql
from ajo.lib.usage import Use
from channels.models import ContentVersion, Message, Variant
from channels.reaching import Slot

_TAG = re.compile(
    r"\{%-?\s*offer\s+[\"']([-\w]{1,60})[\"']\s*,?\s*placement\s*:\s*[\"']([-\w]{1,60})[\"']", re.ASCII
)
_FIELDS = ("subject", "preheader", "mjml", "html", "text", "image_url", "link_url")
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
    return _by_key(set(keys), 0)


def placements_in_use(keys: Iterable[str]) -> Mapping[str, list[Use]]:
    """The same of placements."""
    return _by_key(set(keys), 1)


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


def _by_key(keys: set[str], part: int) -> dict[str, list[Use]]:
    found: dict[str, dict[Use, None]] = {}
    for variant in _current():
        url = reverse("admin:channels_content_change", args=[variant.version.content_id])
        for slot in _slots(variant):
            if slot[part] in keys:
                found.setdefault(slot[part], {})[Use(variant.version.content.name, url)] = None
    return {key: list(uses) for key, uses in found.items()}


def _current() -> Iterator[Variant]:
    """Those with an offer, of drafts and of the newest published version of each content."""
    holds = Q()
    for name in _FIELDS:
        holds |= Q(**{f"{name}__contains": "offer"})
    variants = Variant.objects.filter(holds).select_related("version__content")
    newest: dict[int, int] = {}
    for variant in variants.order_by("version__content__name", "-version__number", "pk"):
        version = variant.version
        is_draft = version.state == ContentVersion.State.DRAFT
        if is_draft or newest.setdefault(version.content_id, version.pk) == version.pk:
            yield variant


def _slots(variant: Variant) -> set[Slot]:
    return {Slot(*found) for name in _FIELDS for found in _TAG.findall(getattr(variant, name))}
