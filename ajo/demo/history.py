"""What the people of the demo did in the last ninety days.

The three stories find their cast here: parcels of this week that are late, loyal people who asked for a sweater in a
size that is sold out, and visitors who are in a park right now.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from ajo.demo import WELCOME_EVENT
from ajo.demo.catalogue import CURRENCY, PRODUCTS, SWEATER, Product
from ajo.demo.people import Person

DAYS = 90
EVENT_TYPES = (
    WELCOME_EVENT, "Product Viewed", "Product Added", "Back In Stock Requested", "Order Completed", "Order Shipped",
    "Order Delayed", "Order Delivered", "Ticket Booked", "Park Entered", "Ride Ridden", "Park Left",
)  # fmt: skip

SourceKey = Literal["website", "app", "server"]

_ORDERED, _VISITED, _IN_PARK_NOW = 0.34, 0.16, 0.025
_WANTS_SWEATER = {"Member": 0.02, "Silver": 0.07, "Gold": 0.18}
_THIS_WEEK = 0.3  # an autumn sale: the share of all orders placed in the last seven days
_DELAYED = 0.13
_TICKET = Decimal("39.00")
_CARRIERS = ("Northway Parcels", "Gull Express", "Coastline Post")
_DELAYS = ("Storm on the coast road", "Sorting centre at capacity", "Address could not be read")


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of one person; money stands in the property `revenue`."""

    name: str
    source: SourceKey
    occurred_at: datetime
    properties: dict[str, Any]


def history(person: Person, chance: random.Random, now: datetime) -> list[Happening]:
    """All that a person did until `now`, in no particular order; nothing before they joined."""
    since = max(person.created_at, now - timedelta(days=DAYS))
    found = [*_browsing(person, chance, since, now)]
    if person.created_at == since:
        found.append(
            Happening(WELCOME_EVENT, "server", since, {"method": chance.choice(["website", "app", "till"])})
        )
    if chance.random() < _WANTS_SWEATER[person.attributes["loyalty_tier"]]:
        found += _asks_for_the_sweater(person, chance, since, now)
    if chance.random() < _ORDERED:
        for _ in range(1 if chance.random() < 0.75 else chance.randint(2, 3)):
            found += _order(person, chance, since, now)
    drawn = chance.random()
    if drawn < _IN_PARK_NOW:
        found += _visit(person, chance, now - timedelta(minutes=chance.randint(20, 180)), since)
    elif drawn < _IN_PARK_NOW + _VISITED:
        found += _visit(person, chance, _moment(chance, since, now - timedelta(hours=12)), since)
    return [event for event in found if since <= event.occurred_at <= now]


def _moment(chance: random.Random, since: datetime, until: datetime) -> datetime:
    seconds = max(0, int((until - since).total_seconds()))
    return since + timedelta(seconds=chance.randrange(seconds + 1))


def _item(product: Product, person: Person) -> dict[str, Any]:
    return {
        "product_id": product.id,
        "name": product.name,
        "category": product.category,
        "size": product.size_for(person.attributes["clothing_size"]),
        "price": product.price,
        "currency": CURRENCY,
    }


def _browsing(person: Person, chance: random.Random, since: datetime, now: datetime) -> Iterator[Happening]:
    views = min(12, int(chance.expovariate(1 / 2.2)))
    if not views:
        return
    day = _moment(chance, since, now)
    for product in chance.sample(PRODUCTS, views):
        yield Happening("Product Viewed", "website", day, _item(product, person))
        # People look at several things in one sitting, and sometimes come back on another day.
        day = (
            day + timedelta(seconds=chance.randint(20, 240))
            if chance.random() < 0.8
            else _moment(chance, since, now)
        )


def _asks_for_the_sweater(
    person: Person, chance: random.Random, since: datetime, now: datetime
) -> Iterator[Happening]:
    item = _item(SWEATER, person)
    seen_at = _moment(chance, since, now)
    yield Happening("Product Viewed", "app", seen_at, item)
    if not SWEATER.stock[item["size"]]:
        wish = {"product_id": SWEATER.id, "name": SWEATER.name, "size": item["size"]}
        yield Happening("Back In Stock Requested", "app", seen_at + timedelta(seconds=45), wish)


def _order(person: Person, chance: random.Random, since: datetime, now: datetime) -> Iterator[Happening]:
    """From the basket to the door. What lies after `now` has not happened and is cut off by the caller."""
    is_recent = chance.random() < _THIS_WEEK
    ordered_at = _moment(chance, max(since, now - timedelta(days=7)) if is_recent else since, now)
    order_id = f"{100_000_000 + chance.randrange(900_000_000)}"
    products = chance.sample(PRODUCTS, chance.choices((1, 2, 3, 4), (48, 30, 15, 7))[0])
    lines = [_item(product, person) | {"quantity": 1} for product in products]
    revenue = sum((product.price for product in products), Decimal(0))
    for minutes, line in enumerate(reversed(lines), start=1):
        yield Happening("Product Added", "website", ordered_at - timedelta(minutes=2 * minutes), line)
    order = {"order_id": order_id, "revenue": revenue, "currency": CURRENCY, "products": lines}
    yield Happening("Order Completed", "website", ordered_at, order)

    shipped_at = ordered_at + timedelta(hours=chance.randint(5, 30))
    parcel = {"order_id": order_id, "carrier": chance.choice(_CARRIERS)}
    yield Happening("Order Shipped", "server", shipped_at, parcel)
    delivered_at = shipped_at + timedelta(hours=chance.randint(26, 96))
    if chance.random() < _DELAYED:
        delayed_at = shipped_at + timedelta(hours=chance.randint(10, 40))
        delivered_at = delayed_at + timedelta(days=chance.randint(4, 9))
        delay = {"reason": chance.choice(_DELAYS), "expected_on": delivered_at.date().isoformat()}
        yield Happening("Order Delayed", "server", delayed_at, parcel | delay)
    yield Happening("Order Delivered", "server", delivered_at, parcel)


def _visit(
    person: Person, chance: random.Random, entered_at: datetime, since: datetime
) -> Iterator[Happening]:
    park = person.park
    guests = chance.choices((1, 2, 3, 4, 5), (12, 34, 20, 24, 10))[0]
    booked_at = max(since, entered_at - timedelta(days=chance.randint(1, 21)))
    booking = {
        "park": park.name,
        "park_day": entered_at.date().isoformat(),
        "guests": guests,
        "revenue": guests * _TICKET,
        "currency": CURRENCY,
    }
    yield Happening("Ticket Booked", "website", booked_at, booking)
    yield Happening(
        "Park Entered", "app", entered_at, {"park": park.name, "gate": chance.choice(["North", "South"])}
    )
    at = entered_at
    for ride in chance.choices(park.open_rides, k=chance.randint(2, 6)):
        wait = chance.randint(5, 55)
        at += timedelta(minutes=wait + chance.randint(6, 25))
        visit = {"park": park.name, "ride": ride.name, "ride_id": ride.key, "waited_minutes": wait}
        yield Happening("Ride Ridden", "app", at, visit)
    # Nobody of today's visitors has left: their last ride may lie before now, their way out does not.
    left_at = max(at, entered_at + timedelta(hours=4)) + timedelta(minutes=chance.randint(5, 60))
    yield Happening("Park Left", "app", left_at, {"park": park.name})
