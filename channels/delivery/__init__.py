"""The outbox: messages go in with `enqueue`, out with `take_batch`, and are kept from going with `withhold_…`.

A message is a row with a state; `message_due` says when it needs attention. The states and who sets them are in the
table of `channels.models.Message`. What is promised: nobody gets a message twice because of us. When a process dies
between the call to the provider and its answer, the message becomes `uncertain`, is shown as such and not sent again.
"""

from __future__ import annotations

from channels.delivery.members import Crowd, enqueue_members, release_origin
from channels.delivery.outbox import Draft, enqueue, move_merged, withhold_origin, withhold_queued
from channels.delivery.sender import source, take_batch

__all__ = [
    "Crowd",
    "Draft",
    "enqueue",
    "enqueue_members",
    "move_merged",
    "release_origin",
    "source",
    "take_batch",
    "withhold_origin",
    "withhold_queued",
]
