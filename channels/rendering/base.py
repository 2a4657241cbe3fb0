"""What every channel's rendering has in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from channels.liquid import MAX_SOURCE, ContentError, Template

LABELS = {
    "subject": "Subject",
    "preheader": "Preheader",
    "mjml": "MJML",
    "html": "HTML",
    "text": "Text",
    "image_url": "Picture",
    "link_url": "Link",
    "columns": "Columns",
}

Column = tuple[str, str]
"""A name and a Liquid source: a column of direct mail, a value that an app is given with a push."""


@dataclass(frozen=True, slots=True)
class Words:
    """What an author wrote, in Liquid. Each channel reads the fields that it has and leaves the others."""

    subject: str = ""
    preheader: str = ""
    html: str = ""
    text: str = ""
    image_url: str = ""
    link_url: str = ""
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, variant: Any) -> Self:
        """Those of anything that has the fields: a variant, a form."""
        return cls(
            subject=variant.subject,
            preheader=variant.preheader,
            html=variant.html,
            text=variant.text,
            image_url=variant.image_url,
            link_url=variant.link_url,
            columns=tuple((str(name), str(source)) for name, source in variant.columns),
        )


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: as the configuration has it."""

    name: str
    address: str
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message has of its own beside its values.

    `date` is an RFC 5322 date, `token` what its tracked addresses carry, `list_unsubscribe` the address at which mail
    programs may unsubscribe the person with one click (RFC 8058).
    """

    sender: Sender
    address: str
    message_id: str
    date: str
    token: str = ""
    list_unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of one rendered message that people look at, for previews. For webhooks `text` is the JSON,
    indented."""

    subject: str = ""
    html: str = ""
    text: str = ""
    image_url: str = ""
    link_url: str = ""
    columns: tuple[Column, ...] = ()


class Compiled(Protocol):
    """Words of one channel, ready to be rendered for many people. Making one raises ContentError, naming the field."""

    @property
    def links(self) -> tuple[str, ...]:
        """The authored URLs of the links that are counted."""

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        """What the providers of the channel are given, for one person. Raises ContentError."""

    def preview(self, values: Mapping[str, object]) -> Shown:
        """The same message as people see it. Raises ContentError."""


def compile_field(
    field: str, source: str, *, is_html: bool = False, is_json: bool = False, max_source: int = MAX_SOURCE
) -> Template:
    """The template of a field. Raises ContentError that names it."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return Template(source, is_html=is_html, is_json=is_json, max_source=max_source)
    except ContentError as error:
        raise ContentError(f"{LABELS[field]}: {error}") from error


def compile_columns(columns: Iterable[Column]) -> list[tuple[str, Template]]:
    """The templates of named values. Raises ContentError with the first problem."""
    compiled = []
    for number, (name, source) in enumerate(columns, start=1):
        try:
            compiled.append((name, Template(source, is_html=False)))
        except ContentError as error:
            raise ContentError(_in_column(number, str(error))) from error
    return compiled


def column_problems(columns: Sequence[Column]) -> Iterator[str]:
    """Why named values cannot be published: each a sentence with the line that the column stands in."""
    seen = set()
    for number, (name, source) in enumerate(columns, start=1):
        known = name.strip()
        if not known:
            yield _in_column(number, "It has no name. Give it one, or remove it.")
        elif known in seen:
            yield _in_column(number, f"{known} stands there twice. Give it a name of its own.")
        seen.add(known)
        try:
            template = Template(source, is_html=False)
        except ContentError as error:
            yield _in_column(number, str(error))
        else:
            for problem in template.problems():
                yield _in_column(number, problem)


def _in_column(number: int, problem: str) -> str:
    """A problem of a value's Liquid: its line is that of the column, for a value has but one."""
    return f"{LABELS['columns']}: Line {number}: {_LINE.sub('', problem, count=1)}"


_LINE = re.compile(r"Line \d+: ")
