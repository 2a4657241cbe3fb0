"""Twenty audiences over 200,000 profiles with 400,000 events: everybody at once, and 1,000 profiles at a time.

The floor is what somebody would write by hand who knows these twenty rules: one statement that reads profiles and the
past once and inserts the same memberships into a table with the same key. It notes no moment to look again, locks
nobody and compares with no earlier membership.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from ajo.lib import sql
from ajo.runtime.process import StartError
from profiles.audiences.evaluate import evaluate, read_active
from profiles.models import Audience, EventType
from profiles.services import lock_profiles
from tests.benchmarks import harness, stream
from tests.benchmarks.audience_rules import RULES, evaluate_everybody, make_audiences

EVENTS = 400_000
BATCH = 1_000
BATCHES = 10
FULL_FLOOR = "one INSERT..SELECT written by hand for these 20 rules, everybody"
INCREMENTAL_FLOOR = "the same INSERT..SELECT for the same 1,000 profiles a time"
_HISTORY = """
WITH happened AS MATERIALIZED (
    SELECT uuidv7() AS id, 1 + (random() * %(people)s)::int AS n, CASE WHEN random() < 0.9 THEN %(viewed)s
        WHEN random() < 0.5 THEN %(joined)s ELSE %(identify)s END AS event_type_id,
        %(now)s::timestamptz - random() * interval '20 days' AS occurred_at,
        jsonb_build_object('sku', 'A-' || (random() * 997)::int, 'value', 19.95, 'list', 'new') AS properties
    FROM generate_series(1, %(events)s)),
named AS MATERIALIZED (
    SELECT p.id AS profile_id, h.* FROM happened h JOIN profile p ON (p.attributes ->> 'points')::int = h.n),
e AS (INSERT INTO event (id, batch_id, source_id, event_type_id, kind, occurred_at, properties)
    SELECT id, 1, 1, event_type_id, 1, occurred_at, properties FROM named),
h AS (INSERT INTO profile_event (profile_id, event_type_id, occurred_at, event_id)
    SELECT profile_id, event_type_id, occurred_at, id FROM named)
INSERT INTO profile_daily (profile_id, event_type_id, day, n)
SELECT profile_id, event_type_id, (occurred_at AT TIME ZONE 'UTC')::date, count(*) FROM named GROUP BY 1, 2, 3
"""
# Each rule as somebody would write it who knows what the attributes hold.
_BY_HAND = """
WITH past AS (
    SELECT h.profile_id,
        count(*) FILTER (WHERE viewed AND d >= %(now)s - interval '7 days') AS v7,
        count(*) FILTER (WHERE viewed AND d >= %(now)s - interval '1 day') AS v1,
        count(*) FILTER (WHERE viewed) AS v30,
        count(*) FILTER (WHERE viewed AND d >= %(now)s - interval '7 days' AND e.properties ->> 'list' = 'new') AS new7,
        count(*) FILTER (WHERE viewed AND d >= %(now)s - interval '14 days' AND e.properties ->> 'sku' = 'A-7')
            AS sku14,
        coalesce(sum((e.properties ->> 'value')::numeric) FILTER (WHERE viewed), 0) AS s30,
        coalesce(sum((e.properties ->> 'value')::numeric) FILTER (WHERE viewed AND d >= %(now)s - interval '7 days'), 0)
            AS s7,
        count(*) FILTER (WHERE joined AND d >= %(now)s - interval '3 days') AS j3,
        count(*) FILTER (WHERE joined) AS j30,
        count(*) FILTER (WHERE NOT viewed AND NOT joined AND d >= %(now)s - interval '7 days') AS i7
    FROM (SELECT profile_id, event_id, occurred_at AS d, event_type_id = %(viewed)s AS viewed,
              event_type_id = %(joined)s AS joined
          FROM profile_event WHERE occurred_at BETWEEN %(now)s - interval '30 days' AND %(now)s {these}) h
    JOIN event e ON e.id = h.event_id GROUP BY h.profile_id),
person AS (
    SELECT id, attributes AS a, a.plan, a.points, a.tier FROM profile p,
        jsonb_to_record(p.attributes) AS a(plan text, points numeric, tier text)
    WHERE merged_into IS NULL {these_people})
