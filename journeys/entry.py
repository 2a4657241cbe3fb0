"""What events do to journeys: they take people out, end waits and let people in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.conf import settings

from ajo.lib import arrays, sql
from journeys.activities.base import Park, Wake, Walk
from journeys.models import ReEntry
from journeys.plans import EntryRule, Versions, read_versions
from journeys.runner import Advanced, Entrance, Parked, Passage
from profiles.consumers import StreamEvent

# The caller holds the profiles, so this statement sees every wait that a clock has committed for them; one that a clock
# has locked and passed over is waited for.
READ_WAITS = """
SELECT w.version_id, w.activity, w.instance_id, w.profile_id, w.visit, w.due_at, w.event_type_id, w.correlation,
    w.entry_event_id, w.hops
FROM unnest(%b::bigint[], %b::int[]) AS e(profile_id, event_type_id)
JOIN journey_wait w ON w.profile_id = e.profile_id AND w.event_type_id = e.event_type_id
WHERE w.event_type_id IS NOT NULL AND w.version_id = ANY(%b::bigint[])
ORDER BY w.instance_id FOR UPDATE OF w
"""
# Of these people, all that wait in versions that the events may take them out of.
READ_LEAVING = """
SELECT w.version_id, w.activity, w.instance_id, w.profile_id, w.visit, w.due_at, w.event_type_id, w.correlation,
    w.entry_event_id, w.hops
FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) AS e(profile_id, journey_id, version_id)
JOIN journey_instance i ON i.profile_id = e.profile_id AND i.journey_id = e.journey_id
    AND i.version_id = e.version_id AND i.state = 0
JOIN journey_wait w ON w.instance_id = i.id
ORDER BY w.instance_id FOR UPDATE OF w
"""
DELETE_WAITS = "DELETE FROM journey_wait WHERE instance_id = ANY(%b::bigint[])"
READ_HISTORIES = """
SELECT t.profile_id, t.journey_id, coalesce(h.last_no, 0) AS last_no, h.active
FROM unnest(%b::bigint[], %b::bigint[]) AS t(profile_id, journey_id)
CROSS JOIN LATERAL (
    SELECT max(i.entry_no) AS last_no, count(*) FILTER (WHERE i.state = 0) AS active
    FROM journey_instance i WHERE i.profile_id = t.profile_id AND i.journey_id = t.journey_id
) h
"""
TAKE_IDS = """
SELECT nextval(pg_get_serial_sequence('journey_instance', 'id')) FROM generate_series(1, %s)
"""


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Take out whom the events take out, advance the waits that they end and let in whom they let in, each walk up to
    its next wait.

    The profiles of the events are locked by the caller, in whose transaction this happens; their events come in the
    order in which they count. A number of statements that depends on neither their number nor that of the people.
    """
    limit = settings.AJO_MAX_HOPS
    events = [event for event in events if event.hops < limit]
    if not events:
        return
    with sql.cursor() as cur:
        versions = read_versions(cur)
        if not versions.running:
            return
        passage = Passage(versions, now)
        waits = _Waits(cur, events, versions)
        doors = _Doors(cur, events, versions)
        for turn in _turns(events):
            # An exit counts before a wait that the same event would end, and both before entries: who leaves a journey
            # by an event may enter it again by the same one.
            if versions.left_by:
                _note(passage.take_out(waits.leave(turn, passage)), waits, doors)
            _note(passage.advance(waits.wake(turn, passage)), waits, doors)
            _note(passage.advance(doors.let_in(turn, passage)), waits, doors)
        waits.delete_stored(cur)
        passage.write(cur)


def let_in(cur: psycopg.Cursor[Any], events: Sequence[StreamEvent], rule: EntryRule, now: datetime) -> int:
    """Let people, at most one event each, into one version; returns how many entered. The caller holds the profiles and
    has read the versions in this transaction."""
    versions = Versions(
        running={rule.version.id: rule.version},
        entered_by={event_type_id: [rule] for event_type_id in {event.event_type_id for event in events}},
        left_by={},
    )
    passage = Passage(versions, now)
    groups = _Doors(cur, events, versions).let_in(events, passage)
    passage.advance(groups)
    passage.write(cur)
    return sum(map(len, groups.values()))


