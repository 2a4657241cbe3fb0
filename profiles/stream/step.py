"""One stream transaction: resolve identities, lock profiles, merge, attributes, history, rollup, consumers.

Lock order: batches → identity inserts in key order → profiles in id order, in a statement of its own → the rest. The
number of statements does not depend on the number of events.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
import psycopg
from django.conf import settings
from django.db import Error as DjangoDatabaseError
from django.db import transaction
from psycopg.rows import tuple_row

from ajo.lib import arrays, sql
from profiles import consumers, own_events
from profiles.attributes import (
    Traits,
    context_time,
    read_contacts,
    read_context,
    read_traits,
    trait_time,
)
from profiles.audiences import evaluate as audiences
from profiles.consumers import StreamEvent
from profiles.identity import ANONYMOUS_ID, USER_ID, Key, UnusableIdentifier, clean_id
from profiles.merging import merge_profiles, read_attributes, write_attributes
from profiles.models import EventKind, Source
from profiles.rollup import MAX_TOTAL, amount
from profiles.services import living_profiles
from profiles.stream import claim, sift
from profiles.stream.resolve import Persons

logger = logging.getLogger(__name__)

LOOKS = 3
MAX_REFUSALS = 5
"""Bad events that one transaction of several batches looks for: each costs savepoints, and many slow down everybody."""
SMALL = 200
"""Up to this many events all consumers share one savepoint, whose two round trips would be felt."""
ROUNDS = 10
"""How often a batch is resolved again because somebody merged or made a person in between."""
"""How often a worker looks again that came away empty-handed because another one was choosing."""
TRIES = 3
"""How often a transaction that lost a deadlock runs again at once."""

_NEVER = -(2**62)
_IDENTIFY, _ALIAS = EventKind.IDENTIFY.value, EventKind.ALIAS.value

# OFFSET 0 keeps it a loop over the batches with one index range each; joined freely, a large table would be read whole.
_READ = """
SELECT e.id, e.batch_id, e.source_id, e.event_type_id, e.kind, e.hops, e.occurred_at, e.user_id, e.anonymous_id,
       e.properties::text AS properties, e.context->>'timezone' AS time_zone, e.context->>'locale' AS locale,
       CASE WHEN e.context->'device'->>'token' <> '' THEN (e.context->'device')::text END AS device
FROM unnest(%b::bigint[], %b::uuid[], %b::uuid[]) AS b(id, first_id, last_id)
CROSS JOIN LATERAL (
    SELECT * FROM event e WHERE e.id BETWEEN b.first_id AND b.last_id AND e.batch_id = b.id OFFSET 0) AS e
ORDER BY e.id
"""
_LOOK_UP = """
SELECT i.namespace_id, i.value, i.profile_id,
       t.ask = 1 AND EXISTS (
           SELECT 1 FROM identity u WHERE u.profile_id = i.profile_id AND u.namespace_id = 1) AS is_known
FROM unnest(%b::smallint[], %b::text[], %b::int[]) AS t(namespace_id, value, ask)
JOIN identity i ON i.namespace_id = t.namespace_id AND i.value = t.value
"""
_MAKE = "INSERT INTO profile (created_at) SELECT %b FROM generate_series(1, %b) RETURNING id"
_ATTACH = """
INSERT INTO identity (namespace_id, value, profile_id)
SELECT * FROM unnest(%b::smallint[], %b::text[], %b::bigint[])
ON CONFLICT (namespace_id, value) DO NOTHING RETURNING namespace_id, value
"""
# Locks, and tells which of the locked profiles the context may still teach something: those whose times are below the
# highest that the batch brings. In this order: what stands outside the CTE runs once all locks are held.
_LOCK = """
WITH held AS MATERIALIZED (
    SELECT id, attribute_times FROM profile WHERE id = ANY(%(ids)b::bigint[]) AND merged_into IS NULL
    ORDER BY id FOR NO KEY UPDATE)
SELECT count(*) AS held, array_agg(id) FILTER (
    WHERE coalesce((attribute_times->>'time_zone')::bigint, %(never)b) < %(zone)b
       OR coalesce((attribute_times->>'locale')::bigint, %(never)b) < %(locale)b) AS curious
FROM held
"""
_KNOWN = """
SELECT 1 FROM identity WHERE profile_id = ANY(%b::bigint[]) AND namespace_id = 1 AND value <> ALL(%b::text[]) LIMIT 1
"""
_HISTORY = """
WITH happened AS MATERIALIZED (
    SELECT * FROM unnest(%(profile_ids)b::bigint[], %(types)b::bigint[], %(times)b::timestamptz[], %(ids)b::uuid[],
        %(amounts)s::numeric[]) AS t(profile_id, event_type_id, occurred_at, event_id, amount)),
