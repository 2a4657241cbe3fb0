"""The people room in the administration."""

from __future__ import annotations

from profiles.admin import audiences, lookups
from profiles.admin.people import ProfileAdmin

__all__ = ["ProfileAdmin", "audiences", "lookups"]
