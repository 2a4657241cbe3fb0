"""Where the runtime keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def home() -> Path:
    """The folder of everything that `manage.py up` makes: `AJO_HOME`, else `.ajo` in the checkout."""
    return Path(os.environ.get("AJO_HOME") or REPOSITORY / ".ajo").absolute()
