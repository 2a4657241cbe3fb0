"""The one error of the language: what is wrong, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: `offset` counts characters from 0, `line` and `column` from 1."""

    offset: int
    line: int
    column: int

    @classmethod
    def of(cls, text: str, offset: int) -> Position:
        before = text[:offset]
        return cls(offset, before.count("\n") + 1, offset - before.rfind("\n"))


class LanguageError(ValueError):
    """An expression cannot be used. `problem` and `remedy` are sentences.

    From a text, `position` and `token` say where; from a tree, `path` does: the index at each level below the root.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        position: Position | None = None,
        token: str = "",
        path: tuple[int, ...] = (),
    ) -> None:
        place = f"Line {position.line}, column {position.column}: " if position else ""
        super().__init__(f"{place}{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.position = position
        self.token = token
        self.path = path

    def at(self, position: Position, token: str) -> LanguageError:
        """The same error with its place in a text."""
        return LanguageError(self.problem, self.remedy, position=position, token=token, path=self.path)
