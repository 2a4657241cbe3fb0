"""Child processes that die with us, and what can be learned about processes of a former life."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_LOG_LIMIT = 16 * 1024 * 1024

# Loaded before any fork: a library must not be opened between fork and exec.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(Exception):
    """What stopped a start: full sentences for a person, ending with the remedy."""


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll `condition` until it holds; `TimeoutError` naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout:g} s in vain until {what}.")
        time.sleep(0.02)


def spawn(
    command: Sequence[str | Path],
    *,
    log_path: Path,
    death_signal: signal.Signals = signal.SIGINT,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log_path`.

    The kernel sends it `death_signal` when the calling *thread* ends, so call this from the main thread only.
    """
    parent = os.getpid()

    def follow_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before prctl, so no signal will ever come
                os._exit(1)

    with open_log(log_path) as log:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,  # the terminal's Ctrl-C must reach the supervisor alone
            preexec_fn=follow_parent,
            **options,
        )


def open_log(path: Path) -> IO[bytes]:
    """`path` opened for appending; a file that grew beyond 16 MiB is first put aside as `<name>.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.rename(path.with_name(path.name + ".1"))
    return path.open("ab")


def log_tail(path: Path, lines: int = 8) -> str:
    """The last `lines` lines of a log, indented, for an error message."""
    try:
        text = path.read_bytes()[-8192:].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


def send(pid: int, number: signal.Signals) -> None:
    """Signal one process; one that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_group(group: int) -> None:
    """SIGKILL every process of a group; a group that is gone already is no error."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def processes() -> Iterable[int]:
    """Ids of all processes of this machine; none where there is no `/proc`."""
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return []
    return [int(name) for name in names if name.isdigit()]


def started_at(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot: with the id it names a process for good."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    stats = ((pid, _stat(pid)) for pid in processes())
    return [pid for pid, fields in stats if fields is not None and int(fields[2]) == group]


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it is gone or not ours to read."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(pair.decode(errors="replace").split("=", 1) for pair in pairs if b"=" in pair)


def _stat(pid: int) -> list[str] | None:
    """Fields of `/proc/<pid>/stat` from the state on; None for a process that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets itself
    return None if fields[0] in "ZX" else fields


def try_listening(port: int, host: str = "127.0.0.1") -> None:
    """Raise the `OSError` that a server would meet if it listened on `host:port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: without it a port whose last connections linger in TIME_WAIT looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `host:port` now."""
    try:
        try_listening(port, host)
    except OSError:
        return False
    return True


def free_port(base: int) -> int:
    """The first port from `base` upwards that is free on the loopback address."""
    for port in range(base, base + 1000):
        if port_is_free(port):
            return port
    raise StartError(f"Ports {base} to {base + 999} of 127.0.0.1 are all taken. Stop what uses them.")
