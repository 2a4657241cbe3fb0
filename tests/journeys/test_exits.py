"""Exits: whoever does something, or comes to fit an audience, leaves the journey wherever they wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from channels.models import Message
from journeys import services
from journeys.graph import Level
from journeys.models import JourneyInstance, JourneyWait, StepLog
from journeys.reports import counts
from profiles.models import Audience
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    recount,
    stream,
    tick,
    waiting_graph,
)
from tests.support import count_statements

pytestmark = pytest.mark.django_db
State = JourneyInstance.State


def with_exit(graph: dict[str, Any], kind: str = "exit_on_event", **config: Any) -> dict[str, Any]:
    """The graph with a box that takes people out; without settings, when they buy."""
    graph["activities"].append(box("out", kind, **(config or {"event": "Bought"})))
    return graph


def steps(profile_id: int) -> list[tuple[int, str, str]]:
    log = StepLog.objects.filter(instance__profile_id=profile_id).order_by("instance_id", "visit")
    return list(log.values_list("visit", "activity", "outcome"))


def states(profile_id: int) -> list[str]:
    walks = JourneyInstance.objects.filter(profile_id=profile_id).order_by("entry_no")
    return [walk.get_state_display() for walk in walks]


def test_an_event_takes_a_person_out_of_the_wait() -> None:
    version = make_live(with_exit(waiting_graph(minutes=5)))
    leaver, other = make_profile().pk, make_profile().pk
    stream(make_event(leaver), make_event(other))

    stream(make_event(leaver, "Bought"))

    assert states(leaver) == ["Ended"]
    assert steps(leaver) == [(1, "entry", "next"), (2, "wait", "left early"), (3, "out", "ended")]
    assert states(other) == ["Active"]
    assert list(JourneyWait.objects.values_list("profile_id", flat=True)) == [other]
    assert tick(NOW + timedelta(minutes=5)) == 1  # the leaver's wait is not there any more
    assert counts(version) == recount(version)


def test_the_second_of_two_events_takes_nobody_out_again() -> None:
    make_live(with_exit(waiting_graph(minutes=5)), re_entry="after_end")
    person = make_profile().pk
    stream(make_event(person))

    stream(make_event(person, "Bought"), make_event(person, "Bought"), make_event(person))

    assert steps(person)[:3] == [(1, "entry", "next"), (2, "wait", "left early"), (3, "out", "ended")]
    assert states(person) == ["Ended", "Active"]


def test_an_exit_counts_before_the_wait_that_the_same_event_would_end() -> None:
    make_live(with_exit(waiting_graph(event="Bought", minutes=5)))
    person = make_profile().pk
    stream(make_event(person))

    stream(make_event(person, "Bought"))

    assert steps(person)[1:] == [(2, "wait", "left early"), (3, "out", "ended")]


def test_who_enters_and_leaves_in_one_batch() -> None:
    make_live(with_exit(waiting_graph(minutes=5)), re_entry="always")
    person = make_profile().pk

    stream(make_event(person), make_event(person, "Bought"), make_event(person), make_event(person))

    assert states(person) == ["Ended", "Active", "Active"]
    assert JourneyWait.objects.count() == 2


def test_who_leaves_by_an_event_may_enter_by_the_same() -> None:
    graph = with_exit(waiting_graph(minutes=5), event="Signed Up")
    make_live(graph, re_entry="after_end")
    person = make_profile().pk

    stream(make_event(person))
    stream(make_event(person))

    assert states(person) == ["Ended", "Active"]


def test_what_is_queued_for_who_leaves_is_withheld_and_nothing_else() -> None:
    make_cast_of_message()
    wait = box("wait", "test_parking", minutes=5)
    make_live(with_exit(line(entry_box(), message_box(), wait, box("end", "end"))))
    make_live(line(entry_box("Bought"), message_box(), box("end", "end")))
    leaver, other = make_profile(email="ada@example.com").pk, make_profile(email="bob@example.com").pk
    stream(make_event(leaver), make_event(other))

    stream(make_event(leaver, "Bought"))

    found = Message.objects.order_by("pk").values_list("profile_id", "state", "reason")
    assert list(found) == [
        (leaver, Message.State.WITHHELD, "The person left the journey early."),
        (other, Message.State.QUEUED, ""),
        (leaver, Message.State.QUEUED, ""),
    ]


def test_a_message_of_the_very_batch_is_withheld_too() -> None:
    make_cast_of_message()
    wait = box("wait", "test_parking", minutes=5)
    make_live(with_exit(line(entry_box(), message_box(), wait, box("end", "end"))))
    person = make_profile(email="ada@example.com").pk

    stream(make_event(person), make_event(person, "Bought"))

    assert Message.objects.get().state == Message.State.WITHHELD


def test_an_audience_takes_a_person_out() -> None:
    Audience.objects.create(key="delayed", name="Delayed", state=Audience.State.ACTIVE)
    make_live(with_exit(waiting_graph(minutes=5), "exit_on_audience", audience="delayed", change="entered"))
    person = make_profile().pk
    stream(make_event(person))

    stream(make_event(person, "$audience_entered", audience="buyers"))
    stream(make_event(person, "$audience_left", audience="delayed"))
    assert states(person) == ["Active"]

    stream(make_event(person, "$audience_entered", audience="delayed"))
    assert states(person) == ["Ended"]


def test_the_number_of_statements_does_not_depend_on_the_number_of_people() -> None:
    make_cast_of_message()
    wait = box("wait", "test_parking", minutes=5)
    make_live(with_exit(line(entry_box(), message_box(), wait, box("end", "end"))))

    def leave(n: int) -> int:
        people = [make_profile().pk for _ in range(n)]
        stream(*[make_event(person) for person in people])
        bought = [make_event(person, "Bought") for person in people]
        with count_statements() as statements:
            stream(*bought)
        assert all(states(person) == ["Ended"] for person in people)
        return len(statements)

    leave(1)
    assert leave(1) == leave(20)


def test_an_exit_is_no_place_to_go_to() -> None:
    graph = with_exit(waiting_graph(minutes=5))
    assert [problem for problem in services.check_graph(graph) if problem.activity == "out"] == []
    graph["links"][-1] = link("wait", "out", "late")

    (problem,) = services.check_graph(graph)

    assert (problem.level, problem.activity) == (Level.ERROR, "wait")
    assert "takes people from wherever they wait" in problem.message


@pytest.mark.parametrize(("state", "said"), [("", "There is no audience"), ("draft", "is not active")])
def test_an_audience_that_nobody_keeps_is_refused(state: str, said: str) -> None:
    if state:
        Audience.objects.create(key="delayed", name="Delayed", state=state)
    graph = with_exit(waiting_graph(minutes=5), "exit_on_audience", audience="delayed", change="left")

    (problem,) = services.check_graph(graph)

    assert (problem.level, problem.activity, problem.field) == (Level.ERROR, "out", "audience")
    assert said in problem.message
