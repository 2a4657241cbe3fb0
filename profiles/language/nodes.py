"""The tree of an expression and its JSON form, which builders edit and the database stores.

A tree is frozen and in bounds by construction: no Literal holds what PostgreSQL cannot, no Call names an unknown
function or has the wrong number of arguments, nothing is deeper than MAX_DEPTH or larger than MAX_NODES. JSON forms:

    {"type": "number", "value": "18"}            a Literal; money is {"amount": "12.50", "currency": "EUR"}
    {"field": "profile", "path": ["age"]}        a Field; in the path, a number counts elements of a list from 0
    {"list": [...]}                              an Items
    {"call": ">=", "args": [...]}                a Call
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from profiles.language import values
from profiles.language.errors import LanguageError
from profiles.language.functions import FUNCTIONS, MAX_ARGUMENTS
from profiles.language.values import Money, Type

MAX_DEPTH = 100
MAX_NODES = 10_000
MAX_TEXT = 65_536
"""Bytes of UTF-8, of an expression as text."""
MAX_PATH = 10
MAX_NAME = 100
MAX_INDEX = 9_999
ROOTS = {
    "profile": "an attribute of the profile",
    "event": "a property of the event at hand",
    "entry": "a property of the event that began the journey",
    "offer": "an attribute of the offer item that is weighed",
    "context": "a value that came with the request",
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: str, Decimal, bool, datetime, timedelta, Money, or None for null."""

    type: Type
    value: Any

    depth = 1
    size = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checked_literal(self.type, self.value))


@dataclass(frozen=True, slots=True)
class Field:
    """What stands at `path` in the document `root`."""

    root: str
    path: tuple[str | int, ...]

    depth = 1
    size = 1

    @property
    def name(self) -> str:
        """The member of the document that it reads from."""
        return str(self.path[0])

    def __post_init__(self) -> None:
        if self.root not in ROOTS:
            raise LanguageError(f"There is no document named {self.root!r}.", f"Use {', '.join(ROOTS)}.")
        if not 1 <= len(self.path) <= MAX_PATH:
            raise LanguageError(
                f"The field of {self.root!r} has {len(self.path)} names.", f"Give 1 to {MAX_PATH} names."
            )
        if not isinstance(self.path[0], str):
            raise LanguageError(
                f"{self.root!r} is no list, so it has no elements.", f"Name {ROOTS[self.root]} first."
            )
        for name in self.path:
            if type(name) is int:
                if not 0 <= name <= MAX_INDEX:
                    raise LanguageError(
                        f"A list has no element {name}.", f"Count from 0, at most to {MAX_INDEX:,}."
                    )
            elif not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not values.is_storable(name):
                raise LanguageError(
                    "A name in a field is empty, too long or holds a character that cannot be stored.",
                    f"Use 1 to {MAX_NAME} characters, none of them NUL.",
                )


@dataclass(frozen=True, slots=True)
class Items:
    """A list written out: the right side of `in`."""

    items: tuple[Node, ...]
    depth: int = field(init=False, repr=False, compare=False)
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.items) > MAX_ARGUMENTS:
            raise LanguageError(
                f"The list has {len(self.items):,} elements.", f"Give at most {MAX_ARGUMENTS:,} of them."
            )
        _measure(self, self.items)


@dataclass(frozen=True, slots=True)
class Call:
    """An operator, function or method by its name in the catalogue, with its arguments in order."""

    name: str
    args: tuple[Node, ...]
    depth: int = field(init=False, repr=False, compare=False)
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        function = FUNCTIONS.get(self.name) if isinstance(self.name, str) else None
        if function is None:
            raise LanguageError(
                f"There is no function named {self.name!r}.", "Use one of the catalogue of functions."
            )
        least, most = function.min_arguments, function.max_arguments
        if not least <= len(self.args) <= (MAX_ARGUMENTS if most is None else most):
            wanted = str(least) if least == most else f"{least} to {most or MAX_ARGUMENTS}"
            raise LanguageError(
                f"{self.name} takes {wanted} value(s) and got {len(self.args)}.",
                f"Write it like {function.example}",
            )
        _measure(self, self.args)


