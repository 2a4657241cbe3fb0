"""What goes wrong on demand at the fake services: a test commands it beforehand, over HTTP.

    POST   /faults.json   {"service": "twilio" | "fcm" | "web_push", "kind": …, "to": "", "times": 1}
    DELETE /faults.json   everything works again

`to` is a part of the address that the fault is for, empty for any; `times` how often it happens; further keys are the
fault's own (`retry_after`, `code`). Kinds that all services know: `throttle` (429), `unavailable` (503), `error` (500),
`hang_before` and `hang_after` (taken, but no answer comes), `drop_before` and `drop_after` (the connection ends),
`garbage` (taken, and an answer that makes no sense). Each service's module names those of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ajo.runtime.mailbox.http import Dropped, Refused, Request, Response, Route, json_response

_HANG_SECONDS = 3600
"""The server ends the connection before, when its client fell silent for so long."""


@dataclass(slots=True)
class Fault:
    """One commanded fault; `left` is how often it still happens."""

    service: str
    kind: str
    to: str
    left: int
    values: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The faults that were commanded and did not happen yet, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.routes = (
            Route("POST", re.compile(r"/faults\.json"), self.command),
            Route("DELETE", re.compile(r"/faults\.json"), self.forget),
        )

    async def command(self, request: Request) -> Response:
        """Let something go wrong."""
        try:
            asked = json.loads(request.body)
            service, kind = str(asked.pop("service")), str(asked.pop("kind"))
            to, times = str(asked.pop("to", "")), int(asked.pop("times", 1))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "A fault needs a service and a kind, as JSON.") from error
        self._faults.append(Fault(service, kind, to, times, asked))
        return json_response({"service": service, "kind": kind, "to": to, "times": times})

    async def forget(self, request: Request) -> Response:
        """Let everything work again."""
        self._faults.clear()
        return json_response({})

    def next(self, service: str, to: str) -> Fault | None:
        """What goes wrong with a request of a service to an address; it counts as having happened."""
        for fault in self._faults:
            if fault.service == service and fault.to in to:
                fault.left -= 1
                if fault.left <= 0:
                    self._faults.remove(fault)
                return fault
        return None


async def before(fault: Fault | None) -> None:
    """What happens before anything is taken."""
    if fault is None:
        return
    if fault.kind == "hang_before":
        await asyncio.sleep(_HANG_SECONDS)
    if fault.kind == "drop_before":
        raise Dropped


async def after(fault: Fault | None, response: Response) -> Response:
    """The answer when the message was taken, or what comes instead of it."""
    if fault is None:
        return response
    if fault.kind == "hang_after":
        await asyncio.sleep(_HANG_SECONDS)
    if fault.kind == "drop_after":
        raise Dropped
    if fault.kind == "garbage":
        return Response(b'{"half": ')
    return response
