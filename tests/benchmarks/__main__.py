"""Runs benchmarks and prints one JSON object a line.

    python -m tests.benchmarks [name…] [--rounds N]

A benchmark is a module of this package with `run(rounds)`, which gives one line (a dict) or several.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

from ajo.runtime.process import StartError
from tests.benchmarks import harness

ROUNDS = 5


def names() -> list[str]:
    """The modules of this package that define `run`; read as text, for Django is not set up yet."""
    folder = Path(__file__).parent
    modules = sorted(found.name for found in pkgutil.iter_modules([str(folder)]))
    return [name for name in modules if "\ndef run(" in (folder / f"{name}.py").read_text()]


def run(module: ModuleType, rounds: int) -> None:
    """Print the lines of one benchmark, each with the seconds that passed since the last."""
    started = time.monotonic()
    lines = module.run(rounds)
    for line in [lines] if isinstance(lines, dict) else lines:
        print(json.dumps({**line, "seconds": round(time.monotonic() - started, 1)}), flush=True)
        started = time.monotonic()


def main() -> int:
    known = names()
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"one of {', '.join(known)}; all when left out"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"There is no benchmark {', '.join(unknown)}. There are {', '.join(known)}.")
    try:
        with harness.installation():
            for name in options.names or known:
                run(importlib.import_module(f"tests.benchmarks.{name}"), options.rounds)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
