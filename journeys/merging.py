"""What becomes of the walks when two profiles turn out to be one person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from channels import delivery
from channels.models import CauseKind, Message
from journeys.models import JourneyInstance, ReEntry
from journeys.tallies import LOG_LAST_STEP

ACTIVE = JourneyInstance.State.ACTIVE.value
MERGED = JourneyInstance.State.MERGED.value

READ_INSTANCES = """
SELECT i.id, i.profile_id, i.journey_id, i.entry_no, i.state, v.re_entry
FROM journey_instance i JOIN journeys_journeyversion v ON v.id = i.version_id
WHERE i.profile_id = ANY(%b::bigint[]) ORDER BY i.entered_at, i.id
"""
DELETE_WAITS = """
DELETE FROM journey_wait WHERE instance_id = ANY(%b::bigint[])
RETURNING instance_id, version_id, activity, visit, due_at, event_type_id, correlation, entry_event_id, hops
"""
MOVE_INSTANCES = """
UPDATE journey_instance i SET profile_id = t.profile_id, entry_no = t.entry_no
FROM unnest(%b::bigint[], %b::bigint[], %b::int[]) AS t(id, profile_id, entry_no) WHERE i.id = t.id
"""
MOVE_WAITS = """
INSERT INTO journey_wait (instance_id, version_id, activity, visit, profile_id, due_at, event_type_id, correlation,
    entry_event_id, hops)
SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::text[], %b::int[], %b::bigint[], %b::timestamptz[], %b::int[],
    %b::text[], %b::uuid[], %b::smallint[])
"""
END_INSTANCES = f"""
WITH merged AS (
    UPDATE journey_instance SET state = %s, ended_at = %b::timestamptz WHERE id = ANY(%b::bigint[]) AND state = 0
    RETURNING id, visit, version_id, activity
), step AS (
    SELECT id, visit, version_id, activity, 'merged' AS outcome,
        'The person was already walking this journey.' AS detail, %b::timestamptz AS at FROM merged
), {LOG_LAST_STEP}
"""


@dataclass(slots=True)
class _Instance:
    id: int
    profile_id: int
    journey_id: int
    entry_no: int
    state: int
    re_entry: str


def merge_instances(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: datetime) -> None:
    """Give the losers' walks to their survivors; where both are walking a journey, the older walk stays.

    Ended walks move too, or "once in a lifetime" would be twice. Side by side walks of a journey that allows them stay
    all. The other walk ends as merged: its wait is deleted, its queued messages are withheld. The caller holds the
    locks of both profiles.
    """
    survivors = dict(pairs)
    cur.execute(READ_INSTANCES, [sorted({*survivors, *survivors.values()})])
    walks: dict[tuple[int, int], list[_Instance]] = defaultdict(list)  # (survivor, journey) → oldest first
    for row in cur:
        walks[survivors.get(row.profile_id, row.profile_id), row.journey_id].append(_Instance(*row))
    moved: list[tuple[int, int, int]] = []
    ended: list[_Instance] = []
    for (survivor, _journey), own in walks.items():
        arriving = [walk for walk in own if walk.profile_id != survivor]
        last_no = max((walk.entry_no for walk in own if walk.profile_id == survivor), default=0)
        moved += [(walk.id, survivor, last_no + offset) for offset, walk in enumerate(arriving, start=1)]
        if any(walk.state == ACTIVE for walk in arriving):
            rivals = [walk for walk in own if walk.state == ACTIVE and walk.re_entry != ReEntry.ALWAYS]
            ended += rivals[1:]
    if not moved:
        return
    _write(cur, moved, ended, now)


def _write(
    cur: psycopg.Cursor[Any], moved: list[tuple[int, int, int]], ended: list[_Instance], now: datetime
) -> None:
    ended_ids = [walk.id for walk in ended]
    owner = {instance_id: survivor for instance_id, survivor, _ in moved}
    cur.execute(DELETE_WAITS, [sorted({*owner, *ended_ids})])
    waits = [
        (*row[:4], owner[row.instance_id], *row[4:])
        for row in cur.fetchall()
        if row.instance_id not in set(ended_ids)
    ]
    cur.execute(MOVE_INSTANCES, [list(column) for column in zip(*moved, strict=True)])
    if waits:
        cur.execute(MOVE_WAITS, [list(column) for column in zip(*waits, strict=True)])
    if ended_ids:
        cur.execute(END_INSTANCES, [MERGED, now, ended_ids, now])
        delivery.withhold_queued(
            # Whether or not the channels room has moved its messages to the survivor yet.
            [*(walk.profile_id for walk in ended), *(owner.get(walk.id, walk.profile_id) for walk in ended)],
            reason="The person was already walking this journey.",
            code=Message.Reason.REPEATED,
            cause_kind=CauseKind.JOURNEY_INSTANCE.value,
            cause_ids=ended_ids,
        )
