"""Attributes: the last writer wins by the event's time, whatever the order and the batches."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from profiles.attributes import MAX_ATTRIBUTES, Attributes, read_traits
from profiles.models import EventType, Profile, QuarantinedEvent
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.store import Call, identify, store, track


def attributes(user_id: str = "ada") -> dict[str, Any]:
    return Profile.objects.get(identities__namespace=1, identities__value=user_id).attributes


@pytest.mark.django_db
def test_values_are_kept_as_they_came() -> None:
    store(identify("ada", '{"price": 1.10, "big": 12345678901234567890, "list": [1.0, null], "none": null}'))
    take_batch()
    with connection.cursor() as cur:
        cur.execute("SELECT attributes::text FROM profile")
        assert cur.fetchone() == ('{"big": 12345678901234567890, "list": [1.0, null], "price": 1.10}',)


@pytest.mark.django_db
def test_null_removes_and_an_older_event_does_not_bring_it_back() -> None:
    store(identify("ada", {"plan": "pro", "city": "Oslo"}, at=NOW))
    take_batch()
    store(identify("ada", {"plan": None}, at=NOW + timedelta(hours=1)))
    take_batch()
    store(identify("ada", {"plan": "basic"}, at=NOW + timedelta(minutes=1)))
    take_batch()
    assert attributes() == {"city": "Oslo"}


@pytest.mark.django_db
def test_at_equal_times_the_later_event_wins() -> None:
    store(identify("ada", {"plan": "a"}), identify("ada", {"plan": "b"}))
    take_batch()
    assert attributes() == {"plan": "b"}
    store(identify("ada", {"plan": "c"}))
    take_batch()
    assert attributes() == {"plan": "c"}


@pytest.mark.django_db
def test_the_context_fills_gaps_and_gives_way() -> None:
    berlin = {"timezone": "Europe/Berlin", "locale": "de-DE"}
    store(
        track("ada", context=berlin),
        track("ada", context={"timezone": "Asia/Tokyo"}, at=NOW + timedelta(hours=1)),
    )
    take_batch()
    assert attributes() == {"time_zone": "Europe/Berlin", "locale": "de-DE"}
    store(identify("ada", {"locale": "fr"}, at=NOW - timedelta(days=400)))
    take_batch()
    assert attributes() == {"time_zone": "Europe/Berlin", "locale": "fr"}
    store(track("ada", context={"timezone": "Mars/Olympus", "locale": "x" * 50}, at=NOW - timedelta(days=1)))
    take_batch()
    assert attributes() == {"time_zone": "Europe/Berlin", "locale": "fr"}


@pytest.mark.django_db
def test_the_context_does_not_touch_what_was_there_before_times_were_kept() -> None:
    make_profile("ada", time_zone="America/Lima")
    store(track("ada", context={"timezone": "Europe/Berlin"}))
    take_batch()
    assert attributes()["time_zone"] == "America/Lima"


@pytest.mark.django_db
def test_too_many_and_badly_named_attributes_are_noted() -> None:
    store(identify("ada", {f"key{n}": n for n in range(MAX_ATTRIBUTES + 3)} | {"x" * 101: 1, "": 2}))
    take_batch()
    assert len(attributes()) == MAX_ATTRIBUTES
    note = QuarantinedEvent.objects.get()
    assert note.consumer == "attributes"
    assert note.error.startswith("5 attributes were not kept, such as ''")


def test_absorbing_takes_the_newer_of_each_and_its_removals() -> None:
    mine = Attributes.parse('{"a": 1, "b": 1, "hand": 1}', '{"a": 10, "b": 30}')
    other = Attributes.parse('{"a": 2, "c": 2, "hand": 2, "b": 2}', '{"a": 20, "c": 5, "d": 40, "b": 20}')
    mine.absorb(other)
    values, times = mine.dump()
    assert json.loads(values) == {"a": 2, "b": 1, "c": 2, "hand": 1}
    assert json.loads(times) == {"a": 20, "b": 30, "c": 5, "d": 40}


def test_applying_what_is_older_changes_nothing() -> None:
    document = Attributes.parse('{"a": 1}', '{"a": 10}')
    assert document.apply(read_traits('{"a": 2}'), 9) == []
    assert not document.is_changed


KEYS = st.sampled_from(["plan", "city", "time_zone"])
VALUES = st.none() | st.integers(0, 3) | st.text(max_size=3, alphabet="abc")
ZONES = st.none() | st.sampled_from(["Europe/Berlin", "Asia/Tokyo", "America/Lima"])


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Call], list[list[Call]]]:
    """The same calls, each at a time of its own: in order of time, and shuffled into batches."""
    contents = draw(
        st.lists(st.tuples(st.dictionaries(KEYS, VALUES, max_size=3), ZONES), min_size=1, max_size=8)
    )
    calls = [
        identify("ada", traits, at=NOW + timedelta(seconds=n), context={"timezone": zone} if zone else None)
        for n, (traits, zone) in enumerate(contents)
    ]
    shuffled = draw(st.permutations(calls))
    cuts = sorted(draw(st.sets(st.integers(1, len(calls)), max_size=3)))
    edges = [0, *cuts, len(calls)]
    return calls, [batch for start, end in itertools.pairwise(edges) if (batch := shuffled[start:end])]


class LastWriterWins(TestCase):
    @given(deliveries())
    def test_any_order_in_any_batches_ends_the_same(
        self, delivery: tuple[list[Call], list[list[Call]]]
    ) -> None:
        calls, batches = delivery
        expected = self.deliver([calls])
        assert self.deliver(batches) == expected

    def deliver(self, batches: list[list[Call]]) -> tuple[Any, Any]:
        with transaction.atomic():
            for batch in batches:
                store(*batch)
                take_batch()
            profile = Profile.objects.get(identities__value="ada")
            transaction.set_rollback(True)
        assert not EventType.objects.exists()
        return profile.attributes, profile.attribute_times
