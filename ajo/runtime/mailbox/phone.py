"""What phones and browsers received: text messages and pushes, kept like mails and told over HTTP.

    GET    /phone.json              {"messages": […], "count": n, "people": […]}, newest first;
                                    to, channel, after, limit
    DELETE /phone.json              empties it; numbering goes on
    POST   /phone/<id>/reply.json   {"text": …}: the person answers a text message

A message has `id, received_at, channel` (sms or push), `service, from, to, provider_id, is_reply, text` and, of a push,
`title, image_url, link_url, data`. Ids are strings, times ISO 8601 in UTC. `to` is the number, the token or the address
that the service was given. A reply stands under the number that it comes from.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ajo.runtime.mailbox.http import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Refused,
    Request,
    Response,
    Route,
    iso,
    json_response,
)
from ajo.runtime.mailbox.store import Store

MAX_BYTES = 64 * 1024 * 1024
MAX_MESSAGES = 20_000

Reply = Callable[[dict[str, Any], str], Awaitable[None]]
"""reply(message, text): tell the sender's system what the person answers. Raises Refused."""


class Phone:
    """The messages, on disk and in memory."""

    def __init__(self, folder: Path) -> None:
        self._store = Store(folder, MAX_BYTES, MAX_MESSAGES)
        self._messages: deque[dict[str, Any]] = deque(
            self._loaded(number) for number in range(self._store.first, self._store.next)
        )
        self.reply: Reply | None = None
        """How a text message is answered; its service says so."""
        self.routes = (
            Route("GET", re.compile(r"/phone\.json"), self.list_messages),
            Route("DELETE", re.compile(r"/phone\.json"), self.delete_messages),
            Route("POST", re.compile(r"/phone/(?P<number>\d{1,18})/reply\.json"), self.answer),
        )

    def add(
        self, *, channel: str, service: str, sender: str, to: str, provider_id: str, **shown: Any
    ) -> dict[str, Any]:
        """Keep a message; OSError when the disk does not take it."""
        message = {
            "channel": channel,
            "service": service,
            "from": sender,
            "to": to,
            "provider_id": provider_id,
            "is_reply": False,
            **shown,
        }
        content = json.dumps(message).encode()
        number = self._store.append(service.encode(), [], content)
        self._store.flush()
        message |= {"id": str(number), "received_at": iso(time.time_ns() // 1000)}
        self._messages.append(message)
        while self._messages and int(self._messages[0]["id"]) < self._store.first:
            self._messages.popleft()
        return message

    def close(self) -> None:
        """Let go of the folder."""
        self._store.close()

    async def list_messages(self, request: Request) -> Response:
        """A page of messages, and who received any with how many they have."""
        limit, after = request.number("limit", DEFAULT_LIMIT, MAX_LIMIT), request.number("after", 0)
        to, channel = request.query.get("to", "").strip(), request.query.get("channel", "")
        of_channel = [each for each in self._messages if channel in {"", each["channel"]}]
        found = [
            each for each in reversed(of_channel) if to in {"", _person(each)} and int(each["id"]) > after
        ]
        counts = Counter(_person(each) for each in of_channel)
        last = {_person(each): each for each in of_channel}
        people = sorted(last, key=lambda person: int(last[person]["id"]), reverse=True)
        return json_response(
            {
                "messages": found[:limit],
                "count": len(found),
                "people": [
                    {
                        "address": person,
                        "channel": last[person]["channel"],
                        "count": counts[person],
                        "last_at": last[person]["received_at"],
                    }
                    for person in people[:limit]
                ],
            }
        )

    async def delete_messages(self, request: Request) -> Response:
        """Empty it."""
        self._store.clear()
        self._messages.clear()
        return json_response({"messages": [], "count": 0, "people": []})

    async def answer(self, request: Request) -> Response:
        """Send what the person answers to whom sent the message."""
        number = request.values["number"]
        message = next((each for each in self._messages if each["id"] == number), None)
        if message is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"There is no message {number} on a phone.")
        if message["channel"] != "sms" or message["is_reply"] or self.reply is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "Only a text message can be answered.")
        try:
            text = str(json.loads(request.body)["text"]).strip()
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "Send the answer as JSON with a text.") from error
        if not text:
            raise Refused(HTTPStatus.BAD_REQUEST, "The answer is empty.")
        await self.reply(message, text)
        return json_response({"text": text})

    def _loaded(self, number: int) -> dict[str, Any]:
        record = self._store.read(number)
        assert record is not None
        return {**json.loads(record.content), "id": str(number), "received_at": iso(record.received_at_us)}


def _person(message: dict[str, Any]) -> str:
    """The address of the person, whoever of the two wrote."""
    return str(message["from"] if message["is_reply"] else message["to"])
