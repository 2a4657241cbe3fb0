"""What the home page says: a few cheap statements, whatever the size of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils import timezone
from psycopg import sql as pgsql

from ajo.health import silent_workers
from ajo.lib import sql
from channels.models import ContentVersion, Message, SendHold
from journeys.models import JourneyInstance, JourneyVersion
from profiles.partitions import partition_name

EXACT_UP_TO = 25_000
"""Rows that are counted one by one; beyond it the planner's estimate is good enough for a tile."""
LATEST = 10_000
"""How far back the shares of states look."""

_TONES = {
    Message.State.SENT: "ok",
    Message.State.DELIVERED: "ok",
    Message.State.BOUNCED: "bad",
    Message.State.COMPLAINED: "bad",
    Message.State.FAILED: "bad",
    Message.State.UNCERTAIN: "bad",
    Message.State.QUARANTINED: "bad",
}


_ATTENTION = {
    Message.State.WITHHELD,
    Message.State.FAILED,
    Message.State.UNCERTAIN,
    Message.State.QUARANTINED,
}


@dataclass(frozen=True, slots=True)
class Count:
    n: int
    is_exact: bool = True

    def __str__(self) -> str:
        return f"{'' if self.is_exact else '≈ '}{intcomma(self.n)}"


@dataclass(frozen=True, slots=True)
class JourneyRow:
    id: int
    key: str
    name: str
    version: int
    state: str
    entered: int
    active: int


@dataclass(frozen=True, slots=True)
class MessageState:
    """How many of the latest messages are in a state. `tone` is ok, bad, or empty while it is undecided."""

    value: int
    label: str
    tone: str
    count: Count

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at these: why were they not sent, or was it twice?"""
        return self.value in _ATTENTION


@dataclass(frozen=True, slots=True)
class EventRow:
    name: str
    person: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    events_today: Count
    people: Count
    messages: Count
    waiting: Count
    journeys: list[JourneyRow]
    message_states: list[MessageState]
    events: list[EventRow]
    silent_workers: list[str]
    quarantined: Count
    holds: int
    has_content: bool


def overview() -> Overview:
    """Today's numbers. A dozen statements, each bounded."""
    return Overview(
        events_today=_count(partition_name("event", timezone.now())),
        people=_count("profile"),
        messages=_count("message"),
        waiting=_count("message_due"),
        journeys=_journeys(),
        message_states=_message_states(),
        events=_latest_events(),
        silent_workers=silent_workers(),
        quarantined=_count("profiles_quarantinedevent"),
        holds=SendHold.objects.count(),
        has_content=ContentVersion.objects.filter(state=ContentVersion.State.PUBLISHED).exists(),
    )


def _count(table: str) -> Count:
    """Rows of a table, which may not exist yet: exact up to EXACT_UP_TO, else as the planner believes."""
    with sql.cursor() as cur:
        cur.execute("SELECT reltuples::bigint AS n FROM pg_class WHERE oid = to_regclass(%s)", [table])
        estimate = cur.fetchone()
        if estimate is None:
            return Count(0)
        rows = pgsql.SQL("SELECT count(*) AS n FROM (SELECT 1 FROM {} LIMIT {}) AS counted")
        cur.execute(rows.format(pgsql.Identifier(table), EXACT_UP_TO))
        counted = cur.fetchone()
        assert counted is not None
    if counted.n < EXACT_UP_TO:
        return Count(counted.n)
    return Count(max(estimate.n, EXACT_UP_TO), is_exact=False)


def _journeys() -> list[JourneyRow]:
    """Live and paused journeys; how many entered and are inside, among the latest walks of the installation."""
    with sql.cursor() as cur:
        cur.execute(
            "SELECT j.id, j.key, j.name, v.number, v.state,"
            " coalesce(w.entered, 0) AS entered, coalesce(w.active, 0) AS active"
            " FROM journeys_journeyversion v JOIN journeys_journey j ON j.id = v.journey_id"
            " LEFT JOIN (SELECT version_id, count(*) AS entered, count(*) FILTER (WHERE state = %s) AS active"
            "  FROM (SELECT version_id, state FROM journey_instance ORDER BY id DESC LIMIT %s) AS latest"
            "  GROUP BY version_id) w ON w.version_id = v.id"
            " WHERE v.state = ANY(%s) ORDER BY v.published_at DESC LIMIT 6",
            [JourneyInstance.State.ACTIVE, LATEST, [JourneyVersion.State.LIVE, JourneyVersion.State.PAUSED]],
        )
        rows = cur.fetchall()
    return [
        JourneyRow(
            row.id,
            row.key,
            row.name,
            row.number,
            str(JourneyVersion.State(row.state).label),
            row.entered,
            row.active,
        )
        for row in rows
    ]


def recent_messages() -> dict[int, int]:
    """How many of the latest messages are in each state, the most frequent first."""
    with sql.cursor() as cur:
        cur.execute(
            "SELECT state, count(*) AS n FROM (SELECT state FROM message ORDER BY id DESC LIMIT %s) AS latest"
            " GROUP BY state ORDER BY n DESC, state",
            [LATEST],
        )
        return {row.state: row.n for row in cur}


def _message_states() -> list[MessageState]:
    return [
        MessageState(state, str(Message.State(state).label), _TONES.get(Message.State(state), ""), Count(n))
        for state, n in recent_messages().items()
    ]


def _latest_events() -> list[EventRow]:
    with sql.cursor() as cur:
        cur.execute(
            "SELECT t.name, coalesce(e.user_id, e.anonymous_id, '') AS person, e.occurred_at"
            " FROM (SELECT event_type_id, user_id, anonymous_id, occurred_at, id FROM event ORDER BY id DESC LIMIT 5) e"
            " JOIN profiles_eventtype t ON t.id = e.event_type_id ORDER BY e.id DESC"
        )
        return [EventRow(row.name, row.person, row.occurred_at) for row in cur]
