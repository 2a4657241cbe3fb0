"""Offers in tests: items with representations and caps, a strategy, a policy."""

from __future__ import annotations

import itertools
from typing import Any

from offers.models import (
    CappingRule,
    Collection,
    DecisionPolicy,
    OfferItem,
    Placement,
    PolicyStrategy,
    Representation,
    SelectionStrategy,
)
from profiles.models import Channel

_numbers = itertools.count(1)


def make_placement(key: str = "hero") -> Placement:
    return Placement.objects.get_or_create(key=key, defaults={"name": key.title(), "channel": Channel.WEB})[0]


def make_offer(key: str, *, shown_in: tuple[str, ...] = ("hero",), **fields: Any) -> OfferItem:
    """An approved offer item with a representation in each of these placements."""
    fields = {"name": key.title(), "state": OfferItem.State.APPROVED} | fields
    offer = OfferItem.objects.create(key=key, **fields)
    for place in shown_in:
        Representation.objects.create(offer=offer, placement=make_placement(place), title=key.title())
    return offer


def make_cap(offer: OfferItem, limit: int, scope: str = "total", **fields: Any) -> CappingRule:
    return CappingRule.objects.create(offer=offer, limit=limit, scope=scope, **fields)


def make_strategy(*offers: OfferItem, rule: str = "", **fields: Any) -> SelectionStrategy:
    """A strategy over these offer items, or over all that fit the rule."""
    key = fields.pop("key", None) or f"strategy-{next(_numbers)}"
    kind = Collection.Kind.RULE if rule else Collection.Kind.STATIC
    collection = Collection.objects.create(key=key, name=key.title(), kind=kind, rule=rule)
    collection.offers.set(offers)
    return SelectionStrategy.objects.create(key=key, name=key.title(), collection=collection, **fields)


def make_policy(*strategies: SelectionStrategy, key: str = "front-page", **fields: Any) -> DecisionPolicy:
    policy = DecisionPolicy.objects.create(key=key, name=key.title(), **fields)
    for position, strategy in enumerate(strategies, start=1):
        PolicyStrategy.objects.create(policy=policy, strategy=strategy, position=position)
    return policy
