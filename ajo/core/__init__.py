"""Users, API keys, audit, heartbeats: one of each, for every room."""

from __future__ import annotations
