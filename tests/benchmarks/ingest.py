"""Batches of 500 over HTTP, durable and deduplicated, against COPY of the same rows.

The floor writes the dedupe table and the event table with the same indexes in one transaction of 50,000 rows, encoded
beforehand and with its keys sorted; the better one of text and binary COPY counts.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import psycopg
from django.conf import settings

from ajo.lib.ids import uuid7
from ajo.runtime.process import StartError
from profiles.models import EventKind, EventType, Source
from tests.benchmarks import harness

WRITE_KEY = "wk_bench"
BATCH = 500
CONNECTIONS = 4
SECONDS = 4.0
FLOOR_ROWS = 50_000
TABLES = ("event", "profiles_eventkey", "profiles_ingestbatch")
FLOOR_IS = "COPY of the same rows into event_key + event, same indexes, one transaction of 50,000"
COPY_KEYS = "COPY profiles_eventkey (source_id, key_hash, event_id) FROM STDIN"
COPY_EVENTS = (
    "COPY event (id, batch_id, source_id, event_type_id, kind, occurred_at, user_id, anonymous_id, properties, context)"
    " FROM STDIN"
)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def call(number: int, message_id: str) -> dict[str, Any]:
    """A track call as the Segment client for Python sends it."""
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": f"user-{number % 20_000}",
        "anonymousId": None,
        "messageId": message_id,
        "timestamp": "2026-11-21T12:00:00.123456+00:00",
        "integrations": {},
        "properties": {
            "order_id": f"o-{number:07}",
            "revenue": "129.95",
            "currency": "EUR",
            "coupon": None,
            "products": [
                {"sku": f"A-{number % 997}", "price": 19.95, "quantity": 2},
                {"sku": "B-77", "price": 90.05},
            ],
        },
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}, "locale": "en-GB"},
    }


# A body is cut where its message ids differ from request to request; joining the pieces with a counter gives every
# event of every request an id of its own for the price of one copy.
BATCH_SCRIPT = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Basic %(credentials)s"
wrk.headers["Content-Type"] = "application/json"
local pieces = {}
for piece in string.gmatch([==[%(template)s]==], "([^\\1]+)") do pieces[#pieces + 1] = piece end
local counter = 0
local run
function init(arguments) run = arguments[1] end
function request()
  counter = counter + 1
  return wrk.format(nil, nil, nil, table.concat(pieces, run .. "-" .. counter))
end
"""


def batch_script() -> str:
    calls = [call(number, f"m{number}-\1") for number in range(BATCH)]
    body = json.dumps({"batch": calls, "sentAt": "2026-11-21T12:00:00.500000+00:00"}, ensure_ascii=False)
    credentials = b64encode(f"{WRITE_KEY}:".encode()).decode()
    return BATCH_SCRIPT % {"credentials": credentials, "template": body.replace("\\u0001", "\1")}


class Floor:
    """The rows of the floor, encoded for both formats of COPY before any clock starts."""

    def __init__(self, source_id: int, event_type_id: int) -> None:
        ids = uuid7.many(FLOOR_ROWS)
        calls = [call(number, f"floor-{number}") for number in range(FLOOR_ROWS)]
        keys = [blake2b(one["messageId"].encode(), digest_size=16).digest() for one in calls]
        by_key = sorted(zip(keys, ids, strict=True))
        at = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
        micros = int((at - POSTGRES_EPOCH).total_seconds() * 1_000_000)
        self.text = (
            "".join(f"{source_id}\t\\\\x{key.hex()}\t{id}\n" for key, id in by_key).encode(),
            "".join(
                f"{id}\t1\t{source_id}\t{event_type_id}\t{EventKind.TRACK.value}\t{at.isoformat()}\t{one['userId']}\t\\N\t"
                f"{json.dumps(one['properties'])}\t{json.dumps(one['context'])}\n"
                for id, one in zip(ids, calls, strict=True)
            ).encode(),
        )
        number = struct.Struct(">i").pack
        self.binary = (
            _binary([number(source_id), key, id.bytes] for key, id in by_key),
            _binary(
                [
                    id.bytes,
                    struct.pack(">q", 1),
                    number(source_id),
                    struct.pack(">q", event_type_id),
                    struct.pack(">h", EventKind.TRACK.value),
                    struct.pack(">q", micros),
                    one["userId"].encode(),
                    None,
                    b"\1" + json.dumps(one["properties"]).encode(),
                    b"\1" + json.dumps(one["context"]).encode(),
                ]
                for id, one in zip(ids, calls, strict=True)
            ),
        )

    def rate(self, connection: psycopg.Connection[Any]) -> float:
        """Rows a second of the better format."""
        rates = []
        for suffix, (keys, events) in (("", self.text), (" (FORMAT binary)", self.binary)):
            harness.clear(connection, *TABLES)
            with harness.timed() as elapsed, connection.transaction():
                _copy(connection, COPY_KEYS + suffix, keys)
                _copy(connection, COPY_EVENTS + suffix, events)
            rates.append(FLOOR_ROWS / elapsed[0])
        return max(rates)


def _binary(rows: Iterator[Sequence[bytes | None]]) -> bytes:
    pack = struct.Struct(">i").pack
    encoded = [b"PGCOPY\n\xff\r\n\0", bytes(8)]
    for row in rows:
        encoded.append(struct.pack(">h", len(row)))
        encoded += [pack(-1) if value is None else pack(len(value)) + value for value in row]
    return b"".join([*encoded, b"\xff\xff"])


def _copy(connection: psycopg.Connection[Any], statement: str, data: bytes) -> None:
    with connection.cursor().copy(statement) as copy:
        copy.write(data)


def prepare() -> tuple[int, int]:
    """The source and the event type of the benchmark, as ids."""
    source, _ = Source.objects.get_or_create(key="bench", defaults={"name": "Bench", "write_key": WRITE_KEY})
    return source.pk, EventType.objects.get_or_create(name="Order Completed")[0].pk


def stored(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM event").fetchone()
    assert row is not None
    return int(row[0])


def run(rounds: int) -> dict[str, Any]:
    floor = Floor(*prepare())
    script = batch_script()
    assert len(script) < settings.AJO_INGEST_BODY_BYTES
    loads, floors = [], []
    with harness.connect() as connection, harness.web_server() as server:
        url = f"{server}/v1/batch"
        harness.wrk(url, script, connections=CONNECTIONS, seconds=1, arguments=["warm"])
        for number in range(rounds):
            floors.append(floor.rate(connection))
            harness.clear(connection, *TABLES)
            loads.append(
                harness.wrk(url, script, connections=CONNECTIONS, seconds=SECONDS, arguments=[str(number)])
            )
            if stored(connection) < loads[-1].requests * BATCH:
                raise StartError("Fewer events are stored than were answered with 200.")
    return harness.result(
        "ingest",
        unit="events/s",
        rates=[load.rate * BATCH for load in loads],
        floors=floors,
        floor_is=FLOOR_IS,
        p50_ms=harness.median(load.p50 for load in loads),
        p99_ms=harness.median(load.p99 for load in loads),
    )
