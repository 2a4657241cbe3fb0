"""The people of the demo: who they are, before they do anything."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ajo.demo.catalogue import CLOTHING_SIZES, PARKS, SHOPS, TIERS, Park
from ajo.demo.names import COUNTRIES, City, Country
from profiles.models import AttributeDefinition, Channel, Consent

# Attribute → label, type, sensitivity: what the screens show instead of the bare key.
_Type = AttributeDefinition.Type
_Sensitivity = AttributeDefinition.Sensitivity
ATTRIBUTES = {
    "first_name": ("First name", _Type.TEXT, _Sensitivity.PERSONAL),
    "last_name": ("Last name", _Type.TEXT, _Sensitivity.PERSONAL),
    "email": ("Email", _Type.TEXT, _Sensitivity.PERSONAL),
    "phone": ("Phone", _Type.TEXT, _Sensitivity.PERSONAL),
    "birthday": ("Birthday", _Type.TIME, _Sensitivity.SENSITIVE),
    "city": ("City", _Type.TEXT, _Sensitivity.PERSONAL),
    "country": ("Country", _Type.TEXT, _Sensitivity.NONE),
    "language": ("Language", _Type.TEXT, _Sensitivity.NONE),
    "time_zone": ("Time zone", _Type.TEXT, _Sensitivity.NONE),
    "loyalty_tier": ("Loyalty tier", _Type.TEXT, _Sensitivity.NONE),
    "loyalty_points": ("Loyalty points", _Type.NUMBER, _Sensitivity.NONE),
    "clothing_size": ("Clothing size", _Type.TEXT, _Sensitivity.PERSONAL),
    "favourite_shop": ("Favourite shop", _Type.TEXT, _Sensitivity.NONE),
    "favourite_park": ("Favourite park", _Type.TEXT, _Sensitivity.NONE),
    "favourite_ride": ("Favourite ride", _Type.TEXT, _Sensitivity.NONE),
}

_SIZE_WEIGHTS = (6, 18, 27, 26, 16, 7)
_TIER_WEIGHTS = (70, 22, 8)
_POINTS = {"Member": (0, 499), "Silver": (500, 1_999), "Gold": (2_000, 9_500)}
# Channel → shares of those who said yes and no; the others said nothing.
_CONSENT = {Channel.EMAIL: (0.71, 0.09), Channel.SMS: (0.28, 0.06), Channel.PUSH: (0.33, 0.04)}
_REASONS = {
    Consent.State.OPTED_IN: "Ticked when joining the loyalty programme",
    Consent.State.OPTED_OUT: "Unsubscribed in an email",
}
_NEW_SHARE = 0.12
_NEW_DAYS, _OLD_DAYS = 90, 3 * 365
_WITHOUT_MARKS = str.maketrans({"ß": "ss", "ı": "i", "'": None, "ä": "ae", "ö": "oe", "ü": "ue"})


@dataclass(frozen=True, slots=True)
class Person:
    """One person. `attributes` are the profile's; `consents` maps a channel to what was said about it."""

    number: int
    user_id: str
    anonymous_id: str | None
    created_at: datetime
    attributes: dict[str, Any]
    consents: dict[Channel, Consent.State]
    park: Park

    @property
    def email(self) -> str:
        return str(self.attributes["email"])

    @property
    def phone(self) -> str | None:
        return self.attributes.get("phone")


def reason_for(state: Consent.State) -> str:
    """Why the person has this consent, as the support staff reads it."""
    return _REASONS[state]


def people(chance: random.Random, now: datetime) -> Iterator[Person]:
    """People without end, each once. With the same chance and `now` they are the same, in the same order."""
    phones = {country.code: country.phone_numbers() for country in COUNTRIES}
    addresses: Counter[str] = Counter()
    country_weights = list(itertools.accumulate(country.weight for country in COUNTRIES))
    for number in itertools.count(1):
        country = chance.choices(COUNTRIES, cum_weights=country_weights)[0]
        first_name = chance.choice(country.first_names)
        last_name = chance.choice(country.last_names)
        yield _person(
            chance,
            now,
            number,
            country,
            first_name,
            last_name,
            email=_email(first_name, last_name, addresses),
            # Fictional numbers are few: when they are used up, people simply gave none.
            phone=next(phones[country.code], None) if chance.random() < 0.62 else None,
        )


def _person(
    chance: random.Random,
    now: datetime,
    number: int,
    country: Country,
    first_name: str,
    last_name: str,
    *,
    email: str,
    phone: str | None,
) -> Person:
    city = _pick_city(chance, country)
    tier = chance.choices(TIERS, _TIER_WEIGHTS)[0]
    park = next((park for park in PARKS if park.country == country.code), PARKS[0])
    attributes: dict[str, Any] = {
        "first_name": first_name,
        "last_name": last_name,
        "email": email,
        "phone": phone,
        "birthday": _birthday(chance, now),
        "city": city.name,
        "country": country.code,
        "language": country.language,
        "time_zone": city.time_zone,
        "loyalty_tier": tier,
        "loyalty_points": chance.randint(*_POINTS[tier]),
        "clothing_size": chance.choices(CLOTHING_SIZES, _SIZE_WEIGHTS)[0],
        "favourite_shop": _shop_near(chance, city, country),
        "favourite_park": park.name,
        "favourite_ride": chance.choice(park.rides).name if chance.random() < 0.45 else None,
    }
    return Person(
        number=number,
        user_id=f"hp-{number:06d}",
        anonymous_id=str(UUID(int=chance.getrandbits(128), version=4)) if chance.random() < 0.4 else None,
        created_at=_joined_at(chance, now),
        attributes={key: value for key, value in attributes.items() if value is not None},
        consents=dict(_consents(chance, has_phone=phone is not None)),
        park=park,
    )


def _pick_city(chance: random.Random, country: Country) -> City:
    return chance.choices(country.cities, [city.weight for city in country.cities])[0]


def _shop_near(chance: random.Random, city: City, country: Country) -> str | None:
    """The shop of the town, else one of the country; nobody in a country without shops has a favourite."""
    in_town = [shop.name for shop in SHOPS if shop.city == city.name]
    in_country = [shop.name for shop in SHOPS if shop.country == country.code]
    return chance.choice(in_town or in_country) if in_country else None


def _email(first_name: str, last_name: str, taken: Counter[str]) -> str:
    """An address nobody else has, in the domain that is reserved for examples."""
    decomposed = unicodedata.normalize("NFKD", f"{first_name}.{last_name}".lower().translate(_WITHOUT_MARKS))
    local = decomposed.encode("ascii", "ignore").decode()
    taken[local] += 1
    return f"{local}{taken[local] if taken[local] > 1 else ''}@example.com"


def _birthday(chance: random.Random, now: datetime) -> str:
    age_in_days = int(chance.triangular(18 * 365, 78 * 365, 37 * 365))
    return (now - timedelta(days=age_in_days)).date().isoformat()


def _joined_at(chance: random.Random, now: datetime) -> datetime:
    is_new = chance.random() < _NEW_SHARE
    days = chance.uniform(0.1, _NEW_DAYS) if is_new else chance.uniform(_NEW_DAYS, _OLD_DAYS)
    return (now - timedelta(days=days)).replace(microsecond=0)


def _consents(chance: random.Random, *, has_phone: bool) -> Iterator[tuple[Channel, Consent.State]]:
    for channel, (yes, no) in _CONSENT.items():
        drawn = chance.random()
        if channel == Channel.SMS and not has_phone:
            continue
        if drawn < yes:
            yield channel, Consent.State.OPTED_IN
        elif drawn < yes + no:
            yield channel, Consent.State.OPTED_OUT
