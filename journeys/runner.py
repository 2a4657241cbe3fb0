"""Walks people from wait to wait.

A batch is claimed, walked in memory and written by one statement, in one transaction. Locks: the clock takes wait rows
and then profiles, and skips what is locked; the stream step waits for profiles, in id order, and then for wait rows.
Both share the lock of the versions, which is taken alone only by those who hold no other.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import DataError, IntegrityError, transaction
from psycopg.rows import tuple_row

from ajo.lib import sql
from channels import delivery
from channels.models import CauseKind, Message
from journeys.activities.base import Outcome, Park, Place, Wake, Walk
from journeys.graph import Box
from journeys.models import JourneyInstance, StepLog
from journeys.plans import CompiledVersion, Versions, read_versions
from journeys.tallies import LOG_LAST_STEP
from profiles.services import update_attributes

logger = logging.getLogger(__name__)

CLOCK_BATCH = 20_000
"""As many as one transaction takes when very many are due: their events wait for it, a third of a second at most."""
STOP_BATCH = 5_000
STEPS_AT_ONCE = 100
"""A walk that makes more steps without waiting has met a plan that never rests, which publishing refuses."""
DETAIL_LENGTH = 1_000

# What bad data or a bug in one activity raises. Anything else (a deadlock, a lost connection, a time limit) ends the
# whole batch, which is claimed again: failing people for a busy second would be wrong.
DATA_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
    DataError,
    IntegrityError,
)

ACTIVE = JourneyInstance.State.ACTIVE.value
ENDED = JourneyInstance.State.ENDED.value
FAILED = JourneyInstance.State.FAILED.value
STOPPED = JourneyInstance.State.STOPPED.value

NOTHING: Mapping[int, str] = MappingProxyType({})

Groups = Mapping[tuple[int, str], list[Walk]]
"""(version id, activity) → the walks that stand there."""

# The ctid array is twice as fast as a join on the key; it is safe because waits are never updated.
CLAIM_DUE = """
WITH due AS MATERIALIZED (
    SELECT w.ctid AS place, w.profile_id FROM journey_wait w
    WHERE w.due_at <= %s AND w.version_id = ANY(%b::bigint[])
    ORDER BY w.due_at LIMIT %s FOR UPDATE SKIP LOCKED
), held AS MATERIALIZED (
    SELECT p.id FROM profile p WHERE p.id = ANY(ARRAY(SELECT profile_id FROM due))
    ORDER BY p.id FOR NO KEY UPDATE SKIP LOCKED
)
DELETE FROM journey_wait WHERE ctid = ANY(ARRAY(SELECT due.place FROM due JOIN held ON held.id = due.profile_id))
RETURNING version_id, activity, instance_id, profile_id, visit, entry_event_id, hops
"""

# Everything downstream comes from `stepped`, never from the claim: what the visit check refused writes nothing. Arrays
# cost a batch most time. So what many walks have in common comes once, and they name its number: where they come to
# stand (`spot`) and what they did on the way there (`trail`, which has a row in `trails` for each step).
WRITE = """
WITH claimed AS MATERIALIZED (
    SELECT t.instance_id, t.claimed_visit, s.activity, t.claimed_visit + s.steps AS visit, s.state, s.hops, s.trail
    FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS t(instance_id, claimed_visit, spot)
    JOIN unnest(%b::text[], %s::smallint[], %s::smallint[], %s::int[], %s::int[]) WITH ORDINALITY
        AS s(activity, state, hops, steps, trail, spot) ON s.spot = t.spot
), moved AS (
    UPDATE journey_instance i
    SET activity = c.activity, visit = c.visit, state = c.state, hops = c.hops,
        ended_at = CASE WHEN c.state <> 0 THEN %b::timestamptz END
    FROM claimed c WHERE i.id = c.instance_id AND i.visit = c.claimed_visit AND i.state = 0
    RETURNING i.id, i.version_id, i.profile_id, i.activity, i.visit, i.entry_event_id, i.hops,
        c.claimed_visit AS first_visit, c.trail
), fresh AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %b::uuid[], %b::text[],
        %s::int[], %s::smallint[], %s::smallint[], %s::int[])
        AS t(id, journey_id, version_id, profile_id, entry_no, entry_event_id, activity, visit, state, hops, trail)
), entered AS (
    INSERT INTO journey_instance (id, journey_id, version_id, profile_id, entry_no, entry_event_id, activity, visit,
        state, hops, entered_at, ended_at)
    SELECT id, journey_id, version_id, profile_id, entry_no, entry_event_id, activity, visit, state, hops,
        %b::timestamptz, CASE WHEN state <> 0 THEN %b::timestamptz END
    FROM fresh
), stepped AS MATERIALIZED (
    SELECT * FROM moved
    UNION ALL SELECT id, version_id, profile_id, activity, visit, entry_event_id, hops, 1, trail FROM fresh
), parked AS (
    INSERT INTO journey_wait (instance_id, version_id, activity, visit, profile_id, due_at, event_type_id, correlation,
        entry_event_id, hops)
    SELECT s.id, s.version_id, s.activity, s.visit, s.profile_id, t.due_at, t.event_type_id, t.correlation,
        s.entry_event_id, s.hops
    FROM unnest(%s::bigint[], %b::timestamptz[], %b::int[], %b::text[])
        AS t(instance_id, due_at, event_type_id, correlation)
    JOIN stepped s ON s.id = t.instance_id
), trails AS MATERIALIZED (
    SELECT * FROM unnest(%s::int[], %s::int[], %b::text[], %b::text[], %b::text[])
        AS t(trail, nth, activity, outcome, detail)
), taken AS MATERIALIZED (
    SELECT g.trail, g.version_id, g.n, nextval('journey_trail_id') AS id
    FROM (SELECT trail, version_id, count(*) AS n FROM stepped GROUP BY trail, version_id) AS g
), said AS (
    INSERT INTO journey_trail (trail_id, nth, version_id, activity, outcome, detail, at)
    SELECT k.id, t.nth, k.version_id, t.activity, t.outcome, t.detail, %b::timestamptz
    FROM taken k JOIN trails t ON t.trail = k.trail
), logged AS (
    INSERT INTO journey_passage (instance_id, visit, trail_id)
    SELECT s.id, s.first_visit, k.id
    FROM stepped s JOIN taken k ON k.trail = s.trail AND k.version_id = s.version_id
), counted AS (
    INSERT INTO step_count_delta (version_id, activity, outcome, day, n)
    SELECT k.version_id, t.activity, t.outcome, (%b::timestamptz AT TIME ZONE 'UTC')::date, sum(k.n)
    FROM taken k JOIN trails t ON t.trail = k.trail GROUP BY k.version_id, t.activity, t.outcome
)
SELECT c.instance_id FROM claimed c
WHERE (SELECT count(*) FROM moved) < (SELECT count(*) FROM claimed)
    AND NOT EXISTS (SELECT FROM moved m WHERE m.id = c.instance_id)
