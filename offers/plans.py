"""A decision policy as it is decided by: read once, in a constant number of statements, its expressions compiled.

`current_plan` keeps a plan for as long as nothing that it is made of changes, which one small statement tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet

from ajo.lib import sql
from offers.capping import Use, period_of
from offers.models import (
    CapCounter,
    CappingRule,
    Collection,
    DecisionPolicy,
    OfferItem,
    Placement,
    PolicyStrategy,
    Representation,
    SelectionStrategy,
)
from profiles.catalog import read_catalog
from profiles.language import (
    Call,
    Catalog,
    Field,
    Gather,
    LanguageError,
    Node,
    Scope,
    changes_with_time,
    compile_condition,
    compile_python,
    compile_rows,
    fields_of,
    parse_checked,
)
from profiles.language.nodes import children

DOCUMENTS = frozenset({"profile", "offer", "context"})
"""What eligibility and formulas may name."""
COLLECTION_DOCUMENTS = frozenset({"offer"})
MAX_KEPT = 500
"""Plans that a process keeps."""
MAX_SHOWN = 300
"""Characters of an expression in a reason."""

_PERIODS = {
    CappingRule.Period.DAY: "a day",
    CappingRule.Period.WEEK: "a week",
    CappingRule.Period.MONTH: "a month",
    CappingRule.Period.LIFETIME: "ever",
}


class PlanMissing(Exception):
    """There is no such policy or placement; `field` says which."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something holds, and its text."""

    holds: Callable[[Scope], bool]
    text: str
    reads: tuple[Field, ...]

    @property
    def shown(self) -> str:
        """The text in a reason."""
        return self.text.strip()[:MAX_SHOWN]

    @classmethod
    def read(cls, text: str, catalog: Catalog) -> Condition | None:
        """None where the text is empty: everybody."""
        if not text.strip():
            return None
        tree = parse_checked(text)
        return cls(compile_condition(tree, catalog), text, tuple(dict.fromkeys(fields_of(tree))))

    def refusal(self, scope: Scope) -> str:
        """Why it does not hold, such as “profile.size is missing, so profile.size == "M" was false.”."""
        missing = [f"{one.root}.{one.name}" for one in self.reads if _is_missing(one, scope)]
        if not missing:
            return f"{self.shown} was false."
        verb = "is" if len(missing) == 1 else "are"
        return f"{' and '.join(missing)} {verb} missing, so {self.shown} was false."


def _is_missing(field: Field, scope: Scope) -> bool:
    document = getattr(scope, field.root, None)
    return not document or document.get(field.name) is None


