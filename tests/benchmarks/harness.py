"""What every benchmark needs: one durable installation of its own, a web server, wrk, and honest arithmetic.

A ratio compares a path with its floor inside one round; machines change their speed by half from minute to minute, so
rates of different rounds are never compared. The median of the rounds is the result.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ajo.runtime import paths, process, web
from ajo.runtime.child import Child
from ajo.runtime.postgres import DURABLE, Postgres
from ajo.runtime.process import StartError
from ajo.runtime.valkey import Valkey

WEB_THREADS = 32


@contextmanager
def installation() -> Iterator[None]:
    """A durable PostgreSQL with the product's settings, migrated, and a broker; Django is set up to use them."""
    home = paths.REPOSITORY / ".ajo" / "bench" / str(os.getpid())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        postgres = Postgres(home / "pg", home / "log" / "postgres.log", settings=DURABLE)
        postgres.init()
        stack.callback(postgres.kill)
        postgres.start()
        postgres.create_database("ajo")
        valkey = Valkey(home / "valkey", home / "log" / "valkey.log")
        stack.callback(valkey.kill)
        valkey.start()
        (home / "static").mkdir()
        os.environ |= {
            "DATABASE_URL": postgres.url(),
            "BROKER_URL": valkey.url(),
            "AJO_HOME": str(home),
            "AJO_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "ajo.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield


class WebServer(Child):
    """Granian with one process, as `make run` starts it, for any WSGI application of ours."""

    name = "web"

    def __init__(self, application: str) -> None:
        super().__init__(Path(os.environ["AJO_HOME"]) / "log" / "web.log")
        self.url = f"http://127.0.0.1:{process.free_port(18200)}"
        self._application = application

    def launch(self) -> subprocess.Popen[bytes]:
        command = [
            *(
                sys.executable,
                "-m",
                "granian",
                self._application,
                "--interface",
                "wsgi",
                "--http",
                "1",
                "--no-ws",
            ),
            *(
                "--port",
                self.url.rpartition(":")[2],
                "--workers",
                "1",
                "--blocking-threads",
                str(WEB_THREADS),
            ),
            *("--backlog", "2048", "--log-level", "warning", "--no-access-log"),
        ]
        return process.spawn(command, log_path=self.log_path, env=os.environ, cwd=paths.REPOSITORY)

    def answers(self) -> bool:
        return web.status(f"{self.url}/v1/batch") is not None


@contextmanager
def web_server(application: str = "ajo.wsgi:application") -> Iterator[str]:
    """The URL of a running web server."""
    server = WebServer(application)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@dataclass(frozen=True)
class Load:
    """What wrk did: answered requests a second, latencies in milliseconds."""

    rate: float
    requests: int
    p50: float
    p99: float


# wrk calls `request` for each request and `done` at the end; every line it prints before is for people.
_REPORT = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nresult {"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def wrk(url: str, script: str, *, connections: int, seconds: float, arguments: Sequence[str] = ()) -> Load:
    """Load `url` with one thread of wrk running `script` (Lua). Any answer but 2xx or 3xx ends the benchmark."""
    program = shutil.which("wrk")
    if program is None:
        raise StartError("The benchmark needs the load generator wrk. Install it with `apt-get install wrk`.")
    path = Path(os.environ["AJO_HOME"]) / "load.lua"
    path.write_text(script + _REPORT)
    command = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "10s",
        "-s",
        str(path),
        url,
    ]
    done = subprocess.run([*command, "--", *arguments], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("result ")), None)
    if line is None:
        raise StartError(f"wrk failed: {done.stderr or done.stdout}")
    said = json.loads(line.removeprefix("result "))
    if said["failed"]:
        raise StartError(f"{said['failed']} of {said['requests']} requests failed under load.")
    return Load(said["requests"] / said["microseconds"] * 1e6, said["requests"], said["p50"], said["p99"])


def connect() -> psycopg.Connection[Any]:
    """A connection of its own to the benchmark's database, autocommit."""
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def clear(connection: psycopg.Connection[Any], *tables: str) -> None:
    """Empty `tables` and start from a fresh checkpoint, so that no round pays for the one before."""
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
    connection.execute("CHECKPOINT")


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yields a list that holds the elapsed seconds afterwards."""
    elapsed: list[float] = []
    started = time.perf_counter()
    yield elapsed
    elapsed.append(time.perf_counter() - started)


def median(values: Iterable[float]) -> float:
    """The median to a tenth, for latencies."""
    return round(statistics.median(values), 1)


def result(
    bench: str, *, unit: str, rates: Sequence[float], floors: Sequence[float], floor_is: str, **extras: Any
) -> dict[str, Any]:
    """The line of a benchmark from the rates of its rounds: medians, and the spread of the ratio."""
    ratios = [rate / floor for rate, floor in zip(rates, floors, strict=True)]
    return {
        "bench": bench,
        "rate": round(statistics.median(rates)),
        "unit": unit,
        "floor": round(statistics.median(floors)),
        "floor_is": floor_is,
        "ratio": round(statistics.median(ratios), 3),
        "rounds": len(ratios),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        **extras,
    }
