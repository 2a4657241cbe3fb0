"""Tree ⇄ the document that the rule builder edits. No database, no clock.

    document   {"match": "all" | "any" | "none", "rows": [row or document, ...]}
    row        {"subject": subject, "operator": a name in OPERATORS, "value": what the operator wants}
    subject    {"attribute": "address.city"} or {"property": "total"}: a path, names with points between them
               {"audience": "vip"}
               {"lookup": "products", "attribute": "favourite", "column": "price"}: the attribute is the key of the row
               {"count": "Order Completed", "within": "7d", "where": document or null}; "within" may be ""
               {"sum": "Order Completed", "property": "total", "within": "7d", "where": document or null}
    value      null, one literal as nodes.to_json() writes it, or for a list of values a list of those

Properties stand in "where" alone, which has rows and no groups. to_tree() takes every such document; from_tree() gives
None for a tree that rows cannot show, which is then edited as text. A group of one row is that row, so what to_tree()
made of a document comes back as the document without needless groups.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.language import Call, Field, Items, LanguageError, Literal, Node, Type, to_json
from profiles.language.nodes import from_json

Document = dict[str, Any]

MAX_DEPTH = 4
MAX_ROWS = 200
_MATCHES = {"all": "&&", "any": "||"}


class Wants(enum.StrEnum):
    """The value that an operator takes."""

    NOTHING = "nothing"
    ONE = "one"
    MANY = "many"
    TEXT = "text"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Operator:
    """`types`: the subjects that it is offered for. `is_negated`: it is the other one with `!` before it."""

    label: Any
    wants: Wants
    types: frozenset[Type]
    build: Callable[[Node, tuple[Node, ...]], Node]
    read: Callable[[Node], tuple[Node, tuple[Node, ...]] | None]
    is_negated: bool = False


_NOW = Call("now", ())
_SCALARS = frozenset({Type.TEXT, Type.NUMBER, Type.TIME, Type.MONEY, Type.ANY})
_ORDERED = frozenset({Type.NUMBER, Type.MONEY, Type.ANY})
_ALL = _SCALARS | {Type.LIST, Type.BOOLEAN}
_TEXTS = frozenset({Type.TEXT, Type.ANY})
_TIMES = frozenset({Type.TIME, Type.ANY})


def _is_value(node: Node) -> bool:
    """A constant that somebody can type into a field: null and the empty text cannot be."""
    return isinstance(node, Literal) and node.value not in (None, "")


def _binary(name: str) -> dict[str, Any]:
    """`subject name literal`."""

    def read(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
        match node:
            case Call(name=found, args=(subject, value)) if found == name and _is_value(value):
                return subject, (value,)
        return None

    return {"build": lambda subject, given: Call(name, (subject, *given)), "read": read}


def _unary(name: str) -> dict[str, Any]:
    def read(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
        match node:
            case Call(name=found, args=(subject,)) if found == name:
                return subject, ()
        return None

    return {"build": lambda subject, given: Call(name, (subject,)), "read": read}


def _read_one_of(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
    match node:
        case Call(name="in", args=(subject, Items(items=items))) if items and all(map(_is_value, items)):
            return subject, items
    return None


def _read_holds(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
    match node:
        case Call(name="in", args=(value, subject)) if _is_value(value):
            return subject, (value,)
    return None


def _read_older(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
    match node:
        case Call(name="<", args=(subject, Call(name="-", args=(Call(name="now"), length)))):
            return (subject, (length,)) if _is_value(length) else None
    return None


def _read_future(node: Node) -> tuple[Node, tuple[Node, ...]] | None:
    match node:
        case Call(name=">", args=(subject, Call(name="now"))):
            return subject, ()
    return None


def _older(subject: Node, given: tuple[Node, ...]) -> Node:
    return Call("<", (subject, Call("-", (_NOW, *given))))


_ONE_OF: dict[str, Any] = {
    "build": lambda subject, given: Call("in", (subject, Items(given))),
    "read": _read_one_of,
}
_HOLDS: dict[str, Any] = {"build": lambda subject, given: Call("in", (*given, subject)), "read": _read_holds}
_FUTURE: dict[str, Any] = {"build": lambda subject, given: Call(">", (subject, _NOW)), "read": _read_future}
_IS_TRUE: dict[str, Any] = {"build": lambda subject, given: subject, "read": lambda node: (node, ())}

OPERATORS: dict[str, Operator] = {
    "equal": Operator(gettext_lazy("is"), Wants.ONE, _SCALARS, **_binary("==")),
    "unequal": Operator(gettext_lazy("is not"), Wants.ONE, _SCALARS, **_binary("!=")),
    "one_of": Operator(
        gettext_lazy("is one of"), Wants.MANY, frozenset({Type.TEXT, Type.NUMBER, Type.ANY}), **_ONE_OF
    ),
    "none_of": Operator(
        gettext_lazy("is none of"),
        Wants.MANY,
        frozenset({Type.TEXT, Type.NUMBER, Type.ANY}),
        **_ONE_OF,
        is_negated=True,
    ),
    "at_least": Operator(gettext_lazy("is at least"), Wants.ONE, _ORDERED, **_binary(">=")),
    "at_most": Operator(gettext_lazy("is at most"), Wants.ONE, _ORDERED, **_binary("<=")),
    "more": Operator(gettext_lazy("is more than"), Wants.ONE, _ORDERED, **_binary(">")),
    "less": Operator(gettext_lazy("is less than"), Wants.ONE, _ORDERED, **_binary("<")),
    "contains": Operator(gettext_lazy("contains"), Wants.TEXT, _TEXTS, **_binary("contains")),
    "contains_not": Operator(
        gettext_lazy("does not contain"), Wants.TEXT, _TEXTS, **_binary("contains"), is_negated=True
    ),
    "starts_with": Operator(gettext_lazy("starts with"), Wants.TEXT, _TEXTS, **_binary("startsWith")),
    "ends_with": Operator(gettext_lazy("ends with"), Wants.TEXT, _TEXTS, **_binary("endsWith")),
    "holds": Operator(gettext_lazy("has in it"), Wants.ONE, frozenset({Type.LIST}), **_HOLDS),
    "holds_not": Operator(
        gettext_lazy("does not have in it"), Wants.ONE, frozenset({Type.LIST}), **_HOLDS, is_negated=True
    ),
    "within": Operator(gettext_lazy("is within the last"), Wants.DURATION, _TIMES, **_binary("within")),
    "older": Operator(
        gettext_lazy("is longer ago than"), Wants.DURATION, _TIMES, build=_older, read=_read_older
    ),
    "future": Operator(gettext_lazy("is in the future"), Wants.NOTHING, _TIMES, **_FUTURE),
    "before": Operator(gettext_lazy("is before"), Wants.ONE, frozenset({Type.TIME}), **_binary("<")),
    "since": Operator(gettext_lazy("is on or after"), Wants.ONE, frozenset({Type.TIME}), **_binary(">=")),
    "known": Operator(gettext_lazy("is known"), Wants.NOTHING, _ALL, **_unary("has")),
    "unknown": Operator(gettext_lazy("is not known"), Wants.NOTHING, _ALL, **_unary("has"), is_negated=True),
    # Last: every condition is a value by itself, too.
    "true": Operator(gettext_lazy("is yes"), Wants.NOTHING, frozenset({Type.BOOLEAN, Type.ANY}), **_IS_TRUE),
    "untrue": Operator(
        gettext_lazy("is not yes"),
        Wants.NOTHING,
        frozenset({Type.BOOLEAN, Type.ANY}),
        **_IS_TRUE,
        is_negated=True,
    ),
}
"""By name. For moments, "before" and "since" are what "less" and "at_least" are for amounts."""
_OF_TIMES = {"less": "before", "at_least": "since"}


class Unfit(ValueError):
    """A document is no rule. `path` leads to the row: "0.1" is the second row of the first group."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def to_tree(document: Any) -> Node:
    """The tree of a document. Raises Unfit with what is missing and where."""
    if _count_rows(document) > MAX_ROWS:
        raise Unfit(
            _("A rule in the builder has at most %(n)d conditions. Write it as text.") % {"n": MAX_ROWS}
        )
    return _group(document, (), is_past=False)


