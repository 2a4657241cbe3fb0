"""Tree → typed steps: which operation each call means and where a value is converted. Both readings read the steps, so
that overloads and conversions are decided once.

Any tree has steps. What does not fit by its types is a problem, and a step that is always missing (or always false).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from profiles.language.catalog import Catalog
from profiles.language.errors import LanguageError
from profiles.language.functions import FUNCTIONS, Overload
from profiles.language.nodes import Call, Field, Items, Literal, Node
from profiles.language.values import Type

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known; None for missing."""

    type: Type
    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """The JSON value of a field; null is missing."""

    field: Field
    type: Type = Type.ANY


@dataclass(frozen=True, slots=True)
class Convert:
    """A JSON value as `type`; missing when it is of another type."""

    type: Type
    step: Step


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the operations that each reading implements."""

    name: str
    type: Type
    args: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """The past events of a type: how many, or with `value` the sum of it. Missing where no history is known.

    `window`: only those of the last while, both ends included; else all, also one that is dated a moment ahead.
    In `where`, a condition, and in `value`, a number, the event is the past one.
    """

    event_type: str
    window: timedelta | None = None
    where: Step | None = None
    value: Step | None = None
    type: Type = Type.NUMBER


@dataclass(frozen=True, slots=True)
class Turn:
    """The first moment after now at which mere time changes which events a tally with a window counts."""

    tally: Tally
    type: Type = Type.TIME


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether the profile is in an audience; false where memberships are not known."""

    audience: str
    type: Type = Type.BOOLEAN


@dataclass(frozen=True, slots=True)
class Found:
    """The JSON value in a column of a lookup, in the row with the key; missing when there is no such row."""

    lookup: str
    key: Step
    column: str
    type: Type = Type.ANY


Step = Constant | Read | Convert | Operation | Tally | Turn | Membership | Found


def children(step: Step) -> tuple[Step, ...]:
    """The steps that it is made of."""
    match step:
        case Convert():
            return (step.step,)
        case Operation():
            return step.args
        case Tally():
            return tuple(part for part in (step.where, step.value) if part is not None)
        case Turn():
            return (step.tally,)
        case Found():
            return (step.key,)
        case _:
            return ()


MAY_BE_MISSING = frozenset({"conditional", "coalesce"})
"""Of the operations that make a boolean, those that can also be missing. All others are then false."""

_FROM_JSON = frozenset({Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME, Type.LIST, Type.MONEY})
_IN_LIST = frozenset({Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME, Type.DURATION, Type.MONEY, Type.ANY})
_IN_FIELD = _IN_LIST - {Type.DURATION}


@dataclass(frozen=True, slots=True)
class Resolution:
    step: Step
    problems: list[LanguageError]


def resolve(tree: Node, catalog: Catalog) -> Resolution:
    """The steps of `tree` and everything that its types make wrong. Never raises."""
    resolver = _Resolver(catalog)
    return Resolution(resolver.resolve(tree, ()), resolver.problems)


def condition(step: Step) -> Step:
    """`step` as a boolean that is never missing."""
    found = convert(step, Type.BOOLEAN)
    if isinstance(found, Constant):
        return Constant(Type.BOOLEAN, bool(found.value))
    if isinstance(found, Operation) and found.name not in MAY_BE_MISSING:
        return found
    if isinstance(found, Membership):
        return found
    return Operation("is_true", Type.BOOLEAN, (found,))


def convert(step: Step, to: Type) -> Step:
    """`step` as `to`: unchanged, read from JSON, or always missing."""
    if step.type is to:
        return step
    if step.type is Type.ANY and to in _FROM_JSON:
        return Convert(to, step)
    return Constant(to, None)


def _fits(given: Type, wanted: Type) -> bool:
    return given in (wanted, Type.NULL) or (given is Type.ANY and wanted in _FROM_JSON)


def common_type(types: Sequence[Type]) -> Type | None:
    """The one type that all of them are or can be read as; None when there is none."""
    known = set(types) - {Type.NULL, Type.ANY}
    if len(known) == 1:
        (only,) = known
        return only if Type.ANY not in types or only in _FROM_JSON else None
    if known:
        return None
    return Type.ANY if Type.ANY in types else Type.NULL


