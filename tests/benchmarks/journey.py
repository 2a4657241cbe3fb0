"""The journey's clock: 200,000 people whose wait is over go wait → condition → message for 8 % of them → end, with one
worker.

The floor is what moving them costs at least: one UPDATE of (activity, due_at) of as many rows as wide as an instance,
with the index by which due rows are found. `ratio_unindexed` is against the same without that index.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import psycopg
from django.db import connection as django_connection

from ajo.celery import calm_garbage_collector
from ajo.runtime.process import StartError
from channels.models import ChannelConfiguration, Content, ContentVersion, Message, Variant
from journeys.models import JourneyInstance, JourneyVersion, ReEntry, StepLog
from journeys.runner import take_due_batch
from journeys.services import create_journey, publish_journey, save_draft
from profiles.models import AttributeDefinition, Channel
from tests.benchmarks import harness

PEOPLE = 200_000
MESSAGES = PEOPLE * 8 // 100
STEPS = 3 * PEOPLE + MESSAGES
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DUE = NOW + timedelta(days=1)
TABLES = ("journey_instance", "journey_wait", "journey_passage", "journey_trail", "message", "message_due")
FLOOR_IS = "one UPDATE of (activity, due_at), indexed, of 200,000 rows as wide as an instance"
PEOPLE_SQL = """
INSERT INTO profile (attributes, attribute_times)
SELECT jsonb_build_object('email', 'bench-' || n || '@example.com', 'first_name', 'Ada', 'last_name', 'Byron',
           'city', 'London', 'country', 'GB', 'plan', 'free', 'points', n,
           'tier', CASE WHEN n %% 25 < 2 THEN 'gold' ELSE 'blue' END, 'time_zone', 'Europe/London'),
       jsonb_build_object('email', 1, 'first_name', 1, 'plan', 1, 'points', 1, 'tier', 1, 'time_zone', -1)
FROM generate_series(1, %s) AS n
"""
# As the engine leaves people who have entered and wait: one every ten milliseconds.
ENTERED_SQL = """
WITH entered AS (
    INSERT INTO journey_instance (journey_id, version_id, profile_id, entry_no, activity, visit, state, hops,
        entry_event_id, entered_at)
    SELECT %(journey)s, %(version)s, id, 1, 'wait', 2, 0, 1, gen_random_uuid(), %(now)s::timestamptz
    FROM profile ORDER BY id RETURNING id, version_id, activity, visit, profile_id,
        entry_event_id, hops
), said AS (
    INSERT INTO journey_trail (trail_id, nth, version_id, activity, outcome, detail, at)
    VALUES (nextval('journey_trail_id'), 0, %(version)s, 'in', 'next', '', %(now)s) RETURNING trail_id
), logged AS (
    INSERT INTO journey_passage (instance_id, visit, trail_id) SELECT id, 1, trail_id FROM entered, said
)
INSERT INTO journey_wait (instance_id, version_id, activity, visit, profile_id, entry_event_id, hops, due_at)
SELECT id, version_id, activity, visit, profile_id, entry_event_id, hops,
    %(due)s - (200000 - id) * interval '10 milliseconds' FROM entered
