"""A virtual week in a second: three people in three zones, from an event to a message on Tuesday morning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Min

from channels.models import Message
from journeys.models import JourneyInstance, JourneyWait, StepLog
from tests.factories import make_profile
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
)

MONDAY_NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
THURSDAY_NOON = MONDAY_NOON + timedelta(days=3)
INSTANT = timedelta(microseconds=1)
HOMES = {  # where they live → Tuesday 24 November, 09:00 there
    "Pacific/Auckland": datetime(2026, 11, 23, 20, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 11, 24, 3, 15, tzinfo=UTC),
    "America/Los_Angeles": datetime(2026, 11, 24, 17, tzinfo=UTC),
}


def publish_story() -> None:
    make_cast_of_message()
    make_live(
        line(
            entry_box(),
            box("rest", "wait", until="duration", amount=3, unit="days"),
            box("tuesday", "wait", until="weekday", weekdays=["tuesday"], time="09:00"),
            message_box(),
            box("end", "end"),
        )
    )


@pytest.mark.django_db
def test_everybody_is_written_to_on_tuesday_morning_where_they_live() -> None:
    publish_story()
    people = {make_profile(time_zone=zone).pk: zone for zone in HOMES}

    stream(*[make_event(profile_id) for profile_id in people], now=MONDAY_NOON)
    turns = []
    while due_at := JourneyWait.objects.aggregate(first=Min("due_at"))["first"]:
        assert tick(due_at - INSTANT) == 0, "Somebody went on early."
        turns.append((due_at, tick(due_at)))

    assert turns == [(THURSDAY_NOON, 3), *((at, 1) for at in HOMES.values())]
    written = {
        people[profile_id]: at for profile_id, at in Message.objects.values_list("profile_id", "created_at")
    }
    assert written == HOMES
    for zone, at in written.items():
        assert at.astimezone(ZoneInfo(zone)).strftime("%A %H:%M") == "Tuesday 09:00"


@pytest.mark.django_db
def test_a_clock_that_ticks_every_quarter_of_an_hour_finds_the_same_times() -> None:
    publish_story()
    stream(*[make_event(make_profile(time_zone=zone).pk) for zone in HOMES], now=MONDAY_NOON)

    moved = {}
    for quarter in range(8 * 24 * 4 + 24):
        now = MONDAY_NOON + quarter * timedelta(minutes=15)
        if claimed := tick(now):
            moved[now] = claimed

    assert moved == {THURSDAY_NOON: 3, **dict.fromkeys(HOMES.values(), 1)}
    assert JourneyInstance.objects.filter(state=JourneyInstance.State.ENDED).count() == 3
    for instance in JourneyInstance.objects.all():
        log = StepLog.objects.filter(instance=instance).order_by("visit")
        assert list(log.values_list("activity", "outcome")) == [
            ("entry", "next"),
            ("rest", "next"),
            ("tuesday", "next"),
            ("hello", "next"),
            ("end", "ended"),
        ]
