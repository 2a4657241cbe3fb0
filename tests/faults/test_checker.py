"""The judge is judged: a good world passes, and each way of breaking it is named by its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from ajo.lib.ids import uuid7
from channels.models import CauseKind, Message, MessageClass
from journeys.models import Journey, JourneyInstance, JourneyPassage, JourneyVersion, StepLog
from profiles.models import Channel, Event, EventKind, IngestBatch, ProfileDaily, ProfileEvent, Source
from tests import factories
from tests.faults import checker
from tests.faults.load import email_of

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = ("ann", "bob", "cem", "dia", "eva", "fay")
GRAPH = {
    "activities": [{"id": "entry"}, {"id": "mail"}, {"id": "end"}],
    "links": [{"from": "entry", "port": "next", "to": "mail"}, {"from": "mail", "port": "next", "to": "end"}],
}


class World:
    """Six people who signed up, each with an event, a walk and a sent message, and what the lab would know of it."""

    def __init__(self, folder: Path) -> None:
        self.acked_path = folder / "acked.jsonl"
        self.acked = [{"at": 0, "keys": [f"{name}-track"], "people": [name]} for name in PEOPLE]
        self.sink = [{"rcpt": [email_of(name)], "message_id": f"<{name}@lab>"} for name in PEOPLE]
        source, event_type, now = factories.make_source(), factories.make_event_type(), factories.NOW
        variant, configuration = factories.make_variant(), factories.make_configuration()
        version = JourneyVersion.objects.create(
            journey=Journey.objects.create(key="welcome", name="Welcome"), number=1, graph=GRAPH
        )
        for name in PEOPLE:
            profile = factories.make_profile(name, email_of(name))
            event = _event(source, event_type.pk, f"{name}-track")
            ProfileEvent.objects.create(
                profile=profile, event_type=event_type, occurred_at=now, event_id=event.pk
            )
            ProfileDaily.objects.create(profile=profile, event_type=event_type, day=now.date(), n=1)
            walk = JourneyInstance.objects.create(
                journey=version.journey,
                version=version,
                profile=profile,
                entry_no=1,
                activity="end",
                visit=3,
                state=JourneyInstance.State.ENDED,
                entered_at=now,
            )
            for visit, (activity, outcome) in enumerate(
                [("entry", "next"), ("mail", "next"), ("end", "ended")], 1
            ):
                factories.make_step(walk, visit, activity, outcome, at=now)
            Message.objects.create(
                profile=profile,
                cause_kind=CauseKind.JOURNEY_INSTANCE,
                cause_id=walk.pk,
                activity="mail",
                visit=2,
                channel=Channel.EMAIL,
                origin_id=version.pk,
                configuration=configuration,
                variant=variant,
                message_class=MessageClass.MARKETING,
                state=Message.State.SENT,
            )

    def check(self, sender_kills: int = 1) -> checker.Findings:
        self.acked_path.write_text("".join(json.dumps(line) + "\n" for line in self.acked))
        facts = connection.settings_dict
        url = f"postgresql://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"
        return checker.check(url, self.acked_path, self.sink, sender_kills=sender_kills)


def _event(source: Source, event_type_id: int, key: str) -> Event:
    return Event.objects.create(
        id=uuid7(),
        batch_id=1,
        source_id=source.pk,
        event_type_id=event_type_id,
        kind=EventKind.TRACK,
        occurred_at=factories.NOW,
        properties={"key": key},
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_good_world_passes(world: World) -> None:
    findings = world.check()

    assert not findings.broken, str(findings)
    assert findings.counts["messages sent"] == len(PEOPLE)


def _lose_event(world: World) -> None:
    Event.objects.filter(properties__key="ann-track").delete()


def _store_twice(world: World) -> None:
    event = Event.objects.get(properties__key="ann-track")
    _event(Source.objects.get(), event.event_type_id, "ann-track")


def _miscount(world: World) -> None:
    ProfileDaily.objects.filter(profile__identities__value="ann").update(n=2)


def _quarantine(world: World) -> None:
    IngestBatch.objects.create(
        source_id=1,
        n=1,
        first_id=uuid7(),
        last_id=uuid7(),
        received_at=factories.NOW,
        state=IngestBatch.State.QUARANTINED,
    )


def _leave_waiting(world: World) -> None:
    Message.objects.filter(profile__identities__value="ann").update(state=Message.State.QUEUED)


def _withhold(world: World) -> None:
    Message.objects.filter(profile__identities__value="ann").update(state=Message.State.WITHHELD)
    world.sink = world.sink[1:]


def _receive_twice(world: World) -> None:
    world.sink.append(world.sink[0])


def _receive_nothing(world: World) -> None:
    world.sink = world.sink[1:]


def _receive_what_was_not_sent(world: World) -> None:
    Message.objects.filter(profile__identities__value="ann").update(state=Message.State.FAILED)


def _doubt_everything(world: World) -> None:
    Message.objects.update(state=Message.State.UNCERTAIN)


def _forget_walk(world: World) -> None:
    JourneyInstance.objects.filter(profile__identities__value="ann").delete()


def _skip_step(world: World) -> None:
    step = StepLog.objects.get(instance__profile__identities__value="ann", activity="mail")
    JourneyPassage.objects.get(instance=step.instance, visit=step.visit).delete()


@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (_lose_event, "an acknowledged event is stored"),
        (_store_twice, "an event is stored once"),
        (_store_twice, "an event belongs to one profile, once"),
        (_miscount, "the rollup counts what happened"),
        (_quarantine, "no batch and no event is quarantined: all of them are good"),
        (_forget_walk, "one journey instance each"),
        (_leave_waiting, "after the drain nothing is under way"),
        (_withhold, "a message ends as sent or uncertain: nothing here gives a reason for another end"),
        (_receive_twice, "nobody receives the message twice"),
        (_receive_nothing, "what is sent was received"),
        (_receive_what_was_not_sent, "what was received is sent or uncertain"),
        (_doubt_everything, "at least 80% of the messages are sent for certain"),
        (_skip_step, "the steps of a walk are a path of its journey"),
    ],
)
def test_a_broken_world_is_named(world: World, break_it: Callable[[World], Any], rule: str) -> None:
    break_it(world)

    assert rule in world.check().broken


def test_more_uncertain_than_the_kills_explain(world: World) -> None:
    Message.objects.filter(profile__identities__value="ann").update(state=Message.State.UNCERTAIN)

    assert not world.check(sender_kills=1).broken
    assert "at most 0 messages are uncertain (32 for each kill)" in world.check(sender_kills=0).broken
