"""The boxes of a journey: one file per kind."""

from __future__ import annotations

from ajo.lib.registry import Registry
from journeys.activities.base import Activity

registry: Registry[Activity] = Registry(
    "journey activity", Activity, required=("kind", "label", "category", "Config")
)
