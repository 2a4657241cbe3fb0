"""What nobody showed in time comes back by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from channels import tasks as channels_tasks
from offers import tasks
from offers.decide import Ask, decide
from offers.models import CapCounter, CapHold
from offers.plans import current_plan
from tests.factories import make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy


@pytest.mark.django_db
def test_expired_caps_are_given_back_and_others_stay() -> None:
    offer = make_offer("a")
    cap = make_cap(offer, 5, event="shown")
    make_policy(make_strategy(offer))
    now = timezone.now()
    plan = current_plan("front-page", "hero", now)
    decide([Ask(make_profile().pk)], plan, now, held_until=now - timedelta(seconds=1))
    decide([Ask(make_profile().pk)], plan, now, held_until=now + timedelta(hours=1))
    tasks.release_expired_caps()
    assert CapCounter.objects.get(rule=cap).n == 1
    assert CapHold.objects.count() == 1


@pytest.mark.django_db
def test_forgetting_in_an_empty_installation_does_nothing() -> None:
    tasks.forget_decisions()
    channels_tasks.forget_shown_offers()
