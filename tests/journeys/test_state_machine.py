"""Whatever people, clocks and events do to a journey in whatever order, some things are always true."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ajo.lib import sql
from channels.models import Message
from journeys import graph, runner, services
from journeys.merging import merge_instances
from journeys.models import JourneyInstance, JourneyVersion, JourneyWait, ReEntry, StepLog
from journeys.services import JourneyRefused
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_event,
    make_journey,
    message_box,
    stream,
    tick,
)

State = JourneyVersion.State
RUNNING = {State.LIVE, State.PAUSED, State.CLOSED}
# What a walk may say for itself when it did not leave by an exit.
STANDING = {"waits again"}
OVER = {"ended", "failed", "stopped", "merged"}


def straight() -> dict[str, Any]:
    return line(
        entry_box(), box("wait", "test_parking", minutes=3, again=2), message_box(), box("end", "end")
    )


def reminding() -> dict[str, Any]:
    """Until the person buys, a message every five minutes."""
    reminder = line(entry_box(), box("wait", "test_parking", minutes=5, event="Bought"), box("end", "end"))
    reminder["activities"].append(message_box())
    reminder["links"] += [link("wait", "hello", "late"), link("hello", "wait")]
    return reminder


def immediate() -> dict[str, Any]:
    return line(entry_box(), message_box(), box("end", "end"))


GRAPHS = [straight, reminding, immediate]


class JourneyMachine(RuleBasedStateMachine):
    """One journey, three people, a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example._from_testcase = True  # services that insist on a transaction of their own may run in it
        self.example.__enter__()
        make_cast_of_message()
        self.people = [make_profile().pk for _ in range(3)]
        self.journey = make_journey({})
        self.now = NOW

    @initialize(make_graph=st.sampled_from(GRAPHS), re_entry=st.sampled_from(ReEntry.values))
    def make_live(self, make_graph: Callable[[], dict[str, Any]], re_entry: str) -> None:
        services.save_draft(
            journey=self.journey, graph=make_graph(), re_entry=re_entry, revision=2, user=None
        )
        services.publish_journey(journey=self.journey, user=None, now=self.now)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    def states(self) -> list[str]:
        return list(self.journey.versions.values_list("state", flat=True))

    def attempt(self, verb: Callable[..., Any], *, allowed: bool, **arguments: Any) -> None:
        before = self.states()
        try:
            verb(journey=self.journey, user=None, **arguments)
        except JourneyRefused:
            assert not allowed
            assert self.states() == before
        else:
            assert allowed

    @rule(make_graph=st.sampled_from(GRAPHS), re_entry=st.sampled_from(ReEntry.values))
    def begin_draft(self, make_graph: Callable[[], dict[str, Any]], re_entry: str) -> None:
        allowed = State.DRAFT not in self.states()
        self.attempt(
            services.save_draft, allowed=allowed, graph=make_graph(), re_entry=re_entry, revision=None
        )

    @rule()
    def publish(self) -> None:
        states = self.states()
        allowed = State.DRAFT in states and State.PAUSED not in states
        self.attempt(services.publish_journey, allowed=allowed, now=self.now)

    @rule()
    def pause(self) -> None:
        self.attempt(services.pause_journey, allowed=State.LIVE in self.states())

    @rule()
    def resume(self) -> None:
        self.attempt(services.resume_journey, allowed=State.PAUSED in self.states())

    @rule()
    def close(self) -> None:
        self.attempt(services.close_journey, allowed=State.LIVE in self.states())

    @rule()
    def stop(self) -> None:
        self.attempt(services.stop_journey, allowed=bool(RUNNING & set(self.states())), now=self.now)

    @rule()
    def settle(self) -> None:
        services.settle_versions(now=self.now)

    @rule(
        happened=st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(["Signed Up", "Bought"])), min_size=1, max_size=5
        )
    )
    def events(self, happened: list[tuple[int, str]]) -> None:
        stream(*[make_event(self.people[who], what) for who, what in happened], now=self.now)

    @rule(what=st.lists(st.sampled_from(["Signed Up", "Bought"]), min_size=1, max_size=4))
    def everybody(self, what: list[str]) -> None:
        stream(*[make_event(person, name) for name in what for person in self.people], now=self.now)

    @rule(minutes=st.sampled_from([0, 1, 3, 5, 20]))
    def clock(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        tick(self.now)

    @rule(who=st.integers(0, 2), whom=st.integers(0, 2))
    def merge(self, who: int, whom: int) -> None:
        """Two turn out to be one; a stranger takes the free place."""
        if who != whom:
            with sql.unit_of_work() as cur:
                cur.execute(runner.LOCK_PROFILES, [sorted([self.people[who], self.people[whom]])])
                merge_instances(cur, [(self.people[who], self.people[whom])], self.now)
            gone = self.people[who]
            assert not JourneyWait.objects.filter(profile_id=gone).exists()
            assert not JourneyInstance.objects.filter(profile_id=gone).exists()
            self.people[who] = make_profile().pk

    @invariant()
    def at_most_one_version_takes_people_in(self) -> None:
        states = self.states()
        assert len([state for state in states if state in {State.LIVE, State.PAUSED}]) <= 1
        assert states.count(State.DRAFT) <= 1

    @invariant()
    def who_walks_waits_and_who_does_not_does_not(self) -> None:
        waits = {wait.instance_id: wait for wait in JourneyWait.objects.all()}
        for walk in JourneyInstance.objects.select_related("version"):
            wait = waits.pop(walk.pk, None)
            if walk.state == JourneyInstance.State.ACTIVE:
                assert wait is not None
                assert (wait.activity, wait.visit) == (walk.activity, walk.visit)
                assert (wait.profile_id, wait.version_id) == (walk.profile_id, walk.version_id)
                assert walk.version.state in RUNNING
                assert walk.ended_at is None
            else:
                assert wait is None
                assert walk.ended_at is not None
        assert not waits

    @invariant()
    def every_walk_is_a_way_through_its_map(self) -> None:
        plans = {version.pk: graph.compiled(version.graph) for version in self.journey.versions.all()}
        logs = defaultdict(list)
        for step in StepLog.objects.order_by("visit"):
            logs[step.instance_id].append(step)
        for walk in JourneyInstance.objects.all():
            plan, place, visit, is_over = plans[walk.version_id], "", 0, False
            place = plan.entry
            for visit, step in enumerate(logs[walk.pk], start=1):
                assert (step.visit, step.activity, step.version_id) == (visit, place, walk.version_id)
                assert not is_over
                if step.outcome in OVER:
                    is_over = True
                elif step.outcome not in STANDING:
                    place = plan.boxes[place].links[step.outcome]
            assert is_over == (walk.state != JourneyInstance.State.ACTIVE)
            assert (walk.activity, walk.visit) == (place, visit if is_over else visit + 1)

    @invariant()
    def every_message_step_is_one_message(self) -> None:
        steps = StepLog.objects.filter(activity="hello", outcome="next").values_list("instance_id", "visit")
        assert sorted(Message.objects.values_list("cause_id", "visit")) == sorted(steps)


@pytest.mark.django_db
def test_the_invariants_hold() -> None:
    run_state_machine_as_test(
        JourneyMachine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # add Phase.shrink by hand when it fails: it takes minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
