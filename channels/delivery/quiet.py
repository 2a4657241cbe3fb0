"""Quiet hours: marketing waits in the outbox until they are over where its person is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from ajo.lib.clocks import find_zone
from channels.contact_policy import QuietHours
from channels.delivery import outbox
from channels.delivery.outbox import Loaded
from channels.models import ContactPolicy, MessageClass


class _Traits(msgspec.Struct):
    time_zone: str | None = None


_traits = msgspec.json.Decoder(_Traits)


def keep_quiet(channel: int, messages: Sequence[Loaded], now: datetime) -> list[Loaded]:
    """Put off the marketing messages that come in the quiet hours of their people; returns those that may go on."""
    hours = hours_of(channel)
    if hours is None:
        return list(messages)
    ends: dict[ZoneInfo, datetime | None] = {}
    until: dict[int, datetime] = {}
    for message in messages:
        if message.message_class == MessageClass.MARKETING:
            zone = _zone_of(message)
            if zone not in ends:
                ends[zone] = hours.over_at(now, zone)
            if ends_at := ends[zone]:
                until[message.id] = ends_at
    waiting = outbox.put_off_quietly(until, now) if until else set()
    return [message for message in messages if message.id not in waiting]


def hours_of(channel: int) -> QuietHours | None:
    """Of the channel's own policy, else of the common one."""
    policy = (
        ContactPolicy.objects.filter(channel__in=[channel, ContactPolicy.EVERY_CHANNEL])
        .order_by("-channel")
        .first()
    )
    if policy is None or policy.quiet_from is None or policy.quiet_until is None:
        return None
    return QuietHours(policy.quiet_from, policy.quiet_until)


def _zone_of(message: Loaded) -> ZoneInfo:
    try:
        name = _traits.decode(message.attributes).time_zone if message.attributes else None
    except msgspec.ValidationError:
        name = None
    return find_zone(name) or brand_zone()


def brand_zone() -> ZoneInfo:
    """Whose clock stands for that of people whose zone is not known."""
    return find_zone(settings.AJO_BRAND_TIME_ZONE) or ZoneInfo("UTC")
