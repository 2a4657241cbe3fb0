"""Stories of who did it: the identity rule of profiles.stream.resolve, through the database."""

from __future__ import annotations

import pytest

from profiles.identity import ANONYMOUS_ID, EMAIL, PHONE, USER_ID
from profiles.models import Identity, Profile, ProfileEvent, QuarantinedEvent
from profiles.services import living_profiles
from profiles.stream import take_batch
from tests.profiles.store import Call, alias, identify, store, track

pytestmark = pytest.mark.django_db


def arrive(*batches: list[Call]) -> None:
    """Each list is a batch and a stream transaction of its own."""
    for calls in batches:
        store(*calls)
        assert take_batch() == len(calls)


def owner(namespace: int, value: str) -> int:
    return Identity.objects.get(namespace_id=namespace, value=value).profile_id


def events_of(profile_id: int) -> int:
    """Events of a person, those of the profiles merged into it included."""
    everybody = living_profiles(Profile.objects.values_list("id", flat=True))
    return ProfileEvent.objects.filter(
        profile_id__in=[k for k, v in everybody.items() if v == profile_id]
    ).count()


def living() -> int:
    return Profile.objects.living().count()


def test_nothing_waits() -> None:
    assert take_batch() == 0


def test_an_unknown_id_makes_one_profile() -> None:
    arrive([track("ada"), track("ada"), track(anon="x"), track(anon="x")])
    assert living() == 2
    assert events_of(owner(USER_ID, "ada")) == 2
    assert events_of(owner(ANONYMOUS_ID, "x")) == 2


@pytest.mark.parametrize("split", [False, True], ids=["one batch", "a batch each"])
def test_an_anonymous_profile_becomes_the_new_person_and_keeps_its_id(split: bool) -> None:
    calls = [track(anon="x"), identify("ada", {"first_name": "Ada"}, anon="x"), track(anon="x")]
    arrive(*([call] for call in calls)) if split else arrive(calls)
    ada = Profile.objects.get()
    assert ada.attributes == {"first_name": "Ada"}
    assert owner(USER_ID, "ada") == owner(ANONYMOUS_ID, "x") == ada.id
    assert events_of(ada.id) == 3


@pytest.mark.parametrize("split", [False, True], ids=["one batch", "a batch each"])
def test_an_anonymous_profile_is_merged_into_the_person_who_was_known(split: bool) -> None:
    calls = [track("ada"), track(anon="x"), track("ada", anon="x"), track(anon="x")]
    arrive(*([call] for call in calls)) if split else arrive(calls)
    assert living() == 1
    assert owner(USER_ID, "ada") == owner(ANONYMOUS_ID, "x") == Profile.objects.living().get().id
    assert events_of(owner(USER_ID, "ada")) == 4


@pytest.mark.parametrize("split", [False, True], ids=["one batch", "a batch each"])
def test_a_shared_device_merges_nobody(split: bool) -> None:
    calls = [track("ada", anon="tablet"), track("bob", anon="tablet"), track(anon="tablet"), track("bob")]
    arrive(*([call] for call in calls)) if split else arrive(calls)
    ada, bob = owner(USER_ID, "ada"), owner(USER_ID, "bob")
    assert ada != bob
    assert owner(ANONYMOUS_ID, "tablet") == ada
    assert (events_of(ada), events_of(bob)) == (2, 2)


def test_a_new_anonymous_id_is_attached_to_the_person() -> None:
    arrive([track("ada", anon="phone")], [track("ada", anon="laptop")], [track(anon="laptop")])
    assert living() == 1
    assert events_of(owner(USER_ID, "ada")) == 3


def test_alias_joins_an_anonymous_profile() -> None:
    arrive([track(anon="x")], [track("ada")], [alias("x", "ada")])
    assert owner(ANONYMOUS_ID, "x") == owner(USER_ID, "ada")
    assert living() == 1


def test_alias_with_an_unknown_previous_id_keeps_it_as_anonymous_id() -> None:
    arrive([alias("x", "ada")], [track(anon="x")])
    assert owner(ANONYMOUS_ID, "x") == owner(USER_ID, "ada")
    assert events_of(owner(USER_ID, "ada")) == 2


def test_alias_never_merges_two_known_people() -> None:
    arrive(
        [track("ada"), track("bob", anon="x")], [alias("ada", "bob"), alias("x", "ada"), alias("ada", "ada")]
    )
    assert owner(USER_ID, "ada") != owner(USER_ID, "bob") == owner(ANONYMOUS_ID, "x")
    assert living() == 2


def test_an_email_is_an_identity_and_never_merges() -> None:
    arrive(
        [identify("ada", {"email": "  Ada@Example.COM ", "phone": "+49 (0)151 1234-5678"})],
        [identify("bob", {"email": "ada@example.com", "phone": "not a phone"})],
    )
    ada, bob = owner(USER_ID, "ada"), owner(USER_ID, "bob")
    assert owner(EMAIL, "ada@example.com") == owner(PHONE, "+4915112345678") == ada
    assert Profile.objects.get(pk=ada).attributes == {"email": "ada@example.com", "phone": "+4915112345678"}
    assert Profile.objects.get(pk=bob).attributes == {"email": "ada@example.com", "phone": "not a phone"}


def test_a_national_number_is_read_with_the_country_beside_it() -> None:
    arrive(
        [
            identify("ada", {"phone": "0151 12345678", "country": "de"}),
            identify("bob", {"phone": "0151 12345678"}),
        ]
    )
    assert owner(PHONE, "+4915112345678") == owner(USER_ID, "ada")
    assert Profile.objects.get(pk=owner(USER_ID, "bob")).attributes == {"phone": "0151 12345678"}


def test_ids_are_stripped_and_composed() -> None:
    arrive([track(" José "), track("José")])
    assert owner(USER_ID, "José") == Profile.objects.get().id


def test_an_event_that_names_nobody_is_quarantined_and_its_neighbours_arrive() -> None:
    arrive([track("ada"), track("  "), track("undefined", anon="null"), track("x" * 256), track("bob")])
    assert living() == 2
    assert ProfileEvent.objects.count() == 2
    assert list(QuarantinedEvent.objects.values_list("consumer", flat=True)) == ["stream"] * 3
    errors = set(QuarantinedEvent.objects.values_list("error", flat=True))
    assert errors == {
        "The event names nobody: neither its userId nor its anonymousId can be used.",
        "An id of 256 characters cannot be kept. Send ids of at most 255 characters.",
    }
