"""Plans are kept by a process until anything that they are made of changes, whoever changes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction

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
from offers.plans import Plan, PlanMissing, current_plan
from profiles.models import AttributeDefinition, Lookup
from tests.factories import NOW
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def plan(key: str = "front-page") -> Plan:
    return current_plan(key, "hero", NOW)


def raw(statement: str) -> None:
    with connection.cursor() as cur:
        cur.execute(statement)


def test_a_plan_is_read_once_and_then_costs_one_statement() -> None:
    make_policy(make_strategy(make_offer("a")))
    first = plan()
    with count_statements() as seen:
        assert plan() is first
    assert seen == ["SELECT version FROM plan_version"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: make_offer("b"),
        lambda: OfferItem.objects.update(priority=7),
        lambda: Representation.objects.all().delete(),
        lambda: Placement.objects.update(name="Other"),
        lambda: Collection.objects.get().offers.clear(),
        lambda: Collection.objects.update(name="Other"),
        lambda: make_cap(OfferItem.objects.get(), 1),
        lambda: CappingRule.objects.update(limit=5),
        lambda: SelectionStrategy.objects.update(eligibility="false"),
        lambda: DecisionPolicy.objects.update(items=3),
        lambda: PolicyStrategy.objects.all().delete(),
        lambda: AttributeDefinition.objects.create(key="size", label="Size"),
        lambda: Lookup.objects.create(key="stock", name="Stock"),
        lambda: raw("UPDATE offers_offeritem SET lever = 5"),
    ],
)
def test_whatever_changes_it_is_seen_by_the_next_decision(change: Callable[[], object]) -> None:
    make_policy(make_strategy(make_offer("a")))
    first = plan()
    change()
    assert plan() is not first
    assert plan() is plan()


def test_a_change_that_is_rolled_back_leaves_the_plan_as_it_was() -> None:
    make_policy(make_strategy(make_offer("a")))
    first = plan()
    with transaction.atomic():
        DecisionPolicy.objects.update(items=3)
        assert plan().items == 3
        transaction.set_rollback(True)
    assert plan().items == first.items == 1


def test_a_missing_policy_is_found_as_soon_as_it_exists() -> None:
    make_policy(make_strategy(make_offer("a")))
    with pytest.raises(PlanMissing):
        plan("other")
    make_policy(key="other")
    assert plan("other").strategies == []


def test_a_collection_that_time_changes_is_read_each_time() -> None:
    make_offer("a")
    make_policy(make_strategy(rule='timestamp("2026-11-21T13:00:00Z") > now()'))
    first = plan()
    assert (first.is_lasting, len(first.strategies[0].items)) == (False, 1)
    assert len(current_plan("front-page", "hero", NOW + timedelta(hours=2)).strategies[0].items) == 0
