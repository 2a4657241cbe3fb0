"""Caps: what one statement grants, what comes back, and what a merge of profiles leaves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ajo.lib import sql
from ajo.lib.ids import uuid7
from offers import capping
from offers.capping import EVER, Use
from offers.models import CapCounter, CapHold
from profiles.merging import merge_profiles
from tests.factories import NOW, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=10)


def total(rule_id: int, cap: int) -> Use:
    return Use(rule_id, CapCounter.TOTAL, EVER, cap)


def each(rule_id: int, profile_id: int, cap: int) -> Use:
    return Use(rule_id, profile_id, EVER, cap)


def reserve(*wanted: list[Use]) -> list[set[int]]:
    with sql.unit_of_work() as cur:
        return [set(refused) for refused in capping.reserve(cur, wanted)]


def used() -> dict[tuple[int, int], int]:
    return {(c.rule_id, c.subject): c.n for c in CapCounter.objects.all()}


def held(*uses: Use, expires_at: datetime = LATER) -> UUID:
    """A decision that has reserved these and holds them."""
    decision_id = uuid7()
    with sql.unit_of_work() as cur:
        assert capping.reserve(cur, [uses]) == [frozenset()]
        capping.hold(cur, [(decision_id, use) for use in uses], expires_at)
    return decision_id


def test_the_first_of_a_batch_are_granted_up_to_the_cap() -> None:
    assert reserve(*[[total(1, 3)]] * 5) == [set(), set(), set(), {1}, {1}]
    assert reserve([total(1, 3)]) == [{1}]
    assert used() == {(1, 0): 3}


def test_a_cap_of_nothing_grants_nothing_and_writes_nothing() -> None:
    assert reserve([total(1, 0)], [total(2, 1)]) == [{1}, set()]
    assert used() == {(2, 0): 1}


def test_a_candidate_without_caps_is_granted_without_asking() -> None:
    with count_statements() as seen, sql.cursor() as cur:
        assert capping.reserve(cur, [[], []]) == [frozenset(), frozenset()]
    assert seen == []


def test_many_rules_and_profiles_take_one_statement() -> None:
    wanted = [[total(1, 400), each(2, profile_id, 1)] for profile_id in range(1, 301)]
    with count_statements() as seen, sql.cursor() as cur:
        assert set(capping.reserve(cur, wanted)) == {frozenset()}
    assert len(seen) == 1
    assert used()[1, 0] == 300


def test_a_candidate_is_granted_by_all_of_its_rules_or_counts_nowhere() -> None:
    assert reserve([total(1, 9), each(2, 7, 1)], [total(1, 9), each(2, 7, 1)]) == [set(), {2}]
    assert used() == {(1, 0): 1, (2, 7): 1}


def test_what_one_rule_gave_in_vain_goes_to_the_next_in_the_batch() -> None:
    # The first takes the last place of rule 1, and rule 2 refuses it; the second wants that place alone.
    assert reserve([each(2, 7, 1)]) == [set()]
    assert reserve([total(1, 1), each(2, 7, 1)], [total(1, 1)]) == [{2}, set()]
    assert used() == {(1, 0): 1, (2, 7): 1}


def test_a_lowered_cap_grants_nothing_and_a_raised_one_the_rest() -> None:
    reserve(*[[total(1, 5)]] * 4)
    assert reserve([total(1, 2)]) == [{1}]
    assert reserve(*[[total(1, 6)]] * 3) == [set(), set(), {1}]
    assert used() == {(1, 0): 6}


def test_what_is_released_can_be_had_again_and_is_given_back_once() -> None:
    decision_id = held(total(1, 1), each(2, 7, 1))
    assert reserve([total(1, 1)]) == [{1}]
    assert capping.release([decision_id]) == 2
    assert capping.release([decision_id]) == 0
    assert used() == {(1, 0): 0, (2, 7): 0}
    assert reserve([total(1, 1)]) == [set()]


def test_what_is_confirmed_stays_counted() -> None:
    decision_id = held(total(1, 1))
    capping.confirm([decision_id])
    assert capping.release([decision_id]) == 0
    assert capping.release_expired(LATER + timedelta(days=1)) == 0
    assert used() == {(1, 0): 1}


def test_what_nobody_confirmed_in_time_comes_back() -> None:
    late, waiting = held(total(1, 9)), held(total(1, 9), expires_at=LATER + timedelta(seconds=1))
    assert capping.release_expired(LATER - timedelta(microseconds=1)) == 0
    assert capping.release_expired(LATER) == 1
    assert used() == {(1, 0): 1}
    assert list(CapHold.objects.values_list("decision_id", flat=True)) == [waiting]
    assert capping.release([late]) == 0


def test_a_survivor_has_used_what_both_have() -> None:
    loser, survivor = make_profile(), make_profile()
    alone = held(each(1, loser.pk, 5))
    held(each(1, loser.pk, 5), each(2, loser.pk, 5))
    held(each(1, survivor.pk, 5))
    reserve([total(3, 5)])
    with sql.unit_of_work() as cur:
        merge_profiles(cur, [(loser.pk, survivor.pk)], NOW)
    assert used() == {(1, survivor.pk): 3, (2, survivor.pk): 1, (3, 0): 1}
    assert capping.release([alone]) == 1
    assert used() == {(1, survivor.pk): 2, (2, survivor.pk): 1, (3, 0): 1}


@pytest.mark.parametrize(
    ("period", "zone", "first"),
    [
        ("day", "UTC", date(2026, 3, 1)),
        ("day", "America/New_York", date(2026, 2, 28)),
        ("day", "Asia/Tokyo", date(2026, 3, 1)),
        ("week", "UTC", date(2026, 2, 23)),
        ("week", "America/New_York", date(2026, 2, 23)),
        ("month", "UTC", date(2026, 3, 1)),
        ("month", "America/New_York", date(2026, 2, 1)),
        ("lifetime", "UTC", EVER),
    ],
)
def test_a_period_is_named_by_its_first_day_in_the_zone(period: str, zone: str, first: date) -> None:
    assert capping.period_of(period, datetime(2026, 3, 1, 2, 30, tzinfo=UTC), ZoneInfo(zone)) == first
