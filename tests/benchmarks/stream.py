"""The stream step on claimed batches of 5,000 events, against COPY of the same events into their table.

Three lines: to the profile (identities, attributes, history, rollup), with a live journey on top (entry, step log,
message rows), and with twenty audiences kept true beside it, whose changes are events. A tenth of the events is the
first of a new person, who enters the journey; a tenth changes attributes;
a tenth is anonymous; the rest is what 200,000 known people do.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import psycopg
from django.db import connection as django_connection

from ajo.lib.ids import uuid7
from ajo.runtime.process import StartError
from channels.models import ChannelConfiguration, Content, ContentVersion, Variant
from journeys.models import Journey, ReEntry
from journeys.services import create_journey, publish_journey, save_draft
from profiles import consumers
from profiles.models import Channel, EventKind, EventType, IngestBatch, ProfileEvent
from profiles.stream import take_batch
from tests.benchmarks import harness
from tests.benchmarks.audience_rules import make_audiences

PEOPLE = 200_000
EVENTS = 20_000
FLUSH = 500
"""Events of one batch of ingest."""
CLAIM = 5_000
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FLOOR_IS = "COPY of the same events into event, one transaction of 20,000"
COPY = (
    "COPY event (id, batch_id, source_id, event_type_id, kind, occurred_at, user_id, anonymous_id, properties, context)"
    " FROM STDIN"
)
CONTEXT = json.dumps({"library": {"name": "analytics.js"}, "locale": "en-GB", "timezone": "Europe/London"})
PEOPLE_SQL = """
INSERT INTO profile (attributes, attribute_times)
SELECT jsonb_build_object('email', 'bench-' || n || '@example.com', 'first_name', 'Ada', 'last_name', 'Byron',
           'city', 'London', 'country', 'GB', 'plan', 'free', 'points', n, 'tier', 'gold', 'size', 'M',
           'birthday', '1990-01-01', 'time_zone', 'Europe/London', 'locale', 'en-GB'),
       jsonb_build_object('email', 1, 'first_name', 1, 'last_name', 1, 'city', 1, 'country', 1, 'plan', 1,
           'points', 1, 'tier', 1, 'size', 1, 'birthday', 1, 'time_zone', -1, 'locale', -1)