def from_tree(tree: Node) -> Document | None:
    """The document that shows the tree; None when rows cannot show it."""
    try:
        document = _read_document(tree, 1)
    except _CannotShow:
        return None
    return document if _count_rows(document) <= MAX_ROWS else None


def _count_rows(document: Any) -> int:
    rows = document.get("rows") if isinstance(document, dict) else None
    return 1 + sum(map(_count_rows, rows)) if isinstance(rows, list) else 1


# --- document → tree -------------------------------------------------------------------------------------------


def _group(document: Any, path: tuple[int, ...], *, is_past: bool) -> Node:
    match document:
        case {"match": "all" | "any" | "none" as match, "rows": [_, *_] as rows, **rest} if not rest:
            pass
        case {"rows": []}:
            raise Unfit(_("There is no condition yet. Add one."), _written(path))
        case _:
            raise Unfit(_("A group has “match” and “rows”."), _written(path))
    if len(path) >= MAX_DEPTH:
        raise Unfit(_("Groups are nested too deeply. Write the rule as text."), _written(path))
    nodes = tuple(
        _group(row, (*path, index), is_past=is_past)
        if isinstance(row, dict) and "rows" in row and not is_past
        else _row(row, (*path, index), is_past=is_past)
        for index, row in enumerate(rows)
    )
    try:
        if match == "none":
            return Call("!", (nodes[0] if len(nodes) == 1 else Call("||", nodes),))
        return nodes[0] if len(nodes) == 1 else Call(_MATCHES[match], nodes)
    except LanguageError as error:
        raise Unfit(str(error), _written(path)) from None