"""
READ_STOPPED = """
SELECT instance_id, profile_id FROM journey_wait WHERE instance_id > %s AND version_id = %s
ORDER BY instance_id LIMIT %s
"""
LOCK_PROFILES = "SELECT id FROM profile WHERE id = ANY(%b::bigint[]) ORDER BY id FOR NO KEY UPDATE"
# A wait that a merge has given to another profile since it was read is left: that profile is not locked.
STOP = f"""
WITH gone AS (
    DELETE FROM journey_wait w USING unnest(%b::bigint[], %b::bigint[]) AS t(instance_id, profile_id)
    WHERE w.instance_id = t.instance_id AND w.profile_id = t.profile_id AND w.version_id = %s
    RETURNING w.instance_id, w.visit
), stopped AS (
    UPDATE journey_instance i SET state = %s, ended_at = %b::timestamptz FROM gone
    WHERE i.id = gone.instance_id AND i.visit = gone.visit AND i.state = 0
    RETURNING i.id, i.visit, i.version_id, i.activity
), step AS (
    SELECT id, visit, version_id, activity, 'stopped' AS outcome, 'The journey was stopped.' AS detail,
        %b::timestamptz AS at FROM stopped
), {LOG_LAST_STEP}
"""


class Entrance(NamedTuple):
    """A walk that begins in this batch; its row is inserted where it comes to stand."""

    journey_id: int
    version_id: int
    profile_id: int
    entry_no: int
    event_id: UUID | None


class Step(NamedTuple):
    """What walks have done at one box."""

    activity: str
    outcome: str
    detail: str


class Spot(NamedTuple):
    """Where walks stand or have ended. All that came the same way to the same place share one."""

    activity: str
    state: int
    hops: int
    raised_by: int
    """How far the visit is above that at which they were claimed, or entered."""
    trail: int


class Parked(NamedTuple):
    """A walk that waits; `is_stored` when its row stands in journey_wait, from an earlier batch."""

    version_id: int
    activity: str
    park: Park
    is_stored: bool = False


@dataclass(slots=True)
class Advanced:
    """What one call of `Passage.advance` came to."""

    parked: list[Parked] = field(default_factory=list)
    ended: list[tuple[int, Sequence[Walk]]] = field(default_factory=list)
    """(journey id, walks that are over)"""


class Passage:
    """Many walks on their way from one wait to the next: stepped in memory, then written at once.

    The caller holds the locks of all their profiles and has deleted their waits.
    """

    def __init__(self, versions: Versions, now: datetime) -> None:
        self._versions = versions
        self._now = now
        self._entrances: dict[int, Entrance] = {}
        self._claimed_visits: dict[int, int] = {}
        self._standing: dict[int, int] = {}
        """Instance id → the number of its spot, from 1."""
        self._spots: dict[Spot, int] = {}
        self._parked: dict[int, Parked] = {}
        self._trails: list[tuple[Step, ...]] = [()]
        """What walks have done in this batch, by `Walk.trail`."""
        self._longer: dict[tuple[int, Step], int] = {}
        """(trail, one step more) → the trail of both."""
        self._drafts: list[delivery.Draft] = []
        self._gone: dict[int, int] = {}
        """Instance id → profile id of those whom an exit took out."""

    def claim(self, walks: Sequence[Walk]) -> None:
        """Take walks whose wait was deleted: nothing of them is written unless their visit is still the same."""
        self._claimed_visits.update({walk.instance_id: walk.visit for walk in walks})

    def enter(self, walk: Walk, entrance: Entrance) -> None:
        """Take a walk that has no row yet; its id comes from the sequence."""
        self._entrances[walk.instance_id] = entrance

    def unpark(self, instance_id: int) -> None:
        """Forget a wait of this very batch: an event came before it was written."""
        del self._parked[instance_id]

    def advance(self, groups: Groups) -> Advanced:
        """Step until every walk waits, has ended or has failed."""
        done = Advanced()
        for _ in range(STEPS_AT_ONCE):
            following: dict[tuple[int, str], list[Walk]] = defaultdict(list)
            for (version_id, activity), walks in groups.items():
                self._step(self._versions.running[version_id], activity, walks, following, done)
            if not following:
                return done
            groups = following
        for (version_id, activity), walks in groups.items():
            reason = f"The walk made {STEPS_AT_ONCE} steps without waiting. Put a wait into the loop that it runs in."
            place = self._versions.running[version_id].places[activity]
            self._close(place, walks, FAILED, done, "failed", reason=reason)
        return done

    def take_out(self, groups: Mapping[tuple[int, str, str], list[Walk]]) -> Advanced:
        """Lead walks from where they waited to an exit: (version id, activity, exit) → walks that are claimed."""
        following: dict[tuple[int, str], list[Walk]] = defaultdict(list)
        for (version_id, activity, exit_id), walks in groups.items():
            place = self._versions.running[version_id].places[activity]
            following[version_id, exit_id] += _arriving(
                walks, self._follow(place, walks, StepLog.Word.LEFT_EARLY.value, NOTHING)
            )
            self._gone.update({walk.instance_id: walk.profile_id for walk in walks})
        return self.advance(following)

    def write(self, cur: psycopg.Cursor[Any]) -> None:
        """Write positions, waits and step log in one statement, then the messages of those that it moved.

        What is queued for those whom an exit took out is withheld, also what this very batch has queued.
        """
        refused = self._write_steps(cur)
        if refused:
            logger.error("%d journey steps were refused because somebody else made them first.", len(refused))
        if drafts := [draft for draft in self._drafts if draft.cause_id not in refused]:
            delivery.enqueue(drafts, self._now)
        if self._gone:
            delivery.withhold_queued(
                list(self._gone.values()),
                reason="The person left the journey early.",
                code=Message.Reason.LEFT,
                cause_kind=CauseKind.JOURNEY_INSTANCE.value,
                cause_ids=list(self._gone),
            )

    def _step(
        self,
        version: CompiledVersion,
        activity: str,
        walks: list[Walk],
        following: dict[tuple[int, str], list[Walk]],
        done: Advanced,
    ) -> None:
        box, place = version.plan.boxes[activity], version.places[activity]
        outcome = decide(box, place, walks, self._now)
        self._drafts += outcome.messages
        details = outcome.details
        for port, moved in outcome.moved.items():
            reason = outcome.reasons.get(port, "")
            if target := box.links.get(port):
                following[version.id, target] += _arriving(
                    moved, self._follow(place, moved, port, details, reason)
                )
            else:
                self._close(place, moved, ENDED, done, port, details, reason)
        if outcome.parked:
            self._park(place, outcome, done)
        if outcome.left:
            self._close(place, outcome.left, ENDED, done, "ended", details)
        if outcome.failed:
            failed = [walk for walk in walks if walk.instance_id in outcome.failed]
            self._close(place, failed, FAILED, done, "failed", outcome.failed)

    def _park(self, place: Place, outcome: Outcome, done: Advanced) -> None:
        """A first wait is logged when it is over. One that follows another on the same box is a step of its own, so
        that a claim always raises the visit."""
        first = [park for park in outcome.parked if park.walk.wake is Wake.ARRIVED]
        others = [park for park in outcome.parked if park.walk.wake is not Wake.ARRIVED]
        again = [park.walk for park in others]
        again = _arriving(again, self._follow(place, again, "waits again", outcome.details))
        parks = [*first, *(park._replace(walk=walk) for park, walk in zip(others, again, strict=True))]
        parked = [Parked(place.version_id, place.activity, park) for park in parks]
        self._parked.update({wait.park.walk.instance_id: wait for wait in parked})
        walks = [park.walk for park in parks]
        self._stand(place, walks, [walk.trail for walk in walks], ACTIVE)
        done.parked += parked

    def _close(
        self,
        place: Place,
        walks: Sequence[Walk],
        state: int,
        done: Advanced,
        outcome: str,
        details: Mapping[int, str] = NOTHING,
        reason: str = "",
    ) -> None:
        self._stand(place, walks, self._follow(place, walks, outcome, details, reason), state)
        done.ended.append((place.journey_id, walks))

    def _follow(
        self, place: Place, walks: Sequence[Walk], outcome: str, details: Mapping[int, str], reason: str = ""
    ) -> Sequence[int]:
        """The trails of these walks with this step at their end."""
        befores = [walk.trail for walk in walks]
        if not details:
            trails = {before: self._trail(before, place, outcome, reason) for before in set(befores)}
            return [trails[before] for before in befores]
        said = [details.get(walk.instance_id, reason) for walk in walks]
        ways = list(zip(befores, said, strict=True))
        found = {
            (before, detail): self._trail(before, place, outcome, detail) for before, detail in set(ways)
        }
        return [found[way] for way in ways]

    def _trail(self, before: int, place: Place, outcome: str, detail: str) -> int:
        step = Step(place.activity, outcome, _clean(detail))
        trail = self._longer.setdefault((before, step), len(self._trails))
        if trail == len(self._trails):
            self._trails.append((*self._trails[before], step))
        return trail

    def _stand(self, place: Place, walks: Sequence[Walk], trails: Sequence[int], state: int) -> None:
        """Every step but one that closes the walk has raised its visit."""
        ways = list(zip(trails, [walk.hops for walk in walks], strict=True))
        spots = {
            (trail, hops): self._spots.setdefault(
                Spot(place.activity, state, hops, len(self._trails[trail]) - (state != ACTIVE), trail),
                len(self._spots) + 1,
            )
            for trail, hops in set(ways)
        }
        self._standing.update(zip(_ids(walks), [spots[way] for way in ways], strict=True))

    def _write_steps(self, cur: psycopg.Cursor[Any]) -> set[int]:
        """Returns the claimed instances whose visit had changed; nothing was written for them."""
        if not self._standing:
            return set()
        now, spots = self._now, list(self._spots)
        claimed = [self._standing[instance_id] for instance_id in self._claimed_visits]
        entered = []
        for instance_id, entrance in self._entrances.items():
            spot = spots[self._standing[instance_id] - 1]
            entered.append(
                (instance_id, *entrance, spot.activity, 1 + spot.raised_by, spot.state, spot.hops, spot.trail)
            )
        parked = [(instance_id, *wait.park[1:]) for instance_id, wait in self._parked.items()]
        trails = [
            (trail, nth, *step)
            for trail in {spot.trail for spot in spots}
            for nth, step in enumerate(self._trails[trail])
        ]
        cur.execute(
            WRITE,
            [
                _array(self._claimed_visits), _array(self._claimed_visits.values()), _array(claimed),
                *_columns(spots, "tnnnn"), now,
                *_columns(entered, "nnnnnttnnnn"), now, now,
                *_columns(parked, "nttt"),
                *_columns(trails, "nnttt"), now, now,
            ],
        )  # fmt: skip
        return {row[0] for row in cur}


_made = partial(tuple.__new__, Walk)
"""Makes a walk of a tuple past NamedTuple's constructor, in half the time."""


