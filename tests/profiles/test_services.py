from __future__ import annotations

from datetime import timedelta

import pytest

from profiles.identity import EMAIL, USER_ID
from profiles.models import Channel, Consent, Profile
from profiles.services import profile_by_identity, profiles_by_identity, set_consent
from tests.factories import NOW, make_profile
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
