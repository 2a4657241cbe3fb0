"""Tables of cases that other tools can read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[2] / "cases"


def load(name: str) -> list[Any]:
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
