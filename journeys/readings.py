"""A business event lets a whole audience into a journey: noted when it comes, worked off in pieces."""

from __future__ import annotations

from datetime import datetime

from ajo.lib import doorbell, sql
from journeys.entry import let_in
from journeys.models import AudienceReading, JourneyVersion
from journeys.plans import compile_version, read_versions
from profiles import business_events
from profiles.consumers import StreamEvent
from profiles.models import Audience, BusinessEvent, EventKind, Source

PIECE = 5_000
TASK = "journeys.tasks.read_audiences"

_CLAIM = """
SELECT r.id, r.version_id, r.event_id, r.event_type_id, r.audience_id, r.read_through, r.entered, b.occurred_at,
    b.received_at
FROM audience_reading r JOIN business_event b ON b.id = r.event_id
JOIN journeys_journeyversion v ON v.id = r.version_id
WHERE r.ended_at IS NULL AND v.state <> 'paused' ORDER BY r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED
"""
_MEMBERS = """
SELECT profile_id FROM audience_membership WHERE audience_id = %s AND profile_id > %s ORDER BY profile_id LIMIT %s
"""
_LOCK_LIVING = """
SELECT id FROM profile WHERE id = ANY(%b::bigint[]) AND merged_into IS NULL ORDER BY id FOR NO KEY UPDATE
"""
_MOVE = "UPDATE audience_reading SET read_through = %s, entered = entered + %s WHERE id = %s"
_END = "UPDATE audience_reading SET ended_at = %s WHERE id = %s"


def begin(event: BusinessEvent, now: datetime) -> None:
    """Note the audiences that the event lets in, for every live version that it opens."""
    opened = JourneyVersion.objects.filter(
        entry_event_type=event.event_type, state__in=[JourneyVersion.State.LIVE, JourneyVersion.State.PAUSED]
    )
    keys = {}
    for version in opened:
        plan = compile_version(version).plan
        box = plan.boxes[plan.entry]
        if key := box.activity.let_in_at_once(box.config):
            keys[version.pk] = key
    audiences = dict(Audience.objects.filter(key__in=keys.values()).values_list("key", "pk"))
    AudienceReading.objects.bulk_create(
        AudienceReading(
            version_id=version_id,
            event_id=event.pk,
            event_type=event.event_type,
            audience_id=audiences[key],
            started_at=now,
        )
        for version_id, key in keys.items()
        if key in audiences
    )
    if keys:
        doorbell.ring_on_commit(TASK)


def read_piece(now: datetime, limit: int = PIECE) -> int:
    """Let in the next members of one audience, in one transaction; returns how many were looked at, and 1 for an
    audience that came to its end. Locks: the reading, profiles in id order, the versions.

    Who enters the audience behind the place that was reached is let in as well; who enters before it, is not.
    """
    with sql.unit_of_work() as cur:
        cur.execute(_CLAIM)
        reading = cur.fetchone()
        if reading is None:
            return 0
        cur.execute(_MEMBERS, [reading.audience_id, reading.read_through, limit])
        members = [row.profile_id for row in cur]
        cur.execute(_LOCK_LIVING, [members])
        living = [row.id for row in cur]
        versions = read_versions(cur)
        rule = next(
            (
                rule
                for rule in versions.entered_by.get(reading.event_type_id, ())
                if rule.version.id == reading.version_id
            ),
            None,
        )
        if rule is None and _is_paused(reading.version_id):
            return 0
        if rule is None or not members:
            cur.execute(_END, [now, reading.id])
            return 1
        properties = business_events.properties_of(reading.event_id)
        events = [
            StreamEvent(
                id=reading.event_id,
                batch_id=0,
                source_id=int(Source.OWN),
                event_type_id=reading.event_type_id,
                kind=EventKind.BUSINESS.value,
                hops=0,
                occurred_at=reading.occurred_at,
                received_at=reading.received_at,
                profile_id=profile_id,
                properties=properties,
            )
            for profile_id in living
        ]
        entered = let_in(cur, events, rule, now)
        cur.execute(_MOVE, [members[-1], entered, reading.id])
    return len(members)


def _is_paused(version_id: int) -> bool:
    return JourneyVersion.objects.filter(pk=version_id, state=JourneyVersion.State.PAUSED).exists()
