"""What the channels room does to its objects, for the API, the admin and the rooms above."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from ajo.core.models import AuditEvent
from ajo.lib import lifecycle
from channels import addresses, checklist, mjml, rendering
from channels.delivery import outbox
from channels.delivery.values import unmet
from channels.models import Content, ContentVersion, Message, MessageClass, Suppression, Variant
from channels.tracking.feedback import RESUBSCRIBED, UNSUBSCRIBED
from profiles import own_events
from profiles import services as profile_services
from profiles.models import Channel, Consent
from profiles.own_events import OwnEvent

Audit = Callable[[], object]
"""Writes the line about a change, in its transaction."""

_POLL_SECONDS = 0.05
AUTHORED_FIELDS = (
    "treatment",
    "locale",
    "subject",
    "preheader",
    "mjml",
    "html",
    "text",
    "image_url",
    "link_url",
    "columns",
)


class ContentRefused(Exception):
    """Why a content was not saved or published: `problems` are sentences for its author."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


class StaleRevision(Exception):
    """Somebody else changed this draft since you opened it. Look at the newest words before you save yours."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@transaction.atomic
def save_draft(
    *,
    key: str,
    name: str,
    variants: Sequence[Mapping[str, Any]],
    channel: int = Channel.EMAIL,
    revision: str | None = None,
    user: Any = None,
) -> ContentVersion:
    """Write the draft of a content, which is made when it is new; its published versions stay as they are.

    A variant may have `subject`, `preheader`, `mjml`, `html`, `text`, `image_url`, `link_url`, `columns`, `treatment`,
    `locale`; with MJML its HTML is made from that. Whether the words can be rendered is asked at publishing. `revision`
    is what `revision_of` gave for the draft that the author changed, "" when there was none, None to write whatever is
    there. Raises ContentRefused for what cannot be stored, StaleRevision when somebody was quicker.
    """
    content, _ = Content.objects.get_or_create(key=key, defaults={"name": name, "channel": channel})
    content = Content.objects.select_for_update().get(pk=content.pk)
    if content.channel != channel:
        raise ContentRefused([f"The content {key} is for another channel. Give this one a key of its own."])
    version = content.versions.filter(state=ContentVersion.State.DRAFT).first()
    if revision is not None and revision != (revision_of(version) if version else ""):
        raise StaleRevision
    content.name = name
    content.save(update_fields=["name"])
    if version is None:
        newest = content.versions.order_by("-number").first()
        version = ContentVersion.objects.create(content=content, number=newest.number + 1 if newest else 1)
    rows = [Variant(version=version, **_with_html(variant)) for variant in variants]
    try:
        for row in rows:
            row.clean_fields(exclude=["version"])
    except ValidationError as error:
        raise ContentRefused(
            [f"{field}: {' '.join(said)}" for field, said in error.message_dict.items()]
        ) from error
    version.variants.all().delete()
    Variant.objects.bulk_create(rows)
    _record_save(content, version.number, user)
    return version


def _with_html(variant: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a variant, its HTML made from its MJML if it has any; none when that cannot be compiled."""
    source = variant.get("mjml", "")
    made = {"html": mjml.compile_mjml(source).html} if source.strip() else {}
    return {"mjml": source, **variant, **made}


def _record_save(content: Content, number: int, user: Any) -> None:
    """One line for a person who goes on writing, not one for each pause of the hands."""
    newest = AuditEvent.objects.filter(object_kind=content._meta.label_lower, object_key=content.key).first()
    is_same = (
        newest is not None
        and newest.action == "save_content"
        and newest.user_id == getattr(user, "pk", None)
        and newest.data == {"version": number}
    )
    if not is_same:
        AuditEvent.record("save_content", content, user=user, version=number)


def revision_of(version: ContentVersion) -> str:
    """A short text that changes with every word of a version."""
    rows = list(version.variants.order_by("treatment", "locale").values_list(*AUTHORED_FIELDS))
    return hashlib.blake2b(json.dumps([version.number, rows]).encode(), digest_size=8).hexdigest()


@transaction.atomic
def create_content(
    *,
    key: str,
    name: str,
    variants: Sequence[Mapping[str, Any]],
    channel: int = Channel.EMAIL,
    user: Any = None,
) -> ContentVersion:
    """A new content with its first draft. Raises ContentRefused when the key is taken."""
    taken = ContentRefused([f"There is a content with the key {key} already. Choose another key."])
    if Content.objects.filter(key=key).exists():
        raise taken
    try:
        return save_draft(key=key, name=name, variants=variants, channel=channel, revision="", user=user)
    except StaleRevision:  # made by somebody else between the two statements
        raise taken from None


@transaction.atomic
def rename_content(*, content: Content, name: str, user: Any = None) -> Content:
    """Give a content another name; its key stays."""
    content = Content.objects.select_for_update().get(pk=content.pk)
    if content.name != name:
        AuditEvent.record("rename_content", content, user=user, before=content.name, after=name)
        content.name = name
        content.save(update_fields=["name"])
    return content


@transaction.atomic
def open_draft(*, content: Content, user: Any = None) -> ContentVersion:
    """The draft of a content; a new one begins with the words of the newest version."""
    content = Content.objects.select_for_update().get(pk=content.pk)
    if draft := content.versions.filter(state=ContentVersion.State.DRAFT).first():
        return draft
    newest = content.versions.order_by("-number").first()
    variants = list(newest.variants.values(*AUTHORED_FIELDS)) if newest else [{"subject": content.name}]
    return save_draft(
        key=content.key, name=content.name, channel=content.channel, variants=variants, user=user
    )