def _arriving(walks: Sequence[Walk], trails: Sequence[int]) -> list[Walk]:
    """The walks as they come to the next box, or to the next wait."""
    arrived = Wake.ARRIVED
    return [
        _made((instance_id, profile_id, visit + 1, entry_event_id, hops, arrived, event, trail))
        for (instance_id, profile_id, visit, entry_event_id, hops, _wake, event, _before), trail in zip(
            walks, trails, strict=True
        )
    ]


def decide(box: Box, place: Place, walks: Sequence[Walk], now: datetime) -> Outcome:
    """Ask the activity and write the attributes that it sets. When data is bad, halve the batch until the walk at fault
    is alone, which then fails and changes nothing."""
    try:
        if box.activity.uses_database:
            with transaction.atomic():  # a failed statement would else end the whole transaction
                outcome = box.activity.step(walks, place, now)
        else:
            outcome = box.activity.step(walks, place, now)
        _check(outcome, box, walks)
        if outcome.updates:
            with transaction.atomic():
                update_attributes(outcome.updates, now, hops={walk.profile_id: walk.hops for walk in walks})
    except DATA_ERRORS as error:
        if len(walks) > 1:
            middle = len(walks) // 2
            return _joined(decide(box, place, walks[:middle], now), decide(box, place, walks[middle:], now))
        logger.exception(
            "Activity %s of journey version %d failed for a walk.", place.activity, place.version_id
        )
        return Outcome(failed={walks[0].instance_id: f"{type(error).__name__}: {error}"})
    return outcome


