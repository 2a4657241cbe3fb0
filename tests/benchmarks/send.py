"""Messages from the outbox to the mail server: reserve, gather, fence, render, SMTP, result.

Two processes send, with four connections each, as `make run` starts them. The mail server is the mailbox, which stores
every message. The floor is what that mailbox takes at the very most: whole transactions of the same size over as many
connections, built beforehand and sent without waiting for answers.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from django.db import connection

from ajo.lib import claiming
from channels import delivery
from profiles.models import Channel
from tests.benchmarks import harness
from tests.benchmarks.outbox import Outbox, mailbox
from tests.benchmarks.smtp_load import max_rate
from tests.mailbox import HOST

MESSAGES = 5_000
SENDERS = 2
FLOOR_SECONDS = 1.5


def run(rounds: int) -> dict[str, Any]:
    rates, floors = [], []
    with mailbox() as server:
        outbox = Outbox(MESSAGES)
        with senders(SENDERS) as drain:
            outbox.fill()
            drain()
            size = server.log()[-1]["size"]
            for _ in range(rounds):
                floors.append(max_rate(HOST, server.smtp_port, FLOOR_SECONDS, size))
                outbox.fill()
                with harness.timed() as elapsed:
                    drain()
                outbox.check()
                rates.append(MESSAGES / elapsed[0])
    return harness.result(
        "send",
        unit="messages/s",
        rates=rates,
        floors=floors,
        floor_is=f"the mailbox's own maximum: prebuilt transactions of {size} bytes over 8 connections",
        senders=SENDERS,
    )


@contextmanager
def senders(count: int) -> Iterator[Any]:
    """Processes that are there and connected; calling what is yielded lets them drain the outbox and waits for them."""
    connection.close()  # a forked child must not share it
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pipes]
    for each in processes:
        each.start()

    def drain() -> None:
        for ours, _ in pipes:
            ours.send("drain")
        for ours, _ in pipes:
            ours.recv()

    try:
        yield drain
    finally:
        for each in processes:
            each.kill()
            each.join()


def _serve(orders: Connection) -> None:
    while orders.recv():
        claiming.drain(lambda: delivery.take_batch(Channel.EMAIL), seconds=60)
        orders.send("done")
