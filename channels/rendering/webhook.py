"""Webhook: the JSON document that another system is sent. Values are escaped for the JSON text they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from channels.liquid import ContentError
from channels.rendering.base import Envelope, Shown, Words, compile_field

MAX_BYTES = 256 * 1024


class CompiledWebhook:
    """The JSON of a webhook. Liquid that makes it invalid for a person fails that person's message alone."""

    links: tuple[str, ...] = ()

    def __init__(self, words: Words, tracked_at: str = "") -> None:
        self._text = compile_field("text", words.text, is_json=True)

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        return self._document(values).encode()

    def preview(self, values: Mapping[str, object]) -> Shown:
        text = msgspec.json.format(self._document(values).encode(), indent=2)
        return Shown(text=text.decode())

    def _document(self, values: Mapping[str, object]) -> str:
        text = self._text.render(values).strip()
        try:
            size = len(text.encode())
            msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ContentError(
                f"What it renders to is no JSON: {error}. Put texts into quotes, and give values a default."
            ) from error
        if size > MAX_BYTES:
            raise ContentError(f"The JSON has {size} bytes; {MAX_BYTES} may be sent.")
        return text


def problems(words: Words) -> Iterator[str]:
    """What is missing in a webhook, as sentences."""
    if not words.text.strip():
        yield "The JSON is empty. Write the document that the other system is sent."
