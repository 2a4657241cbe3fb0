"""Messages from the outbox to the mail server: reserve, gather, fence, render, SMTP, result.

One process sends; the mail server is the mailbox, which stores every message. The floor is what that mailbox takes at
the very most: whole transactions of the same size, built beforehand, sent without waiting for answers.
"""

from __future__ import annotations

from typing import Any

from ajo.lib import claiming
from channels import delivery
from profiles.models import Channel
from tests.benchmarks import harness
from tests.benchmarks.outbox import Outbox, mailbox
from tests.benchmarks.smtp_load import max_rate
from tests.mailbox import HOST

MESSAGES = 5_000
FLOOR_SECONDS = 1.5


def run(rounds: int) -> dict[str, Any]:
    rates, floors = [], []
    with mailbox() as server:
        outbox = Outbox(MESSAGES)
        outbox.fill()
        delivery.take_batch(Channel.EMAIL, limit=1)
        size = server.log()[-1]["size"]
        for _ in range(rounds):
            floors.append(max_rate(HOST, server.smtp_port, FLOOR_SECONDS, size))
            outbox.fill()
            with harness.timed() as elapsed:
                claiming.drain(lambda: delivery.take_batch(Channel.EMAIL), seconds=60)
            outbox.check()
            rates.append(MESSAGES / elapsed[0])
    return harness.result(
        "send",
        unit="messages/s",
        rates=rates,
        floors=floors,
        floor_is=f"the mailbox's own maximum: prebuilt transactions of {size} bytes over 8 connections",
    )
