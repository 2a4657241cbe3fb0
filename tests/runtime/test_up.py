"""`manage.py up` as a person meets it: the whole product, a killed child, a second start, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ajo.runtime import paths, process, web
from ajo.runtime.process import wait_until

STARTED = "Ctrl-C"
OWN_ADDRESSES = ("DATABASE_URL", "BROKER_URL", "AJO_MAILBOX_SMTP", "AJO_MAILBOX_URL", "PYTEST_VERSION")


class Up:
    """One `manage.py up` in a home and on a port of its own."""

    def __init__(self, home: Path, *, has_demo: bool = False) -> None:
        self.home = home
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        env = {name: value for name, value in os.environ.items() if name not in OWN_ADDRESSES}
        demo = "1" if has_demo else "0"
        self.env = {**env, "AJO_HOME": str(home), "AJO_PORT": str(self.port), "AJO_DEMO": demo}
        self.console = home.with_name("console.txt")
        self.popen: subprocess.Popen[bytes] | None = None

    def manage(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=paths.REPOSITORY,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self) -> None:
        popen = self.popen = process.spawn(
            [sys.executable, "manage.py", "up"],
            log_path=self.console,
            death_signal=signal.SIGTERM,
            env=self.env,
            cwd=paths.REPOSITORY,
        )
        wait_until(lambda: self.count(STARTED) == 1 or popen.poll() is not None, 150, "the product is up")
        assert popen.poll() is None, self.console.read_text()

    def count(self, text: str) -> int:
        return self.console.read_text().count(text) if self.console.exists() else 0

    @property
    def record(self) -> dict[str, dict[str, dict[str, int]]]:
        return json.loads((self.home / "runtime.json").read_text())

    def group(self, name: str) -> int:
        return self.record["groups"][name]["group"]

    def is_healthy(self) -> bool:
        return web.status(f"http://127.0.0.1:{self.port}/healthz") == 200

    def end(self, number: signal.Signals) -> int:
        assert self.popen is not None
        self.popen.send_signal(number)
        code = self.popen.wait(60)
        self.popen = None
        return code


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Up]:
    up = Up(tmp_path / "home", has_demo=getattr(request, "param", False))
    yield up
    if up.popen is not None:
        up.end(signal.SIGKILL)


@pytest.mark.faults
@pytest.mark.parametrize("up", [True], indirect=True, ids=["demo"])
def test_it_comes_up_tells_the_stories_repairs_itself_refuses_a_twin_and_leaves_nothing(up: Up) -> None:
    up.start()
    wait_until(up.is_healthy, 20, "the product is healthy")
    for again in ([], ["--story", "1"]):
        told = up.manage("stories", "--people", "6", *again)
        assert told.returncode == 0, told.stdout + told.stderr
        assert told.stdout.endswith("Everything that must hold holds.\n")
    assert set(up.record["groups"]) == {"postgres", "valkey", "mailbox", "web", "engine", "sender", "beat"}
    assert up.manage("doctor").returncode == 0

    twin = up.manage("up")
    assert (twin.returncode, twin.stdout) == (1, "")
    assert f"already runs at http://127.0.0.1:{up.port}" in twin.stderr

    groups = [up.group(name) for name in up.record["groups"]]
    os.kill(up.group("web"), signal.SIGKILL)
    wait_until(lambda: up.count("web       ready") == 2 and up.is_healthy(), 20, "the web server is back")
    groups.append(up.group("web"))

    assert up.end(signal.SIGINT) == 0
    assert [pid for group in groups for pid in process.group_members(group)] == []
    assert not (up.home / "runtime.json").exists()
    assert up.manage("doctor").returncode == 1
    told = up.manage("stories", "--story", "2")
    assert told.returncode == 1
    assert f"The product at http://127.0.0.1:{up.port} does not answer" in told.stderr


@pytest.mark.faults
def test_after_a_kill_of_the_supervisor_the_next_start_continues(up: Up) -> None:
    up.start()
    with psycopg.connect(str(up.record["database_url"]), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    groups = [up.group(name) for name in up.record["groups"]]
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    up.console.unlink()
    up.start()
    assert all(process.started_at(group) is None for group in groups)
    with psycopg.connect(str(up.record["database_url"])) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
    assert up.end(signal.SIGTERM) == 0


def test_a_taken_port_ends_with_code_2_and_one_sentence(up: Up) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        refused = up.manage("up")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"Port {up.port} of 127.0.0.1 is taken by another program.")
    assert refused.stderr.count("\n") == 1


def test_reset_asks_and_deletes(up: Up) -> None:
    (up.home / "pg").mkdir(parents=True)
    assert up.manage("reset").returncode == 1  # nobody is there to answer
    assert (up.home / "pg").exists()
    assert up.manage("reset", "--no-input").returncode == 0
    assert not (up.home / "pg").exists()