@dataclass(frozen=True, slots=True)
class Cap:
    """A capping rule. `is_held`: a use counts when it was shown, and is given back when it was not."""

    rule_id: int
    is_total: bool
    period: str
    zone: ZoneInfo
    limit: int
    is_held: bool

    def period_at(self, now: datetime) -> date:
        return period_of(self.period, now, self.zone)

    def use(self, profile_id: int, period: date) -> Use:
        return Use(self.rule_id, CapCounter.TOTAL if self.is_total else profile_id, period, self.limit)

    @property
    def reason(self) -> str:
        scope = "in total" if self.is_total else "per person"
        return (
            f"Cap reached: {self.limit} of {self.limit} {scope}, {_PERIODS[CappingRule.Period(self.period)]}."
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What an offer item looks like in the plan's placement."""

    title: str
    body: str
    image_url: str
    link_url: str


@dataclass(frozen=True, slots=True)
class Item:
    """An approved offer item."""

    id: int
    key: str
    name: str
    priority: int
    lever: int
    attributes: Mapping[str, Any]
    eligibility: Condition | None
    valid_from: datetime | None
    valid_until: datetime | None
    shown: Shown | None
    caps: Sequence[Cap]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A selection strategy with its candidates, ordered by key."""

    id: int
    key: str
    items: Sequence[Item]
    eligibility: Condition | None
    method: str
    formula: Callable[[Scope], Any] | None
    context_weight: Callable[[Scope], Any] | None
    value: Callable[[Scope], Any] | None
    propensity_weight: float
    exploration: float

    @property
    def is_learned(self) -> bool:
        return self.method == SelectionStrategy.Method.LEARNED


@dataclass(frozen=True)
class Plan:
    """A policy for one placement."""

    policy_id: int
    placement_id: int
    content_type: str
    items: int
    strategies: Sequence[Strategy]
    fallback: Item | None
    gather: Gather | None
    """Gives scopes the rows that its expressions look up; None when they look nothing up."""
    is_lasting: bool
    """Whether time alone leaves every collection as it is."""

    @cached_property
    def caps(self) -> Sequence[Cap]:
        """Of all candidates, each rule once."""
        found = {
            cap.rule_id: cap for strategy in self.strategies for item in strategy.items for cap in item.caps
        }
        return tuple(found.values())

    @cached_property
    def by_id(self) -> Mapping[int, Item]:
        """What it can choose, the fallback included."""
        found = {item.id: item for strategy in self.strategies for item in strategy.items}
        return found if self.fallback is None else {**found, self.fallback.id: self.fallback}


_plans: dict[tuple[str, str], tuple[UUID, Plan]] = {}
"""(policy, placement) → the version under which it was read, and the plan."""


def current_plan(policy_key: str, placement_key: str, now: datetime) -> Plan:
    """The policy as it stands now: one statement, and those of `read_plan` after a change. Raises PlanMissing."""
    with sql.cursor() as cur:
        cur.execute("SELECT version FROM plan_version")
        row = cur.fetchone()
    version = row.version if row else None
    known = _plans.get((policy_key, placement_key))
    if known is not None and known[0] == version:
        return known[1]
    plan = read_plan(policy_key, placement_key, now)
    # Read after the version: what changes in between makes a newer one, and the plan is read again.
    if version is not None and plan.is_lasting:
        if len(_plans) >= MAX_KEPT:
            _plans.clear()
        _plans[policy_key, placement_key] = version, plan
    return plan


def read_plan(policy_key: str, placement_key: str, now: datetime) -> Plan:
    """The policy as it stands now, in eight statements however large it is. Raises PlanMissing."""
    policy = DecisionPolicy.objects.filter(key=policy_key).first()
    if policy is None:
        sentence = f"There is no decision policy with the key {policy_key!r}. Create it, or check the key."
        raise PlanMissing("policy", sentence)
    placement = Placement.objects.filter(key=placement_key).first()
    if placement is None:
        sentence = f"There is no placement with the key {placement_key!r}. Create it, or check the key."
        raise PlanMissing("placement", sentence)
    places = PolicyStrategy.objects.filter(policy=policy).order_by("position")
    strategies = [place.strategy for place in places.select_related("strategy__collection")]
    return _read(policy, strategies, placement, now)


def trial_plan(strategy: SelectionStrategy, placement: Placement, now: datetime) -> Plan:
    """One strategy alone that chooses one item, and never by lot: to be simulated with, not to decide by."""
    plan = _read(DecisionPolicy(pk=0), [strategy], placement, now)
    return replace(plan, strategies=[replace(one, exploration=0.0) for one in plan.strategies])


def _read(
    policy: DecisionPolicy, strategies: Sequence[SelectionStrategy], placement: Placement, now: datetime
) -> Plan:
    catalog = read_catalog(DOCUMENTS)
    items = _read_items(strategies, placement, policy.fallback_id, catalog)
    members = _read_members(strategies, items, now)
    rules = {one.collection.rule for one in strategies if one.collection.kind == Collection.Kind.RULE}
    return Plan(
        policy_id=policy.pk,
        placement_id=placement.pk,
        content_type=placement.content_type,
        items=policy.items,
        strategies=[_strategy(one, members[one.collection_id], catalog) for one in strategies],
        fallback=items.get(policy.fallback_id) if policy.fallback_id else None,
        gather=_gather(strategies, items.values(), catalog),
        is_lasting=not any(_may_change(rule) for rule in rules),
    )


def read_items(offer_ids: Iterable[int], placement_id: int) -> dict[int, Item]:
    """Offer items by id as they look in a placement now, approved or not. Three statements."""
    return _items(OfferItem.objects.filter(pk__in=offer_ids), placement_id, read_catalog(DOCUMENTS))


def fitting(rule: str, offers: Iterable[tuple[int, Any]], now: datetime) -> list[int]:
    """The ids of those (id, attributes) that fit the rule of a collection; none fits an empty one."""
    condition = Condition.read(rule, Catalog(documents=COLLECTION_DOCUMENTS))
    if condition is None:
        return []
    return [offer_id for offer_id, attributes in offers if condition.holds(Scope(now, offer=attributes))]


def _gather(
    strategies: Sequence[SelectionStrategy], items: Iterable[Item], catalog: Catalog
) -> Gather | None:
    texts = {item.eligibility.text for item in items if item.eligibility is not None}
    texts |= {
        text
        for one in strategies
        for text in (one.eligibility, one.formula, one.context_weight, one.value)
        if text.strip()
    }
    trees = [tree for text in sorted(texts) if _looks_up(tree := parse_checked(text))]
    return compile_rows(trees, catalog) if trees else None


def _looks_up(node: Node) -> bool:
    return (isinstance(node, Call) and node.name == "lookup") or any(map(_looks_up, children(node)))


def _may_change(rule: str) -> bool:
    """Whether time alone can change what is in the collection of this rule."""
    try:
        return bool(rule.strip()) and changes_with_time(
            parse_checked(rule), Catalog(documents=COLLECTION_DOCUMENTS)
        )
    except LanguageError:  # nobody can tell
        return True


def _read_items(
    strategies: Sequence[SelectionStrategy], placement: Placement, fallback_id: int | None, catalog: Catalog
) -> dict[int, Item]:
    """All approved offer items by id where a collection has a rule, else those of the lists and the fallback."""
    offers = OfferItem.objects.filter(state=OfferItem.State.APPROVED).order_by("key")
    if not any(one.collection.kind == Collection.Kind.RULE for one in strategies):
        lists = OfferItem.collections.through.objects.filter(
            collection__in=[one.collection_id for one in strategies]
        )
        fallback = [fallback_id] if fallback_id else []
        offers = offers.filter(Q(pk__in=lists.values("offeritem")) | Q(pk__in=fallback))
    return _items(offers, placement.pk, catalog)


def _items(offers: QuerySet[OfferItem], placement_id: int, catalog: Catalog) -> dict[int, Item]:
    found = list(offers)
    ids = [offer.pk for offer in found]
    shown = {
        one.offer_id: Shown(one.title, one.body, one.image_url, one.link_url)
        for one in Representation.objects.filter(placement=placement_id, offer__in=ids)
    }
    caps = defaultdict(list)
    for rule in CappingRule.objects.filter(offer__in=ids).order_by("pk"):
        caps[rule.offer_id].append(
            Cap(
                rule_id=rule.pk,
                is_total=rule.scope == CappingRule.Scope.TOTAL,
                period=rule.period,
                zone=ZoneInfo(rule.time_zone or settings.AJO_BRAND_TIME_ZONE),
                limit=rule.limit,
                is_held=rule.event == CappingRule.Event.SHOWN,
            )
        )
    return {
        offer.pk: Item(
            id=offer.pk,
            key=offer.key,
            name=offer.name,
            priority=offer.priority,
            lever=offer.lever,
            attributes=offer.attributes,
            eligibility=Condition.read(offer.eligibility, catalog),
            valid_from=offer.valid_from,
            valid_until=offer.valid_until,
            shown=shown.get(offer.pk),
            caps=tuple(caps[offer.pk]),
        )
        for offer in found
    }


def _read_members(
    strategies: Sequence[SelectionStrategy], items: Mapping[int, Item], now: datetime
) -> dict[int, list[Item]]:
    """Collection id → its items, ordered by key."""
    collections = {one.collection_id: one.collection for one in strategies}
    listed = defaultdict(set)
    rows = OfferItem.collections.through.objects.filter(collection__in=collections)
    for collection_id, offer_id in rows.values_list("collection", "offeritem"):
        listed[collection_id].add(offer_id)
    attributes = [(item.id, item.attributes) for item in items.values()]
    for collection in collections.values():
        if collection.kind == Collection.Kind.RULE:
            listed[collection.pk] = set(fitting(collection.rule, attributes, now))
    return {
        collection_id: [item for item in items.values() if item.id in listed[collection_id]]
        for collection_id in collections
    }


def _strategy(one: SelectionStrategy, items: Sequence[Item], catalog: Catalog) -> Strategy:
    def compiled(text: str) -> Callable[[Scope], Any] | None:
        return compile_python(parse_checked(text), catalog) if text.strip() else None

    return Strategy(
        id=one.pk,
        key=one.key,
        items=items,
        eligibility=Condition.read(one.eligibility, catalog),
        method=one.method,
        formula=compiled(one.formula),
        context_weight=compiled(one.context_weight),
        value=compiled(one.value),
        propensity_weight=one.propensity_weight,
        exploration=one.exploration,
    )
