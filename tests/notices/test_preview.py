"""What a notice shows beyond its words: offers, codes and rows of lookups, without a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ajo.notices.preview import preview
from channels.models import MessageDecision, Variant
from offers.models import CapCounter, Decision
from profiles.lookups.codes import import_codes
from profiles.models import Code, CodePool, Lookup, LookupRow, TakenCode
from tests.channels.test_reaching import OFFER, make_item
from tests.factories import NOW
from tests.notices.conftest import Park
from tests.offers.helpers import make_cap, make_policy, make_strategy

pytestmark = pytest.mark.django_db


def test_it_fills_offers_codes_and_lookups_and_takes_nothing(make_park: Callable[..., Park]) -> None:
    park = make_park(1)
    offer = make_item("lunch")
    make_cap(offer, 1)
    make_policy(make_strategy(offer))
    import_codes(CodePool.objects.create(key="spring", name="Spring"), ["REAL-1"])
    rides = Lookup.objects.create(key="rides", name="Rides", changed_at=NOW)
    LookupRow.objects.create(lookup=rides, key="Sky Coaster", values={"zone": "north"})
    Variant.objects.filter(version__content=park.notice.content).update(
        html=OFFER + '{% code "spring" %} {{ lookups.rides[context.ride].zone }}'
    )

    seen = preview(
        content=park.notice.content,
        configuration=park.notice.configuration,
        context={"ride": "Sky Coaster"},
        profile_id=park.visitors[0].pk,
    )

    assert seen.problem == ""
    assert seen.shown is not None
    assert ">Lunch</a>" in seen.shown.html
    assert "SAMPLE-CODE north" in seen.shown.html
    assert "REAL-1" not in seen.shown.html
    assert Code.objects.get().code == "REAL-1"
    assert not any(model.objects.exists() for model in (TakenCode, Decision, MessageDecision, CapCounter))
