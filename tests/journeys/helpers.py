"""Journeys in tests: small graphs, events as the stream step hands them on, and a box that waits."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from rest_framework import serializers

from ajo.lib import sql
from ajo.lib.ids import uuid7
from journeys import entry, runner, services
from journeys.activities.base import Activity, Outcome, Park, Place, Wake, Walk
from journeys.models import Journey, JourneyInstance, JourneyVersion, JourneyWait, StepLog
from profiles.consumers import StreamEvent
from profiles.models import EventType
from tests.factories import NOW, as_json, make_configuration, make_event_type, make_variant

_numbers = itertools.count(1)


class ParkConfig(serializers.Serializer[Any]):
    """How long, for which event, and whether every order is waited for by itself."""

    minutes = serializers.IntegerField(required=False, min_value=0)
    event = serializers.CharField(required=False)
    property = serializers.CharField(required=False)
    again = serializers.IntegerField(
        default=0, min_value=0, help_text="How many more times it waits by the clock."
    )
    breaks_on = serializers.ListField(child=serializers.IntegerField(), default=list)
    breaks_in_database = serializers.BooleanField(default=False)


class Parking(Activity):
    """A box that waits for a time, for an event or for both, and can be made to break."""

    kind = "test_parking"
    label = "Parking"
    category = "test"
    Config = ParkConfig
    may_park = True
    optional_ports = frozenset({"late"})

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ("next", "late")

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["event"],) if "event" in config else ()

    def prepare(self, place: Place) -> int | None:
        return EventType.objects.get(name=place.config["event"]).pk if "event" in place.config else None

    def wakes(self, event: StreamEvent, correlation: str | None, place: Place) -> bool:
        return correlation is None or str(event.decoded().get(place.config["property"])) == correlation

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        self._break(walks, place)
        outcome = Outcome()
        arrived = [walk for walk in walks if walk.wake is Wake.ARRIVED]
        timed_out = [walk for walk in walks if walk.wake is Wake.CLOCK]
        again = [walk for walk in timed_out if walk.visit <= place.config["again"]]
        due_at = now + timedelta(minutes=place.config["minutes"]) if "minutes" in place.config else None
        for walk in [*arrived, *again]:
            correlation = str(walk.profile_id) if "property" in place.config else None
            outcome.parked.append(Park(walk, due_at, place.prepared, correlation))
        late = [walk for walk in timed_out if walk not in again]
        met = [walk for walk in walks if walk.wake is Wake.EVENT]
        if place.prepared is None:
            outcome.moved["next"] = late
        else:
            outcome.moved = {"next": met, "late": late}
            outcome.details = {walk.instance_id: "It came." for walk in met}
        return outcome

    def _break(self, walks: Sequence[Walk], place: Place) -> None:
        bad = [walk.profile_id for walk in walks if walk.profile_id in place.config["breaks_on"]]
        if bad and place.config["breaks_in_database"]:
            with sql.cursor() as cur:
                cur.execute("SELECT 1 / 0")
        if bad:
            raise ValueError(f"Profile {bad[0]} is\x00 bad.")


class Pass(Activity):
    """A box that everybody passes."""

    kind = "test_pass"
    label = "Pass"
    category = "test"
    Config = serializers.Serializer
    uses_database = False

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(moved={"next": walks})


def box(box_id: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"id": box_id, "kind": kind, "config": config}


def link(source: str, target: str, port: str = "next") -> dict[str, str]:
    return {"from": source, "port": port, "to": target}


def line(*boxes: dict[str, Any]) -> dict[str, Any]:
    """A graph of boxes one after the other."""
    pairs = itertools.pairwise(boxes)
    return {"activities": list(boxes), "links": [link(one["id"], other["id"]) for one, other in pairs]}


def entry_box(event: str = "Signed Up") -> dict[str, Any]:
    return box("entry", "event_entry", event=event)


def message_box(box_id: str = "hello") -> dict[str, Any]:
    return box(box_id, "message", content="welcome", configuration="email")


def welcome_graph() -> dict[str, Any]:
    """Event → message → end; needs `make_cast_of_message`."""
    return line(entry_box(), message_box(), box("end", "end"))


def waiting_graph(**config: Any) -> dict[str, Any]:
    """Event → wait → end, both exits of the wait."""
    graph = line(entry_box(), box("wait", "test_parking", **config), box("end", "end"))
    graph["links"].append(link("wait", "end", "late"))
    return graph


def make_cast_of_message() -> None:
    make_configuration()
    make_variant()


def make_journey(graph: dict[str, Any], re_entry: str = "never", key: str | None = None) -> Journey:
    """A journey with this draft."""
    key = key or f"journey-{next(_numbers)}"
    journey = services.create_journey(key=key, name=key.title(), user=None)
    services.save_draft(journey=journey, graph=graph, re_entry=re_entry, revision=1, user=None)
    return journey


def make_live(graph: dict[str, Any], re_entry: str = "never", key: str | None = None) -> JourneyVersion:
    """A live version of a journey with this graph."""
    return services.publish_journey(journey=make_journey(graph, re_entry, key), user=None, now=NOW)


def make_event(profile_id: int, name: str = "Signed Up", hops: int = 0, **properties: Any) -> StreamEvent:
    return StreamEvent(
        id=uuid7(),
        batch_id=1,
        source_id=1,
        event_type_id=make_event_type(name).pk,
        kind=1,
        hops=hops,
        occurred_at=NOW,
        received_at=NOW,
        profile_id=profile_id,
        properties=as_json(properties),
    )


def lock_profiles(*profile_ids: int) -> None:
    """In id order, in a statement of its own, for the open transaction."""
    with sql.cursor() as cur:
        cur.execute(runner.LOCK_PROFILES, [sorted(set(profile_ids))])


def stream(*events: StreamEvent, now: datetime = NOW) -> None:
    """What the stream step does: lock the profiles in id order, then hand the events on."""
    with transaction.atomic():
        lock_profiles(*[event.profile_id for event in events])
        entry.consume(events, now)


def tick(now: datetime, limit: int = runner.CLOCK_BATCH) -> int:
    """Advance everybody whose wait is over; how many walks were claimed."""
    claimed = 0
    while taken := runner.take_due_batch(now, limit):
        claimed += taken
    return claimed


def recount(version: JourneyVersion) -> dict[str, Any]:
    """What `journeys.reports.counts` says, counted by looking at every walk, every wait and every step."""
    walks = Counter(JourneyInstance.objects.filter(version=version).values_list("state", flat=True))
    waiting = Counter(JourneyWait.objects.filter(version=version).values_list("activity", flat=True))
    steps: dict[str, Counter[str]] = defaultdict(Counter)
    for activity, outcome in StepLog.objects.filter(version=version).values_list("activity", "outcome"):
        steps[activity][outcome] += 1
    boxes = [] if version.state == JourneyVersion.State.DRAFT else version.graph["activities"]
    staying = {"waits again", "left early", "failed", "stopped", "merged"}
    return {
        "version": version.number,
        "entered": walks.total(),
        "active": walks[JourneyInstance.State.ACTIVE],
        "ended": walks[JourneyInstance.State.ENDED],
        "failed": walks[JourneyInstance.State.FAILED],
        "stopped": walks[JourneyInstance.State.STOPPED],
        "merged": walks[JourneyInstance.State.MERGED],
        "boxes": {
            item["id"]: {
                "waiting": waiting[item["id"]],
                "passed": sum(n for outcome, n in steps[item["id"]].items() if outcome not in staying),
                "outcomes": dict(steps[item["id"]]),
            }
            for item in boxes
        },
    }
