"""Streaming, looking again and full evaluation come to the same, whatever happened and however much time passed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from profiles.audiences import services
from profiles.models import Audience, Lookup, Profile
from profiles.services import lock_profiles, update_attributes
from tests.factories import NOW
from tests.profiles.audiences.world import (
    expected,
    look_at_everybody,
    make_audience,
    make_list,
    members,
    settle,
)
from tests.profiles.lookups.tables import make_lookup, put
from tests.profiles.store import Call, alias, identify, store, track

pytestmark = pytest.mark.django_db

RULES = {
    "buyers": 'count("Bought", duration("3d"), event.total > 10) >= 2',
    "spenders": 'sum("Bought", event.total, duration("5d")) >= 40',
    "lapsed": '!inAudience("buyers") && count("Bought") > 1',
    "gold": 'profile.tier == "gold"',
    "unknown": "!has(profile.tier)",
    "recent": 'within(profile.seen, duration("36h"))',
    "renewing": 'profile.renews < now() + duration("1d")',
    "chosen_gold": 'inAudience("chosen") && inAudience("gold")',
    "stocked": 'lookup("stock", profile.tier, "on_hand") > 0',
    "warm": 'count("Bought", duration("3d"), lookup("stock", concat("t", event.total), "is_warm")) > 0',
    "told": 'count("$audience_entered", duration("2d")) >= 2',
}
USERS = [f"user{n}" for n in range(6)]
PHONES = [f"phone{n}" for n in range(6)]


def some_call(rng: random.Random, now: datetime) -> Call:
    user, phone = rng.choice(USERS), rng.choice(PHONES)
    at = now - rng.choice(
        [timedelta(), timedelta(days=2), timedelta(hours=40), timedelta(days=6), -timedelta(minutes=4)]
    )
    match rng.randrange(7):
        case 0 | 1:
            return track(user, "Bought", properties={"total": rng.choice([5, 15, 25.5])}, at=at)
        case 2:
            return track(None, "Bought", anon=phone, properties={"total": 15}, at=at)
        case 3:
            return identify(user, {"tier": rng.choice(["gold", "blue", None])}, at=at)
        case 4:
            when = now + rng.choice([-1, 1]) * timedelta(hours=rng.randrange(72))
            return identify(user, {rng.choice(["seen", "renews"]): when.isoformat()}, at=at)
        case 5:
            return identify(user, {}, anon=phone, at=at)
        case _:
            return alias(phone, user)


def do_something(rng: random.Random, now: datetime, chosen: Audience, stock: Lookup) -> None:
    for _ in range(rng.randrange(3)):
        store(*(some_call(rng, now) for _ in range(rng.randrange(1, 6))), received_at=now)
    living = list(Profile.objects.filter(merged_into=None).values_list("pk", flat=True))
    some = rng.sample(living, k=min(len(living), 3))
    match rng.randrange(4):
        case 0:
            services.replace_list(chosen, some, now=now)
        case 1:
            lock_profiles(some)
            update_attributes(
                {profile_id: {"tier": rng.choice(["gold", "blue"])} for profile_id in some}, now
            )
        case 2:
            rows = {
                "gold": {"on_hand": rng.randrange(2)},
                rng.choice(["t5", "t15", "t25.5"]): {"is_warm": rng.choice([True, False])},
            }
            put(stock, rows, rng.choice(["merge", "replace"]))
            look_at_everybody(now)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_kept_is_what_full_evaluation_finds(seed: int) -> None:
    rng, now = random.Random(seed), NOW
    chosen = make_list("chosen")
    services.replace_list(chosen, [], now=now)
    stock = make_lookup("stock", {"on_hand": "number", "is_warm": "boolean"})
    for key, rule in RULES.items():
        make_audience(key, rule)
    for _ in range(12):
        do_something(rng, now, chosen, stock)
        settle(now)
        assert {key: ids for key, ids in members().items() if key != "chosen"} == expected(now)
        now += rng.choice([timedelta(), timedelta(minutes=3), timedelta(hours=13), timedelta(days=2)])
        settle(now)  # time alone
        kept = members()
        assert {key: ids for key, ids in kept.items() if key != "chosen"} == expected(now)
        services.evaluate_all()
        look_at_everybody(now)
        assert members() == kept