def take_due_batch(now: datetime, limit: int = CLOCK_BATCH) -> int:
    """Claim waits whose time has come and advance their walks, in one transaction. Returns how many were claimed.

    People who are busy elsewhere are skipped and come with the next tick.
    """
    with sql.unit_of_work() as cur:
        versions = read_versions(cur)
        if not versions.running:
            return 0
        cur.execute(CLAIM_DUE, [now, list(versions.running), limit], binary=True)
        groups: dict[tuple[int, str], list[Walk]] = defaultdict(list)
        cur.row_factory = tuple_row
        rows = cur.fetchall()
        clock = Wake.CLOCK
        for version_id, activity, instance_id, profile_id, visit, event_id, hops in rows:
            groups[version_id, activity].append(
                _made((instance_id, profile_id, visit, event_id, hops, clock, None, 0))
            )
        passage = Passage(versions, now)
        for walks in groups.values():
            passage.claim(walks)
        passage.advance(groups)
        passage.write(cur)
    return len(rows)


def stop_batch(version_id: int, now: datetime, *, after: int = 0, limit: int = STOP_BATCH) -> int | None:
    """Take people whose instance id is above `after` out of a stopped version, in one transaction.

    Returns the last instance id that it looked at, None when there was none.
    """
    with sql.unit_of_work() as cur:
        cur.execute(READ_STOPPED, [after, version_id, limit])
        rows = cur.fetchall()
        if not rows:
            return None
        profile_ids = [row.profile_id for row in rows]
        cur.execute(LOCK_PROFILES, [profile_ids])
        cur.execute(STOP, [[row.instance_id for row in rows], profile_ids, version_id, STOPPED, now, now])
    return rows[-1].instance_id


