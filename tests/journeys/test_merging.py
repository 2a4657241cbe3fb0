"""Two profiles become one: the older walk stays, the other ends, nothing waits on who is no more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from ajo.lib import sql
from channels.models import Message
from journeys import runner
from journeys.merging import merge_instances
from journeys.models import JourneyInstance, JourneyWait, StepLog
from profiles.merging import merge_profiles
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
    tick,
    waiting_graph,
)
from tests.support import count_statements

pytestmark = pytest.mark.django_db
State = JourneyInstance.State
LATER = NOW + timedelta(minutes=1)


def merge(*pairs: tuple[int, int]) -> None:
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute(runner.LOCK_PROFILES, [sorted({profile_id for pair in pairs for profile_id in pair})])
        merge_instances(cur, pairs, LATER)


def walks() -> list[tuple[int, int, str, bool]]:
    """(profile, entry number, state, waits) in the order in which people entered."""
    waiting = set(JourneyWait.objects.values_list("instance_id", "profile_id"))
    return [
        (walk.profile_id, walk.entry_no, walk.get_state_display(), (walk.pk, walk.profile_id) in waiting)
        for walk in JourneyInstance.objects.order_by("entered_at", "pk")
    ]


def test_a_walk_goes_on_as_the_survivors() -> None:
    make_live(waiting_graph(minutes=5, event="Bought"))
    loser, survivor = make_profile().pk, make_profile().pk
    stream(make_event(loser))

    merge((loser, survivor))

    assert walks() == [(survivor, 1, "Active", True)]
    stream(make_event(survivor, "Bought"))
    assert walks() == [(survivor, 1, "Ended", False)]


@pytest.mark.parametrize("loser_is_older", [True, False])
def test_of_two_walks_the_older_stays(loser_is_older: bool) -> None:
    make_cast_of_message()
    make_live(line(entry_box(), message_box(), box("wait", "test_parking", minutes=5), box("end", "end")))
    loser, survivor = make_profile().pk, make_profile().pk
    first, second = (loser, survivor) if loser_is_older else (survivor, loser)
    stream(make_event(first))
    stream(make_event(second), now=LATER)
    older, younger = JourneyInstance.objects.order_by("entered_at")

    merge((loser, survivor))

    numbers = (2, 1) if loser_is_older else (1, 2)
    assert walks() == [(survivor, numbers[0], "Active", True), (survivor, numbers[1], "Merged", False)]
    younger.refresh_from_db()
    assert younger.ended_at == LATER
    log = StepLog.objects.get(instance=younger, visit=younger.visit)
    assert (log.outcome, log.detail) == ("merged", "The person was already walking this journey.")
    assert Message.objects.get(cause_id=younger.pk).state == Message.State.WITHHELD
    assert (
        Message.objects.get(cause_id=older.pk).state == Message.State.QUEUED
    )  # channels decide about the loser's
    assert tick(NOW + timedelta(days=1)) == 1


def test_once_in_a_lifetime_is_not_twice() -> None:
    make_live(line(entry_box(), box("end", "end")))
    loser, survivor = make_profile().pk, make_profile().pk
    stream(make_event(loser))

    merge((loser, survivor))
    stream(make_event(survivor))

    assert walks() == [(survivor, 1, "Ended", False)]


def test_walks_that_may_be_side_by_side_stay_all() -> None:
    make_live(waiting_graph(minutes=5), re_entry="always")
    loser, survivor = make_profile().pk, make_profile().pk
    stream(make_event(loser), make_event(loser), make_event(survivor))

    merge((loser, survivor))

    assert sorted(walks()) == [(survivor, number, "Active", True) for number in (1, 2, 3)]


def test_several_losers_of_one_survivor() -> None:
    for _ in range(2):
        make_live(waiting_graph(minutes=5))
    losers, survivor, bystander = [make_profile().pk for _ in range(3)], make_profile().pk, make_profile().pk
    stream(*[make_event(profile_id) for profile_id in [*losers, bystander]])

    merge(*[(loser, survivor) for loser in losers])

    own = [walk for walk in walks() if walk[0] == survivor]
    assert [walk[1:] for walk in own if walk[2] == "Active"] == [(1, "Active", True)] * 2
    assert len([walk for walk in own if walk[2] == "Merged"]) == 4
    assert [walk for walk in walks() if walk[0] == bystander] == [(bystander, 1, "Active", True)] * 2


def test_the_number_of_statements_does_not_depend_on_the_number_of_people() -> None:
    make_live(waiting_graph(minutes=5))
    profile_ids = [make_profile().pk for _ in range(24)]
    stream(*[make_event(profile_id) for profile_id in profile_ids])

    counts = []
    for pairs in ([tuple(profile_ids[:2])], list(zip(profile_ids[2:13], profile_ids[13:], strict=True))):
        with count_statements() as seen:
            merge(*pairs)  # type: ignore[arg-type]
        counts.append(len([statement for statement in seen if "SAVEPOINT" not in statement]))

    assert counts[0] == counts[1]


def test_people_who_walk_nowhere_cost_one_statement() -> None:
    with count_statements() as seen:
        merge((make_profile().pk, make_profile().pk))

    assert len([statement for statement in seen if "journey" in statement]) == 1


def test_the_merge_of_profiles_asks_this_room() -> None:
    make_live(waiting_graph(minutes=5))
    loser, survivor = make_profile().pk, make_profile().pk
    stream(make_event(loser))

    with transaction.atomic(), sql.cursor() as cur:
        merge_profiles(cur, [(loser, survivor)], LATER)

    assert walks() == [(survivor, 1, "Active", True)]
