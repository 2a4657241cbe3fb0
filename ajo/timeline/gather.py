"""Reads a page of a timeline: a constant number of statements, whatever the person did.

Entries stand in one order, by (at, group, a, b, c): at one moment, the cause is older than its effect. A profile
begins, an event comes, an offer is chosen, a walk steps and writes a message. Each statement reads the newest rows of
its own table below the cursor; the page is the newest of all of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from django.conf import settings
from django.utils.translation import gettext as _

from ajo.lib import sql
from ajo.lib.clocks import find_zone
from ajo.timeline import words
from ajo.timeline.words import Entry, Kind
from channels import consent as consent_notes
from channels import wording
from channels.answers import NAMES as ANSWERS
from channels.answers import Answer
from channels.inbound.reports import BOUNCED, COMPLAINED, DELIVERED
from channels.liquid import ContentError, Template, decode_values
from channels.models import CauseKind
from channels.tracking.feedback import CLICKED, OPENED
from journeys import graph
from profiles.models import Channel, Consent, Profile

PAGE = 50
MOST = 200

Position = tuple[int, int, int, int, int]
"""(microseconds since 1970, group, a, b, c); greater is newer."""

_BEGINNING, _EVENT, _DECISION, _WALK, _CONSENT = range(5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_INT = 2**63 - 1
_MOST_UUID = 2**128 - 1


class BadCursor(ValueError):
    """The cursor is none that a page gave."""


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first. `next` is the cursor of what is older; None when there is nothing."""

    entries: Sequence[Entry]
    next: str | None
    zone: ZoneInfo
    """In whose clock the sentences speak: the person's, else the brand's."""
    former_ids: Sequence[int]
    """The profiles that were merged into this one; their history is told too."""


