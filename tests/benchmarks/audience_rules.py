"""Twenty audiences for benchmarks: ten ask for attributes, ten count or add up events in windows."""

from __future__ import annotations

from datetime import datetime

from profiles.audiences import services
from profiles.models import Audience

RULES = {
    "plan_a": 'profile.plan == "a"',
    "plan_paid": 'profile.plan in ["a", "b"]',
    "rich": "profile.points > 100000",
    "gold_c": 'profile.tier == "gold" && profile.plan == "c"',
    "british_few": 'profile.country == "GB" && profile.points < 500',
    "bench_mail": 'profile.email.endsWith("7@example.com")',
    "london_m": 'profile.city == "London" && profile.size == "M" && profile.points % 10 == 3',
    "adult": 'profile.birthday < date("2008-01-01") && profile.points % 4 == 0',
    "no_plan": "has(profile.first_name) && !has(profile.plan)",
    "between": "profile.points >= 1000 && profile.points <= 3000 || profile.points == 7",
    "viewed_week": 'count("Viewed", duration("7d")) >= 2',
    "viewed_day": 'count("Viewed", duration("1d")) >= 3',
    "viewed_month": 'count("Viewed", duration("30d")) >= 3',
    "new_list": 'count("Viewed", duration("7d"), event.list == "new") >= 2',
    "one_sku": 'count("Viewed", duration("14d"), event.sku == "A-7") >= 1',
    "spent": 'sum("Viewed", event.value, duration("30d")) >= 40',
    "spent_gold": 'sum("Viewed", event.value, duration("7d")) > 50 && profile.tier == "gold"',
    "joined": 'count("Joined", duration("3d")) >= 1',
    "joined_idle": 'count("Joined", duration("30d")) >= 1 && count("Viewed", duration("30d")) == 0',
    "told": 'count("$identify", duration("7d")) >= 2 && profile.plan == "b"',
}


def make_audiences(now: datetime) -> list[Audience]:
    """All of them, active, and everybody looked at once."""
    made = []
    for key, rule in RULES.items():
        audience = Audience.objects.create(key=key, name=key)
        services.write_rule(audience, rule)
        services.activate(audience)
        made.append(audience)
    evaluate_everybody(now)
    return made


def evaluate_everybody(now: datetime) -> None:
    while services.evaluate_range(now=now):
        pass
