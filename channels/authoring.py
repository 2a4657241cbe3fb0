"""Trying out an authored email: as a chosen profile would get it on a screen, or as a proof in an inbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime, make_msgid
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from ajo.core.models import AuditEvent
from ajo.lib.registry import UnknownKind
from channels import addresses, checklist, mime
from channels.checklist import Authored, Check, Finding
from channels.liquid import ContentError, Template, decode_values
from channels.models import ChannelConfiguration, Content, Suppression
from channels.providers import registry
from channels.providers.base import Outgoing, ProviderError, Verdict
from channels.rendering import CompiledEmail, Email, Sender
from profiles.models import Event, Profile, ProfileEvent

PROOF_MARK = "[Proof]"
PROOFS = 20
PROOF_WINDOW = timedelta(minutes=10)
"""One person may send so many proofs in so much time: a proof goes to any address."""


class ProofRefused(Exception):
    """Why no proof was sent, as a sentence for its author."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Preview:
    """An email as somebody would get it; without `email` it cannot be rendered, and `findings` say why."""

    email: Email | None
    preheader: str
    findings: list[Finding]
    checks: list[Check]


def preview(authored: Authored, values: dict[str, Any]) -> Preview:
    """Render the words with values and go through the list of checks. Stores and sends nothing."""
    findings = checklist.findings(authored)
    broken = {finding.field for finding in findings if finding.level == "error"}
    email, preheader = None, ""
    if broken <= {"subject"}:
        words = replace(authored.words, subject="") if broken else authored.words
        try:
            email = CompiledEmail(words).preview(values)
            preheader = Template(authored.words.preheader, is_html=False).render(values).strip()
        except ContentError as error:
            guilty = checklist.render_error(authored, values)
            findings.append(guilty or Finding("error", authored.body[0], str(error)))
    return Preview(email, preheader, findings, checklist.checks(authored, email))


def values_for(
    *,
    content: Content,
    profile_id: int | None = None,
    event_type_id: int | None = None,
    configuration: ChannelConfiguration | None = None,
) -> dict[str, Any]:
    """What the words find under their names: the attributes of a profile (nothing without one) and the properties of
    the newest event of a type, the profile's own if it has one."""
    configuration = (
        configuration or ChannelConfiguration.objects.filter(channel=content.channel, is_active=True).first()
    )
    nowhere = f"{settings.AJO_PUBLIC_URL}/docs/content/"  # who opens a preview must not be unsubscribed
    return {
        "profile": _attributes(profile_id) if profile_id else {},
        "event": _newest_properties(event_type_id, profile_id) if event_type_id else {},
        "context": {},
        "brand": {
            "name": configuration.sender_name if configuration else "",
            "address": configuration.sender_address if configuration else "",
        },
        "unsubscribe_url": nowhere,
        "preferences_url": nowhere,
    }


def _attributes(profile_id: int) -> dict[str, Any]:
    profile = Profile.objects.annotate(text=Cast("attributes", TextField())).filter(pk=profile_id).first()
    return decode_values(profile.text) if profile else {}  # type: ignore[attr-defined]


def _newest_properties(event_type_id: int, profile_id: int | None) -> dict[str, Any]:
    events = Event.objects.annotate(text=Cast("properties", TextField())).filter(event_type_id=event_type_id)
    own = ProfileEvent.objects.filter(profile=profile_id, event_type=event_type_id)
    if newest := own.order_by("-occurred_at").values_list("event_id", flat=True).first():
        event = events.filter(pk=newest).first()
    else:
        event = events.order_by("-id").first()
    return decode_values(event.text) if event else {}  # type: ignore[attr-defined]


def send_proof(
    *,
    content: Content,
    authored: Authored,
    address: str,
    configuration: ChannelConfiguration,
    values: dict[str, Any],
    now: datetime,
    user: Any = None,
    **audit: Any,
) -> str:
    """Send the words to one address, marked as a proof, and return what the service said.

    It goes straight through the provider: no message is recorded, nothing is tracked, nobody's history changes. Not to
    be called inside a transaction, which the call would hold open. `audit` is added to the line of the audit. Raises
    ProofRefused.
    """
    normal = addresses.normalise(content.channel, address)
    if normal is None:
        raise ProofRefused(f"{address[:100]!r} is not an email address.", field="address")
    if Suppression.objects.filter(channel=content.channel, address=normal).exists():
        raise ProofRefused(f"{address} is suppressed: nothing is ever sent to it.", field="address")
    if not configuration.is_active or configuration.channel != content.channel:
        raise ProofRefused(
            f"{configuration} is switched off or for another channel. Choose another one.",
            field="configuration",
        )
    sender = Sender(configuration.sender_name, configuration.sender_address, configuration.reply_to)
    body = _proof_body(authored, values, sender, address)
    _count_proof(content, configuration, address=address, now=now, user=user, **audit)
    outgoing = Outgoing(0, address, sender.address, body, uuid4().hex)
    try:
        provider = registry.get(configuration.provider)(configuration.settings)
    except UnknownKind as error:
        raise ProofRefused(str(error), field="configuration") from error
    try:
        (receipt,) = provider.send([outgoing])
    except ProviderError as error:
        raise ProofRefused(f"{configuration} cannot be reached: {error}", field="configuration") from error
    finally:
        provider.close()
    if receipt.verdict is Verdict.UNKNOWN:
        raise ProofRefused(
            "The connection broke, so nobody knows whether the proof arrived. Look into the inbox."
        )
    if receipt.verdict is not Verdict.ACCEPTED:
        raise ProofRefused(f"{configuration} did not accept the proof: {receipt.detail}")
    return receipt.provider_id


def _proof_body(authored: Authored, values: dict[str, Any], sender: Sender, address: str) -> bytes:
    if errors := [finding for finding in checklist.findings(authored) if finding.level == "error"]:
        raise ProofRefused(f"These words cannot be sent yet. {errors[0]}", field=errors[0].field)
    words = replace(authored.words, subject=f"{PROOF_MARK} {authored.words.subject}")
    domain = mime.to_ascii_domain(sender.address).rpartition("@")[2]
    try:
        return CompiledEmail(words).render(
            values,
            sender=sender,
            address=address,
            message_id=make_msgid("proof", domain=domain or None),
            date=format_datetime(timezone.now()),
        )
    except ContentError as error:
        raise ProofRefused(f"These words cannot be rendered. {error}") from error


@transaction.atomic
def _count_proof(
    content: Content,
    configuration: ChannelConfiguration,
    *,
    address: str,
    now: datetime,
    user: Any,
    **audit: Any,
) -> None:
    """Write the audit's line, which is what proofs are counted by."""
    # Two proofs at once would both see the last place free.
    ChannelConfiguration.objects.select_for_update().get(pk=configuration.pk)
    actor = user if getattr(user, "pk", None) else None
    sent = AuditEvent.objects.filter(action="send_proof", user=actor, at__gt=now - PROOF_WINDOW).count()
    if sent >= PROOFS:
        minutes = int(PROOF_WINDOW.total_seconds() // 60)
        raise ProofRefused(f"You sent {sent} proofs within {minutes} minutes. Wait a little, then try again.")
    AuditEvent.record(
        "send_proof", content, user=actor, address=address, configuration=configuration.key, **audit
    )
