"""What events do: let people in, end waits, write messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from ajo.lib import sql
from channels.models import CauseKind, Message, MessageClass, MessageDue, Variant
from journeys import services
from journeys.activities.base import Place
from journeys.merging import merge_instances
from journeys.models import JourneyInstance, JourneyWait, StepLog
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    Parking,
    box,
    entry_box,
    line,
    link,
    lock_profiles,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
    tick,
    waiting_graph,
    welcome_graph,
)
from tests.support import count_statements

pytestmark = pytest.mark.django_db
State = JourneyInstance.State


def steps(instance: JourneyInstance) -> list[tuple[int, str, str]]:
    """(visit, activity, outcome) of a walk, in order."""
    log = StepLog.objects.filter(instance_id=instance.pk).order_by("visit")
    return list(log.values_list("visit", "activity", "outcome"))


def walks_of(profile_id: int) -> list[JourneyInstance]:
    return list(JourneyInstance.objects.filter(profile_id=profile_id).order_by("entry_no"))


# --- the story -----------------------------------------------------------------------------------------------


def test_an_event_becomes_a_walk_and_a_message() -> None:
    make_cast_of_message()
    version = make_live(welcome_graph())
    profile = make_profile()
    event = make_event(profile.pk, hops=1)

    stream(event)

    (walk,) = walks_of(profile.pk)
    assert (walk.journey_id, walk.version_id, walk.entry_no) == (version.journey_id, version.pk, 1)
    assert (walk.activity, walk.visit, walk.state) == ("end", 3, State.ENDED)
    assert (walk.entry_event_id, walk.hops) == (event.id, 2)
    assert (walk.entered_at, walk.ended_at) == (NOW, NOW)
    assert steps(walk) == [(1, "entry", "next"), (2, "hello", "next"), (3, "end", "ended")]
    assert set(StepLog.objects.values_list("version_id", "at")) == {(version.pk, NOW)}
    message = Message.objects.get()
    assert (message.profile_id, message.state) == (profile.pk, Message.State.QUEUED)
    assert (message.cause_kind, message.cause_id) == (CauseKind.JOURNEY_INSTANCE, walk.pk)
    assert (message.activity, message.visit, message.origin_id) == ("hello", 2, version.pk)
    assert (message.event_id, message.hops) == (event.id, 2)
    assert message.message_class == MessageClass.MARKETING
    assert message.variant.version_id == version.pins["welcome"]
    assert MessageDue.objects.get().message_id == message.pk


def test_the_default_variant_is_sent() -> None:
    make_cast_of_message()
    default = Variant.objects.get()
    for treatment, locale in [("a", ""), ("", "de"), ("a", "de")]:
        words = {"subject": "Other", "text": default.text}
        Variant.objects.create(version=default.version, treatment=treatment, locale=locale, **words)
    make_live(welcome_graph())

    stream(make_event(make_profile().pk))

    assert Message.objects.get().variant == default


def test_an_event_of_another_name_lets_nobody_in() -> None:
    make_live(waiting_graph(minutes=5))

    stream(make_event(make_profile().pk, "Logged In"))

    assert not JourneyInstance.objects.exists()


def test_one_event_opens_every_journey_that_listens() -> None:
    versions = [make_live(waiting_graph(minutes=5)) for _ in range(3)]
    profile = make_profile()

    stream(make_event(profile.pk))

    assert {walk.version_id for walk in walks_of(profile.pk)} == {version.pk for version in versions}


# --- re-entry ------------------------------------------------------------------------------------------------


def test_once_in_a_lifetime() -> None:
    make_live(waiting_graph(minutes=5), re_entry="never")
    profile = make_profile()

    stream(make_event(profile.pk), make_event(profile.pk))
    tick(NOW + timedelta(minutes=5))
    stream(make_event(profile.pk))

    (walk,) = walks_of(profile.pk)
    assert walk.state == State.ENDED


def test_again_after_the_end() -> None:
    make_live(waiting_graph(minutes=5), re_entry="after_end")
    profile = make_profile()

    stream(make_event(profile.pk), make_event(profile.pk))
    stream(make_event(profile.pk))
    assert len(walks_of(profile.pk)) == 1

    tick(NOW + timedelta(minutes=5))
    stream(make_event(profile.pk))
    assert [(walk.entry_no, walk.state) for walk in walks_of(profile.pk)] == [
        (1, State.ENDED),
        (2, State.ACTIVE),
    ]


def test_again_after_an_end_in_the_same_batch() -> None:
    make_cast_of_message()
    make_live(welcome_graph(), re_entry="after_end")
    profile = make_profile()

    stream(*[make_event(profile.pk) for _ in range(3)])

    assert [walk.entry_no for walk in walks_of(profile.pk)] == [1, 2, 3]
    assert Message.objects.count() == 3


def test_side_by_side() -> None:
    make_live(waiting_graph(minutes=5), re_entry="always")
    profile = make_profile()
    events = [make_event(profile.pk) for _ in range(3)]

    stream(*events[:2])
    stream(events[2])

    walks = walks_of(profile.pk)
    assert [(walk.entry_no, walk.state) for walk in walks] == [(n, State.ACTIVE) for n in (1, 2, 3)]
    assert [walk.entry_event_id for walk in walks] == [event.id for event in events]


def test_the_walks_of_all_versions_count() -> None:
    version = make_live(waiting_graph(minutes=5))
    profile = make_profile()
    stream(make_event(profile.pk))
    services.save_draft(
        journey=version.journey, graph=waiting_graph(minutes=9), re_entry="never", revision=None, user=None
    )
    services.publish_journey(journey=version.journey, user=None, now=NOW)

    stream(make_event(profile.pk))

    assert len(walks_of(profile.pk)) == 1


# --- hops ----------------------------------------------------------------------------------------------------


def test_an_event_at_the_limit_of_hops_reacts_to_nothing() -> None:
    make_live(waiting_graph(minutes=5, event="Opened"), re_entry="always")
    profile = make_profile()
    stream(make_event(profile.pk, hops=settings.AJO_MAX_HOPS - 1))
    stream(make_event(profile.pk, hops=settings.AJO_MAX_HOPS))
    stream(make_event(profile.pk, "Opened", hops=settings.AJO_MAX_HOPS))

    (walk,) = walks_of(profile.pk)
    assert (walk.hops, walk.state) == (settings.AJO_MAX_HOPS, State.ACTIVE)


def test_a_walk_that_our_own_reactions_wake_comes_to_the_limit_too() -> None:
    make_live(waiting_graph(event="Opened"))
    profile = make_profile()
    stream(make_event(profile.pk))

    stream(make_event(profile.pk, "Opened", hops=3))

    assert walks_of(profile.pk)[0].hops == 4


@pytest.mark.parametrize("is_merged", [False, True])
def test_what_follows_a_wait_knows_how_the_walk_began(is_merged: bool) -> None:
    make_cast_of_message()
    wait = box("wait", "test_parking", minutes=5)
    make_live(line(entry_box(), wait, message_box(), box("end", "end")))
    person, survivor = make_profile().pk, make_profile().pk
    event = make_event(person, hops=2)
    stream(event)
    if is_merged:
        with transaction.atomic(), sql.cursor() as cur:
            lock_profiles(person, survivor)
            merge_instances(cur, [(person, survivor)], NOW)

    tick(NOW + timedelta(minutes=5))

    message = Message.objects.get()
    assert (message.profile_id, message.event_id, message.hops) == (
        survivor if is_merged else person,
        event.id,
        3,
    )


# --- waits that an event ends --------------------------------------------------------------------------------


def test_an_event_ends_a_wait() -> None:
    make_live(waiting_graph(event="Bought", minutes=5))
    profile, other = make_profile(), make_profile()
    stream(make_event(profile.pk), make_event(other.pk))

    stream(make_event(profile.pk, "Bought"), now=NOW + timedelta(minutes=1))

    (walk,) = walks_of(profile.pk)
    assert (walk.state, walk.ended_at) == (State.ENDED, NOW + timedelta(minutes=1))
    assert steps(walk) == [(1, "entry", "next"), (2, "wait", "next"), (3, "end", "ended")]
    assert StepLog.objects.get(instance_id=walk.pk, visit=2).detail == "It came."
    assert JourneyWait.objects.get().profile == other
    tick(NOW + timedelta(minutes=5))
    assert steps(walks_of(other.pk)[0])[1] == (2, "wait", "late")


def test_only_the_event_that_belongs_to_it_ends_a_wait() -> None:
    make_live(waiting_graph(event="Bought", property="order"))
    profile = make_profile()
    stream(make_event(profile.pk))

    stream(make_event(profile.pk, "Bought", order="another"))
    assert JourneyWait.objects.get().correlation == str(profile.pk)

    stream(
        make_event(profile.pk, "Bought", order="another"), make_event(profile.pk, "Bought", order=profile.pk)
    )
    assert walks_of(profile.pk)[0].state == State.ENDED


def test_the_events_of_one_batch_count_in_their_order() -> None:
    make_live(waiting_graph(event="Bought"), re_entry="after_end")
    profile, other = make_profile(), make_profile()

    stream(
        make_event(profile.pk, "Bought"),  # too early: nobody waits yet
        make_event(profile.pk),
        make_event(other.pk),
        make_event(profile.pk, "Bought"),  # ends the wait that this very batch began
        make_event(profile.pk),
    )

    ended, waiting = walks_of(profile.pk)
    assert steps(ended) == [(1, "entry", "next"), (2, "wait", "next"), (3, "end", "ended")]
    assert (waiting.state, waiting.entry_no) == (State.ACTIVE, 2)
    assert set(JourneyWait.objects.values_list("profile_id", flat=True)) == {profile.pk, other.pk}


def test_a_wait_that_follows_a_wait_may_be_ended_by_the_same_batch() -> None:
    graph = line(
        entry_box(),
        box("first", "test_parking", event="A"),
        box("second", "test_parking", event="A"),
        box("end", "end"),
    )
    make_live(graph)
    profile = make_profile()
    stream(make_event(profile.pk))

    stream(make_event(profile.pk, "A"))
    assert walks_of(profile.pk)[0].activity == "second"  # one event ends one wait

    stream(make_event(profile.pk, "A"), make_event(profile.pk, "A"))
    assert steps(walks_of(profile.pk)[0]) == [
        (1, "entry", "next"), (2, "first", "next"), (3, "second", "next"), (4, "end", "ended"),
    ]  # fmt: skip


def test_two_events_that_end_two_waits_in_one_batch() -> None:
    graph = line(
        entry_box(),
        box("first", "test_parking", event="A"),
        box("second", "test_parking", event="A"),
        box("end", "end"),
    )
    make_live(graph)
    profile = make_profile()
    stream(make_event(profile.pk))

    stream(make_event(profile.pk, "A"), make_event(profile.pk, "A"))

    assert walks_of(profile.pk)[0].state == State.ENDED
    assert not JourneyWait.objects.exists()


def test_bad_data_in_an_event_is_the_streams_business(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, event: Any, correlation: Any, place: Place) -> bool:
        raise ValueError("bad property")

    monkeypatch.setattr(Parking, "wakes", refuse)
    make_live(waiting_graph(event="Bought"))
    profile = make_profile()
    stream(make_event(profile.pk))

    with pytest.raises(ValueError, match="bad property"):
        stream(make_event(profile.pk, "Bought"))

    assert JourneyWait.objects.count() == 1


# --- costs ---------------------------------------------------------------------------------------------------


def count(*events: Any) -> int:
    with count_statements() as seen:
        stream(*events)
    return len([statement for statement in seen if "SAVEPOINT" not in statement])


def test_the_number_of_statements_does_not_depend_on_the_number_of_people() -> None:
    make_cast_of_message()
    make_live(welcome_graph())
    profiles = [make_profile() for _ in range(61)]
    stream(make_event(profiles[0].pk))

    few = count(*[make_event(profile.pk) for profile in profiles[1:3]])
    many = count(*[make_event(profile.pk) for profile in profiles[3:]])

    # profiles (the caller's), lock and read versions, waits, histories, ids, write, messages
    assert few == many == 8


def test_nor_on_the_number_of_events_of_one_person() -> None:
    make_cast_of_message()
    make_live(welcome_graph(), re_entry="always")
    profile = make_profile()
    stream(make_event(profile.pk))

    assert count(*[make_event(profile.pk) for _ in range(30)]) == 8
    assert len(walks_of(profile.pk)) == 31


def test_nor_on_the_number_of_waits_that_end() -> None:
    make_live(waiting_graph(event="Bought"))
    profiles = [make_profile() for _ in range(30)]
    stream(*[make_event(profile.pk) for profile in profiles])

    few = count(*[make_event(profile.pk, "Bought") for profile in profiles[:2]])
    many = count(*[make_event(profile.pk, "Bought") for profile in profiles[2:]])

    assert few == many == 6  # no histories, no ids, no messages; but the waits are deleted


def test_an_event_that_concerns_no_journey_is_cheap() -> None:
    profile = make_profile()
    nothing_runs = count(make_event(profile.pk, "Logged In"))
    make_live(waiting_graph(event="Bought"))
    stream(make_event(make_profile().pk))

    assert nothing_runs == 3
    assert count(make_event(profile.pk, "Logged In")) == 4


def test_publishing_is_seen_by_the_next_batch() -> None:
    first, second = make_profile(), make_profile()
    stream(make_event(first.pk))

    make_live(waiting_graph(minutes=5))
    stream(make_event(second.pk))

    assert [walk.profile_id for walk in JourneyInstance.objects.all()] == [second.pk]


def test_an_exit_that_leads_nowhere_ends_the_walk() -> None:
    graph = line(entry_box(), box("wait", "test_parking", minutes=5, event="Bought"), box("end", "end"))
    make_live(graph)
    profile = make_profile()
    stream(make_event(profile.pk))

    tick(NOW + timedelta(minutes=5))

    (walk,) = walks_of(profile.pk)
    assert (walk.state, walk.activity) == (State.ENDED, "wait")
    assert steps(walk) == [(1, "entry", "next"), (2, "wait", "late")]


def test_paths_meet_again() -> None:
    graph = line(
        entry_box(),
        box("wait", "test_parking", minutes=5, event="Bought"),
        box("pass", "test_pass"),
        box("end", "end"),
    )
    graph["links"].append(link("wait", "pass", "late"))
    make_live(graph)
    profiles = [make_profile() for _ in range(2)]
    stream(*[make_event(profile.pk) for profile in profiles])

    stream(make_event(profiles[0].pk, "Bought"))
    tick(NOW + timedelta(minutes=5))

    assert [steps(walks_of(profile.pk)[0])[1:] for profile in profiles] == [
        [(2, "wait", port), (3, "pass", "next"), (4, "end", "ended")] for port in ("next", "late")
    ]
