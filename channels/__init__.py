"""How we reach people: content, the outbox, providers, suppression.

Offered to the rooms above: `models`, `services` and `delivery` (enqueue messages).
"""

from __future__ import annotations
