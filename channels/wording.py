"""What became of a message, as people say it. No database, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from channels.delivery import outbox
from channels.devices import WEB_PUSH
from channels.models import Device, Message, Suppression
from profiles.models import Channel

State = Message.State

TONES = {
    State.QUEUED: "info",
    State.SENDING: "info",
    State.SENT: "success",
    State.DELIVERED: "success",
    State.WITHHELD: "warning",
    State.EXPIRED: "warning",
    State.UNCERTAIN: "warning",
    State.FAILED: "danger",
    State.BOUNCED: "danger",
    State.COMPLAINED: "danger",
    State.QUARANTINED: "danger",
}
"""State → the colour of its badge."""

# The outbox stores its reasons in English, so that a row says the same to everybody who reads it.
_REASONS = {
    outbox.REASON_LOST: gettext_lazy(
        "the answer of the provider was lost, so nobody knows whether it arrived"
    ),
    outbox.REASON_POISON: gettext_lazy("the process that sends it died again and again"),
    outbox.REASON_MERGED: gettext_lazy("the profile was merged into another one"),
    outbox.REASON_QUIET: gettext_lazy("it is quiet hours where the person is"),
    outbox.REASON_NO_ADDRESS: gettext_lazy("no usable address of the person is known on this channel"),
}


class Fate(NamedTuple):
    """What is known of one message. `opted_out_at` and `suppressed_*` are of the person and address as they are now."""

    state: int
    reason: str
    channel: int
    address: str
    sent_at: datetime | None
    due_at: datetime | None
    attempt: int
    opted_out_at: datetime | None
    suppressed_at: datetime | None
    suppressed_for: str | None


def verdict(fate: Fate, zone: ZoneInfo) -> str:
    """One sentence without a full stop: what became of it and why."""
    match State(fate.state):
        case State.QUEUED:
            return "".join(_queued(fate, zone))
        case State.SENDING if not fate.address:
            return _("Is being sent at this moment")
        case State.SENDING:
            return _("Is being sent to %(address)s at this moment") % {"address": fate.address}
        case State.SENT | State.DELIVERED | State.BOUNCED | State.COMPLAINED:
            return _accepted(fate, zone)
        case State.WITHHELD:
            return _("Withheld: %(reason)s") % {"reason": _withheld(fate, zone)}
        case State.FAILED:
            return _("Failed: %(reason)s") % {"reason": reason(fate.reason)}
        case State.EXPIRED:
            return _("Expired: its time was over before it could be sent")
        case State.UNCERTAIN:
            return _("Uncertain: %(reason)s") % {"reason": reason(fate.reason)}
        case State.QUARANTINED:
            return _("Put aside: %(reason)s") % {"reason": reason(fate.reason)}


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Tuesday 24 November 2026, 09:00 (Europe/Berlin)."""
    return f"{date_format(at.astimezone(zone), 'l j F Y, H:i')} ({zone.key})"


def day(at: datetime, zone: ZoneInfo) -> str:
    """3 May 2026."""
    return date_format(at.astimezone(zone), "j F Y")


def channel_name(channel: int) -> str:
    """As it stands in the middle of a sentence: an abbreviation keeps its capitals."""
    label = str(Channel(channel).label)
    return label if label.isupper() or label == "WhatsApp" else label.lower()


def device(row: Device) -> str:
    """Which device it is, such as “Android app” or “Browser”."""
    if row.provider == WEB_PUSH:
        return _("Browser")
    platform = {"ios": "iOS", "android": "Android"}.get(row.platform, row.platform.capitalize())
    return _("%(platform)s app") % {"platform": platform} if platform else _("App")


def _queued(fate: Fate, zone: ZoneInfo) -> Iterator[str]:
    if fate.reason == outbox.REASON_QUIET and fate.due_at:
        yield _("Waits for the end of the quiet hours, on %(moment)s") % {"moment": moment(fate.due_at, zone)}
        return
    yield _("Waits in the outbox")
    if fate.due_at:
        yield _(", is looked at again on %(moment)s") % {"moment": moment(fate.due_at, zone)}
    if fate.reason:
        yield _(". Last answer: %(reason)s") % {"reason": reason(fate.reason)}


def _accepted(fate: Fate, zone: ZoneInfo) -> str:
    values = {
        "address": fate.address,
        "moment": moment(fate.sent_at, zone) if fate.sent_at else _("some time"),
    }
    if not fate.address:  # a push has devices, a webhook its system
        if fate.state == State.SENT:
            return _("Sent on %(moment)s") % values
        return _("%(state)s, sent on %(moment)s") % {**values, "state": State(fate.state).label}
    match State(fate.state):
        case State.DELIVERED:
            return _("Delivered to %(address)s, sent on %(moment)s") % values
        case State.BOUNCED:
            return _("Bounced: %(address)s did not take it, sent on %(moment)s") % values
        case State.COMPLAINED:
            return _("The person complained about it; it went to %(address)s on %(moment)s") % values
    return _("Sent to %(address)s on %(moment)s") % values


def _withheld(fate: Fate, zone: ZoneInfo) -> str:
    values = {"channel": channel_name(fate.channel), "address": fate.address}
    if fate.reason == outbox.REASON_OPTED_OUT:
        if fate.opted_out_at is None:
            return _("the person had opted out of %(channel)s") % values
        return _("the person opted out of %(channel)s on %(day)s") % {
            **values, "day": day(fate.opted_out_at, zone)
        }  # fmt: skip
    if fate.reason == outbox.REASON_SUPPRESSED:
        if fate.suppressed_at is None or fate.suppressed_for is None:
            return _("the address %(address)s was suppressed") % values
        why = Suppression.Reason(fate.suppressed_for).label.lower()
        return _("the address %(address)s is suppressed since %(day)s (%(why)s)") % {
            **values, "day": day(fate.suppressed_at, zone), "why": why
        }  # fmt: skip
    return reason(fate.reason)


def reason(stored: str) -> str:
    """A stored reason as a part of a sentence."""
    known = _REASONS.get(stored)
    return str(known) if known else stored.removesuffix(".") or _("no reason was given")
