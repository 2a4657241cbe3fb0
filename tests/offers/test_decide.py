"""Decisions: who gets what, what is recorded, and why everything else lost."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from ajo.lib import sql
from offers import capping, learning
from offers.decide import Ask, Decided, decide, key_of
from offers.learning import Outcome
from offers.models import CapCounter, Decision, OfferItem, SelectionStrategy
from offers.plans import Plan, PlanMissing, current_plan, read_plan
from profiles.merging import merge_profiles
from profiles.models import AttributeDefinition, Lookup, LookupRow
from tests.factories import NOW, make_profile
from tests.offers.helpers import make_cap, make_offer, make_placement, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db
Method = SelectionStrategy.Method


def plan() -> Plan:
    return read_plan("front-page", "hero", NOW)


def decide_for(*profile_ids: int, **options: Any) -> list[Decided]:
    context = options.pop("context", {})
    decided = decide([Ask(profile_id, context) for profile_id in profile_ids], plan(), NOW, **options)
    return [one for one in decided if one is not None]


def reasons(decided: Decided) -> dict[str, str]:
    return {one.offer: one.reason for one in decided.candidates}


def keys(decided: Decided) -> list[str]:
    return [item.key for item in decided.items]


def used() -> dict[tuple[int, int], int]:
    return {(c.rule_id, c.subject): c.n for c in CapCounter.objects.all() if c.n}


def test_the_best_is_chosen_and_every_other_says_why_not() -> None:
    low, high = make_offer("low", priority=1), make_offer("high", priority=5)
    gold = make_offer("gold", priority=9, eligibility='profile.tier == "gold"')
    over = make_offer("over", priority=9, valid_until=NOW)
    coming = make_offer("coming", priority=9, valid_from=NOW + timedelta(seconds=1))
    elsewhere = make_offer("elsewhere", priority=9, shown_in=("footer",))
    draft = make_offer("draft", priority=9, state=OfferItem.State.DRAFT)
    make_policy(make_strategy(low, high, gold, over, coming, elsewhere, draft, key="all"))

    (decided,) = decide_for(make_profile(tier="silver").pk)

    assert keys(decided) == ["high"]
    assert reasons(decided) == {
        "high": "Ranked 1st: 5, ahead of low with 1.",
        "low": "Ranked 2nd: 1, below high with 5.",
        "gold": 'Not eligible: profile.tier == "gold" was false.',
        "over": "It was valid only until 2026-11-21 12:00 UTC.",
        "coming": "It is valid only from 2026-11-21 12:00 UTC.",
        "elsewhere": "It has no representation for this placement.",
    }
    row = Decision.objects.get()
    assert (row.id, row.profile_id, row.offers) == (decided.id, decided.profile_id, [high.pk])
    assert (row.decided_at, row.is_fallback, row.is_exploration, row.model_versions) == (
        NOW,
        False,
        False,
        {},
    )
    assert row.candidates[0] == {
        "offer": "high",
        "strategy": "all",
        "code": "chosen",
        "reason": "Ranked 1st: 5, ahead of low with 1.",
        "rank": 1,
        "score": 5.0,
    }
    assert {one["offer"]: one["reason"] for one in row.candidates} == reasons(decided)


def test_eligibility_reads_the_profile_the_offer_and_the_request() -> None:
    AttributeDefinition.objects.create(key="size", label="Size", type="text")
    small = make_offer("small", attributes={"sizes": ["S"]}, eligibility="profile.size in offer.sizes")
    large = make_offer("large", attributes={"sizes": ["L"]}, eligibility="profile.size in offer.sizes")
    rain = make_offer("umbrella", priority=3, eligibility='context.weather == "rain"')
    make_policy(make_strategy(small, large, rain))
    person = make_profile(size="L")
    assert keys(decide_for(person.pk)[0]) == ["large"]
    assert keys(decide_for(person.pk, context={"weather": "rain"})[0]) == ["umbrella"]


def test_a_collection_by_rule_is_read_from_the_attributes() -> None:
    for key, category in (("boots", "shoes"), ("scarf", "wool"), ("clogs", "shoes")):
        make_offer(key, attributes={"category": category})
    make_policy(make_strategy(rule='offer.category == "shoes"'), items=5)
    assert keys(decide_for(make_profile().pk)[0]) == ["boots", "clogs"]


def test_the_next_strategy_fills_what_is_left_and_no_offer_comes_twice() -> None:
    a, b, c = (make_offer(key) for key in "abc")
    first = make_strategy(a, key="first")
    make_policy(first, make_strategy(a, b, c, key="second"), items=2)
    (decided,) = decide_for(make_profile().pk)
    assert keys(decided) == ["a", "b"]
    assert [(one.offer, one.strategy, one.code) for one in decided.candidates] == [
        ("a", "first", "chosen"),
        ("b", "second", "chosen"),
        ("c", "second", "ranked_below"),
        ("a", "second", "already_weighed"),
    ]


def test_a_strategy_that_is_not_for_a_profile_leaves_its_offers_to_the_next() -> None:
    a, b = make_offer("a", priority=2), make_offer("b")
    make_policy(
        make_strategy(b, key="gold", eligibility="profile.points > 100"), make_strategy(a, b, key="rest")
    )
    poor, rich = (make_profile(points=points) for points in (5, 500))
    for_poor, for_rich = decide_for(poor.pk, rich.pk)
    assert (keys(for_poor), keys(for_rich)) == (["a"], ["b"])
    lost = next(one for one in for_poor.candidates if one.strategy == "gold")
    assert lost.reason == "The strategy gold is not for this person: profile.points > 100 was false."
    assert {one.code for one in for_rich.candidates if one.strategy == "rest"} == {
        "not_needed",
        "already_weighed",
    }


def test_a_formula_ranks_and_what_it_cannot_rank_loses() -> None:
    cheap = make_offer("cheap", attributes={"margin": 2})
    dear = make_offer("dear", attributes={"margin": 3.5})
    unknown = make_offer("unknown", priority=99)
    make_policy(
        make_strategy(cheap, dear, unknown, method=Method.FORMULA, formula="offer.margin * profile.points")
    )
    (decided,) = decide_for(make_profile(points=10).pk)
    assert keys(decided) == ["dear"]
    assert reasons(decided) == {
        "dear": "Ranked 1st: 35, ahead of cheap with 20.",
        "cheap": "Ranked 2nd: 20, below dear with 35.",
        "unknown": "Its formula gave no number.",
    }


def test_learned_ranking_prefers_what_people_take_and_records_what_it_knew() -> None:
    good, bad = make_offer("good"), make_offer("bad")
    strategy = make_strategy(good, bad, key="learned", method=Method.LEARNED, exploration=0.0)
    make_policy(strategy)
    today = NOW.date()
    with sql.unit_of_work() as cur:
        for _ in range(3):
            learning.add_outcomes(
                cur,
                [
                    Outcome(strategy.pk, good.pk, today, 100, 30),
                    Outcome(strategy.pk, good.pk, today - timedelta(days=29), 0, 1),
                    Outcome(strategy.pk, bad.pk, today, 100, 1),
                    Outcome(strategy.pk, bad.pk, today - timedelta(days=30), 1000, 1000),  # too old to count
                ],
            )
    decided = decide_for(*(make_profile().pk for _ in range(20)))
    assert {tuple(keys(one)) for one in decided} == {("good",)}
    chosen, lost = decided[0].candidates
    assert (chosen.sums, lost.sums) == ((300.0, 93.0), (300.0, 3.0))
    assert set(chosen.factors or {}) == {"propensity", "context", "value", "lever"}
    assert "of which propensity" in lost.reason
    (version,) = {one.model_versions["learned"] for one in decided}
    assert Decision.objects.filter(model_versions={"learned": version}, is_exploration=False).count() == 20


def test_value_context_and_lever_weigh_in() -> None:
    a = make_offer("a", attributes={"margin": 1})
    b = make_offer("b", attributes={"margin": 1000}, lever=-90)
    worthless, unfit = (
        make_offer("worthless", attributes={"margin": 0}),
        make_offer("unfit", attributes={"margin": 1, "fit": 0}),
    )
    strategy = make_strategy(a, b, worthless, unfit, key="s", method=Method.LEARNED, exploration=0.0)
    strategy.value, strategy.context_weight, strategy.propensity_weight = (
        "offer.margin",
        "coalesce(offer.fit, 2)",
        0.0,
    )
    strategy.save()
    make_policy(strategy)
    (decided,) = decide_for(make_profile().pk)
    assert [(one.offer, one.score) for one in decided.candidates[:2]] == [
        ("b", pytest.approx(200.0)),
        ("a", pytest.approx(2.0)),
    ]
    assert reasons(decided)["b"] == (
        "Ranked 1st: 200, ahead of a with 2 (a margin of 4.61, of which value 6.91, lever -2.30)."
    )
    assert reasons(decided)["worthless"] == "Its value was missing, or not above 0."
    assert reasons(decided)["unfit"] == "Its context weight was missing, or not above 0."


def test_the_random_slice_is_marked_and_ranks_by_lot() -> None:
    offers = [make_offer("a", priority=9), make_offer("b", attributes={"margin": 10**6})]
    make_policy(
        make_strategy(*offers, method=Method.LEARNED, exploration=1.0, value="coalesce(offer.margin, 1)")
    )
    decided = decide_for(*(make_profile().pk for _ in range(60)))
    assert {keys(one)[0] for one in decided} == {"a", "b"}
    assert all(one.is_exploration for one in decided)
    assert decided[0].candidates[0].reason.startswith("By lot, to learn: Ranked 1st")
    assert Decision.objects.filter(is_exploration=True).count() == 60


def test_a_total_cap_goes_to_the_first_and_the_others_get_the_next_best() -> None:
    best, second = make_offer("best", priority=2), make_offer("second", priority=1)
    cap = make_cap(best, 2)
    make_policy(make_strategy(best, second))
    people = [make_profile().pk for _ in range(4)]
    decided = decide_for(*reversed(people))
    assert [keys(one) for one in decided] == [["best"], ["best"], ["second"], ["second"]]
    assert [one.profile_id for one in decided] == people[::-1]
    assert reasons(decided[2])["best"] == "Cap reached: 2 of 2 in total, ever."
    assert used() == {(cap.pk, 0): 2}
    assert keys(decide_for(people[0])[0]) == ["second"]


def test_a_profiles_cap_counts_days_in_its_zone() -> None:
    offer = make_offer("a")
    cap = make_cap(
        offer, 1, "profile", period="day", time_zone="Pacific/Auckland"
    )  # 12:00 UTC is 01:00 there
    make_policy(make_strategy(offer))
    person, other = make_profile().pk, make_profile().pk
    assert keys(decide_for(person)[0]) == ["a"]
    (again,) = decide_for(person)
    assert (keys(again), reasons(again)) == ([], {"a": "Cap reached: 1 of 1 per person, a day."})
    assert keys(decide_for(other)[0]) == ["a"]
    (before_midnight,) = decide([Ask(person)], plan(), NOW - timedelta(hours=2))
    assert before_midnight is not None
    assert keys(before_midnight) == ["a"]
    assert set(CapCounter.objects.values_list("rule", "subject", "period", "n")) == {
        (cap.pk, person, date(2026, 11, 22), 1),
        (cap.pk, other, date(2026, 11, 22), 1),
        (cap.pk, person, date(2026, 11, 21), 1),
    }


def test_a_cap_filled_at_the_same_moment_sends_people_to_the_next_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    best, second = make_offer("best", priority=2), make_offer("second", priority=1)
    cap = make_cap(best, 3)
    make_policy(make_strategy(best, second))
    read_used = capping.read_used

    def read_and_be_overtaken(*args: Any) -> Any:
        found = read_used(*args)
        CapCounter.objects.create(rule=cap, subject=0, period=capping.EVER, n=2, cap=3, granted=2)
        return found

    monkeypatch.setattr(capping, "read_used", read_and_be_overtaken)
    decided = decide_for(*(make_profile().pk for _ in range(3)))
    assert [keys(one) for one in decided] == [["best"], ["second"], ["second"]]
    assert reasons(decided[1])["best"] == "Cap reached: 3 of 3 in total, ever."
    assert used() == {(cap.pk, 0): 3}


def test_what_is_shown_later_is_held_and_comes_back() -> None:
    offer = make_offer("a")
    shown, decided_cap = make_cap(offer, 1, event="shown"), make_cap(offer, 9)
    make_policy(make_strategy(offer))
    first, second = make_profile().pk, make_profile().pk
    (decided,) = decide_for(first, held_until=NOW + timedelta(hours=1))
    assert keys(decide_for(second)[0]) == []
    assert capping.release([decided.id]) == 1
    assert used() == {(decided_cap.pk, 0): 1}
    (decided,) = decide_for(second, held_until=NOW + timedelta(hours=1))
    capping.confirm([decided.id])
    assert capping.release([decided.id]) == 0
    assert used() == {(shown.pk, 0): 1, (decided_cap.pk, 0): 2}


def test_rules_look_values_up_for_the_whole_batch_at_once() -> None:
    stock = Lookup.objects.create(key="stock", name="Stock", columns=[{"name": "left", "type": "number"}])
    LookupRow.objects.bulk_create(
        LookupRow(lookup=stock, key=key, values={"left": left})
        for key, left in (("sweater-M", 3), ("sweater-L", 0), ("scarf-L", 1))
    )
    for key in ("sweater", "scarf"):
        make_offer(
            key,
            priority=9 if key == "sweater" else 1,
            attributes={"sku": key},
            eligibility='lookup("stock", concat(offer.sku, "-", profile.size), "left") > 0',
        )
    make_policy(make_strategy(rule="offer.sku != ''"))
    medium, large, unknown = (make_profile(size=size).pk for size in ("M", "L", "XS"))
    ready = plan()
    with count_statements() as seen:
        asks = [Ask(person) for person in (medium, large, unknown) * 20]
        decided = [keys(one) for one in decide(asks, ready, NOW) if one]
    assert decided[:3] == [["sweater"], ["scarf"], []]
    assert sum("lookup_row" in statement for statement in seen) == 1
    assert current_plan("front-page", "hero", NOW) is current_plan("front-page", "hero", NOW)


def test_the_fallback_comes_when_nothing_is_left_and_counts_nowhere() -> None:
    offer, fallback = make_offer("a", eligibility="false"), make_offer("fallback", eligibility="false")
    make_cap(fallback, 0)
    make_policy(make_strategy(offer), fallback=fallback)
    (decided,) = decide_for(make_profile().pk)
    assert (keys(decided), decided.is_fallback) == (["fallback"], True)
    assert reasons(decided)["fallback"] == "Nothing else was left, so the fallback is shown."
    assert Decision.objects.get().offers == [fallback.pk]
    assert used() == {}


def test_nothing_left_is_recorded_too() -> None:
    make_policy(make_strategy(make_offer("a", eligibility="false")))
    (decided,) = decide_for(make_profile().pk)
    assert (keys(decided), decided.is_fallback) == ([], False)
    assert Decision.objects.get().offers == []


def test_profiles_that_are_gone_get_no_decision() -> None:
    make_policy(make_strategy(make_offer("a")))
    loser, survivor = make_profile().pk, make_profile().pk
    with sql.unit_of_work() as cur:
        merge_profiles(cur, [(loser, survivor)], NOW)
    decided = decide([Ask(loser), Ask(survivor), Ask(987654321)], plan(), NOW)
    assert [one and one.profile_id for one in decided] == [None, survivor, None]
    assert Decision.objects.count() == 1


def test_statements_do_not_grow_with_people_or_offers() -> None:
    offers = [make_offer(f"offer-{number}", priority=number) for number in range(3)]
    for offer in offers:
        make_cap(offer, 1000)
        make_cap(offer, 1, "profile", event="shown")
    make_policy(
        make_strategy(*offers, eligibility="profile.email != 'x'"),
        make_strategy(*offers, method=Method.LEARNED),
        items=2,
    )
    plan()  # the zones that the database knows are read once in a process
    people = [make_profile().pk for _ in range(500)]
    with count_statements() as seen:
        ready = plan()
    assert len(seen) == 9
    counts = []
    for size in (1, 500):
        with count_statements() as seen:
            asks = [Ask(person, key=key_of(size, person)) for person in people[:size]]
            found = decide(asks, ready, NOW + timedelta(days=size), held_until=NOW)
        assert len([one for one in found if one]) == size
        counts.append(len(seen))
    # savepoint and its release; profiles, keys, sums, counters; reserve, hold, record
    assert counts == [9, 9]


@pytest.mark.parametrize(("policy", "placement"), [("nowhere", "hero"), ("front-page", "nowhere")])
def test_an_unknown_policy_or_placement_is_named(policy: str, placement: str) -> None:
    make_policy()
    make_placement()
    with pytest.raises(PlanMissing, match="with the key 'nowhere'"):
        read_plan(policy, placement, NOW)
