"""API calls that send a triggered campaign to the people they name, once for each request id.

Locks: the request's key → the campaign, shared → identities → profiles in id order → messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from ajo.lib import sql
from campaigns.models import Campaign, CampaignRequest
from channels import delivery, readiness
from channels.delivery import Draft
from channels.models import CauseKind, Message
from profiles import services as profiles
from profiles.identity import EMAIL, PHONE, Key, normalise
from profiles.models import IdentityNamespace

MAX_RECIPIENTS = 1_000
_CAUSE = CauseKind.API_REQUEST.value
_CLAIM = """
INSERT INTO campaign_request (campaign_id, request_id, body_hash, recipients, accepted, created_at)
VALUES (%b, %b, %b, '[]', 0, clock_timestamp())
ON CONFLICT (campaign_id, request_id) DO NOTHING RETURNING id
"""
_MESSAGES = """
SELECT profile_id, id FROM message
WHERE profile_id = ANY(%b::bigint[]) AND cause_kind = %b AND cause_id = %b
"""


class RequestRefused(Exception):
    """The campaign takes no calls now; the sentence says why and what to do."""


class RequestReused(RequestRefused):
    """The request id came before with another body."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of a call, named in one way: by number, by an identity, or by an address, which makes them known.

    `attributes` are those of somebody new. `context` is added to that of the call.
    """

    profile_id: int | None = None
    identity: tuple[str, str] | None = None
    """The key of its namespace, and its value."""
    email: str = ""
    phone: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


def send(
    *,
    campaign: Campaign,
    request_id: str,
    recipients: Sequence[Recipient],
    context: Mapping[str, Any],
    body: Any,
    now: datetime,
) -> CampaignRequest:
    """Queue a message to each recipient, or note why not. The same `request_id` with the same `body`, which is what was
    asked as JSON, finds what was done; with another one it raises RequestReused.

    One transaction; the number of statements does not depend on how many recipients there are.
    """
    body_hash = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).digest()
    with transaction.atomic():
        with sql.cursor() as cur:
            cur.execute(_CLAIM, [campaign.pk, request_id, body_hash])
            claimed = cur.fetchone()
        if claimed is None:
            return _repeated(campaign, request_id, body_hash)
        campaign = _sending(campaign)
        people = _people(recipients, now)
        message_ids = _queue(campaign, claimed.id, recipients, people, context, now)
        rows = [
            {"reason": who}
            if isinstance(who, str)
            else {"profile_id": str(who), "message_id": str(message_ids[who])}
            for who in people
        ]
        CampaignRequest.objects.filter(pk=claimed.id).update(recipients=rows, accepted=len(message_ids))
        return CampaignRequest.objects.get(pk=claimed.id)


def _repeated(campaign: Campaign, request_id: str, body_hash: bytes) -> CampaignRequest:
    request = CampaignRequest.objects.get(campaign=campaign, request_id=request_id)
    if bytes(request.body_hash) != body_hash:
        raise RequestReused(
            f"The request id {request_id!r} came before with another body, so nothing was done."
            " Use a new one for each request."
        )
    return request


def _sending(campaign: Campaign) -> Campaign:
    """The campaign, which nobody pauses or stops before the caller's transaction is over."""
    with sql.cursor() as cur:
        cur.execute("SELECT id FROM campaign WHERE id = %b FOR SHARE", [campaign.pk])
    campaign = Campaign.objects.select_related("configuration").get(pk=campaign.pk)
    if campaign.kind != Campaign.Kind.TRIGGERED:
        raise RequestRefused(f"{campaign} is sent by its schedule. Only a triggered campaign takes calls.")
    if campaign.state != Campaign.State.LIVE:
        raise RequestRefused(
            f"{campaign} is {campaign.get_state_display().lower()}, so nothing was sent."
            " It takes calls while it is live."
        )
    return campaign


def _people(recipients: Sequence[Recipient], now: datetime) -> list[int | str]:
    """Of each recipient the profile, which is locked, or a sentence why it gets nothing."""
    namespaces = dict(IdentityNamespace.objects.values_list("key", "pk"))
    named = [_name(recipient, namespaces) for recipient in recipients]
    newcomers = {
        who: {**recipient.attributes, kind: address}
        for recipient, who in zip(recipients, named, strict=True)
        if isinstance(who, tuple)
        for kind, address in (("email", recipient.email), ("phone", recipient.phone))
        if address
    }
    known = profiles.ensure_profiles(newcomers, now)
    known |= profiles.owners(who for who in named if isinstance(who, tuple) and who not in newcomers)
    asked = [known.get(who, 0) if isinstance(who, tuple) else who for who in named]
    living = profiles.lock_profiles(who for who in asked if isinstance(who, int) and who)
    first: dict[int, int] = {}
    found: list[int | str] = []
    for index, who in enumerate(asked):
        profile_id = living.get(who) if isinstance(who, int) else None
        if isinstance(who, str):
            found.append(who)
        elif profile_id is None:
            found.append("Nobody is known by this. Send an identify call first, or give an email or a phone.")
        elif first.setdefault(profile_id, index) != index:
            found.append(f"This is the same person as recipient {first[profile_id]}, who gets the message.")
        else:
            found.append(profile_id)
    return found


def _name(recipient: Recipient, namespaces: Mapping[str, int]) -> int | Key | str:
    """The profile, or the identity in its normalised form, or a sentence why it names nobody."""
    if recipient.profile_id is not None:
        return recipient.profile_id
    if recipient.email:
        value = normalise(EMAIL, recipient.email)
        return (EMAIL, value) if value else f"{recipient.email!r} is not an email address."
    if recipient.phone:
        value = normalise(PHONE, recipient.phone)
        return (
            (PHONE, value)
            if value
            else f"{recipient.phone!r} is not a phone number. Begin it with + and the country."
        )
    if recipient.identity is None:
        return "It names nobody. Give a profile_id, an identity, an email or a phone."
    key, given = recipient.identity
    if key not in namespaces:
        return f"There is no namespace {key!r}. Choose one of: {', '.join(sorted(namespaces))}."
    value = normalise(namespaces[key], given)
    return (namespaces[key], value) if value else f"{given!r} cannot be an identity of the namespace {key}."


def _queue(
    campaign: Campaign,
    request_pk: int,
    recipients: Sequence[Recipient],
    people: Sequence[int | str],
    context: Mapping[str, Any],
    now: datetime,
) -> dict[int, int]:
    """Put the messages into the outbox; returns their ids by profile."""
    assert campaign.configuration is not None
    assert campaign.pinned_version_id is not None
    variant = readiness.default_variant(campaign.pinned_version_id)
    drafts = [
        Draft(
            profile_id=profile_id,
            cause_kind=_CAUSE,
            cause_id=request_pk,
            activity="",
            visit=1,
            channel=campaign.configuration.channel,
            origin_id=campaign.pk,
            configuration_id=campaign.configuration.pk,
            variant_id=variant.pk,
            message_class=campaign.message_class,
            context={**campaign.context, **context, **recipient.context} or None,
        )
        for recipient, profile_id in zip(recipients, people, strict=True)
        if isinstance(profile_id, int)
    ]
    delivery.enqueue(drafts, now)
    with sql.cursor() as cur:
        cur.execute(_MESSAGES, [[draft.profile_id for draft in drafts], _CAUSE, request_pk])
        return dict(cur.fetchall())


def messages(request: CampaignRequest) -> dict[int, Message]:
    """The messages of a request by id."""
    ids = [int(row["message_id"]) for row in request.recipients if "message_id" in row]
    return Message.objects.in_bulk(ids)
