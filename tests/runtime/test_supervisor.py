"""The supervisor with small fake children: order, restarts, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from ajo.runtime import process
from ajo.runtime.child import Child
from ajo.runtime.process import StartError, wait_until
from ajo.runtime.supervisor import StopRequested, Supervisor

REST = 'touch "$READY"; while :; do sleep 60 & wait; done'
POLITE = f'trap "exit 0" TERM; {REST}'
STUBBORN = f'trap "" TERM; {REST}'
BUSY = f'trap "sleep 0.3; echo done; exit 0" TERM; {REST}'


class Fake(Child):
    """A shell script that touches `$READY` when it is ready."""

    def __init__(self, folder: Path, name: str, script: str = POLITE) -> None:
        super().__init__(folder / f"{name}.log")
        self.name = name
        self.script = script
        self.ready_file = folder / f"{name}.ready"
        self.pids: list[int] = []

    def launch(self) -> Popen[bytes]:
        self.ready_file.unlink(missing_ok=True)
        popen = process.spawn(
            ["sh", "-c", self.script],
            log_path=self.log_path,
            env={**os.environ, "READY": str(self.ready_file)},
        )
        self.pids.append(popen.pid)
        return popen

    def answers(self) -> bool:
        return self.ready_file.exists()


class Console:
    """Keeps what was said, and acts when a line holds a given text for the n-th time."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.noted: list[tuple[str, int | None]] = []
        self._reactions: list[tuple[str, int, Callable[[], None]]] = []

    def when(self, text: str, action: Callable[[], None], nth: int = 1) -> None:
        self._reactions.append((text, nth, action))

    def say(self, line: str) -> None:
        line = " ".join(line.split())
        self.lines.append(line)
        for text, nth, action in self._reactions:
            if text in line and sum(text in said for said in self.lines) == nth:
                action()

    def note(self, name: str, pid: int | None) -> None:
        self.noted.append((name, pid))

    def states(self) -> list[str]:
        """`name state` of every line, without details and times."""
        return [" ".join(line.split()[:2]) for line in self.lines]


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def kill(child: Fake) -> Callable[[], None]:
    return lambda: os.kill(child.pids[-1], signal.SIGKILL)


def run(console: Console, *children: Fake) -> None:
    """Bring the children up one after the other and keep them until somebody asks for the end, at most 20 s."""
    guard = threading.Timer(20, ask_to_stop)
    guard.start()
    try:
        with Supervisor(console.say, console.note) as supervisor:
            for child in children:
                supervisor.start(child)
            supervisor.watch()
    except StopRequested:
        pass
    finally:
        guard.cancel()
        guard.join()


def assert_nothing_is_left(*children: Fake) -> None:
    groups = [pid for child in children for pid in child.pids]
    wait_until(lambda: not any(map(process.group_members, groups)), 5, "all of the children are gone")


def test_children_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    console = Console()
    first, second, never = (Fake(tmp_path, name) for name in ("first", "second", "never"))
    console.when("second ready", ask_to_stop)
    run(console, first, second, never)
    assert console.states()[:2] == ["first ready", "second ready"]
    assert console.states()[-2:] == ["second stopped", "first stopped"]
    assert console.noted[:2] == [("first", first.pids[0]), ("second", second.pids[0])]
    assert console.noted[-2:] == [("second", None), ("first", None)]
    assert_nothing_is_left(first, second, never)


def test_a_child_that_dies_is_started_again_after_its_group_is_cleared(tmp_path: Path) -> None:
    console = Console()
    child = Fake(tmp_path, "web")
    console.when("web ready", kill(child))
    console.when("web ready", ask_to_stop, nth=2)
    run(console, child)
    assert console.states() == ["web ready", "web died", "web ready", "web stopped"]
    assert len(set(child.pids)) == 2
    assert_nothing_is_left(child)


def test_pauses_before_a_restart_grow(tmp_path: Path) -> None:
    console = Console()
    child = Fake(tmp_path, "web")
    for nth in (1, 2, 3):
        console.when("web ready", kill(child), nth=nth)
    console.when("web ready", ask_to_stop, nth=4)
    run(console, child)
    pauses = [line.removeprefix("web died starts again in ") for line in console.lines if "died" in line]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]


def test_a_child_that_never_comes_up_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    console = Console()
    healthy = Fake(tmp_path, "postgres")
    broken = Fake(tmp_path, "web", "echo no module named wsgi; exit 1")
    with pytest.raises(StartError, match="no module named wsgi"):
        run(console, healthy, broken)
    assert len(broken.pids) == 3
    assert_nothing_is_left(healthy, broken)


def test_a_child_that_hangs_before_it_is_ready_ends_the_start(tmp_path: Path) -> None:
    child = Fake(tmp_path, "web", "sleep 60")
    child.start_timeout = 0.3
    with pytest.raises(StartError, match="was not ready after"):
        run(Console(), child)
    assert_nothing_is_left(child)


def test_a_child_that_ignores_the_request_is_killed_when_its_grace_ends(tmp_path: Path) -> None:
    console = Console()
    child = Fake(tmp_path, "worker", STUBBORN)
    child.stop_timeout = 0.3
    console.when("worker ready", ask_to_stop)
    run(console, child)
    assert console.states() == ["worker ready", "worker killed"]
    assert_nothing_is_left(child)


def test_a_second_request_skips_the_grace(tmp_path: Path) -> None:
    console = Console()
    child = Fake(tmp_path, "worker", STUBBORN)
    console.when("worker ready", ask_to_stop)
    second = threading.Timer(1.2, ask_to_stop)
    second.start()
    run(console, child)
    second.join()
    assert console.states() == ["worker ready", "worker killed"]
    assert_nothing_is_left(child)


def test_a_request_that_arrives_twice_at_once_is_one(tmp_path: Path) -> None:
    console = Console()
    child = Fake(tmp_path, "worker", BUSY)
    console.when("worker ready", ask_to_stop)
    console.when("worker ready", ask_to_stop)
    run(console, child)
    assert console.states() == ["worker ready", "worker stopped"]
    assert child.log_path.read_text() == "done\n"


def test_a_failing_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    console, log = Console(), tmp_path / "migrate.log"
    command = ["sh", "-c", "echo relation is missing; exit 3"]
    with (
        Supervisor(console.say, console.note) as supervisor,
        pytest.raises(StartError, match="relation is missing"),
    ):
        supervisor.run("migrate", command, log, os.environ)


def test_errors_of_children_reach_the_console_once_a_minute(tmp_path: Path) -> None:
    console = Console()
    said = [
        "INFO fine",
        "ERROR at 12:00:01",
        "ERROR at 12:00:02",
        *(f"ERROR {letter}" for letter in "abcdef"),
    ]
    wait = 'touch "$READY"; while [ -e "$READY" ]; do sleep 0.02; done'
    child = Fake(tmp_path, "worker", f"{wait}; printf '%s\n' {shlex.join(said)}; exec sleep 60")
    console.when("worker ready", child.ready_file.unlink)
    console.when("such lines", ask_to_stop)
    run(console, child)
    shown = [
        line.removeprefix("worker ") for line in console.lines if "ERROR" in line or "such lines" in line
    ]
    assert shown == [
        *("ERROR at 12:00:01", "ERROR a", "ERROR b", "ERROR c", "ERROR d"),
        "… and 2 more such lines in worker.log",
    ]
    assert not any("fine" in line for line in console.lines)


def test_the_handlers_of_the_caller_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    console = Console()
    with Supervisor(console.say, console.note):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
