"""The versions that run now, each compiled once per process.

A published version is frozen, so its compiled form is kept by its id for ever. Which versions run, and how, is read
anew for every batch under a lock that publishing, pausing and stopping take alone: when one of them returns, no batch
that knew the old state is under way.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.core.exceptions import ObjectDoesNotExist

from ajo.lib import sql
from journeys import graph
from journeys.activities.base import Place
from journeys.models import JourneyVersion
from profiles.consumers import StreamEvent
from profiles.models import EventType

logger = logging.getLogger(__name__)

_LOCK = "hashtext('ajo journey versions')"
_READ = """
SELECT id, journey_id, state, entry_event_type_id, re_entry FROM journeys_journeyversion
WHERE state IN ('live', 'closed') ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class CompiledVersion:
    """A frozen version, ready to be walked."""

    id: int
    journey_id: int
    plan: graph.Plan
    places: Mapping[str, Place]
    exits: Mapping[int, Sequence[str]]
    """Event type id → the exits that it may take people out by."""

    def admits(self, box_id: str, event: StreamEvent) -> bool:
        """Whether the event lets somebody in, or out, at this box."""
        return self.plan.boxes[box_id].activity.admits(event, self.places[box_id])


@dataclass(frozen=True, slots=True)
class EntryRule:
    """A live version and who may enter it."""

    version: CompiledVersion
    re_entry: str


@dataclass(frozen=True, slots=True)
class Versions:
    """What runs now. Paused and stopped versions are not in it: their people stand still."""

    running: Mapping[int, CompiledVersion]
    """Live and closed ones by id."""
    entered_by: Mapping[int, Sequence[EntryRule]]
    """Event type id → the live versions that it opens, at most one for each journey."""
    left_by: Mapping[int, Sequence[CompiledVersion]]
    """Event type id → the running versions that have an exit for it."""


_compiled: dict[int, CompiledVersion] = {}
_broken: set[int] = set()


def read_versions(cur: psycopg.Cursor[Any]) -> Versions:
    """What runs now, and goes on running until the open transaction ends. Two small statements."""
    cur.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
    cur.execute(_READ)
    rows = cur.fetchall()
    _compile_missing([row.id for row in rows])
    running: dict[int, CompiledVersion] = {}
    entered_by: dict[int, list[EntryRule]] = defaultdict(list)
    left_by: dict[int, list[CompiledVersion]] = defaultdict(list)
    for row in rows:
        if (version := _compiled.get(row.id)) is None:
            continue
        running[row.id] = version
        for event_type_id in version.exits:
            left_by[event_type_id].append(version)
        if row.state == JourneyVersion.State.LIVE:
            entered_by[row.entry_event_type_id].append(EntryRule(version, row.re_entry))
    return Versions(running=running, entered_by=entered_by, left_by=left_by)


def lock_versions() -> None:
    """Wait for the batches under way and keep new ones out until the open transaction ends. Hold no profile's lock
    when you call it: a batch that holds one may be waiting for this."""
    with sql.cursor() as cur:
        cur.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")


def compile_version(version: JourneyVersion) -> CompiledVersion:
    """Raises InvalidGraph or LookupError when the version cannot run in this process."""
    plan = graph.compiled(version.graph)
    places = {}
    for box in plan.boxes.values():
        place = Place(version.journey_id, version.pk, box.id, box.config, version.pins)
        prepared = box.activity.prepare(place)
        places[box.id] = Place(version.journey_id, version.pk, box.id, box.config, version.pins, prepared)
    return CompiledVersion(version.pk, version.journey_id, plan, places, _exits(plan))


def _exits(plan: graph.Plan) -> Mapping[int, Sequence[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for box in plan.exits():
        for name in box.activity.event_names(box.config):
            found[EventType.objects.get(name=name).pk].append(box.id)
    return found


def _compile_missing(version_ids: Sequence[int]) -> None:
    missing = [version_id for version_id in version_ids if version_id not in _compiled]
    if not missing:
        return
    if len(_compiled) > 2 * len(version_ids) + 100:  # mostly finished ones
        for version_id in _compiled.keys() - set(version_ids):
            del _compiled[version_id]
    for version in JourneyVersion.objects.filter(pk__in=missing):
        try:
            _compiled[version.pk] = compile_version(version)
        except (LookupError, ValueError, ObjectDoesNotExist) as error:
            # Such as an activity of an app that is no longer installed: its people stand still until it is back.
            if version.pk not in _broken:
                logger.error("Journey version %s cannot run: %s", version, error)
            _broken.add(version.pk)
        else:
            _broken.discard(version.pk)
