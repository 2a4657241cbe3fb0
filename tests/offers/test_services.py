"""Approving, withdrawing and archiving offer items; what is wrong with expressions."""

from __future__ import annotations

import pytest

from ajo.core.models import AuditEvent
from offers import services
from offers.models import OfferItem, SelectionStrategy
from offers.services import OfferRefused
from profiles.models import AttributeDefinition
from tests.offers.helpers import make_offer, make_strategy

pytestmark = pytest.mark.django_db
State = OfferItem.State


def test_a_draft_is_approved_withdrawn_and_archived_for_good() -> None:
    offer = make_offer(
        "a", state=State.DRAFT, eligibility="profile.age > 17 && context.country == offer.country"
    )
    services.approve_offer(offer=offer, user=None)
    assert OfferItem.objects.get().state == State.APPROVED
    services.withdraw_offer(offer=offer, user=None)
    services.archive_offer(offer=offer, user=None)
    with pytest.raises(OfferRefused, match="A is archived; only draft can become approved"):
        services.approve_offer(offer=offer, user=None)
    assert OfferItem.objects.get().state == State.ARCHIVED
    assert list(AuditEvent.objects.order_by("id").values_list("action", "object_key")) == [
        ("approve_offer", "a"),
        ("withdraw_offer", "a"),
        ("archive_offer", "a"),
    ]


@pytest.mark.parametrize(
    ("eligibility", "message"),
    [
        ("profile.age >", "The expression ends too early"),
        ("profile.age + 1", "holds number where boolean is wanted"),
        ("entry.total > 1", "There is no entry here"),
    ],
)
def test_what_could_not_be_decided_about_is_not_approved(eligibility: str, message: str) -> None:
    AttributeDefinition.objects.create(key="age", label="Age", type="number")
    offer = make_offer("a", state=State.DRAFT, eligibility=eligibility)
    with pytest.raises(OfferRefused, match=message) as refused:
        services.approve_offer(offer=offer, user=None)
    assert [problem.field for problem in refused.value.problems] == ["eligibility"]
    assert OfferItem.objects.get().state == State.DRAFT
    assert not AuditEvent.objects.exists()


def test_what_could_be_shown_nowhere_is_not_approved() -> None:
    offer = make_offer("a", state=State.DRAFT, shown_in=())
    with pytest.raises(OfferRefused, match="Add one for a placement"):
        services.approve_offer(offer=offer, user=None)


def test_a_collection_reads_nothing_but_the_offer() -> None:
    assert services.check_collection(make_strategy(make_offer("a")).collection) == []
    assert services.check_collection(make_strategy(rule='offer.category == "shoes"').collection) == []
    for rule, message in (("profile.age > 1", "There is no profile here"), (" ", "It has no rule")):
        (problem,) = services.check_collection(make_strategy(rule=rule).collection)
        assert (problem.field, message in problem.message) == ("rule", True)


def test_a_strategy_needs_numbers() -> None:
    strategy = make_strategy(value='"much"', method=SelectionStrategy.Method.FORMULA)
    assert [problem.field for problem in services.check_strategy(strategy)] == ["value", "formula"]
    strategy.value, strategy.formula = "offer.margin * 2", "offer.margin"
    assert services.check_strategy(strategy) == []
