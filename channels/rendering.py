"""From authored words to the bytes of a message.

Compiled once for each distinct text: Liquid is parsed, what never changes is encoded beforehand. For a person only the
moving parts are rendered, encoded and put in between. Rendered bodies are meant to be sent and dropped, not collected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from liquid.ast import Node

from channels import html, mime
from channels.liquid import ContentError, Template, guard_links

MAX_BODY = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Words:
    """What an author wrote, in Liquid. An empty text is made from the HTML; one of the two must be there."""

    subject: str
    preheader: str = ""
    html: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: as the configuration has it."""

    name: str
    address: str
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """The parts of one rendered email that people look at, for previews."""

    subject: str
    html: str
    text: str


class CompiledEmail:
    """Words, ready to be rendered for many people."""

    def __init__(self, words: Words) -> None:
        """Raises ContentError, which names the field."""
        self._subject = _compile("subject", words.subject, is_html=False)
        sources = _sources(words)
        self._bodies = {
            kind: _compile(_FIELDS[kind], source, is_html=kind == "html") for kind, source in sources.items()
        }
        self._pieces: list[bytes | tuple[Template, list[bytes | Node]]] = list(self._layout(words))

    def render(
        self, values: Mapping[str, object], *, sender: Sender, address: str, message_id: str, date: str
    ) -> bytes:
        """The whole email for one person, with CRLF. `date` is an RFC 5322 date. Raises ContentError."""
        try:
            head = _static_head(sender) % (
                _recipient(address),
                mime.header_text(self._subject.render(values), name="subject"),
                date.encode(),
                message_id.encode(),
            )
        except mime.HeaderRefused as error:
            raise ContentError(str(error)) from error
        out = [head]
        for piece in self._pieces:
            if isinstance(piece, bytes):
                out.append(piece)
            else:
                _fill(piece, values, out)
        return b"".join(out)

    def preview(self, values: Mapping[str, object]) -> Email:
        """The same email as people see it. Raises ContentError."""
        bodies = {kind: template.render(values) for kind, template in self._bodies.items()}
        return Email(self._subject.render(values).strip(), bodies.get("html", ""), bodies.get("text", ""))

    def _layout(self, words: Words) -> Iterator[bytes | tuple[Template, list[bytes | Node]]]:
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


@lru_cache(maxsize=256)
def compile_email(words: Words) -> CompiledEmail:
    """The compiled words, kept for as long as they are in use. Raises ContentError."""
    return CompiledEmail(words)


def problems(words: Words) -> list[str]:
    """Why these words cannot be published: each a sentence with field, line and remedy."""
    found = []
    if not words.subject.strip():
        found.append("The subject is empty. Write what the message is about.")
    if not (words.html.strip() or words.text.strip()):
        found.append("There is neither HTML nor text. Write at least one of them.")
    for field in ("subject", "preheader", "html", "text"):
        try:
            template = _compile(field, getattr(words, field), is_html=field in {"preheader", "html"})
        except ContentError as error:
            found.append(str(error))
        else:
            found.extend(f"{_LABELS[field]}: {problem}" for problem in template.problems())
    if not found:
        try:
            CompiledEmail(words)
        except ContentError as error:
            found.append(str(error))
    return found


_LABELS = {"subject": "Subject", "preheader": "Preheader", "html": "HTML", "text": "Text"}
_FIELDS = {"text": "text", "html": "html"}
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
        sources["html"] = guard_links(html.with_preheader(words.html, words.preheader))
    return sources


def _compile(field: str, source: str, *, is_html: bool) -> Template:
    try:
        return Template(source.replace("\r\n", "\n").replace("\r", "\n"), is_html=is_html)
    except ContentError as error:
        raise ContentError(f"{_LABELS[field]}: {error}") from error


def _segments(template: Template) -> list[bytes | Node]:
    return [mime.quoted_printable(part) if isinstance(part, str) else part for part in template.parts]


def _fill(piece: tuple[Template, list[bytes | Node]], values: Mapping[str, object], out: list[bytes]) -> None:
    template, segments = piece
    start = len(out)
    context = template.begin(values)
    size = 0
    for segment in segments:
        encoded = (
            segment if isinstance(segment, bytes) else mime.quoted_printable(template.fill(segment, context))
        )
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
