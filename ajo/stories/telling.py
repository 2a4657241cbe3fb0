"""How a story reads in a terminal. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ajo.stories.cast import Person

SHOWN = 3
"""How many people of each part are told of by name."""
_WIDTH = 114
_NAME, _PART = 19, 29


def about(person: Person, what: str) -> str:
    """One person: name, part, what they got; what is long goes on below."""
    head = f"  {person.name:<{_NAME}} {person.part:<{_PART}} "
    return textwrap.fill(what, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def where(what: str, address: str) -> str:
    """A line that leads somewhere."""
    return f"  {what + ':':<{_NAME}} {address}"


def some_of_each(told: Iterable[tuple[Person, str]]) -> Iterator[str]:
    """The first few people of each part, in the order of the parts, and how many more there are."""
    by_part: dict[str, list[tuple[Person, str]]] = {}
    for person, what in told:
        by_part.setdefault(person.part, []).append((person, what))
    for rows in by_part.values():
        yield from (about(person, what) for person, what in rows[:SHOWN])
        if len(rows) > SHOWN:
            yield f"  … and {len(rows) - SHOWN} more: {rows[0][0].part}"