def _check(outcome: Outcome, box: Box, walks: Sequence[Walk]) -> None:
    if strangers := outcome.moved.keys() - set(box.ports):
        raise ValueError(
            f"{box.activity.kind} sent walks to {strangers.pop()!r}, an exit that it does not have."
        )
    if outcome.count() != len(walks):
        raise ValueError(f"{box.activity.kind} answered for {outcome.count()} of {len(walks)} walks.")
    if outcome.parked and box.activity.is_entry:
        raise ValueError(f"{box.activity.kind} parked a walk, but people only come in at an entry.")
    if any(park.due_at is None and park.event_type_id is None for park in outcome.parked):
        raise ValueError(f"{box.activity.kind} parked a walk that nothing would ever wake.")


def _joined(one: Outcome, other: Outcome) -> Outcome:
    return Outcome(
        moved={
            port: [*one.moved.get(port, ()), *other.moved.get(port, ())]
            for port in {**one.moved, **other.moved}
        },
        parked=one.parked + other.parked,
        left=[*one.left, *other.left],
        failed=one.failed | other.failed,
        messages=one.messages + other.messages,
        details=one.details | other.details,
        reasons={**one.reasons, **other.reasons},
        updates=one.updates | other.updates,
    )


def _ids(walks: Sequence[Walk]) -> list[int]:
    return [walk.instance_id for walk in walks]


def _clean(detail: str) -> str:
    """PostgreSQL stores no NUL, and a reason that quotes bad data may hold one."""
    return detail.replace("\x00", "")[:DETAIL_LENGTH]


def _columns(rows: Sequence[tuple[Any, ...]], kinds: str) -> list[Any]:
    """The columns of rows as parameters for `unnest`; `kinds` has a letter for each: n (whole numbers) or t."""
    columns: Sequence[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
    return [
        _array(column) if kind == "n" else list(column) for kind, column in zip(kinds, columns, strict=True)
    ]


def _array(numbers: Iterable[int]) -> str:
    """The text of an array, which is many times faster to write than a list, item by item."""
    return f"{{{','.join(map(str, numbers))}}}"
