"""The clock: claims, steps, and what happens when an activity breaks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from ajo.lib import sql
from ajo.lib.claiming import Drained
from channels.models import Message
from journeys import entry, plans, runner, tasks
from journeys.activities import registry
from journeys.activities.base import Outcome, Park, Place, Walk
from journeys.models import (
    JourneyInstance,
    JourneyPassage,
    JourneyTrail,
    JourneyVersion,
    JourneyWait,
    StepLog,
)
from profiles.models import Profile
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    Parking,
    Pass,
    box,
    entry_box,
    line,
    link,
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


def later(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_the_clock_advances_those_whose_time_has_come() -> None:
    make_live(waiting_graph(minutes=5))
    early, late = make_profile(), make_profile()
    stream(make_event(early.pk))
    stream(make_event(late.pk), now=later(1))

    assert tick(later(4)) == 0
    assert tick(later(5)) == 1

    assert JourneyInstance.objects.get(profile=early).state == State.ENDED
    assert JourneyWait.objects.get().profile == late


def test_those_who_wait_longest_come_first() -> None:
    make_live(waiting_graph(minutes=5))
    profiles = [make_profile() for _ in range(3)]
    for minutes, profile in zip([2, 0, 1], profiles, strict=True):
        stream(make_event(profile.pk), now=later(minutes))

    assert runner.take_due_batch(later(60), limit=2) == 2

    assert JourneyWait.objects.get().profile == profiles[0]


def test_a_wait_for_an_event_alone_is_not_due() -> None:
    make_live(waiting_graph(event="Bought"))
    stream(make_event(make_profile().pk))

    assert tick(later(10**6)) == 0


def test_a_week_passes_in_a_moment() -> None:
    make_cast_of_message()
    day = 24 * 60
    graph = line(
        entry_box(),
        *itertools.chain.from_iterable(
            (box(f"wait-{n}", "test_parking", minutes=day), message_box(f"mail-{n}")) for n in range(1, 8)
        ),
        box("end", "end"),
    )
    make_live(graph)
    stream(make_event(make_profile().pk))

    sent = []
    for hour in range(24 * 8):
        tick(NOW + timedelta(hours=hour))
        sent.append(Message.objects.count())

    assert [sent.index(n) for n in range(1, 8)] == [24 * n for n in range(1, 8)]
    assert list(Message.objects.order_by("visit").values_list("activity", "visit")) == [
        (f"mail-{n}", 1 + 2 * n) for n in range(1, 8)
    ]


def test_a_loop_with_a_wait_visits_its_boxes_again() -> None:
    make_cast_of_message()
    graph = line(entry_box(), message_box(), box("wait", "test_parking", minutes=5))
    graph["links"] += [link("wait", "hello")]
    make_live(graph)
    stream(make_event(make_profile().pk))

    for minutes in (5, 10, 15):
        assert tick(later(minutes)) == 1

    assert list(Message.objects.order_by("visit").values_list("visit", flat=True)) == [2, 4, 6, 8]


def test_whoever_waits_again_makes_a_step() -> None:
    make_live(waiting_graph(minutes=5, again=3))
    stream(make_event(make_profile().pk))

    tick(later(5))
    tick(later(10))
    tick(later(15))

    log = StepLog.objects.order_by("visit").values_list("visit", "activity", "outcome")
    assert list(log) == [
        (1, "entry", "next"),
        (2, "wait", "waits again"),
        (3, "wait", "waits again"),
        (4, "wait", "next"),
        (5, "end", "ended"),
    ]


def test_what_the_visit_check_refuses_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    make_cast_of_message()
    make_live(line(entry_box(), box("wait", "test_parking", minutes=5), message_box(), box("end", "end")))
    zombie, sound = make_profile(), make_profile()
    stream(make_event(zombie.pk), make_event(sound.pk))
    JourneyInstance.objects.filter(profile=zombie).update(visit=7)

    tick(later(5))

    assert JourneyInstance.objects.get(profile=zombie).visit == 7
    assert list(Message.objects.values_list("profile_id", flat=True)) == [sound.pk]
    assert StepLog.objects.filter(instance__profile=zombie).count() == 1
    assert "1 journey steps were refused" in caplog.text


def test_walks_that_did_the_same_share_a_trail() -> None:
    """And the step log says of each what it would say had it walked alone."""
    make_live(waiting_graph(minutes=5))
    crowd = [make_profile() for _ in range(5)]
    stream(*[make_event(profile.pk) for profile in crowd])
    tick(later(5))

    assert JourneyPassage.objects.count() == 10  # into the wait and out of it, each of five
    assert list(
        JourneyTrail.objects.order_by("trail_id", "nth").values_list("nth", "activity", "outcome")
    ) == [
        (0, "entry", "next"),
        (0, "wait", "next"),
        (1, "end", "ended"),
    ]
    for profile in crowd:
        log = StepLog.objects.filter(instance__profile=profile).order_by("visit")
        assert list(log.values_list("visit", "activity", "at")) == [
            (1, "entry", NOW),
            (2, "wait", later(5)),
            (3, "end", later(5)),
        ]


def test_many_versions_in_one_batch() -> None:
    make_cast_of_message()
    graph = line(entry_box(), box("wait", "test_parking", minutes=5), message_box(), box("end", "end"))
    versions = [make_live(graph) for _ in range(3)]
    profiles = [make_profile() for _ in range(4)]
    stream(*[make_event(profile.pk) for profile in profiles])

    assert runner.take_due_batch(later(5)) == 12

    assert set(Message.objects.values_list("profile_id", "origin_id")) == set(
        itertools.product([p.pk for p in profiles], [v.pk for v in versions])
    )


def test_the_number_of_statements_does_not_depend_on_the_number_of_people() -> None:
    make_cast_of_message()
    make_live(line(entry_box(), box("wait", "test_parking", minutes=5), message_box(), box("end", "end")))
    stream(*[make_event(make_profile().pk) for _ in range(40)])

    counts = []
    for limit in (2, 38):
        with count_statements() as seen:
            assert runner.take_due_batch(later(5), limit) == limit
        counts.append(len([statement for statement in seen if "SAVEPOINT" not in statement]))

    assert counts == [5, 5]  # lock and read versions, claim, write, messages


def test_the_task_drains_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    make_live(waiting_graph(minutes=5))
    stream(*[make_event(make_profile().pk) for _ in range(5)])
    monkeypatch.setattr(tasks, "_now", lambda: later(5))
    monkeypatch.setattr(runner.take_due_batch, "__defaults__", (2,))

    tasks.tick_journeys()

    assert not JourneyWait.objects.exists()


def test_the_task_rings_again_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr("ajo.lib.doorbell.ring", rung.append)
    monkeypatch.setattr(tasks, "drain", lambda take: Drained(items=1, batches=1, is_empty=False))

    tasks.tick_journeys()

    assert rung == ["journeys.tasks.tick_journeys"]


def stamp(monkeypatch: pytest.MonkeyPatch, **bad: str) -> None:
    """Make Pass set the attribute `stamp` of everybody to the box's id, or to what `bad` says for this first name."""

    def step(self: Pass, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        people = Profile.objects.in_bulk([walk.profile_id for walk in walks])
        names = {key: person.attributes["first_name"] for key, person in people.items()}
        updates = {key: {"stamp": bad.get(name, place.activity)} for key, name in names.items()}
        return Outcome(moved={"next": walks}, updates=updates)

    monkeypatch.setattr(Pass, "uses_database", True)
    monkeypatch.setattr(Pass, "step", step)


def stamps() -> dict[str, str | None]:
    return {
        attributes["first_name"]: attributes.get("stamp")
        for attributes in Profile.objects.values_list("attributes", flat=True)
    }


def test_the_next_box_sees_the_attributes_that_a_box_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp(monkeypatch)
    seen = []
    step = Parking.step

    def look(self: Parking, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        seen.append(stamps())
        return step(self, walks, place, now)

    monkeypatch.setattr(Parking, "step", look)
    wait = box("wait", "test_parking", minutes=5)
    make_live(line(entry_box(), box("one", "test_pass"), wait, box("two", "test_pass"), box("end", "end")))
    stream(*[make_event(make_profile(first_name=name).pk) for name in ("Ada", "Grace")])

    assert seen == [{"Ada": "one", "Grace": "one"}]
    assert Profile.objects.filter(attribute_times__stamp__gt=0).count() == 2

    tick(later(5))

    assert stamps() == {"Ada": "two", "Grace": "two"}


def test_whose_attributes_cannot_be_written_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp(monkeypatch, Grace="a\x00b")
    make_live(line(entry_box(), box("one", "test_pass"), box("end", "end")))
    names = ["Ada", "Grace", "Joan", "Mary", "Ruth"]
    stream(*[make_event(make_profile(first_name=name).pk) for name in names])

    assert stamps() == {name: None if name == "Grace" else "one" for name in names}
    failed = JourneyInstance.objects.get(state=State.FAILED)
    assert failed.profile.attributes["first_name"] == "Grace"
    assert StepLog.objects.get(outcome="failed").activity == "one"
    assert JourneyInstance.objects.filter(state=State.ENDED).count() == 4


# --- breaking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_database", [False, True])
@pytest.mark.parametrize("bad_ones", [[0], [3, 4], [0, 1, 2, 3, 4, 5, 6]])
def test_who_cannot_be_stepped_fails_alone(bad_ones: list[int], in_database: bool) -> None:
    profiles = [make_profile() for _ in range(7)]
    bad = [profiles[index].pk for index in bad_ones]
    make_live(waiting_graph(minutes=5, breaks_on=bad, breaks_in_database=in_database))

    stream(*[make_event(profile.pk) for profile in profiles])

    for walk in JourneyInstance.objects.all():
        if walk.profile_id in bad:
            assert (walk.state, walk.activity, walk.ended_at) == (State.FAILED, "wait", NOW)
            log = StepLog.objects.get(instance_id=walk.pk, visit=2)
            words = "division by zero" if in_database else f"Profile {walk.profile_id} is bad."
            assert (log.outcome, words in log.detail) == ("failed", True)
        else:
            assert walk.state == State.ACTIVE
    assert JourneyWait.objects.count() == 7 - len(bad)


def test_a_deadlock_or_a_lost_connection_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: Parking, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(Parking, "step", lose)
    make_live(waiting_graph(minutes=5))

    with pytest.raises(OperationalError):
        stream(make_event(make_profile().pk))

    assert not JourneyInstance.objects.exists()


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (lambda walks: Outcome(), "answered for 0 of 1 walks"),
        (lambda walks: Outcome(moved={"next": walks}, left=walks), "answered for 2 of 1 walks"),
        (lambda walks: Outcome(moved={"exit": walks}), "to 'exit', an exit that it does not have"),
        (lambda walks: Outcome(parked=[entry.Park(walks[0])]), "nothing would ever wake"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_failure(
    outcome: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parking, "step", lambda self, walks, place, now: outcome(walks))
    make_live(waiting_graph(minutes=5))

    stream(make_event(make_profile().pk))

    assert JourneyInstance.objects.get().state == State.FAILED
    assert words in StepLog.objects.get(outcome="failed").detail


def test_nobody_may_wait_at_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance = registry.get("event_entry")
    monkeypatch.setattr(
        entrance, "step", lambda self, walks, place, now: Outcome(parked=[Park(walks[0], now)])
    )
    make_live(line(entry_box(), box("end", "end")))

    stream(make_event(make_profile().pk))

    assert JourneyInstance.objects.get().state == State.FAILED
    assert "only come in at an entry" in StepLog.objects.get().detail


def test_messages_of_half_a_batch_survive_the_other_half(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cast_of_message()
    make_live(welcome_graph())
    profiles = [make_profile() for _ in range(5)]
    message = registry.get("message")
    step = message.step

    def refuse_one(self: Any, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        if any(walk.profile_id == profiles[2].pk for walk in walks):
            raise KeyError("nothing")
        return step(self, walks, place, now)

    monkeypatch.setattr(message, "step", refuse_one)

    stream(*[make_event(profile.pk) for profile in profiles])

    sent_to = set(Message.objects.values_list("profile_id", flat=True))
    assert sent_to == {profile.pk for profile in profiles} - {profiles[2].pk}


def test_a_walk_that_never_rests_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pass, "may_park", True)  # so that publishing lets the loop pass
    graph = line(entry_box(), box("a", "test_pass"), box("b", "test_pass"))
    graph["links"].append(link("b", "a"))
    make_live(graph)
    profile = make_profile()

    stream(make_event(profile.pk))

    walk = JourneyInstance.objects.get()
    assert (walk.state, walk.visit) == (State.FAILED, runner.STEPS_AT_ONCE + 1)
    assert "without waiting" in StepLog.objects.get(outcome="failed").detail


def test_a_version_that_cannot_run_here_stands_still(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make_live(line(entry_box(), box("end", "end")))
    version = make_live(waiting_graph(minutes=5))
    profile, newcomer = make_profile(), make_profile()
    stream(make_event(profile.pk))
    kinds = dict(registry._classes)
    with monkeypatch.context() as patch:
        patch.setattr(plans, "_compiled", {})
        patch.setattr(registry, "_classes", {k: v for k, v in kinds.items() if k != Parking.kind})

        assert tick(later(5)) == 0
        stream(make_event(newcomer.pk))

    assert "cannot run: 'wait' is of the unknown kind 'test_parking'" in caplog.text
    assert [walk.version for walk in JourneyInstance.objects.filter(profile=newcomer)] == [sound]
    assert JourneyWait.objects.get().version == version
    assert tick(later(5)) == 1


def test_the_compiled_versions_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_compiled", dict.fromkeys(range(-200, 0)))
    version = make_live(waiting_graph(minutes=5))

    with sql.unit_of_work() as cur:
        plans.read_versions(cur)

    assert set(plans._compiled) == {version.pk}


def test_a_deleted_version_is_left_alone() -> None:
    version = make_live(waiting_graph(minutes=5))
    stream(make_event(make_profile().pk))
    JourneyVersion.objects.filter(pk=version.pk).delete()

    assert tick(later(5)) == 0