INSERT INTO bench_membership (audience_id, profile_id, entered_at)
SELECT v.audience_id, p.id, %(now)s FROM person p LEFT JOIN past t ON t.profile_id = p.id
CROSS JOIN LATERAL (VALUES
    (1, plan = 'a'), (2, plan IN ('a', 'b')), (3, points > 100000), (4, tier = 'gold' AND plan = 'c'),
    (5, a ->> 'country' = 'GB' AND points < 500), (6, right(a ->> 'email', 13) = '7@example.com'),
    (7, a ->> 'city' = 'London' AND a ->> 'size' = 'M' AND points %% 10 = 3),
    (8, (a ->> 'birthday')::date < '2008-01-01' AND points %% 4 = 0), (9, a ? 'first_name' AND NOT a ? 'plan'),
    (10, points BETWEEN 1000 AND 3000 OR points = 7),
    (11, v7 >= 2), (12, v1 >= 3), (13, v30 >= 3), (14, new7 >= 2), (15, sku14 >= 1), (16, s30 >= 40),
    (17, s7 > 50 AND tier = 'gold'), (18, j3 >= 1), (19, j30 >= 1 AND v30 = 0), (20, i7 >= 2 AND plan = 'b')
) AS v(audience_id, is_member) WHERE v.is_member
"""


def run(rounds: int) -> Iterator[dict[str, Any]]:
    with harness.connect() as connection:
        stream.people(connection)
        now = datetime.now(UTC)
        values = _past(connection, now)
        make_audiences(now)
        connection.execute("CREATE TABLE bench_membership (LIKE audience_membership INCLUDING INDEXES)")
        connection.execute("VACUUM ANALYZE event, profile_event, profile_daily, audience")
        rates, floors = [], []
        for _ in range(rounds):
            floors.append(stream.PEOPLE / _by_hand(connection, values))
            _check_equal(connection)
            rates.append(stream.PEOPLE / _everybody(connection, now))
        yield harness.result(
            "audience_full",
            unit="profiles/s",
            rates=rates,
            floors=floors,
            floor_is=FULL_FLOOR,
            audiences=len(RULES),
        )
        rates, floors, dice = [], [], random.Random(7)
        low, high = connection.execute("SELECT min(id), max(id) FROM profile").fetchone() or (0, 0)
        for _ in range(rounds):
            batches = [sorted(dice.sample(range(low, high + 1), BATCH)) for _ in range(BATCHES)]
            floors.append(BATCH * BATCHES / sum(_by_hand(connection, values, ids) for ids in batches))
            rates.append(BATCH * BATCHES / sum(_again(ids, now) for ids in batches))
        yield harness.result(
            "audience_incremental",
            unit="profiles/s",
            rates=rates,
            floors=floors,
            floor_is=INCREMENTAL_FLOOR,
            audiences=len(RULES),
        )


def _past(connection: psycopg.Connection[Any], now: datetime) -> dict[str, Any]:
    """Write what people did; returns what the statement by hand names."""
    names = {"viewed": "Viewed", "joined": "Joined", "identify": "$identify"}
    types = {word: EventType.objects.get_or_create(name=name)[0].id for word, name in names.items()}
    values = {**types, "now": now}
    connection.execute(_HISTORY, {**values, "people": stream.PEOPLE - 1, "events": EVENTS})
    return values


def _by_hand(
    connection: psycopg.Connection[Any], values: dict[str, Any], ids: Sequence[int] | None = None
) -> float:
    harness.clear(connection, "bench_membership")
    these = {"these": "", "these_people": ""}
    if ids is not None:
        these = {"these": "AND profile_id = ANY(%(ids)s)", "these_people": "AND id = ANY(%(ids)s)"}
    with harness.timed() as elapsed:
        psycopg.ClientCursor(connection).execute(_BY_HAND.format(**these), {**values, "ids": ids})
    return elapsed[0]


def _everybody(connection: psycopg.Connection[Any], now: datetime) -> float:
    """Seconds of a full evaluation that finds nobody in any audience yet, so that everything is written."""
    harness.clear(connection, "audience_membership", "profile_recheck", "audience_exit")
    Audience.objects.update(evaluated_through=0, evaluated_at=None)
    with harness.timed() as elapsed:
        evaluate_everybody(now)
    return elapsed[0]


def _again(ids: Sequence[int], now: datetime) -> float:
    """Seconds for a batch of profiles to whom something happened that changes none of the answers."""
    with harness.timed() as elapsed, sql.unit_of_work() as cur:
        lock_profiles(ids)
        evaluate(cur, read_active(cur), ids, now)
    return elapsed[0]


def _check_equal(connection: psycopg.Connection[Any]) -> None:
    """The audiences were made in the order of the rules, which is that of the statement by hand."""
    counts = "SELECT {n}, count(*) FROM {table} GROUP BY 1 ORDER BY 1"
    ours = connection.execute(
        counts.format(n="audience_id - (SELECT min(id) FROM audience) + 1", table="audience_membership")
    ).fetchall()
    theirs = connection.execute(counts.format(n="audience_id", table="bench_membership")).fetchall()
    if ours != theirs:
        raise StartError(f"The rules have {ours} people, the statement by hand {theirs}.")