# Who became this person, whoever became those.
_PERSON = """
WITH RECURSIVE person AS (
    SELECT id FROM profile WHERE id = %s
    UNION SELECT p.id FROM profile p JOIN person ON p.merged_into = person.id
)
SELECT p.id, p.created_at, p.attributes::text AS attributes FROM person JOIN profile p USING (id) ORDER BY p.id
"""
_EVENTS = """
SELECT x.occurred_at, x.event_id AS id, x.profile_id, x.event_type_id, t.name, e.kind, e.hops, e.source_id,
    s.name AS source,
    e.user_id, e.anonymous_id, e.properties::text, e.context::text
FROM (
    SELECT pe.occurred_at, pe.event_id, pe.profile_id, pe.event_type_id FROM profile_event pe
    WHERE pe.profile_id = ANY(%(profile_ids)b::bigint[]) AND pe.occurred_at <= %(at)s
        AND (pe.occurred_at, pe.event_id) < (%(at)s, %(a)s)
        AND pe.event_type_id <> ALL(ARRAY(SELECT id FROM profiles_eventtype WHERE name = ANY(%(hidden)b::text[])))
    ORDER BY pe.occurred_at DESC, pe.event_id DESC LIMIT %(limit)s
) x JOIN event e ON e.id = x.event_id JOIN profiles_eventtype t ON t.id = x.event_type_id
LEFT JOIN profiles_source s ON s.id = e.source_id
ORDER BY x.occurred_at DESC, x.event_id DESC
"""
# A wait that stands now follows the last step of its walk.
_STEPS = """
SELECT x.at, x.instance_id, x.visit, x.activity, x.outcome, x.detail, x.profile_id, x.version_id, x.state,
    x.last_visit, x.since, x.due_at, t.name AS event_name
FROM (
    SELECT * FROM (
        SELECT s.at, s.instance_id, s.visit, s.activity, s.outcome, s.detail, i.profile_id, s.version_id, i.state,
            i.visit AS last_visit, NULL::timestamptz AS due_at, NULL::bigint AS event_type_id,
            coalesce(lag(s.at) OVER (PARTITION BY s.instance_id ORDER BY s.visit), i.entered_at) AS since
        FROM journey_instance i JOIN step_log s ON s.instance_id = i.id
        WHERE i.profile_id = ANY(%(profile_ids)b::bigint[])
        UNION ALL
        SELECT coalesce(p.at, i.entered_at), i.id, w.visit, w.activity, NULL, '', i.profile_id, w.version_id, i.state,
            i.visit, w.due_at, w.event_type_id, coalesce(p.at, i.entered_at)
        FROM journey_instance i JOIN journey_wait w ON w.instance_id = i.id
        LEFT JOIN step_log p ON p.instance_id = i.id AND p.visit = w.visit - 1
        WHERE i.profile_id = ANY(%(profile_ids)b::bigint[]) AND i.state = 0
    ) walked
    WHERE (at, instance_id, visit, 0) < (%(at)s, %(a)s, %(b)s, %(c)s)
    ORDER BY at DESC, instance_id DESC, visit DESC LIMIT %(limit)s
) x LEFT JOIN profiles_eventtype t ON t.id = x.event_type_id
ORDER BY x.at DESC, x.instance_id DESC, x.visit DESC
"""
_VERSIONS = """
SELECT v.id, v.number, v.state, v.graph::text AS graph, j.name, j.key
FROM journeys_journeyversion v JOIN journeys_journey j ON j.id = v.journey_id WHERE v.id = ANY(%b::bigint[])
"""
_DOORS = """
SELECT v.journey_id, j.name, v.number, v.state, v.re_entry, v.entry_event_type_id, v.published_at,
    jsonb_path_query_first(v.graph, '$.activities[*] ? (@.kind == "audience_entry").config.audience') #>> '{}'
FROM journeys_journeyversion v JOIN journeys_journey j ON j.id = v.journey_id
WHERE v.state IN ('live', 'paused') AND v.entry_event_type_id = ANY(%b::bigint[]) ORDER BY j.name, v.id
"""
_STAYS = """
SELECT id, journey_id, entry_event_id, entered_at, ended_at FROM journey_instance
WHERE profile_id = ANY(%b::bigint[]) AND journey_id = ANY(%b::bigint[]) ORDER BY entered_at, id
"""
_WALK_OF_MESSAGE = f"CASE WHEN m.cause_kind = {CauseKind.JOURNEY_INSTANCE.value} THEN m.cause_id ELSE 0 END"
_MESSAGES = f"""
SELECT x.*, d.due_at, content.name AS content, v.subject, g.sender_name, g.sender_address,
    k.changed_at AS opted_out_at, s.created_at AS suppressed_at, s.reason AS suppressed_for,
    e.properties::text AS properties, coalesce(campaign.name, notice.name) AS author, notice.id IS NOT NULL AS is_notice
FROM (
    SELECT m.id, m.created_at, m.profile_id, m.cause_kind, m.cause_id, m.origin_id, m.visit, m.message_class, m.channel,
        m.state, m.reason, m.address, m.sent_at, m.attempt, m.event_id, m.context::text AS context, m.variant_id,
        m.configuration_id, {_WALK_OF_MESSAGE} AS walk
    FROM message m
    WHERE m.profile_id = ANY(%(profile_ids)b::bigint[])
        AND (m.created_at, {_WALK_OF_MESSAGE}, m.visit, m.id) < (%(at)s, %(a)s, %(b)s, %(c)s)
    ORDER BY m.created_at DESC, walk DESC, m.visit DESC, m.id DESC LIMIT %(limit)s
) x LEFT JOIN message_due d ON d.message_id = x.id
LEFT JOIN channels_variant v ON v.id = x.variant_id
LEFT JOIN channels_contentversion cv ON cv.id = v.version_id
LEFT JOIN channels_content content ON content.id = cv.content_id
LEFT JOIN channels_channelconfiguration g ON g.id = x.configuration_id
LEFT JOIN consent k ON k.profile_id = %(profile_id)s AND k.channel = x.channel AND k.state = %(opted_out)s
LEFT JOIN suppression s ON s.channel = x.channel AND s.address = lower(btrim(x.address))
LEFT JOIN event e ON e.id = x.event_id
LEFT JOIN campaign_run run ON x.cause_kind = %(campaign_run)s AND run.id = x.cause_id
LEFT JOIN campaign ON campaign.id = CASE x.cause_kind WHEN %(api_request)s THEN x.origin_id ELSE run.campaign_id END
LEFT JOIN notice_sending ON notice_sending.run_id = run.id
LEFT JOIN notice ON notice.id = notice_sending.notice_id
"""
_DECISIONS = """
SELECT x.id, x.profile_id, x.decided_at, x.is_fallback, x.door, p.name AS policy, l.name AS placement, ARRAY(
    SELECT o.name FROM unnest(x.offers) WITH ORDINALITY AS chosen(id, place) JOIN offers_offeritem o ON o.id = chosen.id
    ORDER BY chosen.place
) AS offers
FROM (
    SELECT * FROM decision
    WHERE profile_id = ANY(%(profile_ids)b::bigint[]) AND decided_at <= %(at)s AND (decided_at, id) < (%(at)s, %(a)s)
    ORDER BY decided_at DESC, id DESC LIMIT %(limit)s
) x LEFT JOIN offers_decisionpolicy p ON p.id = x.policy_id LEFT JOIN offers_placement l ON l.id = x.placement_id
"""
_FEEDBACK = """
SELECT pe.occurred_at, t.name, e.properties::text
FROM profile_event pe JOIN event e ON e.id = pe.event_id JOIN profiles_eventtype t ON t.id = pe.event_type_id
WHERE pe.profile_id = ANY(%b::bigint[])
    AND pe.event_type_id = ANY(ARRAY(SELECT id FROM profiles_eventtype WHERE name = ANY(%b::text[])))
    AND pe.occurred_at >= %s AND e.properties->>'message_id' = ANY(%b::text[])
ORDER BY pe.occurred_at, pe.event_id
"""
# What somebody set by hand stands in the audit too: it is told from there, with the name.
_CONSENTS = """
SELECT profile_id, channel, state, changed_at, reason FROM consent WHERE profile_id = ANY(%b::bigint[])
"""
_SET_BY_HAND = """
SELECT a.id, a.object_key, a.data::text, u.username FROM core_auditevent a LEFT JOIN core_user u ON u.id = a.user_id
WHERE a.object_kind = 'profiles.profile' AND a.object_key = ANY(%b::text[]) AND a.action = %s
"""


