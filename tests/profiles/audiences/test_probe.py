"""How many a rule would find, and why somebody is in it or not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from profiles.audiences import probe, services
from profiles.language import parse_checked
from profiles.models import AttributeDefinition, Audience, Membership, Profile
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import make_audience
from tests.profiles.store import identify, store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def look(rule: str, **options: Any) -> probe.Estimate:
    return probe.estimate(parse_checked(rule), now=NOW, **{"budget": 30.0} | options)


def make_many(n: int) -> None:
    """Every fourth of them is gold; every tenth was merged into the first."""
    made = Profile.objects.bulk_create(
        [Profile(attributes={"tier": "gold" if number % 4 == 0 else "blue"}) for number in range(n)]
    )
    Profile.objects.filter(pk__in=[row.pk for row in made[9::10]]).update(merged_into=made[0].pk)


def test_few_people_are_counted_exactly() -> None:
    make_many(40)
    found = look('profile.tier == "gold"')
    assert (found.count, found.of, found.is_exact, found.share) == (10, 36, True, 10 / 0.36)
    assert (found.at_least, found.at_most, found.looked_at) == (10, 10, 36)
    assert found.in_words() == "Everybody was looked at, so this is exact."
    assert [person.attributes["tier"] for person in found.sample] == ["gold"] * 10


def test_many_people_are_estimated_from_a_random_choice() -> None:
    make_many(2_000)
    found = look('profile.tier == "gold"', most=1_000)
    assert not found.is_exact
    assert found.at_least <= 500 <= found.at_most  # true of 19 in 20 draws; 480 to 520 would be the middle
    assert found.at_least < (found.count or 0) < found.at_most
    assert abs((found.of or 0) - 1_800) < 180
    assert "chosen at random were looked at" in found.in_words()


def test_nobody_is_found_where_nobody_is() -> None:
    found = look("profile.vip")
    assert (found.count, found.of, found.is_exact, found.share) == (0, 0, True, None)


def test_a_rule_that_takes_too_long_is_given_up() -> None:
    make_many(20)
    found = look('profile.tier == "gold"', budget=0.0)
    assert (found.count, found.of, list(found.sample)) == (None, None, [])
    assert "took too long" in found.in_words()


def test_what_was_done_before_a_merge_counts() -> None:
    store(track("ada", "Bought", at=NOW - DAY), track(anon="a-1", name="Bought", at=NOW - DAY))
    take_batch(now=NOW)
    store(identify("ada", anon="a-1"))
    take_batch(now=NOW)
    found = look('count("Bought", duration("7d")) >= 2')
    assert (found.count, found.of) == (1, 1)


def test_an_estimate_costs_the_same_few_statements() -> None:
    make_many(30)
    with count_statements() as few:
        look('profile.tier == "gold"')
    make_many(300)
    with count_statements() as many:
        look('profile.tier == "gold"')
    assert len(few) == len(many)


def test_every_condition_says_what_it_found() -> None:
    AttributeDefinition.objects.create(key="tier", label="Loyalty tier")
    ada = make_profile("ada", tier="blue", age=17, tags=["red"])
    vip = Audience.objects.create(key="vip", name="Best friends", kind=Audience.Kind.LIST)
    services.replace_list(vip, [ada.pk], now=NOW)
    store(track("ada", "Bought", at=NOW - DAY))
    take_batch(now=NOW)
    tree = parse_checked(
        '(profile.tier == "gold" || profile.age >= 18) && count("Bought", duration("7d")) >= 1'
        ' && inAudience("vip") && !(profile.city == "Köln") && "red" in profile.tags && profile.age + 1 == 18'
    )
    with count_statements() as seen:
        found = probe.explain(tree, ada.pk, now=NOW)
    assert len(seen) <= 5
    assert found is not None
    assert (found.is_true, found.match) == (False, "all")
    group, *others = found.parts
    assert (group.is_true, group.match) == (False, "any")
    assert [(part.said, part.is_true, part.value) for part in (*group.parts, *others)] == [
        ("Loyalty tier is “gold”", False, "blue"),
        ("age is at least 18", False, 17),
        ("did “Bought” at least 1 time in the last 7 days", True, 1),
        ("is in the audience “Best friends”", True, None),
        ("not: city is “Köln”", True, None),
        ("tags has in it “red”", True, ["red"]),
        ("profile.age + 1 == 18", True, 18),
    ]


def test_the_answer_is_that_of_the_engine() -> None:
    ada = make_profile("ada", tier="gold")
    audience = make_audience("golden", 'profile.tier == "gold" && !(profile.vip || profile.age < 18)')
    found = probe.explain(parse_checked(audience.rule), ada.pk, now=NOW)
    assert found is not None
    assert found.is_true is Membership.objects.filter(audience=audience, profile=ada).exists() is True


def test_nobody_is_explained_who_became_somebody_else() -> None:
    ada, bob = make_profile(), make_profile()
    Profile.objects.filter(pk=bob.pk).update(merged_into=ada.pk)
    assert probe.explain(parse_checked("profile.vip"), bob.pk, now=NOW) is None
