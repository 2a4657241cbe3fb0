"""Decisions are forgotten with everything that names them, young ones are not, and nothing is counted anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings

from ajo.lib import purging
from ajo.lib.ids import uuid_floor
from channels import shown_offers
from channels.models import MessageDecision
from offers import forgetting
from offers.decide import Ask, decide, key_of
from offers.models import CapCounter, Decision, DecisionKey, DecisionOutcome, OfferStat
from offers.outcomes import note_shown
from offers.plans import current_plan
from tests.factories import NOW, make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db
DAYS = timedelta(days=settings.AJO_DECISION_DAYS)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """Four shown decisions with keys and messages: a year and three days old, nearly so, a year, and nearly so."""
    make_policy(make_strategy(make_offer("a")))
    plan = current_plan("front-page", "hero", NOW)
    ages = [DAYS + forgetting.DECISIONS_LONGER, DAYS]
    for number, at in enumerate(NOW - age + late for age in ages for late in (-MINUTE, MINUTE)):
        with monkeypatch.context() as patch:
            patch.setattr("offers.decide.uuid7", lambda at=at: uuid_floor(at))
            (one,) = decide([Ask(make_profile().pk, key=key_of(number))], plan, at)
        assert one is not None
        note_shown([one.id], at)
        MessageDecision.objects.create(message_id=number + 1, number=1, decision_id=one.id)
    return list(Decision.objects.order_by("pk"))


def test_what_names_a_decision_goes_first_and_the_decision_days_later(aged: list[Decision]) -> None:
    ids = [one.pk for one in aged]
    # A key and an outcome each of the oldest, keys of the two that are a year old, and the oldest itself.
    assert forgetting.forget_decisions(NOW) == 3 + 1 + 1
    assert shown_offers.forget(NOW) == 3
    assert [one.pk for one in Decision.objects.order_by("pk")] == ids[1:]
    assert set(DecisionOutcome.objects.values_list("decision_id", flat=True)) == set(ids[1:])
    assert DecisionKey.objects.get().decision_id == ids[3]
    assert MessageDecision.objects.get().decision_id == ids[3]
    assert sum(OfferStat.objects.values_list("shown", flat=True)) == 4
    assert forgetting.forget_decisions(NOW) == shown_offers.forget(NOW) == 0


def test_who_asks_with_a_forgotten_key_is_decided_for_once_more(aged: list[Decision]) -> None:
    forgetting.forget_decisions(NOW)
    plan = current_plan("front-page", "hero", NOW)
    ask = Ask(aged[0].profile_id, key=key_of(0))
    first, second = (decide([ask], plan, NOW)[0] for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.is_repeat, second.is_repeat, second.id) == (False, True, first.id)


def test_it_takes_as_many_statements_as_batches(
    aged: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "ROWS_AT_ONCE", 1)
    with count_statements() as seen:
        assert purging.purge_oldest("decision", "id", uuid_floor(NOW)) == 4
    assert len(seen) == 5
    assert not Decision.objects.exists()


def test_counters_of_past_periods_go_and_caps_without_an_end_stay() -> None:
    offer = make_offer("a")
    daily, ever = make_cap(offer, 9, period="day"), make_cap(offer, 9)
    make_policy(make_strategy(offer))
    old = NOW - forgetting.COUNTERS
    for at in (old - timedelta(days=1), old, NOW):
        decide([Ask(make_profile().pk)], current_plan("front-page", "hero", at), at)
    assert forgetting.forget_counters(NOW) == 1
    assert CapCounter.objects.filter(rule=daily).count() == 2
    assert CapCounter.objects.get(rule=ever).n == 3