def timeline(
    profile_id: int, *, before: str | None = None, limit: int = PAGE, kinds: Collection[Kind] | None = None
) -> Page:
    """What happened to a person, newest first, at most `limit` (200) entries older than the cursor `before`.

    `kinds` narrows it. Raises Profile.DoesNotExist and BadCursor. What happens between two pages is on neither; nothing
    that stood below the cursor is left out or told twice.
    """
    limit = max(1, min(limit, MOST))
    cursor = None if before is None else _parse(before)
    asked = set(Kind) if not kinds else set(kinds)
    with sql.cursor() as cur:
        gathering = _Gathering(cur, profile_id, cursor, limit)
        for kind, read in (
            (Kind.EVENT, gathering.read_events),
            (Kind.JOURNEY, gathering.read_steps),
            (Kind.MESSAGE, gathering.read_messages),
            (Kind.DECISION, gathering.read_decisions),
            (Kind.CONSENT, gathering.read_consents),
            (Kind.PROFILE, gathering.read_beginnings),
        ):
            if kind in asked:
                read()
        return gathering.page()


class _Gathering:
    """One page while it is read: (position, row) of every table, of which the newest are put into words."""

    def __init__(
        self, cur: psycopg.Cursor[Any], profile_id: int, cursor: Position | None, limit: int
    ) -> None:
        self._cur = cur
        self._cursor = cursor
        self._limit = limit
        self._profile_id = profile_id
        cur.execute(_PERSON, [profile_id])
        self._people = cur.fetchall()
        if not self._people:
            raise Profile.DoesNotExist(_("There is no profile %(id)s.") % {"id": profile_id})
        self._ids = [row.id for row in self._people]
        own = next(row for row in self._people if row.id == profile_id)
        self._attributes = decode_values(own.attributes)
        named = self._attributes.get("time_zone")
        own_zone = find_zone(named) if isinstance(named, str) else None
        self._zone = own_zone or find_zone(settings.AJO_BRAND_TIME_ZONE) or ZoneInfo("UTC")
        self._found: list[tuple[Position, Any]] = []

    def page(self) -> Page:
        self._found.sort(key=lambda pair: pair[0], reverse=True)
        shown = self._found[: self._limit]
        tellers: dict[type, Callable[[Any, dict[Position, Entry]], None]] = {
            words.EventRow: self._tell_events,
            words.StepRow: self._tell_steps,
            words.MessageRow: self._tell_messages,
            words.DecisionRow: self._tell_decisions,
            words.ConsentRow: self._tell_consents,
            _Beginning: self._tell_beginnings,
        }
        entries: dict[Position, Entry] = {}
        for row_type, tell in tellers.items():
            tell([pair for pair in shown if isinstance(pair[1], row_type)], entries)
        return Page(
            entries=[entries[position] for position, _row in shown],
            next=_key(shown[-1][0]) if len(self._found) > self._limit else None,
            zone=self._zone,
            former_ids=[profile_id for profile_id in self._ids if profile_id != self._profile_id],
        )

    # --- read ------------------------------------------------------------------------------------------------

    def read_events(self) -> None:
        at, a, _b, _c = self._bound(_EVENT, _MOST_UUID)
        self._cur.execute(
            _EVENTS,
            {
                "profile_ids": self._ids,
                "at": at,
                "a": UUID(int=max(a, 0)),
                "hidden": [DELIVERED, BOUNCED, COMPLAINED, OPENED, CLICKED],
                "limit": self._limit + 1,
            },
        )
        for row in self._cur:
            event = words.EventRow(*row)._replace(
                properties=json.loads(row.properties), context=json.loads(row.context or "null")
            )
            self._found.append(((_us(row.occurred_at), _EVENT, row.id.int, 0, 0), event))

    def read_steps(self) -> None:
        self._cur.execute(_STEPS, self._bounds(_WALK))
        for row in self._cur:
            position = (_us(row.at), _WALK, row.instance_id, row.visit, 0)
            self._found.append((position, words.StepRow(*row)))

    def read_messages(self) -> None:
        self._cur.execute(
            _MESSAGES,
            self._bounds(_WALK)
            | {
                "profile_id": self._profile_id,
                "opted_out": Consent.State.OPTED_OUT.value,
                "campaign_run": CauseKind.CAMPAIGN_RUN.value,
                "api_request": CauseKind.API_REQUEST.value,
            },
        )
        for row in self._cur:
            position = (_us(row.created_at), _WALK, row.walk, row.visit, row.id)
            self._found.append((position, self._message(row)))

    def read_decisions(self) -> None:
        at, a, _b, _c = self._bound(_DECISION, _MOST_UUID)
        bounds = {"profile_ids": self._ids, "at": at, "a": UUID(int=max(a, 0)), "limit": self._limit + 1}
        self._cur.execute(_DECISIONS, bounds)
        for row in self._cur:
            position = (_us(row.decided_at), _DECISION, row.id.int, 0, 0)
            self._found.append((position, words.DecisionRow(*row)))

    def read_consents(self) -> None:
        """Few rows: what is said now per channel, and what was said by hand."""
        self._cur.execute(_SET_BY_HAND, [[str(profile_id) for profile_id in self._ids], consent_notes.ACTION])
        by_hand = set()
        for row in self._cur:
            data = json.loads(row.data)
            changed_at = datetime.fromisoformat(data["changed_at"])
            consent = words.ConsentRow(
                profile_id=int(row.object_key),
                channel=Channel[data["channel"].upper()].value,
                state=Consent.State[data["state"].upper()].value,
                changed_at=changed_at,
                reason=data["reason"],
                by=row.username or _key_name(data),
            )
            by_hand.add((consent.channel, changed_at))
            self._add((_us(changed_at), _CONSENT, consent.channel, row.id, 0), consent)
        self._cur.execute(_CONSENTS, [self._ids])
        for row in self._cur:
            if (row.channel, row.changed_at) not in by_hand:
                position = (_us(row.changed_at), _CONSENT, row.channel, 0, 0)
                self._add(position, words.ConsentRow(*row))

    def read_beginnings(self) -> None:
        for row in self._people:
            self._add((_us(row.created_at), _BEGINNING, row.id, 0, 0), _Beginning(row.id, row.created_at))

    def _add(self, position: Position, row: Any) -> None:
        if self._cursor is None or position < self._cursor:
            self._found.append((position, row))

    def _bound(self, group: int, most: int = _MOST_INT) -> tuple[datetime, int, int, int]:
        """Below what (at, a, b, c) a group's rows are older than the cursor."""
        if self._cursor is None:
            return _END, most, _MOST_INT, _MOST_INT
        us, cursor_group, a, b, c = self._cursor
        at = _EPOCH + timedelta(microseconds=us)
        if cursor_group == group:
            return at, a, b, c
        return (at, most, _MOST_INT, _MOST_INT) if group < cursor_group else (at, -1, -1, -1)

    def _bounds(self, group: int) -> dict[str, Any]:
        at, a, b, c = self._bound(group)
        return {"profile_ids": self._ids, "at": at, "a": a, "b": b, "c": c, "limit": self._limit + 1}

    def _message(self, row: Any) -> words.MessageRow:
        fate = wording.Fate(
            state=row.state,
            reason=row.reason,
            channel=row.channel,
            address=row.address,
            sent_at=row.sent_at,
            due_at=row.due_at,
            attempt=row.attempt,
            opted_out_at=row.opted_out_at,
            suppressed_at=row.suppressed_at,
            suppressed_for=row.suppressed_for,
        )
        values = {
            "profile": self._attributes,
            "event": decode_values(row.properties) if row.properties else {},
            "context": decode_values(row.context) if row.context else {},
            "brand": {"name": row.sender_name, "address": row.sender_address},
        }
        return words.MessageRow(
            id=row.id,
            created_at=row.created_at,
            profile_id=row.profile_id,
            cause_kind=CauseKind.NOTICE if row.is_notice else row.cause_kind,
            author=row.author,
            cause_id=row.cause_id,
            visit=row.visit,
            message_class=row.message_class,
            content=row.content,
            subject=_subject(row.subject, values) if row.subject else None,
            fate=fate,
        )

    # --- tell ------------------------------------------------------------------------------------------------

    def _tell_events(
        self, shown: Sequence[tuple[Position, words.EventRow]], entries: dict[Position, Entry]
    ) -> None:
        doors, stays = (
            self._read_doors({row.event_type_id for _position, row in shown}) if shown else ({}, {})
        )
        told: set[int] = set()
        for position, row in shown:
            notes = []
            for door in doors.get(row.event_type_id, ()):
                if not words.concerns(row, door):
                    continue
                own = stays.get(door.journey_id, ())
                if words.came_too_early(row, door, own):
                    if door.journey_id in told:  # once is enough: every older event came too early as well
                        continue
                    told.add(door.journey_id)
                notes.append(words.at_the_door(row, door, own, self._zone, max_hops=settings.AJO_MAX_HOPS))
            entries[position] = words.of_event(row, _key(position), notes)

    def _read_doors(
        self, event_type_ids: Collection[int]
    ) -> tuple[Mapping[int, Sequence[words.Door]], Mapping[int, Sequence[words.Stay]]]:
        """What people enter by these events, by event type; and the person's walks there, by journey."""
        doors: dict[int, list[words.Door]] = defaultdict(list)
        self._cur.execute(_DOORS, [sorted(event_type_ids)])
        for row in self._cur:
            doors[row.entry_event_type_id].append(words.Door(*row))
        stays: dict[int, list[words.Stay]] = defaultdict(list)
        journey_ids = sorted({door.journey_id for each in doors.values() for door in each})
        self._cur.execute(_STAYS, [self._ids, journey_ids])
        for row in self._cur:
            stays[row.journey_id].append(words.Stay(*row))
        return doors, stays

    def _tell_steps(
        self, shown: Sequence[tuple[Position, words.StepRow]], entries: dict[Position, Entry]
    ) -> None:
        if not shown:
            return
        self._cur.execute(_VERSIONS, [sorted({row.version_id for _position, row in shown})])
        versions = {
            row.id: words.VersionRow(row.id, row.number, row.state, row.name, row.key, _boxes(row.graph))
            for row in self._cur
        }
        for position, row in shown:
            version = versions.get(row.version_id) or words.VersionRow(
                row.version_id, 0, "", _("a journey that was deleted"), "", {}
            )
            entries[position] = words.of_step(row, version, _key(position), self._zone)

    def _tell_messages(
        self, shown: Sequence[tuple[Position, words.MessageRow]], entries: dict[Position, Entry]
    ) -> None:
        if not shown:
            return
        feedback: dict[str, list[Answer]] = defaultdict(list)
        since = min(row.created_at for _position, row in shown)
        self._cur.execute(
            _FEEDBACK, [self._ids, list(ANSWERS), since, [str(row.id) for _position, row in shown]]
        )
        for row in self._cur:
            answer = Answer(row.occurred_at, row.name, json.loads(row.properties))
            feedback[str(answer.properties["message_id"])].append(answer)
        for position, row in shown:
            answers = feedback.get(str(row.id), ())
            entries[position] = words.of_message(row, answers, _key(position), self._zone)

    def _tell_decisions(
        self, shown: Sequence[tuple[Position, words.DecisionRow]], entries: dict[Position, Entry]
    ) -> None:
        for position, row in shown:
            entries[position] = words.of_decision(row, _key(position))

    def _tell_consents(
        self, shown: Sequence[tuple[Position, words.ConsentRow]], entries: dict[Position, Entry]
    ) -> None:
        for position, row in shown:
            entries[position] = words.of_consent(row, _key(position))

    def _tell_beginnings(
        self, shown: Sequence[tuple[Position, _Beginning]], entries: dict[Position, Entry]
    ) -> None:
        for position, row in shown:
            entries[position] = words.of_beginning(
                row.profile_id, row.created_at, _key(position), is_former=row.profile_id != self._profile_id
            )


