"""The people room in the administration."""

from __future__ import annotations

from profiles.admin import audiences
from profiles.admin.people import ProfileAdmin

__all__ = ["ProfileAdmin", "audiences"]
