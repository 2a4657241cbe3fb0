"""One event a request, durable before the answer, against the same door that validates and stores nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from ajo.runtime.process import StartError
from tests.benchmarks import harness
from tests.benchmarks.ingest import TABLES, WRITE_KEY, call, prepare, stored

CONNECTIONS = 32
SECONDS = 3.0
FLOOR_IS = "the same door, server and load, validating only"

SCRIPT = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Basic %(credentials)s"
local head, tail = [==[%(head)s]==], [==[%(tail)s]==]
local counter = 0
local run
function init(arguments) run = arguments[1] end
function request()
  counter = counter + 1
  return wrk.format(nil, nil, nil, head .. run .. "-" .. counter .. tail)
end
"""


def script() -> str:
    head, tail = json.dumps(call(1, "m-\1")).split("\\u0001")
    return SCRIPT % {"credentials": b64encode(f"{WRITE_KEY}:".encode()).decode(), "head": head, "tail": tail}


def run(rounds: int) -> dict[str, Any]:
    prepare()
    lua = script()
    loads, floors = [], []
    with (
        harness.connect() as connection,
        harness.web_server("tests.benchmarks.validating:application") as validating,
        harness.web_server() as storing,
    ):
        urls = (f"{validating}/v1/track", f"{storing}/v1/track")
        for url in urls:
            harness.wrk(url, lua, connections=CONNECTIONS, seconds=1, arguments=["warm"])
        for number in range(rounds):
            harness.clear(connection, *TABLES)
            floor, load = (
                harness.wrk(url, lua, connections=CONNECTIONS, seconds=SECONDS, arguments=[str(number)])
                for url in urls
            )
            if stored(connection) < load.requests:
                raise StartError("Fewer events are stored than were answered with 200.")
            floors.append(floor)
            loads.append(load)
    return harness.result(
        "ingest_single",
        unit="events/s",
        rates=[load.rate for load in loads],
        floors=[load.rate for load in floors],
        floor_is=FLOOR_IS,
        p50_ms=harness.median(load.p50 for load in loads),
        p99_ms=harness.median(load.p99 for load in loads),
        floor_p99_ms=harness.median(load.p99 for load in floors),
    )
