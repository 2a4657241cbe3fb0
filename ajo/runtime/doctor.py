"""What can be wrong with the machine and the run, in sentences with the remedy. Looks only; changes nothing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ajo.runtime import process, web
from ajo.runtime.state import Busy, owned, read_json

_LEAST_DISK = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; the sentences of a problem end with the remedy."""

    subject: str
    sentences: str
    is_problem: bool = False


def examine(home: Path, host: str, port: int) -> Iterator[Finding]:
    """Findings about Python, the disk, the run in `home`, and the web server it started or would start."""
    yield Finding("python", f"Python {platform.python_version()} on {platform.platform(terse=True)}.")
    yield _disk(home)
    record = read_json(home / "runtime.json")
    if not _is_owned(home):
        yield _absence(record, host, port)
        return
    yield Finding("run", f"`manage.py up` runs as process {record.get('pid')}.")
    yield _web(str(record.get("url", "")))


def _disk(home: Path) -> Finding:
    folder = home if home.exists() else home.parent
    free = shutil.disk_usage(folder).free
    sentence = f"{free / 1024**3:.1f} GB are free in {folder}."
    if free < _LEAST_DISK:
        return Finding("disk", f"Only {sentence} PostgreSQL stops when the disk is full: make room.", True)
    return Finding("disk", sentence)


def _is_owned(home: Path) -> bool:
    if not (home / "lock").exists():
        return False
    try:
        with owned(home):
            return False
    except Busy:
        return True


def _absence(record: dict[str, object], host: str, port: int) -> Finding:
    if not process.port_is_free(port, host):
        other = process.free_port(port + 1)
        return Finding(
            "run",
            f"The product of this checkout does not run, and port {port} of {host} belongs to another program."
            f" Start it on another port: AJO_PORT={other} make run",
            True,
        )
    if record:
        return Finding(
            "run",
            "The last run was interrupted. Nothing needs repair: `make run` cleans up after it and continues.",
            True,
        )
    return Finding("run", "The product of this checkout does not run. Start it with `make run`.", True)


def _web(url: str) -> Finding:
    status = web.status(f"{url}/healthz")
    if status is None:
        return Finding("web", f"The web server at {url} does not answer. Look into log/web.log.", True)
    if status != 200:
        return Finding(
            "web", f"{url}/healthz answers {status}. The part that is named below needs care.", True
        )
    return Finding("web", f"{url} is healthy.")