def _row(row: Any, path: tuple[int, ...], *, is_past: bool) -> Node:
    match row:
        case {"subject": dict(subject), "operator": str(name), "value": value, **rest} if not rest:
            pass
        case _:
            raise Unfit(_("A condition has “subject”, “operator” and “value”."), _written(path))
    operator = OPERATORS.get(name)
    if operator is None:
        raise Unfit(_("Choose how to compare."), _written(path))
    try:
        found = operator.build(_subject(subject, path, is_past=is_past), _values(operator, value))
        return Call("!", (found,)) if operator.is_negated else found
    except LanguageError as error:
        raise Unfit(f"{error.problem} {error.remedy}", _written(path)) from None
    except _Missing as missing:
        raise Unfit(str(missing), _written(path)) from None


class _Missing(ValueError):
    pass


def _values(operator: Operator, value: Any) -> tuple[Node, ...]:
    match operator.wants:
        case Wants.NOTHING:
            return ()
        case Wants.MANY:
            if not isinstance(value, list) or not value:
                raise _Missing(_("Give at least one value."))
            return tuple(map(_value, value))
        case Wants.DURATION:
            return (_value(value, Type.DURATION),)
        case Wants.TEXT:
            return (_value(value, Type.TEXT),)
        case _:
            return (_value(value),)


def _value(value: Any, wanted: Type | None = None) -> Node:
    if not isinstance(value, dict) or value.get("value") in (None, ""):
        raise _Missing(_("Give a value."))
    node = from_json(value)
    if not isinstance(node, Literal) or (wanted is not None and node.type is not wanted):
        raise _Missing(_("Give a value that fits."))
    return node


def _subject(subject: dict[str, Any], path: tuple[int, ...], *, is_past: bool) -> Node:
    match subject:
        case {"property": str(name), **rest} if is_past and not rest:
            return _field("event", name, _("Choose the property of the event."))
        case {"attribute": str(name), **rest} if not is_past and not rest:
            return _field("profile", name, _("Choose an attribute."))
        case {"audience": str(key), **rest} if not is_past and not rest:
            return Call("inAudience", (_named(key, _("Choose an audience.")),))
        case {"lookup": str(table), "attribute": str(name), "column": str(column), **rest} if not (
            is_past or rest
        ):
            return Call(
                "lookup",
                (
                    _named(table, _("Choose a lookup.")),
                    _field("profile", name, _("Choose the attribute that is the key of the row.")),
                    _named(column, _("Choose a column.")),
                ),
            )
        case {"count": str(event), "within": str(within), "where": where, **rest} if not is_past and not rest:
            done = _named(event, _("Choose an event."))
            return Call("count", (done, *_window(within), *_where(where, path)))
        case {
            "sum": str(event),
            "property": str(summed),
            "within": str(within),
            "where": where,
            **rest,
        } if not is_past and not rest:
            done = _named(event, _("Choose an event."))
            value = _field("event", summed, _("Choose the property to add up."))
            return Call("sum", (done, value, *_window(within), *_where(where, path)))
    raise _Missing(_("Choose what the condition is about."))


def _named(text: str, otherwise: str) -> Literal:
    if not text:
        raise _Missing(otherwise)
    return Literal(Type.TEXT, text)


def _field(root: str, name: str, otherwise: str) -> Field:
    if not name:
        raise _Missing(otherwise)
    return Field(root, tuple(name.split(".")))


def _window(text: str) -> tuple[Node, ...]:
    return (_value({"type": "duration", "value": text}),) if text else ()


def _where(document: Any, path: tuple[int, ...]) -> tuple[Node, ...]:
    return () if document is None else (_group(document, path, is_past=True),)


def _written(path: tuple[int, ...]) -> str:
    return ".".join(map(str, path[: MAX_DEPTH + 1]))


# --- tree → document -------------------------------------------------------------------------------------------


class _CannotShow(Exception):
    pass


