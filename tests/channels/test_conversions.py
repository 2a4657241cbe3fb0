"""Who did what a message was for: the newest message before it, once, in time, by when it happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from ajo.lib.ids import uuid7
from channels import conversions, counting, goals, reports
from channels.goals import GoalRefused, Wanted
from channels.models import CauseKind, Goal, GoalOrigin, Message, MessageClass, MessageDecision, MessageMark
from channels.reports import Origin
from offers.decide import Ask, decide
from offers.models import DecisionOutcome
from offers.plans import current_plan
from profiles.consumers import StreamEvent
from profiles.models import Channel, EventType, Profile
from profiles.stream import take_batch
from tests.factories import NOW, as_json, make_configuration, make_event_type, make_profile, make_variant
from tests.offers.helpers import make_offer, make_policy, make_strategy
from tests.profiles.store import store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
State = Message.State
ORDER = "Order Completed"
JOURNEY, CAMPAIGN = Origin(CauseKind.JOURNEY_INSTANCE, 1), Origin(CauseKind.CAMPAIGN_RUN, 1)
Make = Callable[..., Message]


@pytest.fixture
def make() -> Make:
    configuration, variant = make_configuration(), make_variant()

    def make_message(profile: Profile, origin: Origin, sent_at: datetime | None, **fields: Any) -> Message:
        return Message.objects.create(
            **{
                "profile": profile, "cause_kind": origin.cause_kind, "cause_id": uuid7().int % 2**62, "activity": "",
                "visit": 1, "channel": Channel.EMAIL, "origin_id": origin.id, "configuration": configuration,
                "variant": variant, "message_class": MessageClass.MARKETING, "state": State.SENT, "sent_at": sent_at,
                "created_at": NOW,
            }
            | fields
        )  # fmt: skip

    return make_message


def aim(*origins: Origin, event: str = ORDER, condition: str = "", days: int = 7) -> Goal:
    goal = goals.set_goal(None, Wanted(event, condition, days), origins)
    assert goal is not None
    return goal


def happening(profile: Profile, at: datetime, name: str = ORDER, **properties: Any) -> StreamEvent:
    return StreamEvent(
        uuid7(), 1, 1, make_event_type(name).pk, 1, 0, at, at, profile.pk, as_json(properties)
    )  # fmt: skip


@transaction.atomic
def happen(*events: StreamEvent) -> None:
    conversions.consume(events, NOW)


def converted() -> dict[int, datetime]:
    found = Message.objects.filter(converted_at__isnull=False)
    return dict(found.values_list("pk", "converted_at"))


def counted(origin: Origin) -> int:
    return reports.report(origin.cause_kind, [origin.id]).total[MessageMark.CONVERTED]


def test_the_newest_message_before_it_converts_once(make: Make) -> None:
    ada = make_profile()
    older, newest, later = (make(ada, JOURNEY, NOW + days * DAY) for days in (0, 2, 4))
    other = make(ada, CAMPAIGN, NOW + DAY)  # of an author with no goal
    aim(JOURNEY)
    happen(happening(ada, NOW + 3 * DAY), happening(ada, NOW + 3 * DAY + HOUR))
    assert converted() == {newest.pk: NOW + 3 * DAY}
    happen(happening(ada, NOW + 3 * DAY + HOUR))  # a second purchase
    happen(happening(make_profile(), NOW + 3 * DAY))  # somebody else's
    happen(happening(ada, NOW + 3 * DAY, "Product Viewed"))
    assert converted() == {newest.pk: NOW + 3 * DAY}
    happen(happening(ada, NOW + DAY))  # came late, happened before the newest was sent
    happen(happening(ada, NOW + 2 * DAY + HOUR))  # came late, and was the first after it
    expected = {newest.pk: NOW + 2 * DAY + HOUR, older.pk: NOW + DAY}
    for _ in range(2):
        assert converted() == expected
        assert (counted(JOURNEY), counted(CAMPAIGN)) == (2, 0)
        counting.fold_message_counts()
        happen(happening(ada, NOW + DAY), happening(ada, NOW + 2 * DAY + HOUR))  # the same batch again
    assert {later.pk, other.pk}.isdisjoint(converted())


def test_the_window_is_closed_at_both_ends(make: Make) -> None:
    aim(JOURNEY, days=1)
    moment = timedelta(microseconds=1)
    found = []
    for after in (-moment, timedelta(), DAY, DAY + moment):
        ada = make_profile()
        make(ada, JOURNEY, NOW)
        happen(happening(ada, NOW + after))
        found.append(len(converted()))
    assert found == [0, 1, 2, 2]


def test_what_never_arrived_converts_nobody(make: Make) -> None:
    aim(JOURNEY)
    arrived = set()
    for state in State:
        ada = make_profile()
        message = make(ada, JOURNEY, NOW, state=state)
        if state in {State.SENT, State.DELIVERED, State.COMPLAINED}:
            arrived.add(message.pk)
        happen(happening(ada, NOW + HOUR))
    unsent = make_profile()
    make(unsent, JOURNEY, None, state=State.UNCERTAIN)
    happen(happening(unsent, NOW + HOUR))
    assert set(converted()) == arrived


def test_two_authors_with_the_same_goal_count_it_each_and_one_author_counts_it_once(make: Make) -> None:
    second_run = Origin(CauseKind.CAMPAIGN_RUN, 2)
    aim(CAMPAIGN, second_run)
    aim(JOURNEY)
    aim(notice := Origin(CauseKind.NOTICE, 1), event="Product Viewed")
    ada = make_profile()
    make(ada, notice, NOW)
    first, second = make(ada, CAMPAIGN, NOW), make(ada, second_run, NOW + HOUR)
    of_journey = make(ada, JOURNEY, NOW + HOUR)
    happen(happening(ada, NOW + DAY), happening(make_profile(), NOW + DAY, "Product Viewed"))
    assert set(converted()) == {second.pk, of_journey.pk}, "one purchase, one conversion of the campaign"
    assert first.pk not in converted()
    assert (counted(CAMPAIGN), counted(second_run), counted(JOURNEY)) == (0, 1, 1)


def test_a_condition_reads_the_event_and_the_profile(make: Make) -> None:
    aim(JOURNEY, condition='event.total > 49.99 && profile.tier == "gold"')
    aim(CAMPAIGN)
    gold, plain = make_profile(tier="gold"), make_profile()
    messages = {
        (who.pk, origin): make(who, origin, NOW) for who in (gold, plain) for origin in (JOURNEY, CAMPAIGN)
    }
    happen(
        happening(gold, NOW + HOUR, total=49.99),
        happening(gold, NOW + 2 * HOUR, total=50),
        happening(plain, NOW + HOUR, total=50),
    )
    assert converted() == {
        messages[gold.pk, JOURNEY].pk: NOW + 2 * HOUR,
        messages[gold.pk, CAMPAIGN].pk: NOW + HOUR,
        messages[plain.pk, CAMPAIGN].pk: NOW + HOUR,
    }


def test_a_message_to_a_profile_that_was_merged_is_still_the_persons(make: Make) -> None:
    aim(JOURNEY)
    anonymous = make_profile("device-7")
    middle, ada = make_profile("middle"), make_profile("ada")
    message = make(anonymous, JOURNEY, NOW)
    Profile.objects.filter(pk=anonymous.pk).update(merged_into=middle.pk)
    Profile.objects.filter(pk=middle.pk).update(merged_into=ada.pk)
    store(track("ada", ORDER, at=NOW + HOUR))
    take_batch(now=NOW + HOUR)
    assert converted() == {message.pk: NOW + HOUR}


def test_what_a_converted_message_showed_is_told_to_ranking_once(make: Make) -> None:
    a, b = make_offer("a", priority=2), make_offer("b", priority=1)
    make_policy(make_strategy(a, b), items=2)
    aim(JOURNEY)
    ada = make_profile()
    message = make(ada, JOURNEY, NOW)
    (made, other) = decide([Ask(ada.pk), Ask(ada.pk)], current_plan("front-page", "hero", NOW), NOW)
    assert made is not None
    assert other is not None
    MessageDecision.objects.create(message=message, number=0, decision_id=made.id)
    for at in (NOW + 2 * HOUR, NOW + HOUR, NOW + 3 * HOUR):
        happen(happening(ada, at))
    outcomes = DecisionOutcome.objects.values_list("decision_id", "offer_id", "kind")
    assert set(outcomes) == {(made.id, offer.pk, DecisionOutcome.Kind.CONVERTED) for offer in (a, b)}


def test_a_crowd_costs_as_many_statements_as_one(make: Make) -> None:
    aim(JOURNEY, condition='event.total > 1 && profile.tier == "gold"')
    aim(CAMPAIGN)
    counts = []
    for n in (1, 20):
        people = [make_profile(tier="gold") for _ in range(n)]
        for one in people:
            make(one, JOURNEY, NOW)
            make(one, CAMPAIGN, NOW)
        events = [happening(one, NOW + HOUR, total=2) for one in people]
        with count_statements() as seen:
            happen(*events)
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert len(converted()) == 42
    view = happening(people[0], NOW, "Product Viewed")
    with count_statements() as seen:
        happen(view)
    assert sum("goal" in statement for statement in seen) == 1
    assert not any("message" in statement for statement in seen)


def test_a_goal_is_changed_followed_and_taken_away(make: Make) -> None:
    goal = aim(JOURNEY)
    same = goals.set_goal(goal, Wanted(" Booked ", "event.total > 5", 3), [JOURNEY, CAMPAIGN])
    assert same == goal
    assert goals.said(same) == Wanted("Booked", "event.total > 5", 3)
    goals.follow(goal.pk, [CAMPAIGN])
    origins = GoalOrigin.objects.filter(goal=goal).values_list("cause_kind", "origin_id")
    assert sorted(origins) == sorted([tuple(JOURNEY), tuple(CAMPAIGN)])
    assert goals.set_goal(goal, None, [JOURNEY]) is None
    assert not GoalOrigin.objects.exists()
    assert goals.set_goal(None, None, [JOURNEY]) is None


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted(" "), "event"),
        (Wanted("x" * 201), "event"),
        (Wanted("a\0"), "event"),
        (Wanted(ORDER, days=0), "days"),
        (Wanted(ORDER, days=91), "days"),
        (Wanted(ORDER, "event.total >"), "condition"),
        (Wanted(ORDER, "event.total + 1"), "condition"),
        (Wanted(ORDER, "entry.total > 1"), "condition"),
        (Wanted(ORDER, "\0"), "condition"),
    ],
)
def test_what_can_be_no_goal_is_refused_by_field(wanted: Wanted, field: str) -> None:
    with pytest.raises(GoalRefused) as refused:
        goals.set_goal(None, wanted, [JOURNEY])
    assert [problem.field for problem in refused.value.problems] == [field]
    assert not Goal.objects.exists()
    assert not EventType.objects.filter(name=wanted.event.strip().replace("\0", "")).exists()
