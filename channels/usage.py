"""Where contents are used: rooms above register here what they know, for lists and warnings before a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that uses a content: its name and the address of its page."""

    name: str
    url: str


FindUses = Callable[[Iterable[str]], Mapping[str, Sequence[Use]]]
"""find(content keys) → the uses of those that have any, in a constant number of statements."""

_finders: dict[str, FindUses] = {}


def register(name: str, find: FindUses) -> None:
    """Called in an app's ready(). A name stands once; registering it again replaces it."""
    _finders[name] = find


def uses_of(keys: Iterable[str]) -> dict[str, list[Use]]:
    """Every use of these contents, by key; a content without one is missing."""
    keys = list(keys)
    found: dict[str, list[Use]] = {}
    for find in _finders.values():
        for key, uses in find(keys).items():
            found.setdefault(key, []).extend(uses)
    return found