def _note(done: Advanced, waits: _Waits, doors: _Doors) -> None:
    waits.add(done.parked)
    doors.note_ended(done.ended)


def _turns(events: Sequence[StreamEvent]) -> Iterator[list[StreamEvent]]:
    """The first event of every profile, then the second of every profile that has one, and so on."""
    per_profile: dict[int, list[StreamEvent]] = defaultdict(list)
    for event in events:
        per_profile[event.profile_id].append(event)
    turn = list(per_profile.values())
    position = 0
    while turn:
        yield [own[position] for own in turn]
        position += 1
        turn = [own for own in turn if len(own) > position]


class _Waits:
    """The waits that an event of this batch could end: those in the table, and those that the batch itself begins."""

    def __init__(self, cur: psycopg.Cursor[Any], events: Sequence[StreamEvent], versions: Versions) -> None:
        self._versions = versions
        self._by_event: dict[tuple[int, int], dict[int, Parked]] = defaultdict(dict)
        self._by_version: dict[tuple[int, int], dict[int, Parked]] = defaultdict(dict)
        """(profile, version with exits) → what waits there."""
        self._claimed: list[int] = []
        pairs = list({(event.profile_id, event.event_type_id): None for event in events})
        profile_ids, types = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        cur.execute(READ_WAITS, [arrays.int8(profile_ids), arrays.int4(types), list(versions.running)])
        self.add(map(_stored, cur))
        leaving = {
            (event.profile_id, version.journey_id, version.id): None
            for event in events
            for version in versions.left_by.get(event.event_type_id, ())
        }
        if leaving:
            cur.execute(READ_LEAVING, [list(column) for column in zip(*leaving, strict=True)])
            self.add(map(_stored, cur))

    def add(self, parked: Iterable[Parked]) -> None:
        for wait in parked:
            walk = wait.park.walk
            if wait.park.event_type_id is not None:
                self._by_event[walk.profile_id, wait.park.event_type_id][walk.instance_id] = wait
            if self._versions.running[wait.version_id].exits:
                self._by_version[walk.profile_id, wait.version_id][walk.instance_id] = wait

    def leave(
        self, events: Sequence[StreamEvent], passage: Passage
    ) -> dict[tuple[int, str, str], list[Walk]]:
        """Claims the waits that these events (at most one of each profile) take people out of; the walks, by where they
        stand and by which exit they leave."""
        groups: dict[tuple[int, str, str], list[Walk]] = defaultdict(list)
        for event in events:
            for version in self._versions.left_by.get(event.event_type_id, ()):
                standing = self._by_version.get((event.profile_id, version.id))
                exits = version.exits[event.event_type_id] if standing else ()
                exit_id = next((each for each in exits if version.admits(each, event)), None)
                if standing is None or exit_id is None:
                    continue
                for wait in list(standing.values()):
                    groups[version.id, wait.activity, exit_id].append(self._claim(wait, event, passage))
        return groups

    def wake(self, events: Sequence[StreamEvent], passage: Passage) -> dict[tuple[int, str], list[Walk]]:
        """Claims the waits that these events (at most one of each profile) end; the walks, by where they stand."""
        groups: dict[tuple[int, str], list[Walk]] = defaultdict(list)
        for event in events:
            standing = self._by_event.get((event.profile_id, event.event_type_id))
            if not standing:
                continue
            for wait in [wait for wait in standing.values() if self._is_woken(wait, event)]:
                groups[wait.version_id, wait.activity].append(self._claim(wait, event, passage))
        return groups

    def _claim(self, wait: Parked, event: StreamEvent, passage: Passage) -> Walk:
        walk = wait.park.walk
        if wait.park.event_type_id is not None:
            self._by_event[walk.profile_id, wait.park.event_type_id].pop(walk.instance_id, None)
        self._by_version[walk.profile_id, wait.version_id].pop(walk.instance_id, None)
        if wait.is_stored:
            self._claimed.append(walk.instance_id)
            passage.claim([walk])
        else:
            passage.unpark(walk.instance_id)
        # A walk that our own reactions keep waking must come to the limit as well.
        hops = max(walk.hops, event.hops + 1)
        return walk._replace(hops=hops, wake=Wake.EVENT, event=event)

    def _is_woken(self, wait: Parked, event: StreamEvent) -> bool:
        version = self._versions.running[wait.version_id]
        activity = version.plan.boxes[wait.activity].activity
        return activity.wakes(event, wait.park.correlation, version.places[wait.activity])

    def delete_stored(self, cur: psycopg.Cursor[Any]) -> None:
        """Before the new waits are written, which may be of the same instances."""
        if self._claimed:
            cur.execute(DELETE_WAITS, [self._claimed])


