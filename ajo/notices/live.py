"""Where the people of one journey are now, and who does not get on: a few bounded statements, kept for a moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.utils.encoding import force_str
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ajo.lib import sql
from ajo.notices.models import LiveView
from journeys import reports
from journeys.activities import registry
from journeys.models import JourneyInstance, JourneyVersion

KEEP_SECONDS = 2
"""Many people watch the same page; the numbers are read once for all who look within this time."""
READ_WAITS = 5_000
"""The oldest waits of a version that are looked at; whoever waits too long is among them."""
READ_WALKS = 50_000
"""How far back the newest entries and failures are looked for, in walks of all journeys."""
SHOWN = 10

_State = JourneyVersion.State
_OPEN = (_State.LIVE, _State.PAUSED, _State.CLOSED)

_WAITS = """
SELECT w.profile_id, w.activity, since.at
FROM (SELECT instance_id, profile_id, activity FROM journey_wait WHERE version_id = %(version_id)s
    ORDER BY instance_id LIMIT %(limit)s) w
CROSS JOIN LATERAL (
    SELECT t.at FROM journey_passage p JOIN journey_trail t ON t.trail_id = p.trail_id
    WHERE p.instance_id = w.instance_id ORDER BY p.visit DESC LIMIT 1) since
"""
_NEWEST = """
SELECT id, profile_id, activity, entered_at, ended_at FROM journey_instance
WHERE id > (SELECT coalesce(max(id), 0) - %(reach)s FROM journey_instance) AND version_id = %(version_id)s
    AND (%(state)s::int IS NULL OR state = %(state)s)
ORDER BY id DESC LIMIT %(limit)s
"""
_REASONS = """
SELECT DISTINCT ON (p.instance_id) p.instance_id, t.detail
FROM journey_passage p JOIN journey_trail t ON t.trail_id = p.trail_id
WHERE p.instance_id = ANY(%(ids)b::bigint[]) ORDER BY p.instance_id, p.visit DESC, t.nth DESC
"""


@dataclass(frozen=True, slots=True)
class BoxNow:
    """One box of the map: who is there now and who has been."""

    name: str
    kind: str
    waiting: int
    passed: int
    stuck: int
    share: int
    """Of the people inside, in per cent: the length of its bar."""


@dataclass(frozen=True, slots=True)
class PersonAt:
    """Somebody at a box since a moment; `reason` is the engine's own word for a failure."""

    name: str
    box: str
    since: datetime
    looked_at: datetime
    reason: str = ""

    @property
    def for_so_long(self) -> str:
        return timesince(self.since, self.looked_at, depth=1)


@dataclass(frozen=True, slots=True)
class Now:
    """`looked_at` is smaller than `active` when more people are inside than are looked at for being stuck."""

    state: str
    is_live: bool
    entered: int
    active: int
    ended: int
    failed: int
    boxes: Sequence[BoxNow]
    stuck: int
    stuck_people: Sequence[PersonAt]
    failures: Sequence[PersonAt]
    newest: Sequence[PersonAt]
    in_older_versions: int
    is_all_looked_at: bool


def journey_now(view: LiveView, now: datetime) -> Now | None:
    """What is going on in the newest version that people can be in; None when there is none."""
    found: Now | None = cache.get_or_set(f"live-view-{view.pk}", lambda: _read(view, now), KEEP_SECONDS)
    return found


def _read(view: LiveView, now: datetime) -> Now | None:
    versions = list(view.journey.versions.filter(state__in=_OPEN).order_by("-number"))
    if not versions:
        return None
    version = versions[0]
    counts = reports.counts(version)
    names = _box_names(version.graph)
    parameters = {"version_id": version.pk, "reach": READ_WALKS, "limit": SHOWN}
    with sql.cursor() as cur:
        cur.execute(_WAITS, {"version_id": version.pk, "limit": READ_WAITS})
        waits = cur.fetchall()
        cur.execute(_NEWEST, {**parameters, "state": None})
        newest = cur.fetchall()
        failures = []
        if counts["failed"]:
            cur.execute(_NEWEST, {**parameters, "state": JourneyInstance.State.FAILED.value})
            failures = cur.fetchall()
        cur.execute(_REASONS, {"ids": [row.id for row in failures]})
        reasons = dict(cur.fetchall())
    before = now - timedelta(hours=view.stuck_after_hours)
    stuck = sorted((row for row in waits if row.at < before), key=lambda row: row.at)
    shown_stuck = stuck[:SHOWN]
    people = _names(view, [row.profile_id for row in (*shown_stuck, *failures, *newest)])

    def person(row: Any, at: datetime, reason: str = "") -> PersonAt:
        box = names[row.activity][0] if row.activity in names else row.activity
        return PersonAt(people[row.profile_id], box, at, now, reason)

    return Now(
        state=str(_State(version.state).label),
        is_live=version.state == _State.LIVE,
        entered=counts["entered"],
        active=counts["active"],
        ended=counts["ended"],
        failed=counts["failed"],
        boxes=[
            BoxNow(
                name=name,
                kind=kind,
                waiting=counts["boxes"][box_id]["waiting"],
                passed=counts["boxes"][box_id]["passed"],
                stuck=sum(row.activity == box_id for row in stuck),
                share=round(100 * counts["boxes"][box_id]["waiting"] / max(counts["active"], 1)),
            )
            for box_id, (name, kind) in names.items()
            if box_id in counts["boxes"]
        ],
        stuck=len(stuck),
        stuck_people=[person(row, row.at) for row in shown_stuck],
        failures=[person(row, row.ended_at or row.entered_at, reasons.get(row.id, "")) for row in failures],
        newest=[person(row, row.entered_at) for row in newest],
        in_older_versions=sum(max(reports.counts(older)["active"], 0) for older in versions[1:]),
        is_all_looked_at=len(waits) < READ_WAITS,
    )


def _box_names(graph: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Box id → its name and its kind, in the order in which people come through them."""
    activities = {item["id"]: item for item in graph["activities"]}
    following: dict[str, list[str]] = {}
    for link in graph["links"]:
        following.setdefault(link["from"], []).append(link["to"])
    entries = set(activities) - {link["to"] for link in graph["links"]}
    waiting, ordered = deque(sorted(entries)), dict[str, None]()
    while waiting:
        box_id = waiting.popleft()
        if box_id not in ordered:
            ordered[box_id] = None
            waiting.extend(following.get(box_id, ()))
    return {box_id: _words(activities[box_id]) for box_id in ordered}


def _words(item: Mapping[str, Any]) -> tuple[str, str]:
    kind = force_str(registry.get(item["kind"]).label)
    return item.get("label") or item["id"].replace("-", " ").replace("_", " ").capitalize(), kind


def _names(view: LiveView, profile_ids: Iterable[int]) -> Mapping[int, str]:
    """By the attribute that the administrator chose; else, and for whoever has none, by number."""
    ids = sorted(set(profile_ids))
    found: dict[int, str] = {}
    if view.named_by is not None:
        with sql.cursor() as cur:
            cur.execute(
                "SELECT id, attributes ->> %(key)s FROM profile WHERE id = ANY(%(ids)b::bigint[])",
                {"key": view.named_by.key, "ids": ids},
            )
            found = {pk: name for pk, name in cur if name}
    return {pk: found.get(pk) or _("Person %(number)s") % {"number": pk} for pk in ids}