@dataclass(frozen=True, slots=True)
class _Beginning:
    profile_id: int
    created_at: datetime


def _key_name(data: Mapping[str, Any]) -> str:
    prefix = data.get("api_key")
    return _("the API key %(prefix)s") % {"prefix": prefix} if prefix else _("somebody who was deleted")


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _key(position: Position) -> str:
    return ".".join(map(str, position))


def _parse(key: str) -> Position:
    parts = key.split(".")
    limits = (_us(_END), _CONSENT, _MOST_UUID, _MOST_INT, _MOST_INT)
    if len(parts) != len(limits) or not all(part.isascii() and part.isdecimal() for part in parts):
        raise BadCursor(_("This cursor is none that a page gave. Begin again without it."))
    if any(len(part) > 40 or int(part) > limit for part, limit in zip(parts, limits, strict=True)):
        raise BadCursor(_("This cursor is none that a page gave. Begin again without it."))
    us, group, a, b, c = map(int, parts)
    if group not in (_EVENT, _DECISION) and a > _MOST_INT:
        raise BadCursor(_("This cursor is none that a page gave. Begin again without it."))
    return us, group, a, b, c


@lru_cache(maxsize=256)
def _boxes(text: str) -> Mapping[str, graph.Box]:
    """The boxes of a frozen graph; none when it is of a kind that is no longer installed."""
    try:
        return graph.compiled(json.loads(text)).boxes
    except graph.InvalidGraph:
        return {}


@lru_cache(maxsize=256)
def _template(source: str) -> Template:
    return Template(source, is_html=False)


def _subject(source: str, values: Mapping[str, object]) -> str | None:
    """The subject with the values of today; None when it cannot be rendered."""
    try:
        return _template(source).render(values).strip()
    except ContentError:
        return None