Node = Literal | Field | Items | Call


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below one, in their order."""
    match node:
        case Call():
            return node.args
        case Items():
            return node.items
        case _:
            return ()


def _measure(node: Items | Call, children: Sequence[Node]) -> None:
    depth = 1 + max((child.depth for child in children), default=0)
    size = 1 + sum(child.size for child in children)
    if depth > MAX_DEPTH:
        raise LanguageError(
            f"The expression is nested deeper than {MAX_DEPTH} levels.",
            "Split it, or write chains of && and || without brackets.",
        )
    if size > MAX_NODES:
        raise LanguageError(f"The expression has more than {MAX_NODES:,} parts.", "Split it.")
    object.__setattr__(node, "depth", depth)
    object.__setattr__(node, "size", size)


def _checked_literal(type_: Type, value: Any) -> Any:
    """`value` in its canonical form. Raises LanguageError when it is not in the domain of `type_`."""
    found: Any = None
    match type_, value:
        case Type.NULL, None:
            return None
        case Type.TEXT, str():
            if not values.is_storable(value):
                raise LanguageError(
                    "A text holds NUL or half of a surrogate pair, which cannot be stored.",
                    "Remove the character.",
                )
            found = value
        case Type.BOOLEAN, bool():
            found = value
        case Type.NUMBER, Decimal():
            found = _checked_number(value)
        case Type.TIME, datetime() if value.tzinfo is not None:
            found = values.time(value)
        case Type.DURATION, timedelta():
            found = values.duration(value)
        case Type.MONEY, Money(amount=Decimal(), currency=str()) if values.is_currency(value.currency):
            found = Money(_checked_number(value.amount), value.currency)
    if found is None:
        raise LanguageError(
            f"{value!s:.100} cannot be a {type_} in an expression.", "Check its form and its bounds."
        )
    return found


def _checked_number(value: Decimal) -> Decimal:
    """Without zeros at the end; a literal is never rounded, because what is read must be what was written."""
    bounded = values.number(value)
    if bounded is None or bounded != value:
        raise LanguageError(
            f"The number {value!s:.100} is too large or has too many decimals.",
            f"Use less than 31 digits before the point and at most {values.SCALE} after it.",
        )
    return Decimal(values.write_decimal(bounded))


def null() -> Literal:
    return Literal(Type.NULL, None)


def text(value: str) -> Literal:
    return Literal(Type.TEXT, value)


def to_json(node: Node) -> dict[str, Any]:
    """The tree as JSON-ready Python values."""
    match node:
        case Literal():
            return {"type": str(node.type), "value": _literal_to_json(node)}
        case Field():
            return {"field": node.root, "path": list(node.path)}
        case Items():
            return {"list": [to_json(item) for item in node.items]}
        case Call():
            return {"call": node.name, "args": [to_json(arg) for arg in node.args]}


def _literal_to_json(node: Literal) -> Any:
    match node.type:
        case Type.NUMBER:
            return values.write_decimal(node.value)
        case Type.TIME:
            return values.write_time(node.value)
        case Type.DURATION:
            return values.write_duration(node.value)
        case Type.MONEY:
            return {"amount": values.write_decimal(node.value.amount), "currency": node.value.currency}
        case _:
            return node.value


def from_json(data: Any) -> Node:
    """The tree of any decoded JSON value. Raises LanguageError, whose `path` says where."""
    return _from_json(data, ())


def _from_json(data: Any, path: tuple[int, ...]) -> Node:
    if len(path) >= MAX_DEPTH:
        raise LanguageError(
            f"The expression is nested deeper than {MAX_DEPTH} levels.", "Split it.", path=path
        )
    try:
        match data:
            case {"call": str(name), "args": list(args), **rest} if not rest:
                return Call(name, _children(args, path))
            case {"list": list(items), **rest} if not rest:
                return Items(_children(items, path))
            case {"field": str(root), "path": list(names), **rest} if not rest:
                return Field(root, tuple(names))
            case {"type": str(type_), "value": value, **rest} if not rest:
                return _literal_from_json(type_, value)
    except LanguageError as error:
        raise LanguageError(error.problem, error.remedy, path=error.path or path) from None
    raise LanguageError(
        "A part of the expression is none of literal, field, list and call.",
        'Give {"type", "value"}, {"field", "path"}, {"list"} or {"call", "args"}.',
        path=path,
    )


def _children(data: list[Any], path: tuple[int, ...]) -> tuple[Node, ...]:
    if len(data) > MAX_ARGUMENTS:
        raise LanguageError(
            f"A part of the expression has {len(data):,} values.", f"Give at most {MAX_ARGUMENTS:,}."
        )
    return tuple(_from_json(child, (*path, index)) for index, child in enumerate(data))


def _literal_from_json(type_: str, value: Any) -> Literal:
    found: Any = None
    match type_, value:
        case "null", None:
            return null()
        case ("text", str()) | ("boolean", bool()):
            found = value
        case "number", str():
            found = values.read_decimal(value)
        case "time", str():
            found = values.read_time(value)
        case "duration", str():
            found = values.read_duration(value)
        case "money", {"amount": str(), "currency": str(), **rest} if not rest:
            found = values.from_json(value, Type.MONEY)
    if found is None:
        raise LanguageError(
            f"{value!s:.100} cannot be read as a literal of the type {type_!r:.100}.",
            "Give text, a decimal string, true or false, an ISO 8601 time, a duration such as 3d, or money.",
        )
    return Literal(Type(type_), found)
