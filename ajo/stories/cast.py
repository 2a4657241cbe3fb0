"""The people of one telling: new ones each time, each with the part that they play. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ajo.demo.names import COUNTRIES


@dataclass(frozen=True, slots=True)
class Person:
    """`part` says in a few words what sets them apart."""

    user_id: str
    first_name: str
    last_name: str
    part: str
    tier: str
    size: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        return f"{self.user_id}@example.com"

    @property
    def token(self) -> str:
        """Of the app on their phone."""
        return f"phone-of-{self.user_id}"

    def introduction(self) -> dict[str, Any]:
        """The event by which their app makes them known."""
        return {
            "type": "identify",
            "userId": self.user_id,
            "traits": {
                "first_name": self.first_name,
                "last_name": self.last_name,
                "email": self.email,
                "loyalty_tier": self.tier,
                "clothing_size": self.size,
                "favourite_shop": "Harbour & Pine Whitby",
            },
            "context": {"device": {"type": "ios", "token": self.token}},
        }

    def does(self, event: str, properties: dict[str, Any], at: datetime | None = None) -> dict[str, Any]:
        """An event of theirs."""
        told = {"type": "track", "userId": self.user_id, "event": event, "properties": properties}
        return told | ({"timestamp": at.isoformat()} if at else {})


def people(telling: str, story: int, parts: Sequence[tuple[str, str, str]]) -> list[Person]:
    """One person for each (part, tier, size); the same telling gives the same people."""
    chance = random.Random(f"{telling} {story}")
    british = next(country for country in COUNTRIES if country.code == "GB")
    return [
        Person(
            user_id=f"story-{telling}-{story}-{number}",
            first_name=chance.choice(british.first_names),
            last_name=chance.choice(british.last_names),
            part=part,
            tier=tier,
            size=size,
        )
        for number, (part, tier, size) in enumerate(parts, start=1)
    ]


def playing(profiles: Mapping[str, Person], *parts: str) -> set[str]:
    """The ids of the profiles that play one of these parts."""
    return {profile_id for profile_id, person in profiles.items() if person.part in parts}


def profile_of(profiles: Mapping[str, Person], person: Person) -> str:
    return next(profile_id for profile_id, each in profiles.items() if each == person)
