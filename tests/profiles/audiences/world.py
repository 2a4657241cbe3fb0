"""Audiences and what can be asked about them in a test."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from ajo.lib import sql
from profiles.audiences import services
from profiles.audiences.rules import compile_rule
from profiles.catalog import read_catalog
from profiles.language import PastEvent, Scope, compile_condition, compile_rows
from profiles.lookups.rows import read_rows
from profiles.models import Audience, Event, Membership, Profile, ProfileEvent
from profiles.services import living_profiles
from profiles.stream import take_batch
from tests.factories import NOW


def make_audience(key: str, rule: str, *, now: datetime = NOW) -> Audience:
    """An active audience for which everybody was looked at."""
    audience = Audience.objects.create(key=key, name=key)
    services.write_rule(audience, rule)
    services.activate(audience)
    look_at_everybody(now)
    audience.refresh_from_db()
    return audience


def make_list(key: str) -> Audience:
    return Audience.objects.create(key=key, name=key, kind=Audience.Kind.LIST)


def look_at_everybody(now: datetime, limit: int = 3) -> None:
    while services.evaluate_range(limit, now=now):
        pass


def settle(now: datetime) -> None:
    """Let the stream and the re-check queue come to rest."""
    while take_batch(now=now) + services.evaluate_due(now=now):
        pass


def members() -> dict[str, set[int]]:
    """Profile ids by the key of their audience."""
    found: dict[str, set[int]] = {}
    for key, profile_id in Membership.objects.values_list("audience__key", "profile_id"):
        found.setdefault(key, set()).add(profile_id)
    return found


def told() -> list[tuple[str, int, str, int]]:
    """(event, profile, audience, hops) of the changes that became events, in order."""
    rows = Event.objects.filter(event_type__name__startswith="$audience_").order_by("id")
    return [
        (
            row.event_type.name,
            int((row.user_id or "").removeprefix("profile:")),
            row.properties["audience"],
            row.hops,
        )
        for row in rows.select_related("event_type")
    ]


def expected(now: datetime) -> dict[str, set[int]]:
    """Who is in the rules' audiences by the Python reading of everything that is stored."""
    texts = dict(Audience.objects.filter(kind="rule", state="active").values_list("key", "rule"))
    catalog = read_catalog(knows_history=True)
    trees = {key: compile_rule(key, texts).tree for key in texts}
    conditions = {key: compile_condition(tree, catalog) for key, tree in trees.items()}
    gather = compile_rows(trees.values(), catalog)
    lists: dict[int, set[str]] = {}
    for key, profile_id in Membership.objects.filter(audience__kind="list").values_list(
        "audience__key", "profile_id"
    ):
        lists.setdefault(profile_id, set()).add(key)
    history = _histories()
    found: dict[str, set[int]] = {}
    for profile_id, attributes in _attributes().items():
        (scope,) = gather(
            [
                Scope(
                    now,
                    attributes,
                    history=history.get(profile_id, []),
                    audiences=frozenset(lists.get(profile_id, ())),
                )
            ],
            read_rows,
        )
        for key, condition in conditions.items():
            if condition(scope):
                found.setdefault(key, set()).add(profile_id)
    return found


def _attributes() -> dict[int, Any]:
    with sql.cursor() as cur:
        cur.execute("SELECT id, attributes::text AS text FROM profile WHERE merged_into IS NULL")
        return {row.id: json.loads(row.text, parse_float=Decimal) for row in cur}


def _histories() -> dict[int, list[PastEvent]]:
    living = living_profiles(Profile.objects.values_list("pk", flat=True))
    properties = dict(Event.objects.values_list("id", "properties"))
    history: dict[int, list[PastEvent]] = {}
    rows = ProfileEvent.objects.values_list("profile_id", "event_type__name", "occurred_at", "event_id")
    for profile_id, name, occurred_at, event_id in rows:
        event = PastEvent(name, occurred_at, properties[event_id])
        history.setdefault(living[profile_id], []).append(event)
    return history
