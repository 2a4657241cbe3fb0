"""What uses a thing: rooms above tell the room of the thing, for lists and for warnings before a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """Something that uses a thing: its name and the address of its page."""

    name: str
    url: str


FindUses = Callable[[Iterable[str]], Mapping[str, Sequence[Use]]]
"""find(keys) → the uses of those that have any, in a constant number of statements."""


class Finders:
    """Those who know what uses the things of one kind."""

    def __init__(self) -> None:
        self._finders: dict[str, FindUses] = {}

    def register(self, name: str, find: FindUses) -> None:
        """Called in an app's ready(). A name stands once; registering it again replaces it."""
        self._finders[name] = find

    def uses_of(self, keys: Iterable[str]) -> dict[str, list[Use]]:
        """Every use of the things with these keys, by key; a thing without one is missing."""
        keys = list(keys)
        found: dict[str, list[Use]] = {}
        for find in self._finders.values():
            for key, uses in find(keys).items():
                found.setdefault(key, []).extend(uses)
        return found
