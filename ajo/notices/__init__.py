"""What operations see: prepared notices to send, what became of them, and journeys to watch. Nothing else is theirs."""

from __future__ import annotations
