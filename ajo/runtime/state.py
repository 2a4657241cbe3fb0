"""What one product in one checkout keeps in its home: the lock, the secrets, and who runs where."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ajo.runtime import process
from ajo.runtime.process import StartError

# Everything that the product writes into its home. `reset` removes these and nothing else: a mistyped AJO_HOME may
# point at a folder with other people's files.
OWN_NAMES = (
    *("pg", "pg.new", "valkey", "mailbox", "mailbox.token", "log", "run", "static"),
    *("runtime.json", "secrets.json", "demo.json", "lock"),
)


class Busy(StartError):
    """Another `manage.py up` owns the home."""


@contextmanager
def owned(home: Path) -> Iterator[None]:
    """Own the home for the length of the block; `Busy` when it has an owner. The lock dies with its process."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("a")
    except PermissionError as error:
        raise StartError(
            f"{error.filename} belongs to another user."
            " Start the product as that user, or give it a folder of its own with AJO_HOME."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = read_json(home / "runtime.json")
            where = f" at {running['url']}" if "url" in running else ""
            who = f" (process {running['pid']})" if "pid" in running else ""
            raise Busy(
                f"The product of this checkout already runs{where}{who}. Stop that one first."
            ) from None
        yield


def erase(home: Path) -> None:
    """Delete the product's data for good; `Busy` while the product runs."""
    with owned(home):
        for name in OWN_NAMES:
            path = home / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours; empty when the file is missing or not readable as one."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file that only its owner may read; a reader never sees half of it."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a text file that only its owner may read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.rename(path)


@dataclass(frozen=True)
class Secrets:
    """Made once per home; losing them makes its database unreadable for us."""

    postgres_password: str
    valkey_password: str
    secret_key: str
    mailbox_token: str

    @classmethod
    def of(cls, home: Path) -> Self:
        """The secrets of a home, made on first use; `StartError` when a database exists but they are gone."""
        path = home / "secrets.json"
        if not path.exists():
            if (home / "pg").exists():
                raise StartError(
                    f"{path} is missing, and with it the password of the database beside it."
                    " Restore the file, or start anew with `make reset`."
                )
            write_json(path, {item.name: secrets.token_urlsafe(32) for item in fields(cls)})
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise StartError(
                f"{path} cannot be read ({error}). Restore it, or start anew with `make reset`."
            ) from error


class Record:
    """`runtime.json`: addresses for commands typed beside the product, process groups for the next start."""

    def __init__(self, home: Path) -> None:
        self._path = home / "runtime.json"
        self._facts: dict[str, Any] = {
            "pid": os.getpid(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "groups": {},
        }

    def note(self, **facts: Any) -> None:
        """Add facts and write the file."""
        self._facts.update(facts)
        write_json(self._path, self._facts)

    def note_group(self, name: str, pid: int | None) -> None:
        """Remember the process group of a child; None forgets it."""
        groups = self._facts["groups"]
        groups.pop(name, None)
        if pid is not None and (started := process.started_at(pid)) is not None:
            groups[name] = {"group": pid, "started": started}
        write_json(self._path, self._facts)

    def remove(self) -> None:
        """After a clean stop nothing runs anywhere."""
        self._path.unlink(missing_ok=True)


def sweep(home: Path) -> list[str]:
    """Kill what a supervisor left that was itself killed together with a child; the names of what was found.

    Only for the owner of the home. A number alone proves nothing after a restart of the machine, so a leader must
    have its recorded start time, and the members of a group without leader must carry this home in their environment.
    """
    swept = []
    for name, known in read_json(home / "runtime.json").get("groups", {}).items():
        group, started = int(known["group"]), int(known["started"])
        leader_started = process.started_at(group)
        if leader_started is None:
            left = [pid for pid in process.group_members(group) if _belongs_to(home, pid)]
        else:
            left = [group] if leader_started == started else []
        if left:
            process.kill_group(group)
            swept.append(name)
    return swept


def _belongs_to(home: Path, pid: int) -> bool:
    return process.environment(pid).get("AJO_HOME") == str(home)
