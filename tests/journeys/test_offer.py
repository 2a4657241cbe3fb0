"""The offer activity: chooses for everybody in the batch, and the messages that follow show what it chose."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ajo.timeline import Kind, timeline
from channels import delivery
from channels.models import Message, MessageDecision, Variant
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from journeys import services
from journeys.models import JourneyInstance, StepLog
from offers.models import CapCounter, Decision, OfferItem
from profiles.models import Channel
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    link,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
)
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def offer_graph(*following: dict[str, Any]) -> dict[str, Any]:
    """Event → offer → (following) → end; who gets nothing ends at once."""
    boxes = [
        entry_box(),
        box("pick", "offer", policy="front-page", placement="hero"),
        *following,
        box("end", "end"),
    ]
    links = [link("entry", "pick"), link("pick", "end", "nothing")]
    after = [*(one["id"] for one in following), "end"]
    links += [link("pick", after[0], "offered")]
    links += [link(one, other) for one, other in itertools.pairwise(after)]
    return {"activities": boxes, "links": links}


def steps() -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    for log in StepLog.objects.filter(activity="pick").order_by("instance"):
        profile_id = JourneyInstance.objects.get(pk=log.instance_id).profile_id
        found.setdefault(profile_id, []).append((log.outcome, log.detail))
    return found


def test_people_leave_by_what_was_chosen_for_them() -> None:
    gold = make_offer("gold", eligibility='profile.tier == "gold" && context.event.total > 5')
    make_policy(make_strategy(gold))
    make_live(offer_graph())
    ada, bob, eve = make_profile(tier="gold"), make_profile(), make_profile(tier="gold")
    stream(make_event(ada.pk, total=7), make_event(bob.pk, total=7), make_event(eve.pk, total=5))
    assert steps() == {
        ada.pk: [("offered", "Chosen: gold.")],
        bob.pk: [("nothing", "No offer was left for this person.")],
        eve.pk: [("nothing", "No offer was left for this person.")],
    }
    assert Decision.objects.count() == 3


def test_a_fallback_is_an_offer_and_says_so() -> None:
    make_policy(make_strategy(make_offer("a", eligibility="false")), fallback=make_offer("plan-b"))
    make_live(offer_graph())
    ada = make_profile()
    stream(make_event(ada.pk))
    assert steps() == {ada.pk: [("offered", "Chosen as the fallback: plan-b.")]}


def test_the_message_that_follows_shows_this_decision(
    monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    sent: list[Outgoing] = []

    def send(self: Any, batch: Any) -> list[Receipt]:
        sent.extend(batch)
        return [Receipt(each.message_id, Verdict.ACCEPTED, "ok") for each in batch]

    monkeypatch.setattr(SmtpProvider, "send", send)
    make_cast_of_message()
    Variant.objects.update(
        text='{% offer "front-page" placement: "hero" %}Take {{ offer.title }}{% endoffer %} {{ unsubscribe_url }}',
        html="",
    )
    first = make_offer("first", priority=2)
    cap = make_cap(first, 5, event="shown")
    make_policy(make_strategy(first, make_offer("second")))
    make_live(offer_graph(message_box()))
    ada = make_profile()
    stream(make_event(ada.pk))
    OfferItem.objects.filter(key="second").update(priority=99)  # it would win now
    delivery.take_batch(Channel.EMAIL, now=NOW)
    assert b"Take First" in sent[0].body
    decision = Decision.objects.get()
    assert MessageDecision.objects.get().decision_id == decision.pk
    assert Message.objects.get().state == Message.State.SENT
    assert CapCounter.objects.get(rule=cap).n == 1

    # Whoever asks why finds the way from the person and the message to the decision, and back.
    walk, message = JourneyInstance.objects.get(), Message.objects.get()
    assert (decision.door, decision.cause_id) == (Decision.Door.WALK, walk.pk)
    explained = reverse("admin:offers_decision_change", args=[decision.pk])
    told = timeline(ada.pk, kinds={Kind.DECISION}).entries
    assert [(entry.title, entry.text) for entry in told] == [
        ("Offer chosen: First", "Front-Page, for Hero, asked by an offer box of a journey")
    ]
    person = reverse("admin:profiles_profile_change", args=[ada.pk])
    shown = reverse("admin:channels_message_change", args=[message.pk])
    assert explained in admin_client.get(person).content.decode()
    assert explained in admin_client.get(shown).content.decode()
    page = admin_client.get(explained).content.decode()
    assert shown in page
    assert reverse("admin:journeys_journeyinstance_change", args=[walk.pk]) in page
    policy = reverse("admin:offers_decisionpolicy_change", args=[decision.policy_id])
    used = admin_client.get(policy).content.decode()
    assert reverse("admin:journeys_journey_change", args=[walk.journey_id]) in used
    content = message.variant.version.content_id
    assert reverse("admin:channels_content_change", args=[content]) in used
    placement = reverse("admin:offers_placement_change", args=[decision.placement_id])
    assert (
        reverse("admin:channels_content_change", args=[content])
        in admin_client.get(placement).content.decode()
    )


def test_a_crowd_costs_as_many_statements_as_one() -> None:
    make_policy(make_strategy(make_offer("a")))
    make_live(offer_graph(), re_entry="always")
    counts = []
    for size in (1, 1, 60):
        events = [make_event(make_profile().pk) for _ in range(size)]
        with count_statements() as seen:
            stream(*events)
        counts.append(len(seen))
    assert counts[1] == counts[2]


def test_what_is_missing_is_found_before_publishing() -> None:
    found = {
        (one.activity, one.field) for one in services.check_graph(offer_graph()) if one.activity == "pick"
    }
    assert found == {("pick", "policy"), ("pick", "placement")}


def test_a_policy_that_was_deleted_fails_the_walk_and_says_why() -> None:
    policy = make_policy(make_strategy(make_offer("a")))
    make_live(offer_graph())
    policy.delete()
    ada = make_profile()
    stream(make_event(ada.pk))
    ((outcome, detail),) = steps()[ada.pk]
    assert (outcome, "no decision policy with the key 'front-page'" in detail) == ("failed", True)
