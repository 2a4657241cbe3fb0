"""The counts of a version, from what the engine keeps; compared with what is there."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ajo.lib import sql
from ajo.lib.claiming import Drained
from journeys import reports, runner, services, tallies, tasks
from journeys.merging import merge_instances
from journeys.models import JourneyInstance, StepCount, StepCountDelta, StepLog
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_event,
    make_journey,
    make_live,
    message_box,
    recount,
    stream,
    tick,
    waiting_graph,
)
from tests.journeys.races import start
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def test_counts_of_a_journey_under_way() -> None:
    make_cast_of_message()
    one, two, three, four = (make_profile().pk for _ in range(4))
    graph = line(
        entry_box(),
        box("wait", "test_parking", minutes=5, event="Bought", again=2),
        box("trap", "test_parking", minutes=5, event="Returned", breaks_on=[two]),
        message_box(),
        box("end", "end"),
    )
    graph["links"] += [link("wait", "end", "late"), link("trap", "hello", "late")]
    version = make_live(graph)

    stream(*map(make_event, (one, two, three, four)))
    stream(make_event(one, "Bought"), make_event(two, "Bought"), make_event(four, "Bought"))
    tick(NOW + timedelta(minutes=5))  # one and four leave the trap, three waits again
    stream(make_event(make_profile().pk))

    with count_statements() as statements:
        counts = reports.counts(version)

    assert len(statements) == 1
    assert counts == recount(version)
    assert counts == {
        "version": 1,
        "entered": 5,
        "active": 2,
        "ended": 2,
        "failed": 1,
        "stopped": 0,
        "merged": 0,
        "boxes": {
            "entry": {"waiting": 0, "passed": 5, "outcomes": {"next": 5}},
            "wait": {"waiting": 2, "passed": 3, "outcomes": {"next": 3, "waits again": 1}},
            "trap": {"waiting": 0, "passed": 2, "outcomes": {"late": 2, "failed": 1}},
            "hello": {"waiting": 0, "passed": 2, "outcomes": {"next": 2}},
            "end": {"waiting": 0, "passed": 2, "outcomes": {"ended": 2}},
        },
    }


def test_whoever_leaves_by_an_unconnected_exit_has_ended() -> None:
    wait = box("wait", "test_parking", minutes=5, event="Bought")
    version = make_live(line(entry_box(), wait, box("end", "end")))
    stream(make_event(make_profile().pk))
    tick(NOW + timedelta(minutes=5))

    counts = reports.counts(version)

    assert counts == recount(version)
    assert (counts["active"], counts["ended"]) == (0, 1)
    assert counts["boxes"]["wait"]["outcomes"] == {"late": 1}


def test_a_stopped_version_has_nobody_waiting() -> None:
    version = make_live(waiting_graph(minutes=5))
    stream(*[make_event(make_profile().pk) for _ in range(3)])

    services.stop_journey(journey=version.journey, user=None, now=NOW)

    counts = reports.counts(version)
    assert counts == recount(version)
    assert (counts["entered"], counts["active"], counts["stopped"]) == (3, 0, 3)
    assert counts["boxes"]["wait"] == {"waiting": 0, "passed": 0, "outcomes": {"stopped": 3}}


def test_a_draft_has_no_boxes_to_count() -> None:
    draft = make_journey({"activities": "nonsense"}).versions.get()

    assert reports.counts(draft) == recount(draft)


def test_versions_and_days_are_counted_apart() -> None:
    journey = make_live(waiting_graph(minutes=5), key="apart").journey
    stream(make_event(make_profile().pk))
    services.save_draft(
        journey=journey, graph=waiting_graph(minutes=5), re_entry="never", revision=None, user=None
    )
    second = services.publish_journey(journey=journey, user=None, now=NOW)
    stream(make_event(make_profile().pk), now=NOW + timedelta(days=1))
    stream(make_event(make_profile().pk), now=NOW + timedelta(days=1, hours=1))

    tallies.fold_step_counts()

    assert reports.counts(second)["entered"] == 2
    days = StepCount.objects.filter(activity="entry").order_by("version_id")
    assert list(days.values_list("version__number", "day", "n")) == [
        (1, NOW.date(), 1),
        (2, NOW.date() + timedelta(days=1), 2),
    ]


def test_folding_changes_no_count() -> None:
    version = make_live(waiting_graph(minutes=5))
    for _ in range(3):
        stream(make_event(make_profile().pk))
    before = reports.counts(version)
    assert before["entered"] == 3

    assert tallies.fold_step_counts(limit=2) == 2
    assert reports.counts(version) == before
    assert tallies.fold_step_counts() == 1
    assert tallies.fold_step_counts() == 0

    assert reports.counts(version) == before
    assert not StepCountDelta.objects.exists()
    assert StepCount.objects.get().n == 3


def test_the_task_folds_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr("ajo.lib.doorbell.ring", rung.append)
    make_live(waiting_graph(minutes=5))
    stream(make_event(make_profile().pk))

    tasks.fold_step_counts()

    assert not StepCountDelta.objects.exists()
    assert rung == []
    monkeypatch.setattr(tasks, "drain", lambda fold: Drained(items=1, batches=1, is_empty=False))
    tasks.fold_step_counts()
    assert rung == ["journeys.tasks.fold_step_counts"]


class History:
    """What people, clocks, merges and authors do to one journey, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        make_cast_of_message()
        self.people = [make_profile().pk for _ in range(6)]
        self.now = NOW
        self.journey = make_live(self.graph(), re_entry="after_end").journey

    def graph(self) -> dict[str, Any]:
        """People wait, are reminded until they buy, may meet a box that breaks for two, and end; or move away."""
        drawn = line(
            entry_box(),
            box("wait", "test_parking", minutes=3, event="Bought", again=2),
            box("trap", "test_parking", minutes=2, breaks_on=self.chance.sample(self.people, 2)),
            box("end", "end"),
        )
        drawn["activities"] += [message_box(), box("out", "exit_on_event", event="Moved")]
        drawn["links"] += [link("wait", "hello", "late"), link("hello", "wait")]
        return drawn

    def events(self) -> None:
        names = self.chance.choices(["Signed Up", "Bought", "Moved"], [4, 4, 1], k=self.chance.randint(1, 8))
        stream(*[make_event(self.chance.choice(self.people), name) for name in names], now=self.now)

    def clock(self) -> None:
        self.now += timedelta(minutes=self.chance.choice([1, 1, 2, 60 * 25]))
        tick(self.now, limit=self.chance.choice([2, 100]))

    def merge(self) -> None:
        active = JourneyInstance.objects.filter(state=JourneyInstance.State.ACTIVE)
        walking = sorted(set(active.values_list("profile_id", flat=True)))
        loser, survivor = self.chance.sample(walking if len(walking) > 1 else self.people, 2)
        with sql.unit_of_work() as cur:
            cur.execute(runner.LOCK_PROFILES, [sorted([loser, survivor])])
            merge_instances(cur, [(loser, survivor)], self.now)
        self.people[self.people.index(loser)] = make_profile().pk

    def fold(self) -> None:
        tallies.fold_step_counts(limit=self.chance.choice([1, 3, 1_000]))

    def publish(self) -> None:
        """A new version, beside which people walk on in the old one; or everybody is taken out first."""
        if self.chance.random() < 0.5:
            services.stop_journey(journey=self.journey, user=None, now=self.now)
        services.save_draft(
            journey=self.journey, graph=self.graph(), re_entry="after_end", revision=None, user=None
        )
        services.publish_journey(journey=self.journey, user=None, now=self.now)

    def act(self) -> None:
        weighed = {self.events: 8, self.clock: 5, self.merge: 4, self.fold: 3, self.publish: 1}
        (action,) = self.chance.choices(list(weighed), list(weighed.values()))
        action()