def _stored(row: Any) -> Parked:
    walk = Walk(row.instance_id, row.profile_id, row.visit, row.entry_event_id, row.hops)
    park = Park(walk, row.due_at, row.event_type_id, row.correlation)
    return Parked(row.version_id, row.activity, park, is_stored=True)


@dataclass(slots=True)
class _History:
    """How often a profile has entered a journey, and how many of these walks still go on."""

    last_no: int
    active: int

    def allows(self, re_entry: str) -> bool:
        if re_entry == ReEntry.NEVER:
            return self.last_no == 0
        return re_entry == ReEntry.ALWAYS or self.active == 0


class _Doors:
    """Who may enter where, kept up to date while the batch is walked."""

    def __init__(self, cur: psycopg.Cursor[Any], events: Sequence[StreamEvent], versions: Versions) -> None:
        self._opening = versions.entered_by.keys()
        self._rules = {
            event.id: rules
            for event in events
            if event.event_type_id in self._opening
            and (rules := _admitting(event, versions.entered_by[event.event_type_id]))
        }
        asking: dict[tuple[int, int], list[str]] = defaultdict(
            list
        )  # (profile, journey) → the rule, once per event
        for event in events if self._rules else ():
            for rule in self._rules.get(event.id, ()):
                asking[event.profile_id, rule.version.journey_id].append(rule.re_entry)
        self._histories: dict[tuple[int, int], _History] = {}
        self._ids: Iterator[int] = iter(())
        if not asking:
            return
        cur.execute(READ_HISTORIES, [[pair[0] for pair in asking], [pair[1] for pair in asking]])
        self._histories = {(row.profile_id, row.journey_id): _History(row.last_no, row.active) for row in cur}
        at_most = sum(
            len(rules) if rules[0] != ReEntry.NEVER else int(self._histories[pair].last_no == 0)
            for pair, rules in asking.items()
        )
        if at_most:
            cur.execute(TAKE_IDS, [at_most])
            self._ids = iter([row[0] for row in cur.fetchall()])

    def let_in(self, events: Sequence[StreamEvent], passage: Passage) -> dict[tuple[int, str], list[Walk]]:
        """The walks that these events (at most one of each profile) begin, at the entries of their versions."""
        groups: dict[tuple[int, str], list[Walk]] = defaultdict(list)
        for event in events:
            if event.event_type_id not in self._opening:
                continue
            for rule in self._rules.get(event.id, ()):
                if walk := self._enter(event, rule, passage):
                    groups[rule.version.id, rule.version.plan.entry].append(walk)
        return groups

    def _enter(self, event: StreamEvent, rule: EntryRule, passage: Passage) -> Walk | None:
        version = rule.version
        history = self._histories[event.profile_id, version.journey_id]
        if not history.allows(rule.re_entry):
            return None
        history.last_no += 1
        history.active += 1
        walk = Walk(
            next(self._ids),
            event.profile_id,
            visit=1,
            entry_event_id=event.id,
            hops=event.hops + 1,
            event=event,
        )
        entrance = Entrance(version.journey_id, version.id, event.profile_id, history.last_no, event.id)
        passage.enter(walk, entrance)
        return walk

    def note_ended(self, ended: Iterable[tuple[int, Sequence[Walk]]]) -> None:
        for journey_id, walks in ended:
            for walk in walks:
                if history := self._histories.get((walk.profile_id, journey_id)):
                    history.active -= 1


def _admitting(event: StreamEvent, rules: Sequence[EntryRule]) -> Sequence[EntryRule]:
    """The versions that this very event opens."""
    return [rule for rule in rules if rule.version.admits(rule.version.plan.entry, event)]
