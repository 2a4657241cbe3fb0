"""What was given to a provider, as people look at it. Pure: bytes in, texts out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy

import msgspec

from channels.rendering import Shown
from profiles.models import Channel

# Looking at a message must count neither as an opening nor as a click.
_PIXEL = re.compile(r"(?:https?://[^\s\"'<>]*)?/t/o/[^\s\"'<>]*")
_CLICK = re.compile(r"(?:https?://[^\s\"'<>]*)?/t/c/[^\s\"'<>]*")
_NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


@dataclass(frozen=True, slots=True)
class Source:
    """An email, taken apart. `html` and `text` are None when it has no such part."""

    raw: str
    headers: Sequence[tuple[str, str]]
    text: str | None
    html: str | None


def read_source(body: bytes) -> Source:
    """The parts of the MIME bytes of one email."""
    email = message_from_bytes(body, policy=policy.default)
    parts = {kind: email.get_body((kind,)) for kind in ("plain", "html")}
    texts = {
        kind: None if part is None else str(part.get_content()).replace("\r\n", "\n")
        for kind, part in parts.items()
    }
    return Source(
        raw=body.decode("utf-8", "replace").replace("\r\n", "\n"),
        headers=[(name, str(value)) for name, value in email.items()],
        text=texts["plain"],
        html=texts["html"],
    )


def disarmed(html: str) -> str:
    """The HTML without the addresses that count: shown to a colleague, it reports nothing about the person."""
    return _CLICK.sub("#", _PIXEL.sub(_NOTHING, html))


def read_shown(channel: int, body: bytes) -> Shown:
    """What people see of a body that is no email: see `channels.providers.base.Outgoing`."""
    text = body.decode("utf-8", "replace")
    match channel:
        case Channel.PUSH:
            push = json.loads(text)
            return Shown(
                subject=push["title"],
                text=push["body"],
                image_url=push["image_url"],
                link_url=push["link_url"],
                columns=tuple(push["data"].items()),
            )
        case Channel.WEBHOOK:
            return Shown(text=msgspec.json.format(body, indent=2).decode())
        case Channel.DIRECT_MAIL:
            return Shown(columns=tuple((name, value) for name, value in json.loads(text)))
    return Shown(text=text)
