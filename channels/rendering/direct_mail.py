"""Direct mail: the columns of one line for the printer, as a JSON list of [column, value] pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from channels.rendering.base import Envelope, Shown, Words, compile_columns


class CompiledDirectMail:
    """The columns, in the author's order. A value is one line: printers read a row a line."""

    links: tuple[str, ...] = ()

    def __init__(self, words: Words, tracked_at: str = "") -> None:
        self._columns = compile_columns(words.columns)

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        return json.dumps(self.preview(values).columns, ensure_ascii=False).encode("utf-8", "replace")

    def preview(self, values: Mapping[str, object]) -> Shown:
        return Shown(
            columns=tuple(
                (name, " ".join(template.render(values).split())) for name, template in self._columns
            )
        )


def problems(words: Words) -> Iterator[str]:
    """What is missing in a mailing, as sentences."""
    if not words.columns:
        yield "Columns: there are none. Add at least one with what the printer needs."