def _read_document(node: Node, depth: int) -> Document:
    """A group as a document, and whatever else as a document of one row."""
    found = _read_group(node, depth)
    return found if "rows" in found else {"match": "all", "rows": [found]}


def _read_group(node: Node, depth: int, *, is_past: bool = False) -> Document:
    """A group or a row."""
    if depth > MAX_DEPTH:
        raise _CannotShow
    match node:
        case Call(name="&&" | "||" as name, args=args):
            match = "all" if name == "&&" else "any"
        case Call(name="!", args=(Call(name="||", args=args),)):
            match = "none"
        case _:
            if (row := _read_row(node, is_past=is_past)) is not None:
                return row
            if not (isinstance(node, Call) and node.name == "!"):
                raise _CannotShow
            match, args = "none", node.args
    rows = [_read_past_row(arg) for arg in args] if is_past else [_read_group(arg, depth + 1) for arg in args]
    return {"match": match, "rows": rows}


def _read_past_row(node: Node) -> Document:
    row = _read_row(node, is_past=True)
    if row is None:
        raise _CannotShow
    return row


def _read_row(node: Node, *, is_past: bool) -> Document | None:
    is_negated = isinstance(node, Call) and node.name == "!"
    inner = node.args[0] if isinstance(node, Call) and is_negated else node
    for name, operator in OPERATORS.items():
        if operator.is_negated is not is_negated or name in _OF_TIMES.values():
            continue
        if (found := operator.read(inner)) is None:
            continue
        subject, given = found
        if (shown := _read_subject(subject, is_past=is_past)) is None or not _fits(operator, subject, given):
            continue
        if given and isinstance(given[0], Literal) and given[0].type is Type.TIME:
            name = _OF_TIMES.get(name, name)
        return {"subject": shown, "operator": name, "value": _read_value(operator, given)}
    return None


def _fits(operator: Operator, subject: Node, given: tuple[Node, ...]) -> bool:
    """Whether the builder offers this operator for such a subject and such values."""
    kinds = {node.type for node in given if isinstance(node, Literal)}
    if isinstance(subject, Call) and subject.name == "inAudience":
        return operator in (OPERATORS["true"], OPERATORS["untrue"])
    match operator.wants:
        case Wants.NOTHING:
            # How often something happened is always known.
            return isinstance(subject, Field) or (isinstance(subject, Call) and subject.name == "lookup")
        case Wants.TEXT:
            return kinds == {Type.TEXT}
        case Wants.DURATION:
            return kinds == {Type.DURATION}
        case _:
            return Type.DURATION not in kinds


def _read_value(operator: Operator, given: tuple[Node, ...]) -> Any:
    if operator.wants is Wants.NOTHING:
        return None
    shown = [to_json(node) for node in given]
    return shown if operator.wants is Wants.MANY else shown[0]


def _read_subject(node: Node, *, is_past: bool) -> Document | None:
    match node:
        case Field(root="event") if is_past:
            return {"property": name} if (name := _path(node)) else None
        case Field(root="profile") if not is_past:
            return {"attribute": name} if (name := _path(node)) else None
        case Call(name="inAudience", args=(Literal(type=Type.TEXT, value=key),)) if key and not is_past:
            return {"audience": key}
        case Call(
            name="lookup",
            args=(Literal(value=str(table)), Field(root="profile") as key, Literal(value=str(column))),
        ):
            name = _path(key)
            shown = {"lookup": table, "attribute": name, "column": column}
            return shown if table and name and column and not is_past else None
        case Call(name="count", args=(Literal(type=Type.TEXT, value=event), *rest)) if event and not is_past:
            return {"count": event, **_read_tally(rest)}
        case Call(
            name="sum", args=(Literal(type=Type.TEXT, value=event), Field(root="event") as value, *rest)
        ):
            if event and not is_past and (name := _path(value)):
                return {"sum": event, "property": name, **_read_tally(rest)}
    return None


def _read_tally(rest: list[Node]) -> Document:
    """{"within", "where"} of the arguments after the name and the property."""
    within = ""
    match rest:
        case [Literal(type=Type.DURATION, value=timedelta()) as window, *rest]:
            within = to_json(window)["value"]
    if len(rest) > 1:
        raise _CannotShow
    where = None
    if rest:
        found = _read_group(rest[0], 1, is_past=True)
        where = found if "rows" in found else {"match": "all", "rows": [found]}
    return {"within": within, "where": where}


def _path(field: Field) -> str:
    """Names with points between them; empty when one of them is a number or has a point itself."""
    if not all(isinstance(name, str) and "." not in name for name in field.path):
        return ""
    return ".".join(map(str, field.path))
