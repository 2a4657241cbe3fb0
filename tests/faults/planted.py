"""A bug on purpose, imported into the sender's worker by `--include`: what was being sent when its process died is
queued again, as if SMTP servers recognised a repeat. It is the plausible mistake, and the fault test must see it."""

from __future__ import annotations

from datetime import datetime

from channels.delivery import sender
from channels.delivery.outbox import Loaded


def _believe_every_provider(message: Loaded, now: datetime) -> bool:
    return True


sender._is_repeatable = _believe_every_provider