"""
FLOOR_SQL = """
DROP TABLE IF EXISTS bench_floor;
CREATE TABLE bench_floor (LIKE journey_instance) WITH (fillfactor = 50);
ALTER TABLE bench_floor ADD PRIMARY KEY (id), ADD COLUMN due_at timestamptz;
INSERT INTO bench_floor SELECT *, entered_at FROM journey_instance
"""
FLOOR_INDEX_SQL = "CREATE INDEX ON bench_floor (due_at)"
MOVE_SQL = "UPDATE bench_floor SET activity = 'rest', due_at = %s"


def run(rounds: int) -> dict[str, Any]:
    version = _journey()
    rates, floors, unindexed = [], [], []
    calm_garbage_collector()
    with harness.connect() as connection, mock.patch("ajo.lib.doorbell.ring"):
        connection.execute(PEOPLE_SQL, [PEOPLE])
        connection.execute("VACUUM ANALYZE profile")
        for number in range(rounds + 1):
            harness.clear(connection, *TABLES)
            where = {"journey": version.journey_id, "version": version.pk, "now": NOW, "due": DUE}
            connection.execute(ENTERED_SQL, where)
            floor, plain = (_floor(connection, is_indexed) for is_indexed in (True, False))
            connection.execute(f"VACUUM ANALYZE {', '.join(TABLES)}, step_count_delta")
            connection.execute("CHECKPOINT")
            rate = _walk()
            if number:  # the first one warms up: plans, caches, empty indexes
                rates.append(rate)
                floors.append(floor)
                unindexed.append(plain)
    line = harness.result("journey", unit="people/s", rates=rates, floors=floors, floor_is=FLOOR_IS)
    ratios = [rate / plain for rate, plain in zip(rates, unindexed, strict=True)]
    return {**line, "ratio_unindexed": round(sorted(ratios)[len(ratios) // 2], 3)}


def _floor(connection: psycopg.Connection[Any], is_indexed: bool) -> float:
    connection.execute(FLOOR_SQL)
    if is_indexed:
        connection.execute(FLOOR_INDEX_SQL)
    connection.execute("VACUUM ANALYZE bench_floor")
    connection.execute("CHECKPOINT")
    with harness.timed() as elapsed:
        connection.execute(MOVE_SQL, [DUE])
    return PEOPLE / elapsed[0]


def _walk() -> float:
    django_connection.ensure_connection()
    with harness.timed() as elapsed:
        while take_due_batch(DUE):
            pass
    ended = JourneyInstance.objects.filter(state=JourneyInstance.State.ENDED).count()
    found = (ended, Message.objects.count(), StepLog.objects.exclude(activity="in").count())
    if found != (PEOPLE, MESSAGES, STEPS):
        raise StartError(f"The clock left (ended, messages, steps) {found}, not {(PEOPLE, MESSAGES, STEPS)}.")
    return PEOPLE / elapsed[0]


def _journey() -> JourneyVersion:
    """A live version: in → wait → condition → message for those whose tier is gold → end."""
    AttributeDefinition.objects.get_or_create(key="tier", defaults={"label": "Tier"})
    ChannelConfiguration.objects.create(
        key="journey-bench",
        name="Journey",
        channel=Channel.EMAIL,
        provider="smtp",
        sender_address="hello@brand.example",
    )
    content = Content.objects.create(key="journey-bench", name="Journey")
    contents = ContentVersion.objects.create(
        content=content, number=1, state=ContentVersion.State.PUBLISHED, published_at=NOW
    )
    Variant.objects.create(version=contents, subject="Welcome", text="Welcome. {{ unsubscribe_url }}")
    gold = {"id": "gold", "expression": 'profile.tier == "gold"'}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "in": ("event_entry", {"event": "Joined the bench"}),
        "wait": ("wait", {"until": "duration", "amount": 1, "unit": "days"}),
        "fork": ("condition", {"paths": [gold]}),
        "hello": ("message", {"content": content.key, "configuration": "journey-bench"}),
        "out": ("end", {}),
    }
    ways = [
        ("in", "next", "wait"),
        ("wait", "next", "fork"),
        ("fork", "gold", "hello"),
        ("fork", "else", "out"),
    ]
    graph = {
        "activities": [{"id": key, "kind": kind, "config": config} for key, (kind, config) in kinds.items()],
        "links": [{"from": a, "port": port, "to": b} for a, port, b in [*ways, ("hello", "next", "out")]],
    }
    journey = create_journey(key="journey-bench", name="Journey", user=None)
    save_draft(journey=journey, graph=graph, re_entry=ReEntry.NEVER, revision=1, user=None)
    return publish_journey(journey=journey, user=None, now=NOW)
