from __future__ import annotations

import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

# Read where it is written, so that there is no second place to forget.
VERSION: str = tomllib.loads(_PYPROJECT.read_text())["project"]["version"]
