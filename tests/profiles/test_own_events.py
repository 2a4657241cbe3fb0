"""Events that the product writes itself: they name their profile, and nobody outside can write one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection, transaction

from ajo.lib import doorbell
from ajo.lib.pool import HotPool
from profiles import consumers, own_events
from profiles.ingest.sources import Sources
from profiles.models import Event, EventType, Identity, Profile, ProfileDaily, QuarantinedEvent, Source
from profiles.own_events import OwnEvent, Recorder
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.conftest import Listener
from tests.profiles.store import alias, store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda task: None)


@pytest.fixture
def recorder(transactional_db: None) -> Iterator[Recorder]:
    pool = HotPool(size=2)
    yield Recorder(pool)
    pool.close()


def opened(profile_id: int, hops: int = 0, **properties: object) -> OwnEvent:
    return OwnEvent(profile_id, "$opened", properties, NOW, hops)


def test_it_becomes_an_event_of_the_profile_that_it_names(listener: Listener) -> None:
    ada = make_profile("ada")
    own_events.record([opened(ada.pk, 2, price="1.10", title="Ä")])
    assert take_batch(now=NOW) == 1
    (event,) = listener.events
    assert (event.profile_id, event.hops, event.source_id) == (ada.pk, 2, Source.OWN)
    assert event.decoded() == {"price": "1.10", "title": "Ä"}
    assert event.occurred_at == NOW
    assert ProfileDaily.objects.get().n == 1
    assert EventType.objects.get(pk=event.event_type_id).name == "$opened"
    assert Profile.objects.count() == 1
    assert Identity.objects.filter(value__startswith="profile:").count() == 0


def test_it_goes_with_the_callers_transaction() -> None:
    ada = make_profile()
    with transaction.atomic():
        own_events.record([opened(ada.pk)])
        transaction.set_rollback(True)
    assert Event.objects.count() == 0


def test_it_finds_whom_the_profile_was_merged_into(listener: Listener) -> None:
    last = make_profile()
    middle = Profile.objects.create(merged_into=last.pk)
    first = Profile.objects.create(merged_into=middle.pk)
    own_events.record([opened(first.pk)])
    take_batch(now=NOW)
    assert [event.profile_id for event in listener.events] == [last.pk]


def test_it_finds_the_survivor_of_a_merge_in_the_same_batch(listener: Listener) -> None:
    """The event is read before the call that merges its profile away, and both in one transaction."""
    store(track("ada"), track(anon="tablet"))
    take_batch(now=NOW)
    ada, tablet = [event.profile_id for event in listener.events]
    listener.calls.clear()
    own_events.record([opened(tablet)])
    store(alias("tablet", "ada"))
    assert take_batch(now=NOW) == 2
    assert [event.profile_id for event in listener.events] == [ada, ada]
    assert Profile.objects.get(pk=tablet).merged_into == ada


def test_a_profile_that_is_gone_costs_only_its_own_events(listener: Listener) -> None:
    ada = make_profile()
    own_events.record([opened(ada.pk), opened(ada.pk + 1_000), opened(ada.pk)])
    take_batch(now=NOW)
    assert [event.profile_id for event in listener.events] == [ada.pk, ada.pk]
    assert QuarantinedEvent.objects.get().error == (
        f"UnusableIdentifier: The event names profile {ada.pk + 1_000}, which is not there any more."
    )


def test_a_source_of_ours_cannot_name_a_profile(listener: Listener) -> None:
    """What names a profile in our own events is an ordinary user id in everybody else's."""
    ada = make_profile("ada")
    store(track(f"profile:{ada.pk}"))
    take_batch(now=NOW)
    assert [event.profile_id for event in listener.events] != [ada.pk]


def test_no_key_opens_our_own_source(recorder: Recorder) -> None:
    pool = HotPool(size=1)
    assert all(Sources(pool).find(key) is None for key in ("0", "own", "None"))
    pool.close()
    assert not Source.objects.filter(pk=Source.OWN).exists()


def test_at_the_limit_of_hops_it_is_kept_from_those_who_react(listener: Listener) -> None:
    notes = Listener()
    consumers.register("notes", notes, reacts=False)
    ada = make_profile()
    limit = settings.AJO_MAX_HOPS
    own_events.record([opened(ada.pk, limit - 1), opened(ada.pk, limit)])
    take_batch(now=NOW)
    assert [event.hops for event in listener.events] == [limit - 1]
    assert [event.hops for event in notes.events] == [limit - 1, limit]
    assert ProfileDaily.objects.get().n == 2, "it is stored all the same"


def test_the_statements_do_not_grow_with_the_events() -> None:
    people = [make_profile() for _ in range(60)]
    counts = []
    for some in (people[:2], people):
        own_events.record([opened(person.pk) for person in some])
        with count_statements() as seen:
            take_batch(now=NOW)
        counts.append(len(seen))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_a_hot_door_stores_durably_though_the_table_of_names_is_full(
    recorder: Recorder, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "AJO_INGEST_MAX_EVENT_TYPES", 20)
    EventType.objects.bulk_create(EventType(name=f"Name {n}") for n in range(20))
    ada = make_profile()
    connection.close()
    recorder.store([opened(ada.pk, 3), opened(ada.pk)])
    assert Event.objects.count() == 2
    take_batch(now=NOW)
    assert [(event.profile_id, event.hops) for event in listener.events] == [(ada.pk, 3), (ada.pk, 0)]