@transaction.atomic
def publish_content(*, content: Content, now: datetime, user: Any = None) -> ContentVersion:
    """Freeze the draft of a content as its newest published version.

    Raises ContentRefused when there is no draft or its words cannot be rendered.
    """
    content = Content.objects.select_for_update().get(pk=content.pk)
    version = content.versions.filter(state=ContentVersion.State.DRAFT).first()
    if version is None:
        raise ContentRefused([f"{content} has no draft. Change it first, then publish it."])
    if problems := content_problems(version):
        raise ContentRefused(problems)
    lifecycle.move(
        version,
        to=ContentVersion.State.PUBLISHED,
        moves={ContentVersion.State.DRAFT: {ContentVersion.State.PUBLISHED}},
        published_at=now,
    )
    AuditEvent.record("publish_content", content, user=user, version=version.number)
    return version


def content_problems(version: ContentVersion) -> list[str]:
    """Why a version cannot be published, as sentences; empty when it can."""
    variants = list(version.variants.select_related("version__content").order_by("treatment", "locale"))
    if not any(not variant.treatment and not variant.locale for variant in variants):
        return [
            "The variant without treatment and locale is missing: it is for everybody that no other one fits."
        ]
    found = []
    for variant in variants:
        name = " ".join(filter(None, [variant.treatment, variant.locale]))
        for finding in checklist.findings(authored_words(variant)):
            if finding.level == "error":
                found.append(f"Variant {name}: {finding}" if name else str(finding))
        authored = authored_words(variant)
        missing = unmet(rendering.needs(authored.channel, authored.words))
        found += [f"Variant {name}: {problem}" if name else problem for problem in missing]
    return found


def has_way_out(content: Content) -> bool:
    """Whether every email of the newest published version lets its reader unsubscribe."""
    version = (
        content.versions.filter(state=ContentVersion.State.PUBLISHED, variants__isnull=False)
        .order_by("-number")
        .first()
    )
    return version is not None and all(
        rendering.has_way_out(words_of(variant)) for variant in version.variants.all()
    )


def authored_words(variant: Variant) -> checklist.Authored:
    """What an author wrote: MJML as MJML."""
    return checklist.Authored(words_of(variant), variant.mjml, variant.version.content.channel)


def words_of(variant: Variant) -> rendering.Words:
    """The authored words of a variant."""
    return rendering.Words.of(variant)


def unsubscribe(
    *,
    profile_id: int,
    channel: int,
    reason: str,
    now: datetime,
    about: Mapping[str, Any] | None = None,
    hops: int = 0,
    audit: Audit | None = None,
    wait_seconds: float = 10.0,
) -> bool:
    """Opt a profile out of a channel, so that no marketing call for it starts after the return.

    Three steps, each committed before the next: the consent with its event, whose properties are the channel and what
    `about` adds, and what `audit` writes; the withholding of what is queued, which waits for fences that are not
    visible yet; then a bounded wait for what is being sent. False when that wait ran out. Transactional messages go on.
    Asked again, it changes nothing.
    """
    event = OwnEvent(profile_id, UNSUBSCRIBED, _consent_properties(channel, about), now, hops)
    profile_id = _state_consent(event, channel, Consent.State.OPTED_OUT, reason, audit)
    with transaction.atomic(durable=True):
        outbox.withhold_queued(
            [profile_id],
            reason=outbox.REASON_OPTED_OUT,
            code=Message.Reason.OPTED_OUT,
            channel=channel,
            message_class=MessageClass.MARKETING,
        )
    ends_at = time.monotonic() + wait_seconds
    while outbox.is_sending(profile_id, channel, MessageClass.MARKETING):
        if time.monotonic() >= ends_at:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def resubscribe(
    *,
    profile_id: int,
    channel: int,
    reason: str,
    now: datetime,
    about: Mapping[str, Any] | None = None,
    hops: int = 0,
    audit: Audit | None = None,
) -> None:
    """Opt a profile in to a channel, with its event and what `audit` writes. What was withheld meanwhile stays so."""
    event = OwnEvent(profile_id, RESUBSCRIBED, _consent_properties(channel, about), now, hops)
    _state_consent(event, channel, Consent.State.OPTED_IN, reason, audit)


def _consent_properties(channel: int, about: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"channel": Channel(channel).name.lower(), **(about or {})}


@transaction.atomic(durable=True)
def _state_consent(
    event: OwnEvent, channel: int, state: Consent.State, reason: str, audit: Audit | None
) -> int:
    """Set the consent and record the event of it, unless it is so already; returns the living profile."""
    asked, now = event.profile_id, event.occurred_at
    profile_id = profile_services.lock_profiles([asked]).get(asked, asked)
    current = Consent.objects.filter(profile_id=profile_id, channel=channel).first()
    if current is None or (current.state != state and current.changed_at <= now):
        profile_services.set_consent(
            profile_ids=[profile_id], channel=channel, state=state, reason=reason, now=now
        )
        own_events.record([event])
    if audit is not None:
        audit()
    return profile_id


def suppress(*, channel: int, address: str, reason: str = Suppression.Reason.MANUAL) -> Suppression:
    """Never send to an address again. Raises ValueError when it cannot be one of this channel."""
    normal = addresses.normalise(channel, address)
    if normal is None:
        raise ValueError(f"{address!r} is not an address of the channel {Channel(channel).label}.")
    row, _ = Suppression.objects.get_or_create(channel=channel, address=normal, defaults={"reason": reason})
    return row


def reopen(*, channel: int, address: str, reason: str) -> None:
    """Send to an address again that was closed for this reason; what was closed for another one stays so."""
    normal = addresses.normalise(channel, address)
    Suppression.objects.filter(channel=channel, address=normal, reason=reason).delete()
