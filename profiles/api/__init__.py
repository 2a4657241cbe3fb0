"""People under `/api/v1/`: profiles by identity and number, and the names of events and attributes."""

from __future__ import annotations