class _Resolver:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._is_past = False
        self.problems: list[LanguageError] = []

    def _problem(self, path: Path, problem: str, remedy: str) -> None:
        self.problems.append(LanguageError(problem, remedy, path=path))

    def resolve(self, node: Node, path: Path) -> Step:
        match node:
            case Literal():
                return Constant(node.type, node.value)
            case Field():
                is_past = self._is_past and node.root == "event"
                if node.root not in self._catalog.documents and not is_past:
                    self._problem(
                        path,
                        f"There is no {node.root} here, so {node.root}.{node.name} is always missing.",
                        f"Name a field of {' or '.join(sorted(self._catalog.documents))}.",
                    )
                    return Constant(Type.NULL, None)
                # What is declared of the event at hand says nothing about past ones.
                return convert(Read(node), Type.ANY if is_past else self._catalog.type_of(node))
            case Items():
                self._problem(
                    path, "A list stands where one value is wanted.", "Use it on the right of `in`."
                )
                return Constant(Type.NULL, None)
            case Call(name="in"):
                return self._membership(node, path)
            case Call(name="count" | "sum"):
                return self._tally(node, path)
            case Call(name="inAudience"):
                return self._audience(node, path)
            case Call(name="lookup"):
                return self._found(node, path)
            case Call():
                args = tuple(self.resolve(arg, (*path, index)) for index, arg in enumerate(node.args))
                return self._call(node, args, path)

    def _call(self, node: Call, args: tuple[Step, ...], path: Path) -> Step:
        match node.name:
            case "&&" | "||" | "!":
                for index, arg in enumerate(args):
                    self._want_boolean(arg, (*path, index))
                operation = FUNCTIONS[node.name].overloads[0].operation
                return Operation(operation, Type.BOOLEAN, tuple(condition(arg) for arg in args))
            case "has":
                return Operation("has", Type.BOOLEAN, args)
            case "concat":
                written = (self._written(arg, (*path, index)) for index, arg in enumerate(args))
                return Operation("join_texts", Type.TEXT, tuple(written))
            case "coalesce":
                type_ = self._common(args, path, "values")
                return Operation("coalesce", type_, tuple(convert(arg, type_) for arg in args))
            case "?:":
                self._want_boolean(args[0], (*path, 0))
                type_ = self._common(args[1:], path, "two outcomes")
                outcomes = (convert(arg, type_) for arg in args[1:])
                return Operation("conditional", type_, (condition(args[0]), *outcomes))
            case _:
                return self._overloaded(node, args, path)

    def _want_boolean(self, step: Step, path: Path) -> None:
        if step.type not in (Type.BOOLEAN, Type.ANY):
            self._problem(
                path, f"A {step.type} stands where a condition is wanted.", "Compare it with a value."
            )

    def _common(self, args: Sequence[Step], path: Path, what: str) -> Type:
        found = common_type([arg.type for arg in args])
        if found is None:
            self._problem(
                path,
                f"The {what} are of different types: {_listed(args)}.",
                "Give values of one type.",
            )
        return found or Type.NULL

    def _overloaded(self, node: Call, args: tuple[Step, ...], path: Path) -> Step:
        function = FUNCTIONS[node.name]
        for index, arg in enumerate(args):
            if arg.type is Type.NULL:
                self._problem(
                    (*path, index),
                    "null is always missing, so the result never depends on it.",
                    "Write has(x) or !has(x) to ask whether a value is there.",
                )
        fitting = [
            overload
            for overload in function.overloads
            if (len(args) == len(overload.arguments) or function.max_arguments is None)
            and all(_fits(arg.type, overload.argument(index)) for index, arg in enumerate(args))
        ]
        if not fitting:
            self._problem(
                path,
                f"{node.name} does not work on {_listed(args)}.",
                f"Write it like {function.example}",
            )
            result = function.overloads[0].result
            return Constant(result, False if result is Type.BOOLEAN else None)

        def conversions(overload: Overload) -> int:
            return sum(arg.type is not overload.argument(index) for index, arg in enumerate(args))

        chosen = min(fitting, key=conversions)
        converted = [convert(arg, chosen.argument(index)) for index, arg in enumerate(args)]
        if chosen.operation.endswith("_there"):
            converted[1] = self._zone(converted[1], (*path, 1))
        return Operation(chosen.operation, chosen.result, tuple(converted))

    def _zone(self, name: Step, path: Path) -> Step:
        """The name of a time zone; missing when it is none that both readings know."""
        zones = self._catalog.zones
        if isinstance(name, Constant) and name.value is not None and name.value not in zones:
            near = difflib.get_close_matches(str(name.value), zones, n=1, cutoff=0.8)
            self._problem(
                path,
                f"There is no time zone {name.value!r}.",
                f"Did you mean {near[0]!r}?" if near else "Give a name such as Europe/Berlin.",
            )
        return Operation("known_zone", Type.TEXT, (name, Constant(Type.LIST, zones)))

    def _tally(self, node: Call, path: Path) -> Step:
        """`count(type[, window][, where])` or `sum(type, value[, window][, where])`."""
        self._want_history(path)
        first = 2 if node.name == "sum" else 1
        event_type, window, where = _text(node.args[0]), None, None
        rest = list(enumerate(node.args))[first:]
        match rest:
            case [(_, Literal(type=Type.DURATION, value=window)), *rest]:
                pass
        if event_type is None or len(rest) > 1:
            self._problem(
                path,
                f"{node.name} wants the name of events in quotation marks, then a duration, then a condition.",
                f"Write it like {FUNCTIONS[node.name].example}",
            )
            return Constant(Type.NUMBER, None)
        value = self._of_past_events(node.args[1], (*path, 1)) if node.name == "sum" else None
        if value is not None and value.type not in (Type.NUMBER, Type.ANY):
            self._problem(
                (*path, 1),
                f"A {value.type} cannot be added up.",
                "Give a number, such as event.total or amount(event.price).",
            )
        for index, condition_node in rest:
            where = self._of_past_events(condition_node, (*path, index))
            self._want_boolean(where, (*path, index))
            where = condition(where)
        return Tally(event_type, window, where, convert(value, Type.NUMBER) if value is not None else None)

    def _of_past_events(self, node: Node, path: Path) -> Step:
        was_past, self._is_past = self._is_past, True
        step = self.resolve(node, path)
        self._is_past = was_past
        return step

    def _audience(self, node: Call, path: Path) -> Step:
        self._want_history(path)
        key = _text(node.args[0])
        if key is None:
            self._problem(
                path,
                "inAudience wants the key of an audience in quotation marks.",
                'Write inAudience("vip").',
            )
            return Constant(Type.BOOLEAN, False)
        return Membership(key)

    def _written(self, step: Step, path: Path) -> Step:
        """The value as a text."""
        match step.type:
            case Type.TEXT:
                return step
            case Type.NUMBER | Type.ANY:
                return Operation(f"written_{step.type}", Type.TEXT, (step,))
        self._problem(path, f"A {step.type} cannot be joined.", "Join texts and numbers.")
        return Constant(Type.TEXT, None)

    def _found(self, node: Call, path: Path) -> Step:
        """`lookup(name, key, column)`, of the type that the column was declared with."""
        key = self.resolve(node.args[1], (*path, 1))
        found = self._column(node, path)
        if key.type not in (Type.TEXT, Type.ANY):
            self._problem(
                (*path, 1),
                f"The key of a row is a text, and this is a {key.type}.",
                "Give a text; concat(…) writes numbers as text.",
            )
        if found is None:
            return Constant(Type.ANY, None)
        name, column, type_ = found
        return convert(Found(name, convert(key, Type.TEXT), column), type_)

    def _column(self, node: Call, path: Path) -> tuple[str, str, Type] | None:
        """The lookup and the column that are named, and what the column holds; None when there are none such."""
        name, column, lookups = _text(node.args[0]), _text(node.args[2]), self._catalog.lookups
        if lookups is None:
            self._problem(
                path, "Nothing can be looked up here.", "Use attributes, or properties of the event at hand."
            )
        elif name is None or column is None:
            self._problem(
                path,
                "lookup wants the key of a lookup and the name of a column in quotation marks.",
                f"Write it like {FUNCTIONS['lookup'].example}",
            )
        elif name not in lookups:
            self._problem((*path, 0), f"There is no lookup {name!r}.", _instead(name, lookups))
        elif column not in lookups[name]:
            self._problem(
                (*path, 2), f"The lookup {name!r} has no column {column!r}.", _instead(column, lookups[name])
            )
        else:
            return name, column, lookups[name][column]
        return None

    def _want_history(self, path: Path) -> None:
        if not self._catalog.knows_history:
            self._problem(
                path,
                "Past events and audiences are not known here.",
                "Use attributes, or the properties of the event at hand.",
            )

    def _membership(self, node: Call, path: Path) -> Step:
        """`x in list`: a list written out becomes arguments, one of a field is read as JSON."""
        left, right = node.args
        value = self.resolve(left, (*path, 0))
        if isinstance(right, Items):
            items = [self.resolve(item, (*path, 1, index)) for index, item in enumerate(right.items)]
            if not items:
                return Constant(Type.BOOLEAN, False)
            type_ = self._common([value, *items], path, "value and the elements")
            if type_ in _IN_LIST:
                return Operation(
                    "in_items", Type.BOOLEAN, tuple(convert(step, type_) for step in (value, *items))
                )
        else:
            many = self.resolve(right, (*path, 1))
            if many.type in (Type.LIST, Type.ANY) and value.type in _IN_FIELD:
                return Operation("in_list", Type.BOOLEAN, (value, convert(many, Type.LIST)))
        if not self.problems or self.problems[-1].path != path:
            self._problem(
                path,
                "`in` cannot look for this value in this list.",
                f"Write it like {FUNCTIONS['in'].example}",
            )
        return Constant(Type.BOOLEAN, False)


def _text(node: Node) -> str | None:
    return node.value if isinstance(node, Literal) and node.type is Type.TEXT else None


def _instead(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Use one of {', '.join(map(repr, sorted(known)[:10]))}." if known else "Make it first."


def _listed(args: Sequence[Step]) -> str:
    return ", ".join(str(arg.type) for arg in args[:5]) or "nothing"
