"""Where a profile is reached on a channel, and the one written form in which addresses are compared."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.identity import normalise_email
from profiles.models import Channel


def address_of(channel: int, attributes: Mapping[str, object]) -> str:
    """The profile's address as it was given; empty when it has none."""
    value = attributes.get("email") if channel == Channel.EMAIL else None
    return value.strip() if isinstance(value, str) else ""


def normalise(channel: int, address: str) -> str | None:
    """The form in which an address is suppressed; None when it cannot be one of this channel."""
    return normalise_email(address) if channel == Channel.EMAIL else address.strip() or None
