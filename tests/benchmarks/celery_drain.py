"""The drain loop of the outbox, run by a Celery worker that was woken through Valkey, against the same loop called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import current_app

from ajo.lib import claiming
from ajo.runtime import paths, process
from ajo.runtime.child import Child
from channels import delivery
from profiles.models import Channel
from tests.benchmarks import harness
from tests.benchmarks.outbox import Outbox, mailbox
from tests.support import wait_until

MESSAGES = 4_000
TASK = "channels.tasks.drain_email"


def run(rounds: int) -> dict[str, Any]:
    rates, floors = [], []
    with mailbox(), worker():
        outbox = Outbox(MESSAGES)
        # The worker's first task loads and connects; that is not what is measured.
        outbox.fill()
        _drain_by_celery()
        for _ in range(rounds):
            outbox.fill()
            with harness.timed() as elapsed:
                claiming.drain(lambda: delivery.take_batch(Channel.EMAIL), seconds=60)
            outbox.check()
            floors.append(MESSAGES / elapsed[0])
            outbox.fill()
            with harness.timed() as elapsed:
                _drain_by_celery()
            outbox.check()
            rates.append(MESSAGES / elapsed[0])
    return harness.result(
        "celery_drain",
        unit="messages/s",
        rates=rates,
        floors=floors,
        floor_is="the same loop over the same messages, called in a process",
    )


def _drain_by_celery() -> None:
    current_app.send_task(TASK)
    with harness.connect() as connection:
        wait_until(
            lambda: connection.execute("SELECT NOT EXISTS (SELECT FROM message_due)").fetchone()[0],  # type: ignore[index]
            seconds=60,
            what="the worker to empty the outbox",
        )


class Worker(Child):
    """A sender with one process, as `make run` starts it."""

    name = "sender"

    def __init__(self) -> None:
        home = Path(os.environ["AJO_HOME"])
        super().__init__(home / "log" / "sender.log")
        self._ready_file = home / "sender.ready"

    def launch(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "ajo",
            "worker",
            "-n",
            "bench@%h",
            "-Q",
            "send_email",
            "-c",
            "1",
        ]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
        return process.spawn(
            [*command, *quiet],
            log_path=self.log_path,
            env={**os.environ, "AJO_READY_FILE": str(self._ready_file)},
            cwd=paths.REPOSITORY,
        )

    def answers(self) -> bool:
        return self._ready_file.exists()


@contextmanager
def worker() -> Iterator[None]:
    child = Worker()
    child.start()
    try:
        yield
    finally:
        child.stop()