history AS (
    INSERT INTO profile_event (profile_id, event_type_id, occurred_at, event_id)
    SELECT profile_id, event_type_id, occurred_at, event_id FROM happened)
INSERT INTO profile_daily AS d (profile_id, event_type_id, day, n, total)
SELECT profile_id, event_type_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*),
    greatest(least(sum(amount), %(most)b), -%(most)b)
FROM happened GROUP BY profile_id, event_type_id, day ORDER BY profile_id, event_type_id, day
ON CONFLICT (profile_id, event_type_id, day) DO UPDATE
SET n = d.n + excluded.n, total = greatest(least(d.total + excluded.total, %(most)b), -%(most)b)
"""
_QUARANTINE = """
INSERT INTO profiles_quarantinedevent (event_id, batch_id, consumer, error)
SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::text[])
"""


class Row(Protocol):
    """An event as it is stored, with what the step reads of its context."""

    id: UUID
    batch_id: int
    source_id: int
    event_type_id: int
    kind: int
    hops: int
    occurred_at: datetime
    user_id: str | None
    anonymous_id: str | None
    properties: str
    time_zone: str | None
    locale: str | None
    device: str | None


@dataclass(slots=True)
class Sighting:
    """An event and what it says about who did it, in normalised form."""

    row: Row
    received_at: datetime
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None = None
    traits: Traits | None = None
    contacts: Sequence[Key] = ()
    context: Traits | None = None
    named_profile_id: int | None = None
    """Whom an event of our own is about; it has no ids of a client."""


class Resolution(NamedTuple):
    """Who did it: profiles that are locked, or made by this transaction."""

    profile_ids: list[int]
    """Of each sighting."""
    merges: list[tuple[int, int]]
    """(loser, survivor)"""
    curious: set[int]
    """Profiles to which the context may be news."""
    made: list[int]
    """Those that are new."""
    happened: dict[str, Any]
    """What _HISTORY is told of the sightings, but not of whom."""


class TooManyRefusals(Exception):
    """More bad events than one large transaction should look for: its batches are done one by one."""


class PeopleMoved(Exception):
    """A profile was merged, or a person made, between resolving and locking: resolve again."""


class Refusals:
    """The bad events of a transaction, written at its end."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._found = 0
        self._rows: list[tuple[UUID, int, str, str]] = []

    def note(self, consumer: str, row: Row | StreamEvent, error: str) -> None:
        self._rows.append((row.id, row.batch_id, consumer, error))

    def add(self, consumer: str, row: Row | StreamEvent, error: Exception) -> None:
        """Note an event that had to be looked for with savepoints."""
        self._found += 1
        if self._limit is not None and self._found > self._limit:
            raise TooManyRefusals
        self.note(consumer, row, sift.describe(error))

    def write(self, cur: psycopg.Cursor[Any]) -> None:
        if self._rows:
            cur.execute(_QUARANTINE, [list(column) for column in zip(*self._rows, strict=True)])


def take_batch(limit_events: int = 5_000, *, now: datetime | None = None) -> int:
    """Claim waiting batches of ingest, do the stream step for them and commit. Returns the events taken; 0: none waits.

    `now` replaces the database's clock. Bad events are quarantined, and batches that ended their worker too often.
    Raises whatever else ends the transaction; then nothing was changed and the batches still wait.
    """
    claimed = _claim(limit_events)
    for batch_id in claimed.quarantined_ids:
        logger.error(
            "Ingest batch %s ended its worker %s times and is quarantined: its events are stored and cause nothing."
            " Find the cause, then set its state and attempt to 0 to run it again.",
            batch_id,
            claim.MAX_ATTEMPTS,
        )
    if not claimed.batch_ids:
        return len(claimed.quarantined_ids)
    return _work(claimed.batch_ids, now)


def _claim(limit_events: int) -> claim.Claim:
    for _ in range(LOOKS):
        claimed = claim.claim(limit_events)
        if any(claimed) or not claim.somebody_claims():
            break
        time.sleep(claim.PAUSE_SECONDS)
    return claimed


def _work(batch_ids: Sequence[int], now: datetime | None) -> int:
    try:
        try:
            return _stream(batch_ids, now, limit=MAX_REFUSALS if len(batch_ids) > 1 else None)
        except TooManyRefusals:
            return sum(_stream([batch_id], now, limit=None) for batch_id in batch_ids)
    except Exception as error:
        if not (sift.counts_as_death(error) or sift.is_data_error(error)):
            # If the database is away the count stays, which does no harm.
            with suppress(DjangoDatabaseError):
                claim.give_back(batch_ids)
        raise


