"""Push: a title, a text, a picture and where a tap leads, as JSON that each provider turns into its service's form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from channels.liquid import ContentError
from channels.rendering.base import Envelope, Shown, Words, compile_columns, compile_field
from channels.tracking.links import TOKEN, track_url, web_address

MAX_BYTES = 3_500
"""Of the JSON: the services take 4,096 with what they add, and encryption adds, too."""
_UNSAFE = re.compile(r"(?:javascript|data|vbscript|file|blob):", re.IGNORECASE)


class CompiledPush:
    """The fields of a push. A tap on its link is counted when that leads to the web."""

    def __init__(self, words: Words, tracked_at: str = "") -> None:
        self.links: tuple[str, ...] = ()
        link = words.link_url.strip()
        if tracked_at:
            tracked = track_url(link, tracked_at)
            link, self.links = tracked.source, tracked.urls
        self._title = compile_field("subject", words.subject)
        self._body = compile_field("text", words.text)
        self._image = compile_field("image_url", words.image_url.strip())
        self._link = compile_field("link_url", link)
        self._data = compile_columns(words.columns)

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        shown = self.preview(values)
        document = {
            "title": shown.subject,
            "body": shown.text,
            "image_url": shown.image_url,
            "link_url": shown.link_url.replace(TOKEN, envelope.token),
            "data": dict(shown.columns),
        }
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(body) > MAX_BYTES:
            raise ContentError(f"This push has {len(body)} bytes; {MAX_BYTES} may be sent. Shorten its text.")
        return body

    def preview(self, values: Mapping[str, object]) -> Shown:
        title, text = self._title.render(values).strip(), self._body.render(values).strip()
        if not (title or text):
            raise ContentError(
                "Title and text are empty for this person. Write words that are there for everybody."
            )
        link = self._link.render(values).strip()
        return Shown(
            subject=title,
            text=text,
            image_url=web_address(self._image.render(values)) or "",
            link_url="" if _UNSAFE.match(link) else link,
            columns=tuple((name, template.render(values)) for name, template in self._data),
        )


def problems(words: Words) -> Iterator[str]:
    """What is missing in a push, as sentences."""
    if not words.subject.strip():
        yield "The title is empty. Write what the push is about."
    if not words.text.strip():
        yield "The text is empty. Write what the push says."
