"""What people do with offer items, and what stands in the way: each verb is one transaction with its audit line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from ajo.core.models import AuditEvent, User
from ajo.lib import lifecycle
from offers.models import Collection, OfferItem, SelectionStrategy
from offers.plans import COLLECTION_DOCUMENTS, DOCUMENTS
from profiles.catalog import read_catalog
from profiles.language import Catalog, LanguageError, Type, parse

State = OfferItem.State


class Problem(NamedTuple):
    """What is wrong, as a sentence, and the field it stands in."""

    field: str
    message: str


class OfferRefused(Exception):
    """What was asked cannot be done with this offer item now; the sentence says why and what to do."""

    def __init__(self, sentence: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(sentence)
        self.problems = tuple(problems)


def check_offer(offer: OfferItem) -> list[Problem]:
    """Everything that stands in the way of approving it."""
    found = _check("eligibility", offer.eligibility, read_catalog(DOCUMENTS), Type.BOOLEAN)
    if not isinstance(offer.attributes, dict):
        found.append(
            Problem("attributes", "The attributes must be an object, such as {“category”: “shoes”}.")
        )
    if not offer.representations.exists():
        found.append(
            Problem(
                "representations",
                "It has no representation, so it could be shown nowhere. Add one for a placement.",
            )
        )
    return found


def check_collection(collection: Collection) -> list[Problem]:
    """What is wrong with its rule; a list has none."""
    if collection.kind == Collection.Kind.STATIC:
        return []
    if not collection.rule.strip():
        return [Problem("rule", "It has no rule, so nothing would ever be in it. Write one.")]
    return _check("rule", collection.rule, Catalog(documents=COLLECTION_DOCUMENTS), Type.BOOLEAN)


def check_strategy(strategy: SelectionStrategy) -> list[Problem]:
    """What is wrong with its expressions."""
    catalog = read_catalog(DOCUMENTS)
    found = _check("eligibility", strategy.eligibility, catalog, Type.BOOLEAN)
    for field in ("formula", "context_weight", "value"):
        found += _check(field, getattr(strategy, field), catalog, Type.NUMBER)
    if strategy.method == SelectionStrategy.Method.FORMULA and not strategy.formula.strip():
        found.append(
            Problem("formula", "It ranks by a formula and has none, so it would choose nothing. Write one.")
        )
    return found


def approve_offer(*, offer: OfferItem, user: User | None) -> None:
    """Let it be proposed. Refuses what could not be shown or decided about."""
    if problems := check_offer(offer):
        sentences = " ".join(problem.message for problem in problems)
        raise OfferRefused(f"{offer} cannot be approved. {sentences}", problems)
    _move(offer, State.APPROVED, "approve_offer", user)


def withdraw_offer(*, offer: OfferItem, user: User | None) -> None:
    """Make it a draft again: it is no longer proposed, and its caps keep what they have counted."""
    _move(offer, State.DRAFT, "withdraw_offer", user)


def archive_offer(*, offer: OfferItem, user: User | None) -> None:
    """Never propose it again. Past decisions still name it."""
    _move(offer, State.ARCHIVED, "archive_offer", user)


def _move(offer: OfferItem, to: OfferItem.State, action: str, user: User | None) -> None:
    try:
        with transaction.atomic():
            lifecycle.move(offer, to=to, moves=OfferItem.MOVES)
            AuditEvent.record(action, offer, user=user, name=offer.name)
    except lifecycle.MoveRefused as error:
        raise OfferRefused(str(error)) from None


def _check(field: str, text: str, catalog: Catalog, expects: Type) -> list[Problem]:
    if not text.strip():
        return []
    try:
        parse(text, catalog, expects=expects)
    except LanguageError as error:
        return [Problem(field, str(error))]
    return []
