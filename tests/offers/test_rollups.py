"""After any history, every number of an offer item's report equals a count over decisions and their outcomes."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, timedelta
from importlib import import_module

import pytest

from ajo.lib import sql
from offers import outcomes, rollups
from offers.decide import Ask, decide
from offers.models import Decision, DecisionOutcome, OfferStat, Placement
from offers.outcomes import Taken
from offers.plans import current_plan
from offers.rollups import OfferNumbers, OfferReport
from tests.factories import NOW, make_profile
from tests.offers.helpers import make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db
Kind = DecisionOutcome.Kind
Counts = Counter[tuple[int, date, str]]


def counted_over_rows(offer_id: int) -> Counts:
    """(placement, day, what) → how often, from the rows themselves."""
    found: Counts = Counter()
    decisions = {one.pk: one for one in Decision.objects.all()}
    for one in decisions.values():
        if offer_id in one.offers:
            found[one.placement_id, one.decided_at.astimezone(UTC).date(), "decided"] += 1
    for row in DecisionOutcome.objects.filter(offer_id=offer_id):
        day = row.occurred_at.astimezone(UTC).date()
        found[decisions[row.decision_id].placement_id, day, Kind(row.kind).name.lower()] += 1
    return found


def sums(counts: Counts, *, placement: int | None = None, day: date | None = None) -> OfferNumbers:
    made = OfferNumbers()
    for (at, when, what), n in counts.items():
        if placement in (None, at) and day in (None, when):
            setattr(made, what, getattr(made, what) + n)
    return made


def assert_equal(found: OfferReport, counts: Counts) -> None:
    assert found.total == sums(counts)
    assert dict(found.parts) == {at: sums(counts, placement=at) for at, _, _ in counts}
    assert dict(found.days) == {day: sums(counts, day=day) for _, day, _ in counts}


def test_every_number_equals_a_count_over_the_rows() -> None:
    chance = random.Random(4)
    places = ("hero", "footer")
    items = [make_offer(key, shown_in=places, priority=chance.randrange(3)) for key in "abc"]
    make_policy(make_strategy(*items), items=2)
    people = [make_profile().pk for _ in range(4)]
    made = []
    for _ in range(60):
        now = NOW + timedelta(hours=chance.randrange(72))
        if chance.random() < 0.4 or not made:
            plan = current_plan("front-page", chance.choice(places), now)
            asks = [Ask(chance.choice(people)) for _ in range(chance.randrange(1, 4))]
            made += [one for one in decide(asks, plan, now, held_until=now) if one]
        one = chance.choice(made)
        if chance.random() < 0.5:
            outcomes.note_shown([one.id, chance.choice(made).id], now)
        else:
            item = chance.choice(one.items)
            kind = chance.choice([Kind.CLICKED, Kind.CONVERTED])
            outcomes.note_taken([Taken(one.id, item.id), Taken(made[0].id, item.id)], kind, now)
    expected = {item.pk: counted_over_rows(item.pk) for item in items}
    assert {what for counts in expected.values() for _, _, what in counts} == {
        "decided", "shown", "clicked", "converted",
    }  # fmt: skip
    for _ in range(2):
        for item in items:
            with count_statements() as seen:
                found = rollups.report(item.pk)
            assert len(seen) == 1
            assert_equal(found, expected[item.pk])
        last = (NOW + timedelta(days=2)).date()
        overview = rollups.overview(last, 2)
        for item in items:
            recent = Counter({key: n for key, n in expected[item.pk].items() if key[1] > NOW.date()})
            assert overview.parts.get(item.pk, OfferNumbers()) == sums(recent)
        # What the migration counts from the rows is the same.
        OfferStat.objects.all().delete()
        with sql.cursor() as cur:
            cur.execute(import_module("offers.migrations.0007_offer_stat_by_placement").COUNT)
    assert {Placement.objects.get(pk=at).key for at, _, _ in expected[items[0].pk]} <= set(places)
