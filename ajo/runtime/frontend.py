"""Builds the islands with the Node of the virtual environment: `python -m ajo.runtime.frontend`.

Nothing is done twice: packages are installed when their lock has changed, the bundle is built when a source has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from ajo.runtime.paths import REPOSITORY

STATIC = REPOSITORY / "static"
LOCK = STATIC / "package-lock.json"
MODULES = STATIC / "node_modules"
DIST = STATIC / "dist"


def main() -> int:
    """Returns the exit code of the first program that failed, else 0."""
    lock = _digest([LOCK])
    if _stamp(MODULES) != lock:
        print("Installing the packages of the browser interface.", flush=True)
        if code := _run("npm", "ci", "--no-fund", "--no-audit", "--loglevel=error"):
            return code
        _write_stamp(MODULES, lock)
    sources = _digest([LOCK, *STATIC.glob("*.ts"), *STATIC.glob("*.json"), *(STATIC / "src").rglob("*")])
    if _stamp(DIST) != sources:
        print("Building the browser interface.", flush=True)
        if code := _run("npm", "run", "--silent", "build", "--", "--logLevel", "warn"):
            return code
        _write_stamp(DIST, sources)
    return 0


def _run(*command: str) -> int:
    """npm's own children look for `node` on the path, so the virtual environment comes first there."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    program = shutil.which(command[0], path=path)
    if program is None:
        print("There is no npm. Run `make setup`, which installs it into .venv.", file=sys.stderr)
        return 1
    return subprocess.run(
        [program, *command[1:]], cwd=STATIC, env={**os.environ, "PATH": path}, check=False
    ).returncode


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        digest.update(str(path.relative_to(STATIC)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _stamp(folder: Path) -> str:
    try:
        return (folder / ".made-from").read_text()
    except OSError:
        return ""


def _write_stamp(folder: Path, digest: str) -> None:
    """Last of all: an interrupted run is done again."""
    (folder / ".made-from").write_text(digest)


if __name__ == "__main__":
    sys.exit(main())
