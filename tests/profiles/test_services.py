from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from profiles.attributes import MAX_ATTRIBUTES, MAX_KEY_LENGTH, Attributes, trait_time
from profiles.identity import EMAIL, USER_ID
from profiles.models import Channel, Consent, Profile
from profiles.services import (
    profile_by_identity,
    profiles_by_identity,
    set_consent,
    update_attributes,
)
from tests.factories import NOW, as_json, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db
IN, OUT = Consent.State.OPTED_IN, Consent.State.OPTED_OUT


def stated() -> dict[int, tuple[int, str]]:
    return {row.profile_id: (row.state, row.reason) for row in Consent.objects.filter(channel=Channel.EMAIL)}


def say(profiles: list[Profile], state: Consent.State, reason: str, minutes: int = 0) -> None:
    set_consent(
        profile_ids=[profile.id for profile in profiles],
        channel=Channel.EMAIL,
        state=state,
        reason=reason,
        now=NOW + timedelta(minutes=minutes),
    )


def test_consent_is_set_for_many_in_a_few_statements() -> None:
    profiles = [make_profile() for _ in range(30)]
    with count_statements() as seen:
        say(profiles, OUT, "imported")
    assert len(seen) <= 8, seen
    assert stated() == {profile.id: (OUT, "imported") for profile in profiles}


def test_the_later_statement_stays_whichever_comes_last() -> None:
    ada = make_profile()
    say([ada], OUT, "unsubscribed", minutes=5)
    say([ada], IN, "an old import", minutes=1)
    assert stated() == {ada.id: (OUT, "unsubscribed")}
    say([ada], IN, "asked for it", minutes=9)
    assert stated() == {ada.id: (IN, "asked for it")}


def test_the_link_of_an_old_message_reaches_whom_the_profile_was_merged_into() -> None:
    old, ada = make_profile(), make_profile()
    Profile.objects.filter(pk=old.pk).update(merged_into=ada.id)
    say([old], OUT, "unsubscribed")
    assert stated() == {ada.id: (OUT, "unsubscribed")}


def test_profiles_are_found_by_what_people_type() -> None:
    ada = make_profile("ada", "ada@example.com")
    assert profile_by_identity(EMAIL, " ADA@example.com ") == ada
    assert profile_by_identity(EMAIL, "nobody@example.com") is None
    assert profile_by_identity(EMAIL, "not an address") is None
    assert profiles_by_identity(USER_ID, ["ada", " ada", "bob", ""]) == {"ada": ada.id, " ada": ada.id}


def kept(profile: Profile) -> tuple[str, dict[str, int]]:
    """The attributes as PostgreSQL writes them, and their times."""
    with connection.cursor() as cur:
        cur.execute("SELECT attributes::text, attribute_times FROM profile WHERE id = %s", [profile.id])
        attributes, times = cur.fetchone()
    return attributes, times if isinstance(times, dict) else msgspec.json.decode(times)


def test_attributes_of_many_are_updated_in_one_statement() -> None:
    profiles = [make_profile(tier="silver", note="old") for _ in range(30)]
    with count_statements() as seen:
        update_attributes(
            {profile.id: {"tier": "gold", "points": n, "note": None} for n, profile in enumerate(profiles)},
            NOW,
        )
    assert len(seen) == 2, seen  # the update, and which audiences are active
    for n, profile in enumerate(profiles):
        profile.refresh_from_db()
        email = profile.attributes.pop("email")
        assert email.endswith("@example.com")
        assert profile.attributes == {"tier": "gold", "points": n}
        assert profile.attribute_times == dict.fromkeys(("tier", "points", "note"), trait_time(NOW))


def test_values_of_every_kind_are_stored_as_json() -> None:
    ada = make_profile(email="ada@example.com")
    news = {
        "n": Decimal("1.50"),
        "m": {"amount": "12.50", "currency": "EUR"},
        "l": ["a", 1, True],
        "t": 'quote " and \\',
        "b": False,
    }
    update_attributes({ada.id: news}, NOW)
    assert kept(ada)[0] == (
        '{"b": false, "l": ["a", 1, true], "m": {"amount": "12.50", "currency": "EUR"}, "n": 1.50,'
        ' "t": "quote \\" and \\\\", "email": "ada@example.com"}'
    )


def test_nobody_else_is_touched_and_nothing_is_asked_for_nothing() -> None:
    ada, bob = make_profile(tier="silver"), make_profile(tier="silver")
    update_attributes({ada.id: {"tier": "gold"}, 999_999: {"tier": "gold"}}, NOW)
    bob.refresh_from_db()
    assert bob.attributes["tier"] == "silver"
    assert bob.attribute_times == {}
    with count_statements() as seen:
        update_attributes({}, NOW)
    assert not seen


def test_what_was_set_later_stays() -> None:
    ada = make_profile()
    update_attributes({ada.id: {"tier": "gold", "city": None}}, NOW)
    update_attributes({ada.id: {"tier": "old", "city": "Oslo", "new": 1}}, NOW - timedelta(milliseconds=1))
    ada.refresh_from_db()
    assert ada.attributes == {"email": ada.attributes["email"], "tier": "gold", "new": 1}
    update_attributes({ada.id: {"tier": "at the same time"}}, NOW)
    ada.refresh_from_db()
    assert ada.attributes["tier"] == "at the same time"


def test_a_full_profile_takes_no_new_names() -> None:
    ada = make_profile()
    times = {f"a{n}": 1 for n in range(MAX_ATTRIBUTES - 1)}
    Profile.objects.filter(pk=ada.pk).update(attribute_times=times)
    update_attributes({ada.id: {"y": 1, "z": 2, "a0": 3, "": 4, "x" * (MAX_KEY_LENGTH + 1): 5}}, NOW)
    ada.refresh_from_db()
    assert ada.attributes == {"email": ada.attributes["email"], "a0": 3, "y": 1}
    assert len(ada.attribute_times) == MAX_ATTRIBUTES


class UpdatesAndStream(TestCase):
    """The statement comes to what the stream's own rules come to, attribute by attribute."""

    @given(
        st.lists(
            st.tuples(
                st.dictionaries(
                    st.sampled_from("abc"), st.none() | st.booleans() | st.integers(0, 9), min_size=1
                ),
                st.integers(0, 3),
            ),
            max_size=6,
        )
    )
    def test_they_agree(self, changes: list[tuple[dict[str, Any], int]]) -> None:
        ada = Profile.objects.create(attributes={"a": 1}, attribute_times={"b": trait_time(NOW) + 1})
        expected = Attributes.parse('{"a":1}', as_json({"b": trait_time(NOW) + 1}))
        for news, milliseconds in changes:
            at = NOW + timedelta(milliseconds=milliseconds)
            update_attributes({ada.id: news}, at)
            expected.apply(
                {key: msgspec.Raw(as_json(value).encode()) for key, value in news.items()}, trait_time(at)
            )
        ada.refresh_from_db()
        assert ada.attributes == msgspec.json.decode(expected.dump()[0])
        assert ada.attribute_times == expected.times
