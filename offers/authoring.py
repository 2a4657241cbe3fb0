"""Writing offer items and how they are decided about: each save is one transaction with its audit line.

A save gives a thing all its fields anew. What is wrong is refused as a whole, with every problem and its field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from ajo.core.models import AuditEvent, User
from offers import services
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
from offers.services import OfferRefused, Problem

Thing = TypeVar("Thing", OfferItem, Placement, Collection, SelectionStrategy, DecisionPolicy)
Fields = Mapping[str, Any]

_SAME_CAP = ("scope", "period", "time_zone", "event")
"""Rules that are equal in these are one rule with another limit: it keeps what it has counted."""
_LONGEST = 500  # characters of a value in the audit trail, which is no archive of texts


@transaction.atomic
def save_placement(*, placement: Placement, fields: Fields, user: User | None) -> Placement:
    before = _told(placement)
    return _finished(_filled(placement, fields), user, before)


@transaction.atomic
def save_offer(
    *,
    offer: OfferItem,
    fields: Fields,
    representations: Sequence[Fields],
    capping_rules: Sequence[Fields],
    user: User | None,
) -> OfferItem:
    """`representations` name their placement by key. An approved item must stay fit to be proposed."""
    before = _told(offer)
    placements = _by_key(Placement, "representations", [one["placement"] for one in representations])
    _filled(offer, fields)
    offer.representations.all().delete()
    Representation.objects.bulk_create(
        [
            Representation(offer=offer, **{**one, "placement": placements[one["placement"]]})
            for one in representations
        ]
    )
    _keep_caps(offer, capping_rules)
    problems = services.check_offer(offer)
    if offer.state != OfferItem.State.APPROVED:  # a draft may be half done, but not wrong
        problems = [problem for problem in problems if problem.field != "representations"]
    return _finished(offer, user, before, problems)


@transaction.atomic
def save_collection(
    *, collection: Collection, fields: Fields, offers: Sequence[str], user: User | None
) -> Collection:
    """`offers` are keys, of a list only."""
    before = _told(collection)
    members = _by_key(OfferItem, "offers", offers)
    _filled(collection, fields)
    collection.offers.set(members.values())
    problems = services.check_collection(collection)
    if collection.kind == Collection.Kind.RULE and members:
        problems.append(Problem("offers", _("A collection by rule has no list of offers. Leave it empty.")))
    return _finished(collection, user, before, problems)


@transaction.atomic
def save_strategy(
    *, strategy: SelectionStrategy, fields: Fields, collection: str, user: User | None
) -> SelectionStrategy:
    before = _told(strategy)
    strategy.collection = _by_key(Collection, "collection", [collection])[collection]
    _filled(strategy, fields)
    return _finished(strategy, user, before, services.check_strategy(strategy))


@transaction.atomic
def save_policy(
    *,
    policy: DecisionPolicy,
    fields: Fields,
    strategies: Sequence[str],
    fallback: str | None,
    user: User | None,
) -> DecisionPolicy:
    """`strategies` are keys in the order in which they are asked."""
    if len(set(strategies)) < len(strategies):
        raise _refused(policy, [Problem("strategies", _("A strategy stands in it twice. Name each once."))])
    before = _told(policy)
    found = _by_key(SelectionStrategy, "strategies", strategies)
    policy.fallback = _by_key(OfferItem, "fallback", [fallback])[fallback] if fallback else None
    _filled(policy, fields)
    policy.places.all().delete()
    PolicyStrategy.objects.bulk_create(
        [
            PolicyStrategy(policy=policy, strategy=found[key], position=position)
            for position, key in enumerate(strategies, start=1)
        ]
    )
    return _finished(policy, user, before)


def _filled(thing: Thing, fields: Fields) -> Thing:
    """Stored with these fields. Raises OfferRefused with every field that cannot be."""
    for name, value in fields.items():
        setattr(thing, name, value)
    try:
        thing.full_clean()
        with transaction.atomic():  # the key may be taken since full_clean looked
            thing.save()
    except ValidationError as error:
        found = error.message_dict
        raise _refused(
            thing,
            [Problem("" if name == "__all__" else name, said) for name in found for said in found[name]],
        ) from None
    except IntegrityError:
        raise _refused(thing, [Problem("key", _("This key is taken. Choose another."))]) from None
    return thing


def _finished(
    thing: Thing, user: User | None, before: Mapping[str, Any], problems: Sequence[Problem] = ()
) -> Thing:
    if problems:
        raise _refused(thing, problems)
    after = _told(thing)
    changes = {
        name: [before.get(name), after.get(name)]
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }
    AuditEvent.record(f"save_{thing._meta.model_name}", thing, user=user, name=thing.name, changes=changes)
    return thing


def _told(thing: Thing) -> dict[str, Any]:
    """What is stored of it now, by the names of fields, as the audit trail tells it; nothing that is empty."""
    stored = type(thing)._default_manager.filter(pk=thing.pk).first()
    return (
        {name: value for name, value in _values(stored) if value not in (None, "", [], {})} if stored else {}
    )


def _values(stored: models.Model) -> Iterator[tuple[str, Any]]:
    for field in stored._meta.fields:
        if field.editable and not field.primary_key:
            value = getattr(stored, field.name)
            plain = str(value) if field.remote_field and value is not None else value
            text = json.dumps(plain, cls=DjangoJSONEncoder)
            yield field.name, json.loads(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    match stored:
        case OfferItem():
            for one in stored.representations.select_related("placement").order_by("placement__name"):
                for name in ("title", "body", "image_url", "link_url"):
                    yield f"{one.placement}: {name}", getattr(one, name)[:_LONGEST]
            yield "capping_rules", [str(rule) for rule in stored.capping_rules.all()]
        case Collection():
            yield "offers", [offer.name for offer in stored.offers.order_by("name")]
        case DecisionPolicy():
            yield "strategies", [place.strategy.name for place in stored.places.select_related("strategy")]


def _refused(thing: models.Model, problems: Sequence[Problem]) -> OfferRefused:
    sentence = _("%(thing)s was not saved.") % {"thing": thing}
    return OfferRefused(" ".join([sentence, *(problem.message for problem in problems)]), problems)


def _by_key(model: type[Thing], field: str, keys: Iterable[str]) -> dict[str, Thing]:
    """In the order of `keys`. Raises OfferRefused for the first that is not there."""
    wanted = list(keys)
    found = {one.key: one for one in model._default_manager.filter(key__in=wanted)}
    for key in wanted:
        if key not in found:
            sentence = _("There is no %(noun)s with the key %(key)s. Make it first, or check the key.") % {
                "noun": model._meta.verbose_name,
                "key": key,
            }
            raise OfferRefused(sentence, [Problem(field, sentence)])
    return {key: found[key] for key in wanted}


def _keep_caps(offer: OfferItem, wanted: Sequence[Fields]) -> None:
    kept = {tuple(getattr(rule, name) for name in _SAME_CAP): rule for rule in offer.capping_rules.all()}
    problems = []
    seen = set()
    for index, fields in enumerate(wanted):
        identity = tuple(fields[name] for name in _SAME_CAP)
        if identity in seen:
            said = _("This rule stands there twice. Leave the stricter one.")
            problems.append(Problem(f"capping_rules.{index}", said))
            continue
        seen.add(identity)
        rule = kept.pop(identity, None) or CappingRule(offer=offer)
        for name, value in fields.items():
            setattr(rule, name, value)
        try:
            rule.full_clean()
        except ValidationError as error:
            found = error.message_dict
            problems += [
                Problem(f"capping_rules.{index}.{name}", said) for name in found for said in found[name]
            ]
        else:
            rule.save()
    if problems:
        raise _refused(offer, problems)
    CappingRule.objects.filter(pk__in=[rule.pk for rule in kept.values()]).delete()
