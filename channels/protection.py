"""Liquid out of the way of tools that read markup: each piece becomes a word that no tool changes, and comes back.

An XML parser stumbles over `{% if a < 3 %}`, and an HTML parser would move a loop out of its table. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property

# What a raw or comment block holds is no markup for anybody, so such a block is one piece.
LIQUID = re.compile(
    r"\{%-?\s*(?P<block>raw|comment)\b.*?%\}.*?\{%-?\s*end(?P=block)\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}",
    re.DOTALL,
)


class Protected:
    """A source without its Liquid: `text` has a word for each of `pieces`, `restore` puts them back."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.pieces: list[str] = []
        self._starts: list[int] = []  # of each piece in the source
        self._mark = _unused_mark(source)
        self.words = re.compile(f"{self._mark}([0-9]+)z")
        self.text = LIQUID.sub(self._put, source)

    def restore(self, text: str) -> str:
        """The text with every word replaced by its piece, however often it stands there."""
        return self.words.sub(lambda match: self.pieces[int(match[1])], text)

    def piece(self, word: re.Match[str]) -> str:
        """What a match of `words` stands for."""
        return self.pieces[int(word[1])]

    def line_at(self, position: int) -> int:
        """The line of the source, from 1, of a position in `text`."""
        ends = [end for _, end in self._spans]
        index = bisect_right(ends, position) - 1
        if index < 0:
            return self.source.count("\n", 0, position) + 1
        at = self._starts[index] + len(self.pieces[index]) + position - ends[index]
        return self.source.count("\n", 0, at) + 1

    def line_of_piece(self, index: int) -> int:
        return self.source.count("\n", 0, self._starts[index]) + 1

    def is_tag(self, index: int) -> bool:
        """Whether a piece decides or repeats, so that it must stand exactly once in what comes out."""
        return self.pieces[index].startswith("{%")

    def indexes(self, text: str) -> list[int]:
        """The numbers of the pieces whose words stand in a text, in its order."""
        return [int(match[1]) for match in self.words.finditer(text)]

    def map_words(self, function: Callable[[re.Match[str]], str]) -> str:
        """`text` with another writing of each word."""
        return self.words.sub(function, self.text)

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        return [match.span() for match in self.words.finditer(self.text)]

    def _put(self, match: re.Match[str]) -> str:
        self.pieces.append(match[0])
        self._starts.append(match.start())
        return f"{self._mark}{len(self.pieces) - 1}z"


def _unused_mark(source: str) -> str:
    """Letters that the source does not contain, in small letters: HTML parsers write attribute names small."""
    small = source.lower()
    mark = "lqd"
    while mark in small:
        mark += "q"
    return mark
