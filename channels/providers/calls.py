"""One HTTP call for each message of a batch: side by side, within the time of the whole batch, none of them twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ajo.lib import http
from channels.providers.base import Outgoing, ProviderError, Receipt, Verdict

logger = logging.getLogger(__name__)

Call = Callable[[Outgoing], Receipt]
"""Hands over one message."""


class NotTaken(Exception):
    """The service surely did not take this message, for a reason that says nothing about the message."""

    def __init__(self, message: str, *, is_permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent
        self.retry_after = retry_after


def put_off(outgoing: Outgoing, obstacle: NotTaken) -> Receipt:
    """The receipt of a message that will be tried again."""
    return Receipt(
        outgoing.message_id,
        Verdict.DEFERRED,
        detail=str(obstacle),
        retry_after=obstacle.retry_after,
        device_id=outgoing.device_id,
    )


class Caller:
    """Threads that are kept between batches."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="provider")

    def call_each(
        self, batch: Sequence[Outgoing], call: Call, *, seconds: float, call_seconds: float
    ) -> list[Receipt]:
        """One receipt for each message, after at most `seconds`. Raises ProviderError when surely none was taken.

        A call takes up to `call_seconds`; none begins that could end too late.
        `call` raises NotTaken or http.NotSent for what stands in the way of every message: no other call begins then.
        Anything else that it raises leaves its message unknown.
        """
        ends_at = time.monotonic() + seconds
        obstacles: list[NotTaken] = []

        def unknown(outgoing: Outgoing, detail: str) -> Receipt:
            return Receipt(outgoing.message_id, Verdict.UNKNOWN, detail=detail, device_id=outgoing.device_id)

        def one(outgoing: Outgoing) -> Receipt | NotTaken:
            if obstacles:
                return obstacles[0]
            if time.monotonic() > ends_at - call_seconds:
                return NotTaken("There was no time left for it in its batch.")
            try:
                return call(outgoing)
            except NotTaken as obstacle:
                obstacles.append(obstacle)
                return obstacle
            except http.NotSent as error:
                obstacles.append(NotTaken(str(error), is_permanent=isinstance(error, http.Forbidden)))
                return obstacles[-1]
            except http.Lost as error:
                return unknown(outgoing, str(error))
            except Exception as error:
                logger.exception("A provider failed in a way that it should not.")
                name = type(error).__name__
                return Receipt(
                    outgoing.message_id, Verdict.UNKNOWN, detail=f"{name} in the middle of a call."
                )

        outcomes = list(self._threads.map(one, batch))
        if batch and all(isinstance(outcome, NotTaken) for outcome in outcomes) and obstacles:
            first = obstacles[0]
            raise ProviderError(str(first), permanent=first.is_permanent, retry_after=first.retry_after)
        return [
            put_off(outgoing, outcome) if isinstance(outcome, NotTaken) else outcome
            for outgoing, outcome in zip(batch, outcomes, strict=True)
        ]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)