def _stream(batch_ids: Sequence[int], now: datetime | None, *, limit: int | None) -> int:
    for _ in range(TRIES - 1):
        try:
            return _transaction(batch_ids, now, limit)
        except Exception as error:
            if not sift.is_deadlock(error):
                raise
    return _transaction(batch_ids, now, limit)


@contextmanager
def _without_collector() -> Iterator[None]:
    """No garbage collection meanwhile: it would walk all rows of the batch again and again and free nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _transaction(batch_ids: Sequence[int], now: datetime | None, limit: int | None) -> int:
    with _without_collector(), sql.unit_of_work() as cur:
        batches = claim.own(cur, batch_ids)
        if not batches:
            return 0
        now = now or batches[0].now
        refusals = Refusals(limit)
        sightings = _see(_read(cur, batches), batches, refusals)
        if sightings:
            events = _settle_good(cur, sightings, now, refusals)
            _hand_up(events, now, refusals)
        refusals.write(cur)
        claim.finish(cur, batches)
    return sum(batch.n for batch in batches) or len(batches)


def _read(cur: psycopg.Cursor[Any], batches: Sequence[claim.Batch]) -> list[Row]:
    columns = [
        [batch.id for batch in batches],
        [batch.first_id for batch in batches],
        [batch.last_id for batch in batches],
    ]
    cur.execute(_READ, columns, binary=True)
    return cur.fetchall()


class _Previous(msgspec.Struct):
    previousId: str | int | None = None


_previous_decoder = msgspec.json.Decoder(_Previous)


def _see(rows: Iterable[Row], batches: Sequence[claim.Batch], refusals: Refusals) -> list[Sighting]:
    """The events that name somebody; the others are refused."""
    received_at = {batch.id: batch.received_at for batch in batches}
    sightings = []
    for row in rows:
        try:
            sightings.append(_sighting(row, received_at[row.batch_id]))
        except (UnusableIdentifier, msgspec.DecodeError) as error:
            refusals.note("stream", row, str(error))
    return sightings


def _sighting(row: Row, received_at: datetime) -> Sighting:
    if row.source_id == Source.OWN:
        return Sighting(row, received_at, None, None, named_profile_id=own_events.profile_named(row.user_id))
    sighting = Sighting(row, received_at, clean_id(row.user_id), clean_id(row.anonymous_id))
    if sighting.user_id is None and sighting.anonymous_id is None:
        raise UnusableIdentifier(
            "The event names nobody: neither its userId nor its anonymousId can be used."
        )
    if row.kind == _IDENTIFY:
        sighting.traits = read_traits(row.properties)
        sighting.contacts = read_contacts(sighting.traits)
    elif row.kind == _ALIAS:
        previous_id = _previous_decoder.decode(row.properties).previousId
        sighting.previous_id = clean_id(None if previous_id is None else str(previous_id))
    sighting.context = read_context(row.time_zone, row.locale)
    return sighting


def _settle_good(
    cur: psycopg.Cursor[Any], sightings: Sequence[Sighting], now: datetime, refusals: Refusals
) -> list[StreamEvent]:
    """Settle the batch; on a data error without the events that cause it."""
    try:
        return _settle(cur, sightings, now, refusals)
    except Exception as error:
        if not sift.is_data_error(error):
            raise

    bad: set[UUID] = set()

    def refuse(sighting: Sighting, error: Exception) -> None:
        refusals.add("stream", sighting.row, error)
        bad.add(sighting.row.id)

    def attempt(part: Sequence[Sighting]) -> None:
        _settle(cur, part, now, Refusals(None))
        transaction.set_rollback(True)  # gives the locks back: taken part by part they would be out of order

    sift.sift(sightings, attempt, refuse)
    return _settle(cur, [sighting for sighting in sightings if sighting.row.id not in bad], now, refusals)


def _settle(
    cur: psycopg.Cursor[Any], sightings: Sequence[Sighting], now: datetime, refusals: Refusals
) -> list[StreamEvent]:
    """Write everything that profiles keep of these events, whose profiles are locked when it returns."""
    for _ in range(ROUNDS):
        with suppress(PeopleMoved), transaction.atomic():
            people = _resolve(cur, sightings, now)
            merge_profiles(cur, people.merges, now)
            with cur.connection.pipeline():  # the server writes while we prepare what follows
                notes = _write_attributes(cur, sightings, people)
                _write_history(cur, people)
                events = [_event(*pair) for pair in zip(sightings, people.profile_ids, strict=True)]
                news = _news(sightings, events, people)
            audiences.react(cur, news, now)
            for row, note in notes:
                refusals.note("attributes", row, note)
            return events
    raise psycopg.errors.SerializationFailure(
        f"The people of a batch moved {ROUNDS} times while they were looked up. It is tried again."
    )


def _resolve(cur: psycopg.Cursor[Any], sightings: Sequence[Sighting], now: datetime) -> Resolution:
    """Make the profiles that are new, lock those that are not."""
    persons = _look_up(sightings)
    living = _living(sightings)
    nodes = [
        persons.place(s.user_id, s.anonymous_id, s.previous_id)
        if s.named_profile_id is None
        else living[s.named_profile_id]
        for s in sightings
    ]
    for sighting, node in zip(sightings, nodes, strict=True):
        for key in sighting.contacts:
            persons.claim(key, node)

    to_make = persons.to_make()
    made = {}
    if to_make:
        cur.execute(_MAKE, [now, len(to_make)])
        made = dict(zip(to_make, (row[0] for row in cur.fetchall()), strict=True))
    final = {node: made.get(persons.now(node), persons.now(node)) for node in set(nodes)}
    profile_ids = [final[node] for node in nodes]
    _attach(cur, {key: made.get(persons.owner(key), persons.owner(key)) for key in persons.attached})

    to_lock = sorted({*profile_ids, *(loser for loser, _ in persons.merges)}.difference(made.values()))
    curious = list(made.values())
    if not to_lock:
        happened = _happened(sightings)
    else:
        zone, locale = _context_times(sightings)
        with cur.connection.pipeline():  # the server locks while we prepare what is written then
            cur.execute(_LOCK, {"ids": arrays.int8(to_lock), "zone": zone, "locale": locale, "never": _NEVER})
            happened = _happened(sightings)
        locked = cur.fetchone()
        if locked is None or locked.held != len(to_lock):
            raise PeopleMoved
        curious += locked.curious or []
    if persons.assumed_anonymous:
        mine = [value for namespace, value in persons.attached if namespace == USER_ID]
        cur.execute(_KNOWN, [sorted(persons.assumed_anonymous), mine])
        if cur.fetchone():
            raise PeopleMoved
    return Resolution(profile_ids, persons.merges, set(curious), list(made.values()), happened)


def _living(sightings: Iterable[Sighting]) -> dict[int, int]:
    """Who the profiles are today that our own events name."""
    named = {s.named_profile_id for s in sightings if s.named_profile_id is not None}
    living = living_profiles(named) if named else {}
    if missing := named - living.keys():
        raise UnusableIdentifier(f"The event names profile {min(missing)}, which is not there any more.")
    return living


def _context_times(sightings: Iterable[Sighting]) -> tuple[int, int]:
    """The highest times that these events bring for the time zone and the locale: those of the earliest."""
    earliest: dict[str, datetime] = {}
    for sighting in sightings:
        for key in sighting.context or ():
            at = sighting.row.occurred_at
            if key not in earliest or at < earliest[key]:
                earliest[key] = at
    zone, locale = (
        context_time(earliest[key]) if key in earliest else _NEVER for key in ("time_zone", "locale")
    )
    return zone, locale


def _look_up(sightings: Iterable[Sighting]) -> Persons:
    wanted: dict[Key, bool] = {}  # identity → must we know whether its profile has a user id?
    for sighting in sightings:
        if sighting.user_id is not None:
            wanted.setdefault((USER_ID, sighting.user_id), False)
        if sighting.anonymous_id is not None:
            key = (ANONYMOUS_ID, sighting.anonymous_id)
            wanted[key] = sighting.user_id is not None or wanted.get(key, False)
        if sighting.previous_id is not None:
            wanted.setdefault((USER_ID, sighting.previous_id), False)
            wanted[ANONYMOUS_ID, sighting.previous_id] = True
        for key in sighting.contacts:
            wanted.setdefault(key, False)
    keys = sorted(wanted)
    columns = [
        arrays.int2([namespace for namespace, _ in keys]),
        arrays.text([value for _, value in keys]),
        arrays.int4([wanted[key] for key in keys]),
    ]
    owners, known = {}, set()
    with sql.cursor(tuple_row) as rows:
        for namespace, value, profile_id, is_known in rows.execute(_LOOK_UP, columns).fetchall():
            owners[namespace, value] = profile_id
            if is_known:
                known.add(profile_id)
    return Persons(owners, known)


def _attach(cur: psycopg.Cursor[Any], attached: dict[Key, int]) -> None:
    """Insert identities. An id that somebody else made in the meantime moves the people; a contact does not."""
    if not attached:
        return
    keys = sorted(attached)
    cur.execute(
        _ATTACH,
        [
            arrays.int2([namespace for namespace, _ in keys]),
            arrays.text([value for _, value in keys]),
            arrays.int8([attached[key] for key in keys]),
        ],
    )
    lost = attached.keys() - {(namespace, value) for namespace, value in cur.fetchall()}
    if any(namespace in (USER_ID, ANONYMOUS_ID) for namespace, _ in lost):
        raise PeopleMoved


def _write_attributes(
    cur: psycopg.Cursor[Any], sightings: Sequence[Sighting], people: Resolution
) -> list[tuple[Row, str]]:
    """Traits of identify calls, and what the context tells, into the profiles' attributes.

    Returns the events of which something was not kept, with the reason.
    """
    changes: list[tuple[int, Traits, int, Row]] = []
    for sighting, profile_id in zip(sightings, people.profile_ids, strict=True):
        if sighting.traits:
            changes.append((profile_id, sighting.traits, trait_time(sighting.row.occurred_at), sighting.row))
        if sighting.context and profile_id in people.curious:
            at = context_time(sighting.row.occurred_at)
            changes.append((profile_id, sighting.context, at, sighting.row))
    if not changes:
        return []
    notes = []
    documents = read_attributes(cur, {profile_id for profile_id, _, _, _ in changes})
    for profile_id, traits, at, row in changes:
        if refused := documents[profile_id].apply(traits, at):
            notes.append((row, _refused(refused)))
    write_attributes(cur, documents)
    return notes


def _refused(keys: Sequence[str]) -> str:
    return (
        f"{len(keys)} attributes were not kept, such as {keys[0][:40]!r}: a profile holds 500 attributes,"
        " whose names have 1 to 100 characters."
    )


def _event(sighting: Sighting, profile_id: int) -> StreamEvent:
    row = sighting.row
    return StreamEvent(
        row.id,
        row.batch_id,
        row.source_id,
        row.event_type_id,
        row.kind,
        row.hops,
        row.occurred_at,
        sighting.received_at,
        profile_id,
        row.properties,
        row.device,
    )


def _write_history(cur: psycopg.Cursor[Any], people: Resolution) -> None:
    cur.execute(_HISTORY, {"profile_ids": arrays.int8(people.profile_ids), **people.happened})


def _happened(sightings: Sequence[Sighting]) -> dict[str, Any]:
    rows = [sighting.row for sighting in sightings]
    return {
        "types": arrays.int8([row.event_type_id for row in rows]),
        "times": arrays.timestamptz([row.occurred_at for row in rows]),
        "ids": arrays.uuid([row.id for row in rows]),
        "amounts": f"{{{','.join([str(amount(row.properties)) for row in rows])}}}",
        "most": MAX_TOTAL,
    }


def _news(sightings: Sequence[Sighting], events: Sequence[StreamEvent], people: Resolution) -> audiences.News:
    """What the events are to audiences."""
    hops: dict[int, int] = {}
    attributes: dict[str, set[int]] = defaultdict(set)
    event_types: dict[int, set[int]] = defaultdict(set)
    for sighting, event in zip(sightings, events, strict=True):
        profile_id = event.profile_id
        hops[profile_id] = max(hops.get(profile_id, 0), event.hops + 1)
        event_types[event.event_type_id].add(profile_id)
        for key in sighting.traits or ():
            attributes[key].add(profile_id)
        if sighting.context and profile_id in people.curious:
            for key in sighting.context:
                attributes[key].add(profile_id)
    return audiences.News(
        hops,
        attributes,
        event_types,
        renewed={*people.made, *(survivor for _, survivor in people.merges)},
    )


def _hand_up(events: Sequence[StreamEvent], now: datetime, refusals: Refusals) -> None:
    """Give the events to the consumers, each under a savepoint; small batches share one first."""
    limit = settings.AJO_MAX_HOPS
    below_limit = [event for event in events if event.hops < limit]
    listening = [
        (name, consume, heard)
        for name, consume in consumers.registered()
        if (heard := below_limit if consumers.reacts(name) else events)
    ]
    if len(listening) > 1 and len(events) <= SMALL:
        try:
            with transaction.atomic():
                for _, consume, heard in listening:
                    consume(heard, now)
            return
        except Exception as error:
            if not sift.is_data_error(error):
                raise
    for name, consume, heard in listening:
        sift.sift(heard, partial(_give, consume, now), partial(refusals.add, name))


def _give(consume: consumers.Consume, now: datetime, events: Sequence[StreamEvent]) -> None:
    consume(events, now)
