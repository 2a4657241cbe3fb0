"""Files of a folder in which every line stands exactly once, whoever was killed on the way. Knows no database.

    <folder>/<origin>-<n>.csv        for the printer, complete
    <folder>/<origin>-<n>.csv.done   beside it, once it may be taken
    <folder>/.parts/<origin>/        lines that came in: a file for each batch, written whole or not at all
    <folder>/.keys/<origin>-<n>      whose lines stand in the n-th file

A line has a key. The same key may come in any number of times and from a process that was long thought dead: the first
line wins, also when it stands in a file that was closed days ago. `close` may be killed at every step and done again.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")

Line = tuple[str, Sequence[tuple[str, str]]]
"""A key, and the columns of its line."""


def add(folder: Path, origin: str, lines: Sequence[Line]) -> str:
    """Keep the lines of a batch, all or none; returns the name of their file. Raises OSError when there are none."""
    parts = folder / ".parts" / origin
    parts.mkdir(parents=True, exist_ok=True)
    # UUIDs of this version sort by time, so that lines keep the order in which they came.
    file = parts / f"{uuid.uuid1().time:016x}-{uuid.uuid4().hex}.jsonl"
    _write(
        file, "".join(json.dumps([key, list(columns)], ensure_ascii=False) + "\n" for key, columns in lines)
    )
    return file.name


def waiting(folder: Path, *, before: float) -> list[str]:
    """The origins that have lines, of which the newest came in before this time (Unix seconds)."""
    found = []
    for parts in sorted((folder / ".parts").glob("*")):
        times = [part.stat().st_mtime for part in parts.glob("*.jsonl")]
        if times and max(times) < before:
            found.append(parts.name)
    return found


def close(folder: Path, origin: str, *, delimiter: str = ",") -> Path | None:
    """Make the lines that came in the origin's next file; returns it, None when all of them stand in earlier files."""
    with _alone(folder):
        keys = folder / ".keys"
        keys.mkdir(exist_ok=True)
        ledgers = {int(each.name.rpartition("-")[2]): each for each in keys.glob(f"{origin}-*")}
        known = {key for ledger in ledgers.values() for key in ledger.read_text("utf-8").splitlines()}
        parts = sorted((folder / ".parts" / origin).glob("*.jsonl"))
        lines: dict[str, dict[str, str]] = {}
        for part in parts:
            for key, columns in map(json.loads, part.read_text("utf-8").splitlines()):
                if key not in known:
                    lines.setdefault(key, dict(columns))
        made = None
        if lines:
            number = max(ledgers, default=0) + 1
            made = folder / f"{origin}-{number}.csv"
            _write(made, _table(lines, delimiter))
            # From here on the lines are in the file; before, doing it again writes the same file anew.
            _write(keys / f"{origin}-{number}", "".join(f"{key}\n" for key in lines))
            ledgers[number] = keys / f"{origin}-{number}"
        for number in ledgers:
            _mark_done(folder / f"{origin}-{number}.csv")
        for part in parts:
            part.unlink()
        return made


def _mark_done(file: Path) -> None:
    """Once only: a printer who has taken both files away must not find the mark alone again."""
    if file.exists() and not file.with_name(f"{file.name}.done").exists():
        _write(file.with_name(f"{file.name}.done"), "")


def _table(lines: Mapping[str, Mapping[str, str]], delimiter: str) -> str:
    """The columns of all lines in the order in which they first appear; empty where a line has none."""
    names = list(dict.fromkeys(name for columns in lines.values() for name in columns))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(map(_plain, names))
    for columns in lines.values():
        writer.writerow([_plain(columns.get(name, "")) for name in names])
    return text.getvalue()


def _plain(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    cell = cell.replace("\x00", "")
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _write(file: Path, text: str) -> None:
    """A file that is there whole or not at all, also after the power has failed."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.unfinished")
    with unfinished.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time closes files in a folder. The system lets go of the lock of a process that died."""
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
