"""Where a profile is reached on a channel, and the one written form in which addresses are compared."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.identity import normalise_email, normalise_phone
from profiles.models import Channel

_PLACE = ("street", "postalCode", "city", "state", "country")
"""Segment's names for the parts of an address, in the order in which they are written."""


def address_of(channel: int, attributes: Mapping[str, object]) -> str:
    """The profile's address as it is sent to; empty when it has none. Pushes go to devices, webhooks to a system."""
    match channel:
        case Channel.EMAIL:
            return _text(attributes.get("email"))
        case Channel.SMS | Channel.WHATSAPP:
            phone = _text(attributes.get("phone"))
            return normalise_phone(phone) or phone
        case Channel.DIRECT_MAIL:
            return _one_line(attributes.get("address"))
    return ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _one_line(value: object) -> str:
    """A postal address, as a text or in Segment's parts. Without a street nothing arrives."""
    if not isinstance(value, dict):
        return ", ".join(line.strip() for line in _text(value).splitlines() if line.strip())
    if not _text(value.get("street")):
        return ""
    return ", ".join(part for name in _PLACE if (part := " ".join(_text(value.get(name)).split())))


def normalise(channel: int, address: str) -> str | None:
    """The form in which an address is suppressed; None when it cannot be one of this channel."""
    match channel:
        case Channel.EMAIL:
            return normalise_email(address)
        case Channel.SMS | Channel.WHATSAPP:
            return normalise_phone(address)
        case Channel.DIRECT_MAIL:
            return " ".join(address.lower().split()) or None
    return address.strip() or None
