from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ajo.lib import sql
from profiles.identity import ANONYMOUS_ID, USER_ID
from profiles.merging import merge_profiles, register_merge
from profiles.models import Consent, Identity, Profile, ProfileDaily
from profiles.services import living_profiles
from profiles.stream import take_batch
from tests.factories import NOW, make_event_type, make_profile
from tests.profiles.store import store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db
IN, OUT = Consent.State.OPTED_IN, Consent.State.OPTED_OUT


def merge(*pairs: tuple[Profile, Profile]) -> None:
    with sql.unit_of_work() as cur:
        merge_profiles(cur, [(loser.id, survivor.id) for loser, survivor in pairs], NOW)


def consent(profile: Profile, channel: int, state: Consent.State, reason: str) -> None:
    Consent.objects.create(profile=profile, channel=channel, state=state, reason=reason, changed_at=NOW)


def test_what_a_profile_has_moves_to_the_survivor() -> None:
    loser, other, survivor = (
        make_profile("loser", plan="pro"),
        make_profile("other"),
        make_profile("survivor"),
    )
    Profile.objects.filter(pk=loser.pk).update(attribute_times={"plan": 5, "city": 9})
    bought = make_event_type("Bought")
    today = NOW.date()
    for profile, n in ((loser, 1), (other, 2), (survivor, 4)):
        ProfileDaily.objects.create(profile=profile, event_type=bought, day=today, n=n, total=Decimal(n))
    ProfileDaily.objects.create(profile=loser, event_type=bought, day=today - timedelta(days=1), n=8, total=0)

    merge((loser, survivor), (other, survivor))

    survivor.refresh_from_db()
    assert survivor.attributes == {"email": "survivor@example.com", "plan": "pro"}
    assert survivor.attribute_times == {"plan": 5, "city": 9}
    assert set(Profile.objects.living()) == {survivor}
    assert set(Identity.objects.values_list("profile_id", flat=True)) == {survivor.id}
    rows: dict[date, tuple[int, Decimal]] = {
        row.day: (row.n, row.total) for row in ProfileDaily.objects.filter(profile=survivor)
    }
    assert rows == {today: (7, Decimal(7)), today - timedelta(days=1): (8, Decimal(0))}
    assert ProfileDaily.objects.count() == 2


@pytest.mark.parametrize(
    ("loser_says", "survivor_says", "stays"),
    [
        (OUT, IN, (OUT, "loser")),
        (IN, OUT, (OUT, "survivor")),
        (IN, IN, (IN, "survivor")),
        (OUT, None, (OUT, "loser")),
    ],
)
def test_the_stricter_consent_wins(
    loser_says: Consent.State, survivor_says: Consent.State | None, stays: tuple[Consent.State, str]
) -> None:
    loser, survivor = make_profile("loser"), make_profile("survivor")
    consent(loser, 1, loser_says, "loser")
    if survivor_says:
        consent(survivor, 1, survivor_says, "survivor")
    merge((loser, survivor))
    assert list(Consent.objects.values_list("profile_id", "state", "reason")) == [(survivor.id, *stays)]


def test_chains_lead_to_the_living() -> None:
    first, second, third = make_profile(), make_profile(), make_profile()
    merge((first, second))
    merge((second, third))
    ids = [first.id, second.id, third.id]
    assert living_profiles([*ids, 0]) == dict.fromkeys(ids, third.id)


def test_rooms_above_move_theirs_in_the_same_transaction() -> None:
    seen: list[Any] = []

    def move(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: Any) -> None:
        cur.execute("SELECT merged_into FROM profile WHERE id = %b", [pairs[0][0]])
        seen.append((list(pairs), cur.fetchone().merged_into, now))  # type: ignore[union-attr]

    register_merge("upstairs", move)
    store(track("ada"), track(anon="x"))
    take_batch()
    ada = Identity.objects.get(namespace_id=USER_ID).profile_id
    stranger = Identity.objects.get(namespace_id=ANONYMOUS_ID).profile_id
    store(track("ada", anon="x"))
    take_batch(now=NOW)
    assert seen == [([(stranger, ada)], ada, NOW)]


def test_the_number_of_statements_does_not_depend_on_the_number_of_pairs() -> None:
    def run(count: int) -> int:
        pairs = [(make_profile(plan="pro"), make_profile()) for _ in range(count)]
        with count_statements() as seen:
            merge(*pairs)
        return len(seen)

    assert run(2) == run(20)
