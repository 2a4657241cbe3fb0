"""Start children in tiers, restart what dies, stop everything in reverse."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from ajo.runtime import process
from ajo.runtime.child import Child
from ajo.runtime.process import StartError

_TICK = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_LONG_ENOUGH = (
    30.0  # a child that lived this long was healthy: its next death starts with the first pause again
)
_MAX_DEATHS_BEFORE_READY = 3
_ALARMS_AT_ONCE = 5
_SAME_ALARM = 60.0
_SAME_REQUEST = 0.7


class StopRequested(Exception):
    """Somebody asked for the end while something was being waited for."""


@dataclass
class _Watch:
    """A child and what the supervisor knows about it."""

    child: Child
    alarms: re.Pattern[str]
    spawned_at: float = 0.0
    deaths: int = 0
    is_ready: bool = False
    was_ready: bool = False
    restart_at: float | None = None
    log_offset: int = 0
    shown_at: dict[str, float] = field(default_factory=dict)


class Supervisor:
    """Runs on the main thread between `with` and its end, which stops all children in reverse order.

    `say` gets one line for a person at a time; `note` gets a child's name and its process, or None, at every change.
    """

    def __init__(self, say: Callable[[str], None], note: Callable[[str, int | None], None]) -> None:
        self._say = say
        self._note = note
        self._tiers: list[list[_Watch]] = []
        self._stops = 0
        self._stop_asked_at = float("-inf")
        self._stopping = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._wake_read, self._wake_write = -1, -1

    def __enter__(self) -> Self:
        # A signal that arrives between two waits must still end the next one at once: it leaves a byte in this pipe.
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._on_stop)
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_all()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)

    def launch(self, *children: Child) -> None:
        """Launch a tier without waiting for it."""
        tier = [_Watch(child, re.compile(child.alarms)) for child in children]
        self._tiers.append(tier)
        for watch in tier:
            self._spawn(watch)

    def start(self, *children: Child) -> None:
        """Launch a tier and return when all that was launched is ready; `StartError` when a child never is."""
        self.launch(*children)
        self._until(lambda: all(watch.is_ready for watch in self._watches()))

    def run(self, name: str, command: Sequence[str | Path], log_path: Path, env: Mapping[str, str]) -> None:
        """Run a command to its end under our eyes; `StartError` with the end of its log when it fails."""
        begun = time.monotonic()
        popen = process.spawn(command, log_path=log_path, death_signal=signal.SIGTERM, env=env)
        self._note(name, popen.pid)
        try:
            self._until(lambda: popen.poll() is not None)
        finally:
            process.kill_group(popen.pid)
            popen.wait()
            self._note(name, None)
        if popen.returncode != 0:
            raise StartError(f"{name} failed. The end of {log_path.name}:{process.log_tail(log_path, 12)}")
        self._report(name, "done", "", time.monotonic() - begun)

    def watch(self) -> None:
        """Keep everything alive until somebody asks for the end."""
        try:
            self._until(lambda: False)
        except StopRequested:
            pass

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._stops:
                raise StopRequested
            self._care()
            self._sleep()

    def _care(self) -> None:
        for watch in self._watches():
            if watch.restart_at is not None:
                if time.monotonic() >= watch.restart_at:
                    self._spawn(watch)
            elif not watch.is_ready:
                self._await_readiness(watch)
            elif watch.child.pid is None:
                self._bury(watch, "died")
            else:
                self._show_alarms(watch)

    def _await_readiness(self, watch: _Watch) -> None:
        before = watch.child.pid
        try:
            watch.is_ready = watch.child.is_ready()
        except StartError:
            if not watch.was_ready and watch.deaths + 1 >= _MAX_DEATHS_BEFORE_READY:
                raise
            self._bury(watch, "died while starting")
            return
        if watch.child.pid != before:  # it moved to another port
            self._note(watch.child.name, watch.child.pid)
        waited = time.monotonic() - watch.spawned_at
        if watch.is_ready:
            watch.was_ready = True
            watch.log_offset = _size(watch.child.log_path)
            self._report(watch.child.name, "ready", watch.child.detail, waited)
        elif waited > watch.child.start_timeout:
            if not watch.was_ready:
                tail = process.log_tail(watch.child.log_path)
                raise StartError(
                    f"{watch.child.name} was not ready after {watch.child.start_timeout:g} s."
                    f" The end of {watch.child.log_path.name}:{tail}"
                )
            self._bury(watch, "hangs")

    def _bury(self, watch: _Watch, what: str) -> None:
        """Clear away a child that ended or hangs, and plan its successor."""
        if time.monotonic() - watch.spawned_at > _LONG_ENOUGH:
            watch.deaths = 0
        pause = min(_FIRST_PAUSE * 2**watch.deaths, _LONGEST_PAUSE)
        watch.deaths += 1
        watch.child.kill()  # what a dead main process left in its group would still hold the port
        watch.is_ready = False
        watch.restart_at = time.monotonic() + pause
        self._note(watch.child.name, None)
        self._report(watch.child.name, what, f"starts again in {pause:.1f} s")

    def _spawn(self, watch: _Watch) -> None:
        watch.restart_at = None
        watch.spawned_at = time.monotonic()
        watch.child.spawn()
        self._note(watch.child.name, watch.child.pid)

    def _stop_all(self) -> None:
        """Stop the tiers in reverse, all children of one tier at the same time; a further request skips graces."""
        self._stopping = True
        patience = 2 if self._stops else 1
        for tier in reversed(self._tiers):
            begun = time.monotonic()
            for watch in tier:
                watch.child.ask_to_stop()
            left = list(tier)
            while left:
                now = time.monotonic()
                for watch in list(left):
                    expired = now - begun > watch.child.stop_timeout or self._stops >= patience
                    if watch.child.pid is not None and not expired:
                        continue
                    what = "stopped" if watch.child.pid is None else "killed"
                    had_run = watch.child.popen is not None
                    watch.child.kill()
                    self._note(watch.child.name, None)
                    if had_run:
                        self._report(watch.child.name, what, "", now - begun)
                    left.remove(watch)
                if left:
                    self._sleep()

    def _show_alarms(self, watch: _Watch) -> None:
        path = watch.child.log_path
        if _size(path) <= watch.log_offset:
            return
        with path.open("rb") as log:
            log.seek(watch.log_offset)
            text = log.read()
        complete = text[: text.rfind(b"\n") + 1]
        watch.log_offset += len(complete)
        lines = complete.decode(errors="replace").splitlines()
        found = [line for line in lines if watch.alarms.search(line) and self._is_news(watch, line)]
        for line in found[:_ALARMS_AT_ONCE]:
            self._say(f"{watch.child.name:<9} {line}")
        if len(found) > _ALARMS_AT_ONCE:
            self._say(
                f"{watch.child.name:<9} … and {len(found) - _ALARMS_AT_ONCE} more such lines in {path.name}"
            )

    def _is_news(self, watch: _Watch, line: str) -> bool:
        """Whether nothing like it was shown in the last minute: a tick that fails says so every second."""
        text = re.sub(r"\d+", "", line)
        now = time.monotonic()
        if now - watch.shown_at.get(text, float("-inf")) < _SAME_ALARM:
            return False
        watch.shown_at[text] = now
        return True

    def _report(self, name: str, state: str, detail: str, seconds: float | None = None) -> None:
        took = "" if seconds is None else f"{seconds:5.1f} s"
        self._say(f"{name:<9} {state:<8} {detail:<32} {took}".rstrip())

    def _watches(self) -> list[_Watch]:
        return [watch for tier in self._tiers for watch in tier]

    def _sleep(self) -> None:
        """Until something happened: a signal, a child's end, or the tick."""
        waiting = any(not watch.is_ready for watch in self._watches()) or self._stopping
        select.select([self._wake_read], [], [], 0.03 if waiting else _TICK)
        try:
            while os.read(self._wake_read, 1024):
                pass
        except BlockingIOError:
            pass

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        # `make` and a shell may both pass on one request; that must not count as a second one.
        if time.monotonic() - self._stop_asked_at > _SAME_REQUEST:
            self._stops += 1
            self._stop_asked_at = time.monotonic()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
