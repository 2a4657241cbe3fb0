"""Many writers at once, with connections of their own: caps are exact, nobody waits in a circle, nothing is lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import transaction

from ajo.lib import sql
from ajo.lib.ids import uuid7
from offers import capping
from offers.capping import EVER, Use
from offers.decide import Ask, decide
from offers.models import CapCounter, CapHold, Decision
from offers.plans import read_plan
from profiles.merging import merge_profiles
from tests.factories import NOW, make_profile
from tests.journeys.races import is_blocked, start
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS = 32
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WRITERS) as pool:
        yield pool


def test_32_writers_share_caps_exactly(workers: ThreadPoolExecutor) -> None:
    total, per_profile, profiles = 500, 3, 120
    together = threading.Barrier(WRITERS)

    def write(seed: int) -> Counter[int]:
        """Grants by profile, 0 for those without a cap of their own. One transaction in ten is rolled back."""
        chance = random.Random(seed)
        granted: Counter[int] = Counter()
        together.wait()
        for _ in range(8):
            subjects = [chance.randint(1, profiles) for _ in range(20)]
            wanted = [
                [Use(1, CapCounter.TOTAL, EVER, total)]
                if index % 3 == 0
                else [Use(2, subject, EVER, per_profile)]
                if index % 3 == 1
                else [Use(1, CapCounter.TOTAL, EVER, total), Use(2, subject, EVER, per_profile)]
                for index, subject in enumerate(subjects)
            ]
            with transaction.atomic(), sql.cursor() as cur:
                answers = capping.reserve(cur, wanted)
                if undone := chance.random() < 0.1:
                    transaction.set_rollback(True)
            if not undone:
                for uses, refused in zip(wanted, answers, strict=True):
                    granted.update(use.subject for use in uses if not refused)
        return granted

    futures = [start(workers, write, seed) for seed in range(WRITERS)]
    granted = sum((future.result(60) for future in futures), Counter())

    counted = {(c.rule_id, c.subject): c.n for c in CapCounter.objects.all()}
    assert counted.pop((1, 0)) == granted.pop(0) == total
    assert {subject: n for (_, subject), n in counted.items() if n} == dict(granted)
    assert max(granted.values()) == per_profile


def test_totals_are_taken_last_so_that_none_wait_in_a_circle(workers: ThreadPoolExecutor) -> None:
    own, total = Use(2, 7, EVER, 5), Use(1, CapCounter.TOTAL, EVER, 5)

    def reserve_both() -> list[frozenset[int]]:
        with sql.unit_of_work() as cur:
            return capping.reserve(cur, [[total, own]])

    with sql.unit_of_work() as cur:
        assert capping.reserve(cur, [[own]]) == [frozenset()]
        racing = start(workers, reserve_both)
        assert is_blocked(racing)
        assert capping.reserve(cur, [[total]]) == [frozenset()]
    assert racing.result(10) == [frozenset()]
    assert dict(CapCounter.objects.values_list("subject", "n")) == {7: 2, CapCounter.TOTAL: 2}


def test_32_deciders_give_exactly_500_away(workers: ThreadPoolExecutor) -> None:
    prize, other = make_offer("prize", priority=2), make_offer("other", priority=1)
    cap, daily = make_cap(prize, 500), make_cap(prize, 1, "profile")
    make_policy(make_strategy(prize, other))
    plan = read_plan("front-page", "hero", NOW)
    people = [make_profile().pk for _ in range(640)]
    groups = [random.Random(seed).sample(people, 40) for seed in range(WRITERS)]
    assert len({person for group in groups for person in group}) > 500  # so that the total is what runs out
    together = threading.Barrier(WRITERS)

    def run(own: list[int]) -> None:
        together.wait()
        for at in range(0, 40, 20):
            decide([Ask(person) for person in own[at : at + 20]], plan, NOW)

    for future in [start(workers, run, group) for group in groups]:
        future.result(60)

    winners = Counter(Decision.objects.filter(offers=[prize.pk]).values_list("profile_id", flat=True))
    assert sum(winners.values()) == CapCounter.objects.get(rule=cap).n
    assert max(winners.values()) == 1
    assert sum(CapCounter.objects.filter(rule=daily).values_list("n", flat=True)) == sum(winners.values())
    assert Decision.objects.count() == 32 * 40
    assert sum(winners.values()) == 500


def test_a_merge_waits_for_a_decision_and_then_moves_what_it_counted(workers: ThreadPoolExecutor) -> None:
    offer = make_offer("a")
    cap = make_cap(offer, 5, "profile")
    make_policy(make_strategy(offer))
    plan = read_plan("front-page", "hero", NOW)
    loser, survivor = make_profile().pk, make_profile().pk

    def merge() -> None:
        with sql.unit_of_work() as cur:
            cur.execute(
                "SELECT FROM profile WHERE id = ANY(%b::bigint[]) ORDER BY id FOR NO KEY UPDATE",
                [[loser, survivor]],
            )
            merge_profiles(cur, [(loser, survivor)], NOW)

    with transaction.atomic():
        decide([Ask(loser)], plan, NOW)
        merging = start(workers, merge)
        assert is_blocked(merging)
    merging.result(10)
    assert list(CapCounter.objects.values_list("rule", "subject", "n")) == [(cap.pk, survivor, 1)]


def test_a_release_finds_what_a_merge_has_moved_meanwhile(workers: ThreadPoolExecutor) -> None:
    loser, survivor = make_profile().pk, make_profile().pk
    decision_id, use = uuid7(), Use(1, loser, EVER, 5)
    with sql.unit_of_work() as cur:
        assert capping.reserve(cur, [[use]]) == [frozenset()]
        capping.hold(cur, [(decision_id, use)], LATER)

    with sql.unit_of_work() as cur:
        merge_profiles(cur, [(loser, survivor)], NOW)
        releasing = start(workers, capping.release, [decision_id])
        assert is_blocked(releasing)
    assert releasing.result(10) == 1
    assert list(CapCounter.objects.values_list("rule", "subject", "n")) == [(1, survivor, 0)]
    assert not CapHold.objects.exists()


def test_two_releases_give_back_once(workers: ThreadPoolExecutor) -> None:
    decision_ids = [uuid7() for _ in range(200)]
    use = Use(1, CapCounter.TOTAL, EVER, 200)
    with sql.unit_of_work() as cur:
        assert capping.reserve(cur, [[use]] * 200) == [frozenset()] * 200
        capping.hold(cur, [(one, use) for one in decision_ids], NOW)
    together = threading.Barrier(8)

    def release(seed: int) -> int:
        together.wait()
        if seed % 2:
            return capping.release_expired(NOW, limit=150)
        return capping.release(random.Random(seed).sample(decision_ids, 200))

    assert sum(future.result(30) for future in [start(workers, release, seed) for seed in range(8)]) == 200
    assert CapCounter.objects.get().n == 0