FROM generate_series(1, %s) AS n
"""
IDENTITIES_SQL = """
INSERT INTO identity (namespace_id, value, profile_id)
SELECT 1, 'bench-' || (attributes->>'points'), id FROM profile WHERE attributes ? 'points'
UNION ALL SELECT 3, attributes->>'email', id FROM profile WHERE attributes ? 'points'
"""


def run(rounds: int) -> Iterator[dict[str, Any]]:
    with harness.connect() as connection:
        people(connection)
        types = {
            name: EventType.objects.get_or_create(name=name)[0].id
            for name in ("Viewed", "Joined", "$identify")
        }
        dice = random.Random(7)
        _journey()
        everybody = dict(consumers.registered())
        for name, listening in (
            ("stream_profiles", {}),
            ("stream", everybody),
            ("stream_audiences", everybody),
        ):
            if name == "stream_audiences":
                make_audiences(datetime.now(UTC))
            rates, floors = [], []
            with mock.patch.object(consumers, "_consumers", listening):
                for number in range(rounds + 1):
                    floor, rate = _round(connection, dice, f"{name}-{number}", types)
                    if number:  # the first one warms up: plans, caches, empty indexes
                        floors.append(floor)
                        rates.append(rate)
            yield harness.result(name, unit="events/s", rates=rates, floors=floors, floor_is=FLOOR_IS)


def _round(
    connection: psycopg.Connection[Any], dice: random.Random, name: str, types: dict[str, int]
) -> tuple[float, float]:
    """Rate of COPY and rate of the step, over the same new events."""
    harness.clear(connection, "event", "profile_event", "profile_daily", "profiles_ingestbatch")
    ids = uuid7.many(EVENTS)
    flushes = [ids[start : start + FLUSH] for start in range(0, EVENTS, FLUSH)]
    IngestBatch.objects.bulk_create(
        IngestBatch(id=n, source_id=1, n=FLUSH, first_id=flush[0], last_id=flush[-1], received_at=NOW)
        for n, flush in enumerate(flushes, 1)
    )
    # Audiences tell of their changes in batches of their own, which count as work and not as events.
    connection.execute("SELECT setval('profiles_ingestbatch_id_seq', %s)", [len(flushes)])
    rows = "".join(
        "\t".join((str(id), str(n // FLUSH + 1), "1", *_event(n, name, dice, types))) + "\n"
        for n, id in enumerate(ids)
    ).encode()
    with harness.timed() as copying, connection.transaction(), connection.cursor().copy(COPY) as copy:
        copy.write(rows)
    with harness.timed() as streaming:
        while take_batch(limit_events=CLAIM):
            pass
    taken = ProfileEvent.objects.exclude(event_type__name__startswith="$audience_").count()
    if taken != EVENTS:
        raise StartError(f"The stream step wrote {taken} of {EVENTS} events.")
    return EVENTS / copying[0], EVENTS / streaming[0]


def _event(n: int, name: str, dice: random.Random, types: dict[str, int]) -> tuple[str, ...]:
    """The columns of one event from its type on."""
    person = f"bench-{dice.randrange(PEOPLE) + 1}"
    track, identify, at = str(EventKind.TRACK.value), str(EventKind.IDENTIFY.value), NOW.isoformat()
    match n % 10:
        case 0:
            properties = json.dumps({"referrer": "friend", "plan": "free"})
            new = f"{name}-{n}"
            return str(types["Joined"]), track, at, new, f"anon-{new}", properties, CONTEXT
        case 1:
            traits = json.dumps({"email": f"{person}@example.com", "plan": dice.choice("abc"), "points": n})
            return str(types["$identify"]), identify, at, person, "\\N", traits, CONTEXT
        case 2:
            properties = json.dumps({"path": "/sweaters"})
            return (
                str(types["Viewed"]),
                track,
                at,
                "\\N",
                f"anon-{name}-{dice.randrange(EVENTS // 20)}",
                properties,
                CONTEXT,
            )
        case _:
            properties = json.dumps({"sku": f"A-{n % 997}", "value": 19.95, "currency": "EUR", "list": "new"})
            return str(types["Viewed"]), track, at, person, "\\N", properties, CONTEXT


def people(connection: psycopg.Connection[Any]) -> None:
    with harness.timed():
        connection.execute(PEOPLE_SQL, [PEOPLE])
        connection.execute(IDENTITIES_SQL)
        connection.execute("VACUUM ANALYZE profile, identity")
    django_connection.ensure_connection()


def _journey() -> Journey:
    """A live journey that answers each new person with a message."""
    configuration = ChannelConfiguration.objects.create(
        key="stream-bench",
        name="Stream",
        channel=Channel.EMAIL,
        provider="smtp",
        sender_address="hello@brand.example",
    )
    content = Content.objects.create(key="stream-bench", name="Stream")
    version = ContentVersion.objects.create(
        content=content, number=1, state=ContentVersion.State.PUBLISHED, published_at=NOW
    )
    Variant.objects.create(version=version, subject="Welcome", text="Welcome. {{ unsubscribe_url }}")
    journey = create_journey(key="stream-bench", name="Stream", user=None)
    boxes = [
        {"id": "start", "kind": "event_entry", "config": {"event": "Joined"}},
        {
            "id": "welcome",
            "kind": "message",
            "config": {
                "content": content.key,
                "configuration": configuration.key,
                "message_class": "marketing",
            },
        },
        {"id": "end", "kind": "end", "config": {}},
    ]
    links = [
        {"from": "start", "port": "next", "to": "welcome"},
        {"from": "welcome", "port": "next", "to": "end"},
    ]
    graph = {"activities": boxes, "links": links}
    save_draft(journey=journey, graph=graph, re_entry=ReEntry.NEVER, revision=1, user=None)
    publish_journey(journey=journey, user=None, now=NOW)
    return journey
