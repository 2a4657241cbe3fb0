"""Trying out authored words: as a chosen profile would get them on a screen, or as a proof."""

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
from channels import addresses, checklist, devices, mime, rendering
from channels.checklist import Authored, Check, Finding
from channels.delivery.values import trial
from channels.liquid import ContentError, Template, decode_values
from channels.models import ChannelConfiguration, Content, Suppression
from channels.providers import registry
from channels.providers.base import Outgoing, ProviderError, Verdict
from channels.rendering import Compiled, Envelope, Sender, Shown, Words
from profiles.models import Channel, Event, Profile, ProfileEvent

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
    """A message as somebody would get it; without `shown` it cannot be rendered, and `findings` say why."""

    shown: Shown | None
    preheader: str
    findings: list[Finding]
    checks: list[Check]


def preview(authored: Authored, values: dict[str, Any], profile_id: int | None = None) -> Preview:
    """Render the words with values and go through the list of checks. Stores and sends nothing.

    Offers are simulated for the profile, codes are samples.
    """
    findings = checklist.findings(authored)
    broken = {finding.field for finding in findings if finding.level == "error"}
    shown, preheader = None, ""
    if broken <= {"subject"}:
        words = replace(authored.words, subject="") if broken else authored.words
        try:
            compiled = rendering.compiled(authored.channel, words)
            values = reached(authored.channel, words, compiled, values, profile_id)
            shown = compiled.preview(values)
            preheader = Template(authored.words.preheader, is_html=False).render(values).strip()
        except ContentError as error:
            guilty = checklist.render_error(authored, values)
            findings.append(guilty or Finding("error", authored.body[0], str(error)))
    return Preview(shown, preheader, findings, checklist.checks(authored, shown))


def reached(
    channel: int, words: Words, compiled: Compiled, values: dict[str, Any], profile_id: int | None
) -> dict[str, Any]:
    """The values with what else the words ask for, as `channels.delivery.values.trial`. Raises ContentError."""
    needs = rendering.needs(channel, words)
    return trial(needs, compiled, values, profile_id, timezone.now()) if needs else values


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
    profile_id: int | None = None,
) -> str:
    """Send the words to one address, marked as a proof, and return what the service said.

    A push goes to the devices of `profile_id` instead, a webhook where its configuration says. It goes straight through
    the provider: no message is recorded, nothing is tracked, nobody's history changes. Not to be called inside a
    transaction, which the call would hold open. Raises ProofRefused.
    """
    if not configuration.is_active or configuration.channel != content.channel:
        raise ProofRefused(
            f"{configuration} is switched off or for another channel. Choose another one.",
            field="configuration",
        )
    targets = _proof_targets(configuration, address, profile_id)
    sender = Sender(configuration.sender_name, configuration.sender_address, configuration.reply_to)
    body = _proof_body(authored, values, sender, targets[0][1], profile_id)
    _count_proof(content, configuration, address=address, now=now, user=user, profile_id=profile_id)
    # The other system tells a proof by it; no other channel shows the key to anybody.
    key = f"{'proof-' if content.channel == Channel.WEBHOOK else ''}{uuid4().hex}"
    outgoing = [
        Outgoing(0, to, sender.address, body, f"{key}/{device_id}", device_id) for device_id, to in targets
    ]
    try:
        provider = registry.get(configuration.provider)(configuration.settings)
    except UnknownKind as error:
        raise ProofRefused(str(error), field="configuration") from error
    try:
        receipts = provider.send(outgoing)
    except ProviderError as error:
        raise ProofRefused(f"{configuration} cannot be reached: {error}", field="configuration") from error
    finally:
        provider.close()
    said = {receipt.verdict: receipt for receipt in receipts}
    if accepted := said.get(Verdict.ACCEPTED):
        return accepted.provider_id
    if Verdict.UNKNOWN in said:
        raise ProofRefused(
            "The connection broke, so nobody knows whether the proof arrived. Look for it where it should be."
        )
    raise ProofRefused(f"{configuration} did not accept the proof: {receipts[0].detail}")


def _proof_targets(
    configuration: ChannelConfiguration, address: str, profile_id: int | None
) -> list[tuple[int, str]]:
    """Device and address of each place that a proof goes to. Raises ProofRefused."""
    match configuration.channel:
        case Channel.PUSH:
            if profile_id is None:
                raise ProofRefused(
                    "A push goes to devices. Choose a person whose devices take the proof.", field="profile"
                )
            reached = devices.reach([(0, profile_id, configuration.provider)]).get(0, [])
            if not reached:
                raise ProofRefused(
                    f"This person has no device that {configuration} reaches. Choose another person.",
                    field="profile",
                )
            return [(device.device_id, device.address) for device in reached]
        case Channel.WEBHOOK:
            return [(0, "")]
        case Channel.DIRECT_MAIL:
            raise ProofRefused("A mailing is printed from a file and has no proof. Look at its preview.")
    normal = addresses.normalise(configuration.channel, address)
    if normal is None:
        kind = {Channel.EMAIL: "an email address", Channel.SMS: "a phone number with its + and country"}
        raise ProofRefused(
            f"{address[:100]!r} is not {kind.get(Channel(configuration.channel), 'an address')}.",
            field="address",
        )
    if Suppression.objects.filter(channel=configuration.channel, address=normal).exists():
        raise ProofRefused(f"{address} is suppressed: nothing is ever sent to it.", field="address")
    return [(0, address if configuration.channel == Channel.EMAIL else normal)]


def _proof_body(
    authored: Authored, values: dict[str, Any], sender: Sender, address: str, profile_id: int | None
) -> bytes:
    if errors := [finding for finding in checklist.findings(authored) if finding.level == "error"]:
        raise ProofRefused(f"These words cannot be sent yet. {errors[0]}", field=errors[0].field)
    words = authored.words
    match authored.channel:
        case Channel.EMAIL | Channel.PUSH:
            words = replace(words, subject=f"{PROOF_MARK} {words.subject}")
        case Channel.SMS:
            words = replace(words, text=f"{PROOF_MARK} {words.text}")
    domain = mime.to_ascii_domain(sender.address).rpartition("@")[2]
    try:
        envelope = Envelope(
            sender=sender,
            address=address,
            message_id=make_msgid("proof", domain=domain or None),
            date=format_datetime(timezone.now()),
        )
        compiled = rendering.compiled(authored.channel, words)
        return compiled.render(reached(authored.channel, words, compiled, values, profile_id), envelope)
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
    profile_id: int | None,
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
        "send_proof",
        content,
        user=actor,
        address=address,
        configuration=configuration.key,
        profile=profile_id,
    )
