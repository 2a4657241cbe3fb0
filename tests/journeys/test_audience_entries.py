"""People enter by an audience: one by one as they come to fit it, or all at once when something happens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from ajo.lib import sql
from channels.models import Message
from journeys import readings, services
from journeys.activities.business_entry import BusinessEntry
from journeys.graph import Level
from journeys.models import AudienceReading, JourneyInstance, JourneyVersion
from journeys.plans import read_versions
from profiles import business_events
from profiles.audiences.services import replace_list
from profiles.models import Audience, BusinessEvent, IngestBatch
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    line,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
    waiting_graph,
)
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def make_list(*profile_ids: int, key: str = "park") -> Audience:
    """An active list of these people."""
    audience = Audience.objects.create(key=key, name=key.title(), kind=Audience.Kind.LIST)
    replace_list(audience, profile_ids, now=NOW)
    return audience


def closing_graph() -> dict[str, Any]:
    """Ride Closed → everybody in the park gets a message."""
    entry = box("entry", "business_entry", event="Ride Closed", audience="park")
    return line(entry, message_box(), box("end", "end"))


def report(**fields: Any) -> tuple[BusinessEvent, bool]:
    return business_events.report(name="Ride Closed", properties={"ride": "Log Flume"}, now=NOW, **fields)


def read_all(limit: int = readings.PIECE) -> int:
    pieces = 0
    while readings.read_piece(NOW, limit):
        pieces += 1
    return pieces


def entered() -> list[int]:
    return sorted(JourneyInstance.objects.values_list("profile_id", flat=True))


# --- one by one ----------------------------------------------------------------------------------------------


def audience_graph(change: str) -> dict[str, Any]:
    entry = box("entry", "audience_entry", audience="delayed", change=change)
    return line(entry, box("end", "end"))


@pytest.mark.parametrize("change", ["entered", "left"])
def test_people_enter_by_the_change_of_one_audience(change: str) -> None:
    Audience.objects.create(key="delayed", name="Delayed", state=Audience.State.ACTIVE)
    make_live(audience_graph(change))
    person, other, third = (make_profile().pk for _ in range(3))

    stream(
        make_event(other, f"$audience_{change}", audience="buyers"),
        make_event(
            third, "$audience_left" if change == "entered" else "$audience_entered", audience="delayed"
        ),
        make_event(person, f"$audience_{change}", audience="delayed"),
    )

    assert entered() == [person]


def test_a_real_change_of_an_audience_lets_people_in() -> None:
    audience = make_list(make_profile().pk, key="delayed")
    make_live(audience_graph("entered"))
    late = make_profile().pk

    replace_list(audience, [late], now=NOW)
    while take_batch():
        pass

    assert entered() == [late]


# --- all at once ---------------------------------------------------------------------------------------------


def test_a_business_event_lets_a_whole_audience_in() -> None:
    make_cast_of_message()
    people = [make_profile().pk for _ in range(5)]
    make_list(*people)
    make_profile()
    version = make_live(closing_graph())

    event, is_new = report(message_id="closing-1")

    assert is_new
    assert entered() == []  # noted, and worked off by the worker
    assert read_all(limit=2) == 4  # two, two, one, and the end
    assert entered() == people
    assert {walk.entry_event_id for walk in JourneyInstance.objects.all()} == {event.pk}
    assert set(Message.objects.values_list("event_id", flat=True)) == {event.pk}
    assert business_events.properties_of(event.pk) == '{"ride": "Log Flume"}'
    reading = AudienceReading.objects.get()
    assert (reading.version, reading.entered, reading.ended_at) == (version, 5, NOW)
    assert not IngestBatch.objects.exists()  # it is nobody's event, so the stream never sees it


def test_what_is_reported_twice_counts_once() -> None:
    make_cast_of_message()
    make_list(make_profile().pk)
    make_live(closing_graph(), re_entry="always")

    first, _ = report(message_id="closing-1")
    again, is_new = report(message_id="closing-1")
    read_all()

    assert (again.pk, is_new) == (first.pk, False)
    assert (JourneyInstance.objects.count(), AudienceReading.objects.count()) == (1, 1)


def test_a_personal_event_of_the_same_name_lets_nobody_in() -> None:
    make_cast_of_message()
    person = make_profile().pk
    make_list(person)
    make_live(closing_graph())

    stream(make_event(person, "Ride Closed"))

    assert entered() == []


def test_a_business_event_ends_no_wait_and_opens_no_event_entry() -> None:
    make_list(make_profile().pk)
    make_live(waiting_graph(event="Ride Closed"))
    waiting = make_profile().pk
    stream(make_event(waiting))
    make_live(line(box("entry", "event_entry", event="Ride Closed"), box("end", "end")))

    report()

    assert (read_all(), entered()) == (0, [waiting])
    assert JourneyInstance.objects.get().state == JourneyInstance.State.ACTIVE


def test_a_paused_version_lets_its_audience_in_when_it_is_resumed() -> None:
    make_cast_of_message()
    people = [make_profile().pk for _ in range(4)]
    make_list(*people)
    version = make_live(closing_graph())
    report()
    readings.read_piece(NOW, 2)
    services.pause_journey(journey=version.journey, user=None)

    assert (read_all(), entered()) == (0, people[:2])

    services.resume_journey(journey=version.journey, user=None)
    read_all(2)
    assert entered() == people


def test_who_pauses_between_the_claim_and_the_lock_of_the_versions_ends_no_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_cast_of_message()
    make_list(make_profile().pk)
    version = make_live(closing_graph())
    report()

    def paused(cur: Any) -> Any:
        JourneyVersion.objects.filter(pk=version.pk).update(state=JourneyVersion.State.PAUSED)
        return read_versions(cur)

    monkeypatch.setattr(readings, "read_versions", paused)

    assert readings.read_piece(NOW) == 0
    assert AudienceReading.objects.get().ended_at is None


def test_a_closed_version_lets_nobody_more_in() -> None:
    make_cast_of_message()
    people = [make_profile().pk for _ in range(4)]
    make_list(*people)
    version = make_live(closing_graph())
    report()
    readings.read_piece(NOW, 2)
    services.close_journey(journey=version.journey, user=None)

    read_all(2)

    assert entered() == people[:2]
    assert AudienceReading.objects.get().ended_at == NOW


def test_who_may_not_enter_again_does_not() -> None:
    make_cast_of_message()
    make_list(make_profile().pk, make_profile().pk)
    make_live(closing_graph(), re_entry="never")
    report()
    read_all()

    report()
    read_all()

    assert JourneyInstance.objects.count() == 2
    assert list(AudienceReading.objects.order_by("pk").values_list("entered", flat=True)) == [2, 0]


def test_the_number_of_statements_does_not_depend_on_the_number_of_people() -> None:
    make_cast_of_message()
    audience = make_list()
    make_live(closing_graph(), re_entry="always")

    def let_in(n: int) -> int:
        replace_list(audience, [make_profile().pk for _ in range(n)], now=NOW)
        report()
        with count_statements() as statements:
            assert readings.read_piece(NOW) == n
        read_all()
        return len(statements)

    let_in(1)
    assert let_in(1) == let_in(20)


@pytest.mark.django_db(transaction=True)
def test_two_workers_let_everybody_in_once() -> None:
    """The second waits for no lock: it finds the reading taken and goes home."""
    make_cast_of_message()
    people = [make_profile().pk for _ in range(6)]
    make_list(*people)
    make_live(closing_graph(), re_entry="always")
    report()
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute(readings._CLAIM)
        assert cur.fetchone() is not None
        assert _elsewhere(lambda: readings.read_piece(NOW)) == 0
    read_all(2)

    assert entered() == people


def _elsewhere(work: Any) -> Any:
    """On a connection of its own."""

    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def test_the_draft_names_an_audience_that_is_there() -> None:
    graph = closing_graph()
    (problem,) = [p for p in services.check_graph(graph) if p.activity == "entry"]

    assert (problem.level, problem.field) == (Level.ERROR, "audience")
    assert BusinessEntry().let_in_at_once(graph["activities"][0]["config"]) == "park"
