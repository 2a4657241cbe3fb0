"""Ranking without a database: orders, priors, draws, and the shares of a margin."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offers import ranking
from offers.ranking import MAX_STRENGTH, MIN_STRENGTH, Model, Scored, arbitrate, fit_prior

IDS = [UUID(int=number) for number in range(1, 2001)]
EXAMPLES = settings(max_examples=200, derandomize=True, database=None, deadline=None)
positive = st.floats(1e-6, 1e6)
sums = st.dictionaries(
    st.integers(1, 50),
    st.integers(0, 10_000).flatmap(lambda n: st.tuples(st.just(float(n)), st.floats(0, n))),
    max_size=12,
)


@pytest.mark.parametrize(
    ("candidates", "order"),
    [
        ([("a", 0, 1.0), ("b", 0, 2.0)], "ba"),
        ([("b", 0, 1.0), ("a", 0, 1.0)], "ab"),
        ([("a", 1, 1.0), ("b", 2, 1.0)], "ba"),
        ([("a", 9, 1.0), ("b", 0, 1.5)], "ba"),
        ([("a", 0, -1.0), ("b", 0, 0.0), ("c", 0, -2.0)], "bac"),
        ([], ""),
    ],
)
def test_the_order_is_by_score_then_priority_then_key(
    candidates: list[tuple[str, int, float]], order: str
) -> None:
    assert "".join(one.offer for one in ranking.in_order(Scored(*one) for one in candidates)) == order


@EXAMPLES
@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0.0, 0.5, 1.0])), max_size=8), st.randoms())
def test_the_order_does_not_depend_on_the_order_before(
    rows: list[tuple[int, float]], shuffled: object
) -> None:
    candidates = [Scored(f"o{index}", *row) for index, row in enumerate(rows)]
    mixed = list(candidates)
    shuffled.shuffle(mixed)  # type: ignore[attr-defined]
    assert ranking.in_order(mixed) == ranking.in_order(candidates)


@pytest.mark.parametrize(
    ("known", "mean", "strength"),
    [
        ([], 0.5, MIN_STRENGTH),
        ([(0, 0)], 0.5, MIN_STRENGTH),
        ([(98, 48)], 0.49, MIN_STRENGTH),
        ([(1000, 100)] * 5, 501 / 5002, MAX_STRENGTH),  # alike: chance explains every difference
        ([(1000, 0), (1000, 1000)], 0.5, MIN_STRENGTH),  # as different as can be
        ([(0, 0), (0, 5)], 0.5, MIN_STRENGTH),  # a reward whose showing is not known yet
    ],
)
def test_a_prior_follows_the_siblings(known: list[tuple[float, float]], mean: float, strength: float) -> None:
    prior = fit_prior(known)
    assert prior.mean == pytest.approx(mean)
    assert prior.strength == pytest.approx(strength)


def test_a_prior_is_the_weaker_the_more_the_siblings_differ() -> None:
    alike, differing = fit_prior([(1000, 90), (1000, 110)]), fit_prior([(1000, 50), (1000, 150)])
    assert alike.strength > differing.strength > MIN_STRENGTH


@EXAMPLES
@given(sums)
def test_a_prior_is_always_one_that_can_be_drawn_from(known: dict[int, tuple[float, float]]) -> None:
    prior = fit_prior(known.values())
    assert prior.alpha > 0
    assert prior.beta > 0
    assert prior.strength * 1.000001 >= MIN_STRENGTH
    assert prior.strength <= MAX_STRENGTH * 1.000001


@EXAMPLES
@given(sums, st.sampled_from(IDS))
def test_a_draw_is_the_same_each_time_and_for_each_offer(
    known: dict[int, tuple[float, float]], decision_id: UUID
) -> None:
    draw = Model("m", known).draw(decision_id, 0.5)
    assert draw == Model("m", dict(reversed(known.items()))).draw(decision_id, 0.5)
    assert set(draw.propensities) == set(draw.lots) == set(known)
    assert all(0 < p <= 1 for p in draw.propensities.values())


def test_another_decision_or_other_sums_draw_anew() -> None:
    known = {1: (100.0, 10.0), 2: (100.0, 20.0)}
    model, later = Model("m", known), Model("m", known | {1: (101.0, 10.0)})
    assert model.version != later.version
    assert model.version == Model("m", dict(known)).version
    assert model.version != Model("n", known).version
    assert len({str(m.draw(one, 0.0)) for m in (model, later) for one in IDS[:2]}) == 4


def test_how_much_is_explored_moves_no_draw() -> None:
    model = Model("m", {1: (10.0, 1.0), 2: (10.0, 5.0)})
    never, always = model.draw(IDS[0], 0.0), model.draw(IDS[0], 1.0)
    assert (never.is_exploration, always.is_exploration) == (False, True)
    assert (never.propensities, never.lots) == (always.propensities, always.lots)


def test_the_random_slice_has_its_share_and_no_favourite() -> None:
    model = Model("m", {1: (1000.0, 900.0), 2: (1000.0, 1.0)})
    draws = [model.draw(one, 0.1) for one in IDS]
    explored = [draw for draw in draws if draw.is_exploration]
    assert 0.08 < len(explored) / len(draws) < 0.12
    firsts = Counter(max(draw.lots, key=draw.lots.__getitem__) for draw in explored)
    assert 0.35 < firsts[1] / len(explored) < 0.65


def test_the_better_offer_mostly_wins_and_the_new_one_gets_its_chances() -> None:
    model = Model("m", {1: (1000.0, 50.0), 2: (1000.0, 20.0), 3: (0.0, 0.0)})
    draws = [model.draw(one, 0.0).propensities for one in IDS]
    wins = Counter(max(draw, key=draw.__getitem__) for draw in draws)
    assert wins[2] < 5
    assert 0.05 < wins[3] / len(IDS) < 0.6
    assert fmean(draw[1] for draw in draws) == pytest.approx(0.05, abs=0.002)
    assert fmean(draw[3] for draw in draws) == pytest.approx(model.prior.mean, abs=0.005)


@EXAMPLES
@given(positive, positive, positive, st.integers(-99, 1000), st.floats(0, 2))
def test_the_score_is_the_product(p: float, c: float, v: float, lever: int, weight: float) -> None:
    propensity = min(p, 1.0)
    found = arbitrate(
        "a", 0, propensity=propensity, context=c, value=v, lever=lever, propensity_weight=weight
    )
    assert found.score == pytest.approx(propensity**weight * c * v * (1 + lever / 100), rel=1e-9)


@EXAMPLES
@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1), positive, positive, st.integers(-99, 1000)), min_size=2, max_size=2
    )
)
def test_the_shares_add_up_to_the_margin(rows: list[tuple[float, float, float, int]]) -> None:
    one, other = (arbitrate("a", 0, propensity=p, context=c, value=v, lever=lever) for p, c, v, lever in rows)
    margin = math.log(one.score / other.score)
    assert math.fsum(ranking.shares(one, other).values()) == pytest.approx(margin, abs=1e-9)


@pytest.mark.parametrize(
    ("rank", "word"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (22, "22nd")],
)
def test_ranks_have_words(rank: int, word: str) -> None:
    assert ranking.ordinal(rank) == word


def test_reasons_name_the_rival_and_the_shares() -> None:
    first = arbitrate("a", 0, propensity=0.2, context=1, value=30, lever=0)
    second = arbitrate("b", 0, propensity=0.4, context=1, value=10, lever=0)
    assert ranking.went_ahead(1, first, second) == (
        "Ranked 1st: 6, ahead of b with 4 (a margin of 0.41, of which value 1.10, propensity -0.69)."
    )
    assert ranking.fell_behind(2, second, first) == (
        "Ranked 2nd: 4, below a with 6 (a margin of 0.41, of which value 1.10, propensity -0.69)."
    )
    assert ranking.went_ahead(1, first, None) == "Ranked 1st: 6, and nothing stood behind it."
    assert ranking.fell_behind(3, Scored("c", 1, 0.5), Scored("b", 2, 0.5)) == (
        "Ranked 3rd: 0.5, equal to b, which goes first by its priority."
    )
    assert ranking.fell_behind(2, Scored("c", 1, 0.5), Scored("b", 1, 0.5)) == (
        "Ranked 2nd: 0.5, equal to b, which goes first by its key."
    )
