"""What happens to memberships, when, and what is told of it."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from ajo.lib import sql
from ajo.lib.ids import UUID7Factory
from profiles.audiences import services
from profiles.audiences.evaluate import _statement
from profiles.audiences.rules import compile_rule, parse_rule
from profiles.audiences.stays import Stay, memberships_of
from profiles.catalog import read_catalog
from profiles.language import LanguageError
from profiles.lookups.rows import remove_rows, write_columns
from profiles.merging import merge_profiles
from profiles.models import (
    Audience,
    AudienceExit,
    Event,
    Membership,
    Profile,
    ProfileDaily,
    ProfileEvent,
    ProfileRecheck,
)
from profiles.partitions import ensure_partitions, partition_name
from profiles.services import update_attributes
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import look_at_everybody, make_audience, make_list, members, settle, told
from tests.profiles.lookups.tables import make_lookup, put
from tests.profiles.store import alias, event_types, identify, store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


def profile_of(user_id: str) -> int:
    return Profile.objects.get(identities__namespace_id=1, identities__value=user_id).pk


def test_an_event_lets_somebody_in_and_time_alone_lets_them_out() -> None:
    audience = make_audience("buyers", 'count("Bought", duration("7d"), event.total > 100) >= 2')
    store(track("ada", "Bought", properties={"total": 150}, at=NOW - DAY))
    settle(NOW)
    assert members() == {}
    store(
        track("ada", "Bought", properties={"total": 101}), track("bob", "Bought", properties={"total": 500})
    )
    settle(NOW)
    ada = profile_of("ada")
    assert members() == {"buyers": {ada}}
    assert Membership.objects.get(audience=audience, profile=ada).entered_at == NOW
    assert ProfileRecheck.objects.get(profile=ada).at == NOW + 6 * DAY + INSTANT

    settle(NOW + 6 * DAY)
    assert members() == {"buyers": {ada}}
    settle(NOW + 6 * DAY + INSTANT)
    assert members() == {}
    assert told() == [("$audience_entered", ada, "buyers", 1), ("$audience_left", ada, "buyers", 0)]
    settle(NOW + 8 * DAY)
    assert not ProfileRecheck.objects.exists()


def test_who_was_in_from_the_beginning_is_not_told() -> None:
    gold, blue = make_profile(tier="gold"), make_profile(tier="blue")
    audience = Audience.objects.create(key="gold", name="Gold")
    services.write_rule(audience, 'profile.tier == "gold"')
    services.activate(audience)
    update_attributes({blue.pk: {"tier": "gold"}}, NOW)  # before everybody was looked at
    assert members() == {"gold": {blue.pk}}
    look_at_everybody(NOW, limit=1)
    assert members() == {"gold": {gold.pk, blue.pk}}
    assert told() == []
    update_attributes({blue.pk: {"tier": "blue"}}, NOW, hops={blue.pk: 2})
    assert told() == [("$audience_left", blue.pk, "gold", 2)]


def test_a_new_rule_is_true_without_events() -> None:
    gold, blue = make_profile(tier="gold"), make_profile(tier="blue")
    audience = make_audience("some", 'profile.tier == "gold"')
    dependent = make_audience("others", '!inAudience("some")')
    services.write_rule(audience, 'profile.tier == "blue"')
    look_at_everybody(NOW)
    assert members() == {"some": {blue.pk}, "others": {gold.pk}}
    # That others changed is news to those who listen to it.
    assert told() == [("$audience_entered", gold.pk, "others", 0), ("$audience_left", blue.pk, "others", 0)]
    dependent.refresh_from_db()
    assert (dependent.evaluated_through, dependent.evaluated_at) == (None, NOW)


def test_a_rule_that_time_changes_no_more_is_not_looked_at_again() -> None:
    make_profile(tier="gold", seen=NOW.isoformat())
    audience = make_audience("recent", 'within(profile.seen, duration("1d"))')
    services.write_rule(audience, 'profile.tier == "gold"')
    update_attributes({Profile.objects.get().pk: {"tier": "blue"}}, NOW)  # before everybody was looked at
    later = NOW + 2 * DAY
    assert (services.evaluate_due(now=later), services.evaluate_due(now=later)) == (1, 0)
    assert members() == {}


def test_when_somebody_was_in_an_audience_is_remembered() -> None:
    recent = make_audience("recent", 'count("Bought", duration("1d")) > 0')
    gold = make_audience("gold", 'profile.tier == "gold"')
    chosen = make_list("chosen")
    store(track("ada", "Bought"), identify("ada", {"tier": "gold"}))
    settle(NOW)
    ada = profile_of("ada")
    services.replace_list(chosen, [ada], now=NOW)
    settle(NOW + 2 * DAY)  # the purchase is too old
    store(track("ada", "Bought", at=NOW + 3 * DAY))
    settle(NOW + 3 * DAY)
    services.replace_list(chosen, [], now=NOW + 4 * DAY)
    assert memberships_of(ada) == [
        Stay(recent.pk, "recent", "recent", NOW + 3 * DAY, None),
        Stay(gold.pk, "gold", "gold", NOW, None),
        Stay(chosen.pk, "chosen", "chosen", NOW, NOW + 4 * DAY),
        Stay(recent.pk, "recent", "recent", NOW, NOW + 2 * DAY),
    ]
    with count_statements() as seen:
        assert len(memberships_of(ada, limit=1)) == 1
    assert len(seen) == 1

    services.archive(gold)
    assert [stay.key for stay in memberships_of(ada) if stay.left_at is None] == ["recent"]
    assert AudienceExit.objects.get(audience=gold).entered_at == NOW

    stays, survivor = memberships_of(ada), make_profile().pk
    with sql.unit_of_work() as cur:
        merge_profiles(cur, [(ada, survivor)], NOW + 5 * DAY)
    assert memberships_of(survivor) == stays


def test_an_archived_audience_has_nobody_and_keeps_nobody() -> None:
    gold = make_profile(tier="gold", seen=NOW.isoformat())
    audience = make_audience("gold", 'profile.tier == "gold" && within(profile.seen, duration("1d"))')
    make_audience("others", '!inAudience("gold")')
    assert members() == {"gold": {gold.pk}}
    services.archive(audience)
    look_at_everybody(NOW)
    update_attributes({gold.pk: {"tier": "gold"}}, NOW)
    assert members() == {"others": {gold.pk}}


def test_rows_of_a_lookup_that_change_let_people_in_and_out() -> None:
    ada, bob = (make_profile(size=size).pk for size in (42, "M"))
    stock = make_lookup("stock", {"on_hand": "number"}, sweater_42={"on_hand": 1}, sweater_M={"on_hand": 0})
    audience = make_audience("can_buy", 'lookup("stock", concat("sweater-", profile.size), "on_hand") > 0')
    make_audience("everybody", "has(profile.email)")
    make_audience("others", '!inAudience("can_buy")')
    assert members() == {"can_buy": {ada}, "others": {bob}, "everybody": {ada, bob}}

    put(stock, {"sweater-M": {"on_hand": 0}})  # nothing new
    assert not Audience.objects.exclude(evaluated_through=None).exists()
    put(stock, {"sweater-42": {"on_hand": 0}, "sweater-M": {"on_hand": 2}})
    behind = Audience.objects.exclude(evaluated_through=None)
    assert set(behind.values_list("key", flat=True)) == {"can_buy", "others"}
    assert members()["can_buy"] == {ada}
    look_at_everybody(NOW + DAY)
    assert members() == {"can_buy": {bob}, "others": {ada}, "everybody": {ada, bob}}
    assert [change for change in told() if change[2] == "can_buy"] == [
        ("$audience_left", ada, "can_buy", 0),
        ("$audience_entered", bob, "can_buy", 0),
    ]
    remove_rows(stock, ["sweater-M"], now=NOW)
    look_at_everybody(NOW)
    assert "can_buy" not in members()
    write_columns(stock, [], now=NOW)  # the rule is true for nobody then, and nothing breaks
    look_at_everybody(NOW)
    services.archive(audience)
    put(stock, {"sweater-M": {}})
    look_at_everybody(NOW)
    assert members() == {"others": {ada, bob}, "everybody": {ada, bob}}


def test_a_list_is_exactly_what_was_given() -> None:
    ada, bob, eve = (make_profile(tier=tier).pk for tier in ("gold", "gold", "blue"))
    chosen = make_list("chosen")
    make_audience("chosen_gold", 'inAudience("chosen") && profile.tier == "gold"')
    services.replace_list(chosen, [ada, eve], now=NOW)
    assert members() == {"chosen": {ada, eve}, "chosen_gold": {ada}}
    services.replace_list(chosen, [bob, eve, eve, 10**9], now=NOW + DAY)
    assert members() == {"chosen": {bob, eve}, "chosen_gold": {bob}}
    assert Membership.objects.get(audience=chosen, profile=eve).entered_at == NOW
    # The first upload of the list is not told, what follows from it is.
    assert told() == [
        ("$audience_entered", ada, "chosen_gold", 0),
        ("$audience_entered", bob, "chosen", 0),
        ("$audience_entered", bob, "chosen_gold", 0),
        ("$audience_left", ada, "chosen", 0),
        ("$audience_left", ada, "chosen_gold", 0),
    ]


def test_a_merged_person_stays_in_and_is_told_nothing_twice() -> None:
    make_audience("buyers", 'count("Bought", duration("7d")) >= 2')
    chosen = make_list("chosen")
    store(track(None, "Bought", anon="phone"), track(None, "Bought", anon="phone"), identify("ada", {}))
    settle(NOW)
    before = Profile.objects.get(identities__namespace_id=2).pk
    services.replace_list(chosen, [before], now=NOW)
    assert members() == {"buyers": {before}, "chosen": {before}}
    store(alias("phone", "ada"))
    settle(NOW)
    after = profile_of("ada")
    assert Profile.objects.get(pk=before).merged_into == after
    assert members() == {"buyers": {after}, "chosen": {after}}
    assert told() == [("$audience_entered", before, "buyers", 1)]
    settle(NOW + 8 * DAY)
    assert members() == {"chosen": {after}}


def test_a_circle_of_events_comes_to_an_end() -> None:
    """Each change is an event that makes the rule false or true again."""
    make_audience("odd", 'count("$audience_left") == count("$audience_entered")')
    store(identify("ada", {}))
    settle(NOW)
    assert [hops for *_, hops in told()] == list(range(1, settings.AJO_MAX_HOPS + 1))


def test_statements_do_not_depend_on_how_many_events_profiles_and_audiences() -> None:
    for n in range(20):
        make_audience(f"a{n}", f'count("Bought", duration("{n + 1}d")) > 0 || profile.x == {n}')
    counts = []
    for size in (1, 2, 60):
        store(*(track(f"{size}-{n}", "Bought") for n in range(size)))
        with count_statements() as seen:
            take_batch(now=NOW)
        settle(NOW)
        counts.append(len(seen))
    assert len(told()) == 20 * 63
    assert counts[1] == counts[2]  # the first time, names of events are made


def test_only_days_on_which_something_can_count_are_read() -> None:
    """The longest window decides, and an event is found where it was stored, however late that was."""
    now = timezone.now()
    ensure_partitions(now, days_back=9)
    ada = make_profile()
    bought = event_types(["Bought"])["Bought"]

    def buy(occurred: timedelta, stored: timedelta) -> None:
        at, id = now - occurred, UUID7Factory(lambda: int((now - stored).timestamp() * 1e9))()
        Event.objects.create(
            id=id, batch_id=1, source_id=1, event_type_id=bought, kind=1, occurred_at=at, properties={"n": 1}
        )
        ProfileEvent.objects.create(profile=ada, event_type_id=bought, occurred_at=at, event_id=id)
        ProfileDaily.objects.update_or_create(
            profile=ada, event_type_id=bought, day=at.astimezone(UTC).date(), defaults={"n": 1}
        )

    for occurred, stored in ((4 * DAY, 4 * DAY), (4 * DAY, timedelta()), (8 * DAY, 8 * DAY)):
        buy(occurred, stored)
    texts = {
        "day": 'count("Bought", duration("1d")) == 0',
        "week": 'sum("Bought", event.n, duration("5d")) == 2',
    }
    for key, text in texts.items():
        make_audience(key, text, now=now)
    assert members() == {"day": {ada.pk}, "week": {ada.pk}}

    rules = [compile_rule(key, texts) for key in texts]
    text, params = _statement(rules, read_catalog(knows_history=True), now)
    with sql.cursor() as cur:
        cur.execute(
            f"EXPLAIN {text}", {**params, "profile_ids": [ada.pk], "audience_ids": [1, 2], "now": now}
        )
        plan = " ".join(line[0] for line in cur)
    for table in ("event", "profile_event"):
        read = {day for day in range(-7, 10) if f"{partition_name(table, now - day * DAY)} " in plan}
        assert read == set(range(-1, 7))  # a day more at each end: clocks differ


def test_without_an_active_audience_the_stream_asks_once() -> None:
    Audience.objects.create(key="draft", name="Draft", rule='count("Bought") > 0')
    store(track("ada", "Bought"))
    with count_statements() as seen:
        take_batch(now=NOW)
    assert len([statement for statement in seen if "audience" in statement.replace("ajo audiences", "")]) == 1
    assert members() == {}


def test_only_audiences_that_can_change_are_asked() -> None:
    make_audience("buyers", 'count("Bought") > 0')
    make_audience("gold", 'profile.tier == "gold"')
    store(identify("ada", {}))
    settle(NOW)
    asked = {
        "Bought": (track("ada", "Bought"), {"buyers"}),
        "Viewed": (track("ada", "Viewed"), set[str]()),
        "tier": (identify("ada", {"tier": "gold"}), {"gold"}),
        "city": (identify("ada", {"city": "Oslo"}), set[str]()),
    }
    for name, (call, keys) in asked.items():
        Membership.objects.all().delete()  # whoever is asked comes in again
        store(call)
        take_batch(now=NOW)
        assert members().keys() == keys, name
        Profile.objects.update(attributes={"tier": "gold"})


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("event.total > 1", "event.total stands where there is no such event"),
        ('count("Bought", entry.id == 1) > 1', "entry.id stands where"),
        ("profile.age", None),
        ("profile.age + 1", "where boolean is wanted"),
        ("hour(now()) == 8", "It cannot be told"),
    ],
)
def test_rules_that_no_audience_can_have(rule: str, says: str | None) -> None:
    catalog = read_catalog(knows_history=True)
    if says is None:
        parse_rule(rule, catalog)
    else:
        with pytest.raises(LanguageError, match=says):
            parse_rule(rule, catalog)


def test_rules_may_not_lead_back_to_themselves() -> None:
    first = make_audience("first", "profile.x == 1")
    make_audience("second", 'inAudience("first")')
    make_audience("third", '!inAudience("second")')
    with pytest.raises(LanguageError, match="first → third → second → first"):
        services.write_rule(first, 'inAudience("third")')
    first.refresh_from_db()
    assert first.rule == "profile.x == 1"
    assert compile_rule("third", {"third": '!inAudience("x")', "x": "profile.a == 1"}).attributes == {"a"}


def test_what_is_refused_says_what_to_do() -> None:
    with pytest.raises(services.Refused, match="Write its rule first"):
        services.activate(Audience.objects.create(key="empty", name="Empty"))
    with pytest.raises(services.Refused, match="Make an audience that is a list"):
        services.replace_list(make_audience("rule", "true"), [], now=NOW)
