"""A product of its own that may be killed: the real programs with the real commands, two beats, one seed.

Every process is started from the main thread and belongs to a process group of its own; kills go to processes that
were started here and to nothing else. `faults.jsonl` says what was done to whom and when.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ajo.runtime import paths, process
from ajo.runtime.child import Child
from ajo.runtime.postgres import Postgres
from ajo.runtime.process import StartError
from ajo.runtime.product import ENGINE_QUEUES, SENDER_QUEUES, CeleryProgram, Mailbox, Options, Web
from ajo.runtime.valkey import Valkey

LEASE_SECONDS = 6
_DEAD_CHILD = re.compile(r"pid:(\d+) exited with 'signal 9")
_DATABASE = "ajo"


@dataclass(frozen=True)
class Fault:
    """Something that was done to a process. `how`: whole (its group), child (one of its children), freeze, down."""

    at: float
    target: str
    how: str
    pid: int | None


@dataclass(frozen=True)
class Planned:
    """A fault `after` seconds from the start of the storm."""

    after: float
    target: str
    how: str
    is_must: bool = True


class Lab:
    """`with Lab(home, seed) as lab:` everything runs; at the end nothing does, whatever happened in between.

    `sender_options` and `engine_options` are added to the workers' commands: a planted bug comes in by them.
    """

    def __init__(
        self, home: Path, seed: int, *, sender_options: Sequence[str] = (), engine_options: Sequence[str] = ()
    ) -> None:
        self.home = home
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults: list[Fault] = []
        self.write_key = ""
        self._sender_options = tuple(sender_options)
        self._engine_options = tuple(engine_options)
        self._children: dict[str, Child] = {}
        self._down: set[str] = set()
        self._ready: set[str] = set()
        self._frozen: list[tuple[float, int, int | None]] = []
        self._killed_children: set[int] = set()
        self._pause = threading.Event()
        self._token = secrets.token_urlsafe(16)
        self._secret = secrets.token_urlsafe(32)

    # --- life ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def url(self) -> str:
        return self._options.url

    @property
    def database_url(self) -> str:
        return self._postgres.url(_DATABASE)

    @property
    def acked_path(self) -> Path:
        return self.home / "acked.jsonl"

    @property
    def faults_path(self) -> Path:
        return self.home / "faults.jsonl"

    @property
    def log_dir(self) -> Path:
        return self.home / "log"

    def _start(self) -> None:
        self.log_dir.mkdir(parents=True)
        self.acked_path.touch()
        self._options = Options(
            home=self.home,
            host="127.0.0.1",
            port=process.free_port(38000),
            web_workers=1,
            web_threads=64,
            database_url="",
            broker_url="",
            mailbox_smtp="",
            has_demo=False,
        )
        self._postgres = Postgres(self.home / "pg", self.log_dir / "postgres.log")
        self._postgres.init()
        self._valkey = Valkey(self.home / "valkey", self.log_dir / "valkey.log")
        self._mailbox = Mailbox(self.home / "mailbox", self.log_dir / "mailbox.log", self._token)
        for name, server in (
            ("postgres", self._postgres),
            ("valkey", self._valkey),
            ("mailbox", self._mailbox),
        ):
            self._children[name] = server
            server.start()
        self._postgres.create_database(_DATABASE)
        env = self._environment()
        self.run([str(paths.REPOSITORY / "manage.py"), "migrate", "--no-input"])
        self.write_key = json.loads(self.run(["-m", "tests.faults.brand"]))["write_key"]

        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-c", "2")
        engine = ["worker", "-n", "engine@%h", "-Q", ENGINE_QUEUES, *quiet, *self._engine_options]
        sender = ["worker", "-n", "sender@%h", "-Q", SENDER_QUEUES, *quiet, *self._sender_options]
        self._children["web"] = Web(self._options, env, self.log_dir)
        self._children["engine"] = CeleryProgram("engine", engine, env, self.home)
        self._children["sender"] = CeleryProgram("sender", sender, env, self.home)
        for name in ("beat-1", "beat-2"):
            # Two schedulers do what one does: the promise is kept up in every run.
            self._children[name] = CeleryProgram(name, ["beat", "--pidfile="], env, self.home)
        for child in self._children.values():
            if child.popen is None:
                child.spawn()
        self.until(lambda: len(self._ready) == len(self._children), 90, "all programs are ready")

    def _end(self) -> None:
        for child in reversed(list(self._children.values())):
            child.kill()

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AJO_", "PYTEST_")) and name not in {"DATABASE_URL", "BROKER_URL"}
        }
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "ajo.settings",
            "AJO_HOME": str(self.home),
            "AJO_SECRET_KEY": self._secret,
            "AJO_PUBLIC_URL": self.url,
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self._valkey.url(),
            "AJO_MAILBOX_SMTP": self._mailbox.smtp,
            "AJO_MAILBOX_URL": self._mailbox.url,
            "AJO_MAILBOX_TOKEN": self._token,
            "AJO_SEND_LEASE_SECONDS": str(LEASE_SECONDS),
            "AJO_SEND_RESERVATION_SECONDS": str(LEASE_SECONDS),
            "AJO_CAMPAIGN_PIECE": "100",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, arguments: Sequence[str]) -> str:
        """What a Python program of the lab says, in its environment."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self._environment(),
            cwd=paths.REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartError(f"{' '.join(arguments)} failed. It said: {done.stderr.strip()[-3000:]}")
        return done.stdout

    # --- faults ----------------------------------------------------------------------------------------------

    def kill(self, target: str, how: str = "whole") -> bool:
        """SIGKILL and start again at once. A child is killed alone: what it belongs to replaces it.

        `freeze` stops a child until after its lease, when it wakes up and believes that nothing has happened. False
        when there is nobody to be hit now.
        """
        child = self._children[target]
        pid = child.pid if how == "whole" else self._some_child_of(target)
        if target not in self._ready or pid is None:
            return False
        self._note(target, how, pid)
        if how == "whole":
            self._take_down(target)
            child.spawn()
        elif how == "freeze":
            process.send(pid, signal.SIGSTOP)
            self._frozen.append((time.monotonic() + 1.5 * LEASE_SECONDS, pid, process.started_at(pid)))
        else:
            self._killed_children.add(pid)
            process.send(pid, signal.SIGKILL)
        return True

    def take_down(self, target: str) -> None:
        """SIGKILL, and it stays away until `bring_back`."""
        self._note(target, "down", self._children[target].pid)
        self._down.add(target)
        self._take_down(target)

    def bring_back(self, target: str) -> None:
        self._down.discard(target)
        self._children[target].spawn()

    def arm(self, target: str, chaos: str) -> None:
        """Start a worker anew with these chaos points; none when empty."""
        program = self._children[target]
        assert isinstance(program, CeleryProgram)
        # The product refuses chaos points unless it is being debugged.
        program.env = {**program.env, "AJO_CHAOS": chaos, "AJO_DEBUG": "1" if chaos else "0"}
        self.kill(target)
        self.until(lambda: target in self._ready, 60, f"{target} is up again")

    def storm(self, plan: Sequence[Planned]) -> None:
        """Carry the plan out. A fault whose target is still starting is passed over, unless it is a must."""
        begun = time.monotonic()
        for planned in sorted(plan, key=lambda item: item.after):
            self.rest(begun + planned.after - time.monotonic())
            if planned.is_must:
                self.until(
                    partial(self.kill, planned.target, planned.how), 60, f"{planned.target} can be hit"
                )
            else:
                self.kill(planned.target, planned.how)

    @property
    def frozen(self) -> bool:
        """Whether a process of ours sleeps."""
        return bool(self._frozen)

    def kills(self, *targets: str) -> int:
        """How many faults hit these targets, the deaths at chaos points included."""
        done = sum(fault.target in targets for fault in self.faults)
        return done + sum(len(self.chaos_deaths(target)) for target in targets)

    def chaos_deaths(self, target: str) -> set[int]:
        """Pool children that ended by SIGKILL although nobody here had sent it: they died at a chaos point."""
        log_path = self.log_dir / f"{target}.log"
        text = log_path.read_text(errors="replace") if log_path.exists() else ""
        return {int(pid) for pid in _DEAD_CHILD.findall(text)} - self._killed_children

    def _take_down(self, target: str) -> None:
        self._ready.discard(target)
        child = self._children[target]
        if child.popen is not None:
            self._killed_children.update(process.group_members(child.popen.pid))
        child.kill()

    def _some_child_of(self, target: str) -> int | None:
        main = self._children[target].pid
        if main is None:
            return None
        hit = {main, *self._killed_children, *(pid for _, pid, _ in self._frozen)}
        members = sorted(set(process.group_members(main)) - hit)
        return self.rng.choice(members) if members else None

    def _note(self, target: str, how: str, pid: int | None) -> None:
        fault = Fault(time.time(), target, how, pid)
        self.faults.append(fault)
        with self.faults_path.open("a") as log:
            log.write(json.dumps(asdict(fault)) + "\n")

    # --- time ------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> float:
        """Keep everything alive until the condition holds and return how long that took, in seconds."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > seconds:
                raise TimeoutError(
                    f"Waited {seconds:g} s in vain until {what}. Seed {self.seed}.{self.tails()}"
                )
            self._care()
            self._pause.wait(0.05)
        return time.monotonic() - begun

    def rest(self, seconds: float) -> None:
        """Keep everything alive for that long."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            self._care()
            self._pause.wait(min(left, 0.05))

    def _care(self) -> None:
        """What the product's supervisor does: start again what ended by itself."""
        for frozen in list(self._frozen):
            wakes_at, pid, started = frozen
            if time.monotonic() >= wakes_at:
                self._frozen.remove(frozen)
                if process.started_at(pid) == started:
                    process.send(pid, signal.SIGCONT)
        for name, child in self._children.items():
            if name in self._down:
                continue
            if child.pid is None:
                self._note(name, "ended by itself", None)
                self._take_down(name)
                child.spawn()
            elif name not in self._ready and child.is_ready():
                self._ready.add(name)

    # --- what it leaves --------------------------------------------------------------------------------------

    def sink(self) -> list[dict[str, Any]]:
        """Every message that the mailbox accepted, oldest first: n, received_at, rcpt, message_id, size."""
        lines: list[dict[str, Any]] = []
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            after = lines[-1]["n"] if lines else 0
            request = urllib.request.Request(
                f"{self._mailbox.url}/log.jsonl?after={after}", headers={"X-Mailbox-Token": self._token}
            )
            with opener.open(request, timeout=30) as answer:
                found = [json.loads(line) for line in answer.read().splitlines()]
            if not found:
                return lines
            lines += found

    def tails(self) -> str:
        """The end of every log, for an error message."""
        return "".join(
            f"\n  {path.name}:{process.log_tail(path)}" for path in sorted(self.log_dir.glob("*.log"))
        )

    def lines_about(self, key: str, limit: int = 6) -> str:
        """The lines of all logs that name `key`."""
        found = []
        for path in (self.acked_path, self.faults_path, *sorted(self.log_dir.glob("*.log"))):
            lines = (
                [line for line in path.read_text(errors="replace").splitlines() if key in line]
                if path.exists()
                else []
            )
            found += [f"\n  {path.name}: {line[:300]}" for line in lines[:limit]]
        return "".join(found)

    def keep(self) -> Path:
        """Put the logs where they outlive the test session; the folder."""
        folder = paths.REPOSITORY / ".ajo" / "faults" / f"{self.seed}-{int(time.time())}"
        folder.mkdir(parents=True)
        for path in (self.acked_path, self.faults_path, *self.log_dir.glob("*.log")):
            if path.exists():
                shutil.copy(path, folder)
        (folder / "sink.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.sink()))
        return folder


def plan_storm(
    rng: random.Random,
    seconds: float,
    every: tuple[float, float],
    choices: Mapping[tuple[str, str], float],
    fixed: Sequence[Planned] = (),
) -> list[Planned]:
    """A random plan: one fault each U(every) seconds, chosen by weight from (target, how), beside the fixed ones."""
    plan = list(fixed)
    at = rng.uniform(*every)
    while at < seconds:
        target, how = rng.choices(list(choices), weights=list(choices.values()))[0]
        plan.append(Planned(at, target, how, is_must=False))
        at += rng.uniform(*every)
    return plan
