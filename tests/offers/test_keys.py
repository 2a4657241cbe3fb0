"""A key that comes again is answered with the first decision; a simulation leaves no trace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from offers import decide as decisions
from offers.decide import Ask, Decided, decide, key_of, simulate
from offers.models import CapCounter, CapHold, Decision, DecisionKey, OfferItem
from offers.plans import Plan, current_plan
from tests.factories import NOW, make_profile
from tests.journeys.races import is_blocked, start
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements


def plan() -> Plan:
    return current_plan("front-page", "hero", NOW)


def found(decided: list[Decided | None]) -> list[tuple[list[str], bool]]:
    return [([item.key for item in one.items], one.is_repeat) for one in decided if one is not None]


@pytest.mark.django_db
def test_a_key_is_answered_once_and_uses_its_caps_once() -> None:
    prize, other = make_offer("prize", priority=2), make_offer("other")
    cap = make_cap(prize, 1)
    make_policy(make_strategy(prize, other))
    person, stranger = make_profile().pk, make_profile().pk
    key = key_of("message", 7, "front-page", "hero")

    first = decide([Ask(person, key=key)], plan(), NOW)
    again = decide([Ask(stranger), Ask(person, key=key), Ask(person, key=key)], plan(), NOW)

    assert found(first) == [(["prize"], False)]
    assert found(again) == [(["other"], False), (["prize"], True), (["prize"], True)]
    assert first[0]
    assert again[1]
    assert again[2]
    assert again[1].id == again[2].id == first[0].id == DecisionKey.objects.get().decision_id
    assert again[1].candidates == first[0].candidates
    assert CapCounter.objects.get(rule=cap).n == 1
    assert Decision.objects.count() == 2


@pytest.mark.django_db
def test_a_key_twice_in_one_batch_is_decided_once() -> None:
    offer = make_offer("a")
    cap = make_cap(offer, 9)
    make_policy(make_strategy(offer))
    person, key = make_profile().pk, key_of("x")
    assert found(decide([Ask(person, key=key), Ask(person, key=key)], plan(), NOW)) == [
        (["a"], False),
        (["a"], True),
    ]
    assert (Decision.objects.count(), CapCounter.objects.get(rule=cap).n) == (1, 1)


@pytest.mark.django_db
def test_a_key_of_nobody_is_free_for_whom_it_finds_later() -> None:
    make_policy(make_strategy(make_offer("a")))
    key = key_of("x")
    assert decide([Ask(987654321, key=key)], plan(), NOW) == [None]
    assert not DecisionKey.objects.exists()
    assert found(decide([Ask(make_profile().pk, key=key)], plan(), NOW)) == [(["a"], False)]


@pytest.mark.django_db
def test_what_was_decided_stays_when_the_offer_is_archived_since() -> None:
    offer, other = make_offer("a", priority=1), make_offer("b")
    make_policy(make_strategy(offer, other))
    ask = Ask(make_profile().pk, key=key_of("x"))
    decide([ask], plan(), NOW)
    OfferItem.objects.filter(pk=offer.pk).update(state=OfferItem.State.ARCHIVED)
    (again,) = decide([ask], plan(), NOW)
    assert again is not None
    assert again.items[0].shown is not None
    assert (again.items[0].key, again.items[0].shown.title) == ("a", "A")


@pytest.mark.django_db(transaction=True)
def test_two_with_one_key_at_once_get_one_decision() -> None:
    offer = make_offer("a")
    cap = make_cap(offer, 9)
    make_policy(make_strategy(offer))
    ready = plan()
    ask = Ask(make_profile().pk, key=key_of("x"))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            (first,) = decide([ask], ready, NOW)
            racing = start(pool, decide, [ask], ready, NOW)
            assert is_blocked(racing)
        (second,) = racing.result(10)
    assert first
    assert second
    assert (second.id, second.is_repeat) == (first.id, True)
    assert (Decision.objects.count(), CapCounter.objects.get(rule=cap).n) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("direction", [1, -1])
def test_batches_take_keys_in_their_order_so_that_none_wait_in_a_circle(direction: int) -> None:
    """Who wants both keys waits for the lower one before having the higher, which the other one takes next."""
    make_policy(make_strategy(make_offer("a")))
    ready = plan()
    lower, higher = (Ask(make_profile().pk, key=key) for key in sorted([key_of("x"), key_of("y")]))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            decide([lower], ready, NOW)
            racing = start(pool, decide, [lower, higher][::direction], ready, NOW)
            assert is_blocked(racing)
            decide([higher], ready, NOW)
        assert all(one is not None and one.is_repeat for one in racing.result(10))
    assert Decision.objects.count() == DecisionKey.objects.count() == 2


@pytest.mark.django_db
def test_a_simulation_tells_the_same_and_leaves_no_trace() -> None:
    prize, other = make_offer("prize", priority=2), make_offer("other")
    make_cap(prize, 1)
    make_cap(prize, 1, "profile", event="shown")
    make_policy(make_strategy(prize, other))
    person = make_profile().pk
    asks = [Ask(person, key=key_of("x")), Ask(987654321)]
    with count_statements() as seen:
        simulated = simulate(asks, plan(), NOW)
    assert found(simulated) == [(["prize"], False)]
    assert simulated[1] is None
    assert not any("INSERT" in statement or "LOCK" in statement.upper() for statement in seen)
    for model in (Decision, DecisionKey, CapCounter, CapHold):
        assert not model.objects.exists()
    (decided,) = decide([Ask(person)], plan(), NOW)
    assert decided
    assert simulated[0]
    assert decided.candidates == simulated[0].candidates
    (later,) = simulate([Ask(make_profile().pk)], plan(), NOW)
    assert later is not None
    assert {one.offer: one.code for one in later.candidates} == {
        "other": decisions.Code.CHOSEN,
        "prize": decisions.Code.CAP_REACHED,
    }
