"""Email: from authored words to MIME bytes.

What never changes is encoded beforehand. For a person only the moving parts are rendered, encoded and put in between.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache

from liquid.ast import Node

from channels import html, mime
from channels.liquid import ADDRESSES, MAX_SOURCE, ContentError, Template, guard_links
from channels.rendering.base import Envelope, Sender, Shown, Words, compile_field
from channels.tracking.links import TOKEN, track

MAX_BODY = 2 * 1024 * 1024
_MAX_TRACKED = 8 * MAX_SOURCE
"""Short links become longer ones; the author's own text was measured at publishing."""


Segment = tuple[bytes, ...] | Node
"""A moving part, or the encoded pieces of a text between which the message's token goes."""


class CompiledEmail:
    """Words, ready to be rendered for many people."""

    def __init__(self, words: Words, tracked_at: str = "") -> None:
        """With `tracked_at`, the product's public URL, opens and clicks are counted. Raises ContentError, which names
        the field."""
        self._subject = compile_field("subject", words.subject)
        self.links: tuple[str, ...] = ()
        """The authored URLs of the links that are counted."""
        sources = _sources(words)
        if "html" in sources:
            if tracked_at:
                tracked = track(sources["html"], tracked_at)
                sources["html"], self.links = tracked.source, tracked.urls
            sources["html"] = guard_links(sources["html"])
        self._bodies = {
            kind: compile_field(kind, source, is_html=kind == "html", max_source=_MAX_TRACKED)
            for kind, source in sources.items()
        }
        self._pieces: list[bytes | tuple[Template, list[Segment]]] = list(self._layout(words))

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        """The whole email for one person, with CRLF. Raises ContentError."""
        try:
            head = _static_head(envelope.sender) % (
                _recipient(envelope.address),
                mime.header_text(self._subject.render(values), name="subject"),
                envelope.date.encode(),
                envelope.message_id.encode(),
            )
        except mime.HeaderRefused as error:
            raise ContentError(str(error)) from error
        out = [head]
        if envelope.list_unsubscribe:
            out.append(_ONE_CLICK % envelope.list_unsubscribe.encode())
        for piece in self._pieces:
            if isinstance(piece, bytes):
                out.append(piece)
            else:
                _fill(piece, values, envelope.token, out)
        return b"".join(out)

    def preview(self, values: Mapping[str, object]) -> Shown:
        """The same email as people see it. Raises ContentError."""
        bodies = {kind: template.render(values) for kind, template in self._bodies.items()}
        return Shown(self._subject.render(values).strip(), bodies.get("html", ""), bodies.get("text", ""))

    def _layout(self, words: Words) -> Iterator[bytes | tuple[Template, list[Segment]]]:
        # Quoted-printable never contains "=_", so this boundary cannot occur in any body.
        boundary = b"=_ajo_" + hashlib.sha256(repr(words).encode()).hexdigest()[:24].encode()
        if len(self._bodies) == 1:
            ((kind, template),) = self._bodies.items()
            yield _PART_HEAD[kind]
            yield template, _segments(template)
            yield mime.CRLF
            return
        yield b'Content-Type: multipart/alternative; boundary="' + boundary + b'"\r\n'
        for kind, template in self._bodies.items():
            yield b"\r\n--" + boundary + mime.CRLF + _PART_HEAD[kind]
            yield template, _segments(template)
        yield b"\r\n--" + boundary + b"--\r\n"


def _recipient(address: str) -> bytes:
    mime.check_address(address, name="address")
    return mime.to_ascii_domain(address).encode()


def has_way_out(words: Words) -> bool:
    """Whether whoever reads these words finds a link to unsubscribe, or to their preferences."""
    bodies = [body for body in (words.html, words.text) if body.strip()]
    return bool(bodies) and all(_WAY_OUT.search(body) for body in bodies)


_WAY_OUT = re.compile(rf"\{{\{{-?\s*(?:{'|'.join(ADDRESSES)})\b")


def problems(words: Words) -> Iterator[str]:
    """What is missing in an email, as sentences."""
    if not words.subject.strip():
        yield "The subject is empty. Write what the message is about."
    if not (words.html.strip() or words.text.strip()):
        yield "There is neither HTML nor text. Write at least one of them."


_ONE_CLICK = b"List-Unsubscribe: <%b>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
_PART_HEAD = {
    kind: f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".encode()
    for kind, subtype in {"text": "plain", "html": "html"}.items()
}


def _sources(words: Words) -> dict[str, str]:
    """Text first: of equal alternatives, the last is the one that mail programs prefer."""
    sources = {}
    if text := words.text if words.text.strip() else html.to_text(words.html) if words.html.strip() else "":
        sources["text"] = text
    if words.html.strip():
        inlined = html.with_inlined_styles(words.html)
        sources["html"] = html.with_preheader(inlined, words.preheader)
    return sources


def _segments(template: Template) -> list[Segment]:
    return [
        tuple(map(mime.quoted_printable, part.split(TOKEN))) if isinstance(part, str) else part
        for part in template.parts
    ]


def _fill(
    piece: tuple[Template, list[Segment]], values: Mapping[str, object], token: str, out: list[bytes]
) -> None:
    template, segments = piece
    start = len(out)
    context = template.begin(values)
    size = 0
    encoded_token = mime.quoted_printable(token)
    for segment in segments:
        if isinstance(segment, tuple):
            encoded = encoded_token.join(segment)
        else:
            text = template.fill(segment, context)
            encoded = mime.quoted_printable(text.replace(TOKEN, token) if TOKEN in text else text)
        if encoded:
            out.append(encoded)
            size += len(encoded)
    if len(out) > start:
        out[-1] = mime.close_piece(out[-1])
    if size > MAX_BODY:
        raise ContentError(f"A body of this message has {size} bytes; {MAX_BODY} may be sent.")


@lru_cache(maxsize=256)
def _static_head(sender: Sender) -> bytes:
    """The headers, with places for address, subject, date and message id."""
    head = (
        b"From: " + mime.mailbox(sender.name, sender.address, name="sender").replace(b"%", b"%%") + mime.CRLF
    )
    head += b"To: %b\r\nSubject: %b\r\nDate: %b\r\nMessage-ID: %b\r\n"
    if sender.reply_to:
        reply_to = mime.mailbox("", sender.reply_to, name="reply-to address")
        head += b"Reply-To: " + reply_to.replace(b"%", b"%%") + mime.CRLF
    return head + b"MIME-Version: 1.0\r\n"


def make_message_id(message_id: int, created_at: datetime, sender_address: str) -> str:
    """The Message-ID header of a message: the same at every attempt, another for every message of every database."""
    domain = mime.to_ascii_domain(sender_address).rpartition("@")[2]
    return f"<m{message_id}.{int(created_at.timestamp() * 1_000_000):x}@{domain}>"
