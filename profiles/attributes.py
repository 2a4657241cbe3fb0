"""A profile's attributes: one JSON document, and for each attribute the time of the event that set it.

The last writer wins by the event's time, so the order in which events arrive does not matter. At equal times the one
applied later wins. Values are kept as the JSON text that came in: 1.10 stays 1.10. Pure: no database, no clock.
"""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from profiles import identity

MAX_ATTRIBUTES = 500
"""Of one profile, removed ones included: their times must be remembered, or an older event would bring them back."""
MAX_KEY_LENGTH = 100

Traits = dict[str, msgspec.Raw]

_NULL = msgspec.Raw(b"null")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_traits_decoder = msgspec.json.Decoder(Traits)
_times_decoder = msgspec.json.Decoder(dict[str, int])
_any_decoder = msgspec.json.Decoder()


@dataclass(slots=True)
class Attributes:
    """The two documents of one profile while they are worked on."""

    values: Traits
    times: dict[str, int]
    is_changed: bool = False

    @classmethod
    def parse(cls, values: str, times: str) -> Attributes:
        return cls(_traits_decoder.decode(values), _times_decoder.decode(times))

    def apply(self, traits: Mapping[str, msgspec.Raw], at: int) -> list[str]:
        """Set `traits` as of `at`; null removes. Returns the keys that were refused by the limits."""
        refused = []
        for key, value in traits.items():
            known_since = self.times.get(key)
            if known_since is None:
                if not 0 < len(key) <= MAX_KEY_LENGTH or len(self.times) >= MAX_ATTRIBUTES:
                    refused.append(key)
                    continue
                known_since = 0 if key in self.values else at
            if at < known_since:
                continue
            self.times[key] = at
            if bytes(value) == b"null":
                self.values.pop(key, None)
            else:
                self.values[key] = value
            self.is_changed = True
        return refused

    def absorb(self, other: Attributes) -> None:
        """Take over what is newer in the attributes of a profile that is merged into this one; ties stay."""
        for key in [*other.values, *(key for key in other.times if key not in other.values)]:
            at = other.times.get(key, 0)
            mine = self.times.get(key, 0 if key in self.values else None)
            if mine is None or mine < at:
                self.apply({key: other.values.get(key, _NULL)}, at)

    def dump(self) -> tuple[str, str]:
        """The two documents as JSON text."""
        return msgspec.json.encode(self.values).decode(), msgspec.json.encode(self.times).decode()


def trait_time(occurred_at: datetime) -> int:
    """The time of a trait in epoch milliseconds, never negative: negative times belong to the context."""
    return max((occurred_at - _EPOCH) // _MILLISECOND, 0)


def context_time(occurred_at: datetime) -> int:
    """The time under which an attribute guessed from the context is kept.

    It is negative, so that every trait wins over it, and it falls as time goes on, so that the earliest guess stays:
    a profile is not rewritten by each page view, and late events still lead to the same end.
    """
    return -max((occurred_at - _EPOCH) // _MILLISECOND, 1)


def read_traits(properties: str) -> Traits:
    """The traits of an identify call. Raises msgspec.DecodeError when they are not a JSON object."""
    return _traits_decoder.decode(properties)


def read_contacts(traits: Traits) -> list[identity.Key]:
    """The email and phone among `traits` as identities. Writes them back in their normalised form.

    One that cannot be read stays an attribute as it was given and is no identity.
    """
    found: list[identity.Key] = []
    if (email := _text(traits, "email")) and (address := identity.normalise_email(email)):
        found.append((identity.EMAIL, address))
        traits["email"] = msgspec.Raw(msgspec.json.encode(address))
    if phone := _text(traits, "phone"):
        country = _text(traits, "country")
        region = country.upper() if country and len(country) == 2 else None
        if number := identity.normalise_phone(phone, region):
            found.append((identity.PHONE, number))
            traits["phone"] = msgspec.Raw(msgspec.json.encode(number))
    return found


def _text(traits: Traits, key: str) -> str | None:
    raw = traits.get(key)
    value = _any_decoder.decode(raw) if raw is not None else None
    return value if isinstance(value, str) else None


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


@functools.lru_cache(maxsize=4_096)
def read_context(time_zone: str | None, locale: str | None) -> Traits | None:
    """What the context of an event tells about the person; None for nothing usable. Do not change the answer."""
    traits: Traits = {}
    if time_zone and time_zone in _zones():
        traits["time_zone"] = msgspec.Raw(msgspec.json.encode(time_zone))
    if locale and _LOCALE.fullmatch(locale):
        traits["locale"] = msgspec.Raw(msgspec.json.encode(locale))
    return traits or None