@pytest.mark.parametrize("seed", range(2))
def test_after_any_history_the_counts_are_what_is_there(seed: int) -> None:
    history = History(random.Random(seed))
    for _ in range(100):
        history.act()
        for version in history.journey.versions.all():
            assert reports.counts(version) == recount(version)

    tallies.fold_step_counts()
    assert set(StepLog.Word) <= set(StepLog.objects.values_list("outcome", flat=True))
    assert StepCount.objects.values("day").distinct().count() > 2


@pytest.mark.django_db(transaction=True)
def test_folds_at_once_add_every_delta_once() -> None:
    version = make_live(waiting_graph(minutes=5), re_entry="always")
    profile_ids = [make_profile().pk for _ in range(5)]
    for _ in range(40):
        stream(*map(make_event, profile_ids))
    counted = StepCountDelta.objects.count()
    assert counted == 40

    with ThreadPoolExecutor(max_workers=4) as pool:

        def fold() -> int:
            return sum(iter(lambda: tallies.fold_step_counts(limit=3), 0))

        folding = [start(pool, fold) for _ in range(3)]
        walking = start(pool, tick, NOW + timedelta(minutes=5), 20)
        reading = start(pool, lambda: [reports.counts(version)["entered"] for _ in range(50)])
        assert walking.result(30) == 200
        assert reading.result(30) == [200] * 50
        folded = sum(future.result(30) for future in folding)

    folded += tallies.fold_step_counts()
    assert folded > counted
    assert not StepCountDelta.objects.exists()
    assert reports.counts(version) == recount(version)
    assert JourneyInstance.objects.count() == 200
