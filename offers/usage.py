"""Where things of this room are used: by each other, and by what rooms above register for policies and placements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Model, Q
from django.urls import reverse

from ajo.lib.usage import Finders, Use
from offers.models import (
    Collection,
    DecisionPolicy,
    OfferItem,
    Placement,
    SelectionStrategy,
)
from profiles.lookups.usage import named_in

policies, placements = Finders(), Finders()
"""Those who know which contents and journeys name a policy or a placement, by key."""
messages, walks = Finders(), Finders()
"""Those who know which messages show a decision, by its id, and of which journey an instance is, by its id."""


def uses_of_offer(offer: OfferItem) -> list[Use]:
    """The policies whose fallback it is; the collections that it is in, their rules tell."""
    return list(_pages(DecisionPolicy.objects.filter(fallback=offer)))


def uses_of_collection(collection: Collection) -> list[Use]:
    return list(_pages(SelectionStrategy.objects.filter(collection=collection)))


def uses_of_strategy(strategy: SelectionStrategy) -> list[Use]:
    return list(_pages(DecisionPolicy.objects.filter(Q(places__strategy=strategy)).distinct()))


def uses_of_policy(policy: DecisionPolicy) -> list[Use]:
    return policies.uses_of([policy.key]).get(policy.key, [])


def uses_of_placement(placement: Placement) -> list[Use]:
    return placements.uses_of([placement.key]).get(placement.key, [])


def lookups_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The offers, collections and strategies whose expressions read these lookups; three statements."""
    wanted = set(keys)
    found: dict[str, list[Use]] = {}
    for things, fields in (
        (OfferItem.objects.exclude(state=OfferItem.State.ARCHIVED), ("eligibility",)),
        (Collection.objects.all(), ("rule",)),
        (SelectionStrategy.objects.all(), ("eligibility", "formula", "context_weight", "value")),
    ):
        for thing in things.order_by("name"):  # type: ignore[attr-defined]
            for key in wanted & named_in(getattr(thing, field) for field in fields):
                found.setdefault(key, []).append(Use(thing.name, page_of(thing)))
    return found


def page_of(thing: Model) -> str:
    """The address of its page."""
    return reverse(f"admin:offers_{thing._meta.model_name}_change", args=[thing.pk])


def _pages(things: object) -> Iterator[Use]:
    for thing in things:  # type: ignore[attr-defined]
        yield Use(thing.name, page_of(thing))
