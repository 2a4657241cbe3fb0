"""A message as its reader sees it: decoded headers, text, HTML, attachments. Pure; never raises on bad input,
because what arrives may be broken and must be shown all the same."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from typing import Any, Final

SNIPPET_LENGTH: Final = 140
MAX_LINE: Final = 998

_LOOKED_AT_FOR_SNIPPET: Final = 100_000
_FIELD: Final = re.compile(rb"(?im)^(subject|message-id|from)[ \t]*:[ \t]*((?:.*)(?:\r?\n[ \t].*)*)")
_HEAD_OF_PAGE: Final = re.compile(
    r"<head\b.*?</head\s*>|<(style|script|title)\b.*?</\1\s*>|<!--.*?-->", re.I | re.S
)
_TAG: Final = re.compile(r"<[^>]*>")
# Preheaders are padded with invisible characters so that the body does not show up in the list.
_INVISIBLE: Final = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u2007\u2060-\u2064\ufeff]+")
_SPACE: Final = re.compile(r"\s+")
_CID: Final = re.compile(r"""(?<=["'(=])cid:([^"')\s>]+)""", re.I)
_BARE_NEWLINE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Fields:
    """The three headers that lists show, decoded; empty when missing."""

    subject: str
    message_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is neither the text nor the HTML; `size` in octets after decoding."""

    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole message decoded; `text` and `html` (lines end with a line feed) are None when there is no such part."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]
    warnings: tuple[str, ...]


def read_fields(content: bytes) -> Fields:
    """The headers for a list, by pattern: the stdlib parser would cost a millisecond for each message."""
    end = _end_of_headers(content)
    found: dict[bytes, str] = {}
    for match in _FIELD.finditer(content, 0, end):
        found.setdefault(match[1].lower(), _decode_words(match[2]))
    return Fields(found.get(b"subject", ""), found.get(b"message-id", ""), found.get(b"from", ""))


def read_message(content: bytes) -> Reading:
    """Everything a person wants to see of a message."""
    message = message_from_bytes(content, policy=policy.default)
    texts: list[str] = []
    pages: list[str] = []
    attachments: list[Attachment] = []
    images: dict[str, str] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        content_type = part.get_content_type()
        is_attached = part.get_content_disposition() == "attachment"
        if content_type == "text/plain" and not is_attached:
            texts.append(_decode_text(part))
        elif content_type == "text/html" and not is_attached:
            pages.append(_decode_text(part))
        else:
            payload = _payload(part)
            attachments.append(Attachment(_filename(part), content_type, len(payload)))
            content_id = _header(part, "Content-ID").strip("<> ")
            if content_id and part.get_content_maintype() == "image":
                images[content_id] = f"data:{content_type};base64,{base64.b64encode(payload).decode()}"
    page = "\n".join(pages) if pages else None
    if page is not None and images:
        page = _CID.sub(lambda match: images.get(match[1], match[0]), page)
    return Reading(
        headers=tuple((name, _header_text(name, value)) for name, value in message.raw_items()),
        text="\n".join(texts) if texts else None,
        html=page,
        attachments=tuple(attachments),
        warnings=_warnings(content),
    )


def snippet(reading: Reading) -> str:
    """The first words a person sees in a list of messages: of the HTML (its preheader) before the text."""
    if reading.html is not None:
        page = _HEAD_OF_PAGE.sub(" ", reading.html[:_LOOKED_AT_FOR_SNIPPET])
        words = html.unescape(_TAG.sub(" ", page))
    else:
        words = (reading.text or "")[:_LOOKED_AT_FOR_SNIPPET]
    words = _SPACE.sub(" ", _INVISIBLE.sub("", words)).strip()
    return words if len(words) <= SNIPPET_LENGTH else words[: SNIPPET_LENGTH - 1].rstrip() + "…"


def _end_of_headers(content: bytes) -> int:
    end = content.find(b"\r\n\r\n")
    return len(content) if end < 0 else end


def _decode_words(raw: bytes) -> str:
    text = _SPACE.sub(" ", raw.decode("utf-8", "replace")).strip()
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text


def _header_text(name: str, value: Any) -> str:
    raw = str(value).encode("utf-8", "surrogateescape")
    return _decode_words(raw)


def _header(part: Message, name: str) -> str:
    try:
        return str(part.get(name, ""))
    except (ValueError, LookupError, IndexError, AttributeError):
        return ""


def _filename(part: Message) -> str:
    try:
        return part.get_filename() or ""
    except (ValueError, LookupError, IndexError, AttributeError):
        return ""


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decode_text(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    payload = _payload(part)
    try:
        text = payload.decode(charset, "replace")
    except LookupError:
        text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _warnings(content: bytes) -> tuple[str, ...]:
    """What real servers may refuse although this one took it."""
    warnings = []
    if max(map(len, content.split(b"\n"))) > MAX_LINE + len(b"\r"):
        warnings.append(f"A line is longer than {MAX_LINE} octets; real servers may refuse or break it.")
    if _BARE_NEWLINE.search(content):
        warnings.append("A line does not end with CR LF; real servers may refuse the message.")
    fields = content[: _end_of_headers(content)].lower()
    for name in ("From", "Date", "Message-ID"):
        if not re.search(rb"(?m)^%s[ \t]*:" % name.lower().encode(), fields):
            warnings.append(f"The header {name} is missing.")
    return tuple(warnings)
