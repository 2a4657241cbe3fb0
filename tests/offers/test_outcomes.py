"""What became of chosen offers counts once, in the reports and in what ranking has learned."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Sum

from offers import outcomes
from offers.decide import Ask, Decided, decide
from offers.models import CapCounter, DecisionOutcome, ModelStat, OfferStat, SelectionStrategy
from offers.outcomes import Taken
from offers.plans import current_plan
from tests.factories import NOW, make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy

pytestmark = pytest.mark.django_db
Kind = DecisionOutcome.Kind
Method = SelectionStrategy.Method


def decided(count: int = 1) -> list[Decided]:
    plan = current_plan("front-page", "hero", NOW)
    asks = [Ask(make_profile().pk) for _ in range(count)]
    return [one for one in decide(asks, plan, NOW, held_until=NOW + timedelta(days=1)) if one]


def counts(key: str) -> tuple[int, ...]:
    found = OfferStat.objects.filter(offer_id=key_ids()[key]).aggregate(
        *(Sum(name) for name in ("decided", "shown", "clicked", "converted"))
    )
    return tuple(found.values())


def key_ids() -> dict[str, int]:
    from offers.models import OfferItem

    return dict(OfferItem.objects.values_list("key", "pk"))


def sums() -> dict[int, tuple[int, float]]:
    return {
        row["offer"]: (row["n"], row["r"])
        for row in ModelStat.objects.values("offer").annotate(n=Sum("n"), r=Sum("r"))
    }


def test_shown_and_clicked_count_once_however_often_they_are_reported() -> None:
    a, b = make_offer("a", priority=2), make_offer("b")
    cap = make_cap(a, 9, event="shown")
    strategy = make_strategy(a, b, method=Method.LEARNED, exploration=0.0, value="offer.x")
    strategy.value = ""
    strategy.save()
    make_policy(strategy, items=2)
    one, other = decided(2)
    for _ in range(3):
        outcomes.note_shown([one.id], NOW)
        outcomes.note_taken([Taken(one.id, a.pk), Taken(one.id, a.pk)], Kind.CLICKED, NOW)
        outcomes.note_taken([Taken(one.id, 987654321)], Kind.CLICKED, NOW)  # was not chosen
        outcomes.note_not_shown([other.id])
    assert (counts("a"), counts("b")) == ((2, 1, 1, 0), (2, 1, 0, 0))
    assert sums() == {a.pk: (1, 1.0), b.pk: (1, 0.0)}
    assert CapCounter.objects.get(rule=cap).n == 1  # confirmed for one, given back for the other
    assert DecisionOutcome.objects.count() == 3


def test_a_strategy_learns_from_its_own_reward() -> None:
    a = make_offer("a")
    make_policy(make_strategy(a, method=Method.LEARNED, reward="converted"))
    (one,) = decided()
    outcomes.note_shown([one.id], NOW)
    outcomes.note_taken([Taken(one.id, a.pk)], Kind.CLICKED, NOW)
    assert sums() == {a.pk: (1, 0.0)}
    outcomes.note_taken([Taken(one.id, a.pk)], Kind.CONVERTED, NOW)
    assert sums() == {a.pk: (1, 1.0)}
    assert counts("a") == (1, 1, 1, 1)


def test_a_fallback_is_counted_and_teaches_nothing() -> None:
    a, fallback = make_offer("a", eligibility="false"), make_offer("fallback")
    make_policy(make_strategy(a, method=Method.LEARNED), fallback=fallback)
    (one,) = decided()
    outcomes.note_shown([one.id], NOW)
    assert counts("fallback") == (1, 1, 0, 0)
    assert sums() == {}
