"""SMS: plain text, and how many parts it is sent and paid in.

The 7-bit alphabet of GSM 03.38 fits 160 characters into one part and 153 into each of several; any character outside of
it makes the whole text UCS-2, of which 70 and 67 units fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from channels.liquid import MAX_SOURCE, ContentError
from channels.rendering.base import Envelope, Shown, Words, compile_field
from channels.tracking.links import TOKEN, track_text

MAX_SEGMENTS = 10
"""Longer texts are refused by the services; Twilio takes 1,600 characters."""
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # each takes an escape and a place


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs. `foreign` is the first character that makes it UCS-2, empty for GSM-7."""

    count: int
    units: int
    left: int
    """Units that still fit into the last part."""
    foreign: str = ""

    @property
    def encoding(self) -> str:
        return "UCS-2" if self.foreign else "GSM-7"


def segments(text: str) -> Segments:
    """How many parts a text is sent in; none when it is empty."""
    foreign = next((each for each in text if each not in _BASIC and each not in _EXTENDED), "")
    # A character that takes several units is not cut in two: the part before it ends early.
    widths = [
        len(each.encode("utf-16-le", "replace")) // 2 if foreign else 1 + (each in _EXTENDED) for each in text
    ]
    units = sum(widths)
    single, several = (70, 67) if foreign else (160, 153)
    if units <= single:
        return Segments(1 if units else 0, units, single - units, foreign)
    count, used = 1, 0
    for width in widths:
        if used + width > several:
            count, used = count + 1, 0
        used += width
    return Segments(count, units, several - used, foreign)


class CompiledSms:
    """The text of an SMS, its links to the web counted."""

    def __init__(self, words: Words, tracked_at: str = "") -> None:
        self.links: tuple[str, ...] = ()
        source = words.text
        if tracked_at:
            tracked = track_text(source, tracked_at)
            source, self.links = tracked.source, tracked.urls
        self._text = compile_field("text", source, max_source=2 * MAX_SOURCE)

    def render(self, values: Mapping[str, object], envelope: Envelope) -> bytes:
        return self._checked(values).replace(TOKEN, envelope.token).encode("utf-8", "replace")

    def preview(self, values: Mapping[str, object]) -> Shown:
        return Shown(text=self._checked(values))

    def _checked(self, values: Mapping[str, object]) -> str:
        text = self._text.render(values).strip()
        if not text:
            raise ContentError("The text is empty for this person. Write words that are there for everybody.")
        if (count := segments(text).count) > MAX_SEGMENTS:
            raise ContentError(f"The text needs {count} parts; {MAX_SEGMENTS} may be sent. Shorten it.")
        return text


def problems(words: Words) -> Iterator[str]:
    """What is missing in an SMS, as sentences."""
    if not words.text.strip():
        yield "The text is empty. Write what the SMS says."
