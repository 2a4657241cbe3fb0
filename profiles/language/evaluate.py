"""The Python reading: steps → a function of one profile in hand. It never raises at run time; missing is None."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from profiles.language import values
from profiles.language.resolve import (
    Constant,
    Convert,
    Found,
    Membership,
    Operation,
    Read,
    Step,
    Tally,
    Turn,
    children,
)
from profiles.language.values import EXACT, INSTANT, LOWER_LETTERS, UPPER_LETTERS, Money, Type

Document = Mapping[str, Any]
Pair = tuple[str, str]
"""The key of a lookup and the key of a row in it."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that the profile did."""

    name: str
    occurred_at: datetime
    properties: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """What one evaluation sees: decoded JSON objects and the time. Decode with `float_hook=Decimal` to keep cents.

    `history` and `audiences`, the keys of those that the profile is in, are None where they are not known. `rows` are
    those of lookups; a Gather finds out which.
    """

    now: datetime
    profile: Document = field(default_factory=dict)
    event: Document | None = None
    entry: Document | None = None
    offer: Document | None = None
    context: Document | None = None
    history: Sequence[PastEvent] | None = None
    audiences: frozenset[str] | None = None
    rows: Mapping[Pair, Document] = field(default_factory=dict)


Run = Callable[[Scope], Any]
ReadRows = Callable[[Collection[Pair]], Mapping[Pair, Document]]
Gather = Callable[[Sequence[Scope], ReadRows], Sequence[Scope]]


def compiled(step: Step) -> Run:
    """The step as a function of a scope. Numbers come out as Decimal, fields of the type any as they stand in JSON."""
    match step:
        case Constant():
            value = step.value
            return lambda scope: value
        case Read():
            return _read(step.field.root, step.field.path)
        case Convert():
            inner, type_ = compiled(step.step), step.type
            return lambda scope: values.from_json(inner(scope), type_)
        case Operation():
            args = [compiled(arg) for arg in step.args]
            form = _FORMS.get(step.name)
            if form is not None:
                return form(args)
            return _strict(_OPERATIONS[step.name], args, False if step.type is Type.BOOLEAN else None)
        case Tally():
            return _tally(step)
        case Turn():
            return _turn(step.tally)
        case Membership():
            audience = step.audience
            return lambda scope: scope.audiences is not None and audience in scope.audiences
        case Found():
            return _found(step)


def gatherer(steps: Iterable[Step]) -> Gather:
    """A function that gives scopes the rows which `steps` look up in them: read in one call for all of the scopes, and
    one more for each level of lookups inside the keys of others."""
    levels: list[list[_Ask]] = []
    for step in steps:
        for level, ask in _asks(step):
            levels.extend([] for _ in range(len(levels), level + 1))
            levels[level].append(ask)

    def gather(scopes: Sequence[Scope], read_rows: ReadRows) -> Sequence[Scope]:
        if not levels or not scopes:
            return scopes
        rows: dict[Pair, Document] = {}
        given = [replace(scope, rows=rows) for scope in scopes]
        for asks in levels:
            if pairs := {pair for ask in asks for scope in given for pair in ask(scope)} - rows.keys():
                rows |= read_rows(pairs)
        return given

    return gather


_Ask = Callable[[Scope], Iterable[Pair]]


def _asks(step: Step) -> Iterator[tuple[int, _Ask]]:
    """What each lookup in it asks for in a scope, with its level: 0 when its key needs no other row."""
    inside = [found for child in children(step) for found in _asks(child)]
    match step:
        case Tally():
            events = _past_events(replace(step, where=None), also_future=False)
            yield from ((level, _of_past_events(events, ask)) for level, ask in inside)
        case Found():
            yield from inside
            yield 1 + max((level for level, _ in inside), default=-1), _ask(step)
        case _:
            yield from inside


def _of_past_events(events: Callable[[Scope], Iterator[tuple[datetime, Scope]]], ask: _Ask) -> _Ask:
    return lambda scope: (pair for _, inner in events(scope) for pair in ask(inner))


def _ask(found: Found) -> _Ask:
    name, key = found.lookup, compiled(found.key)

    def run(scope: Scope) -> Iterable[Pair]:
        value = key(scope)
        return () if value is None else ((name, value),)

    return run


def _found(step: Found) -> Run:
    name, key, column = step.lookup, compiled(step.key), step.column

    def run(scope: Scope) -> Any:
        row = scope.rows.get((name, key(scope)))
        return None if row is None else row.get(column)

    return run


def operations() -> frozenset[str]:
    """The operations that this reading implements."""
    return frozenset(_FORMS) | frozenset(_OPERATIONS)


def _read(root: str, path: tuple[str | int, ...]) -> Run:
    def run(scope: Scope) -> Any:
        value: Any = getattr(scope, root)
        for name in path:
            if isinstance(name, int):
                value = value[name] if isinstance(value, list) and name < len(value) else None
            elif isinstance(value, Mapping):
                value = value.get(name)
            else:
                return None
        return value

    return run


def _past_events(tally: Tally, *, also_future: bool) -> Callable[[Scope], Iterator[tuple[datetime, Scope]]]:
    """The time of each event that the tally counts, with the scope in which it is the event at hand."""
    where = compiled(tally.where) if tally.where is not None else None

    def run(scope: Scope) -> Iterator[tuple[datetime, Scope]]:
        for event in scope.history or ():
            age = scope.now - event.occurred_at
            is_recent = tally.window is None or (age <= tally.window and (also_future or age >= timedelta()))
            if event.name == tally.event_type and is_recent:
                inner = replace(scope, event=event.properties)
                if where is None or where(inner):
                    yield event.occurred_at, inner

    return run


def _tally(tally: Tally) -> Run:
    events = _past_events(tally, also_future=False)
    value = compiled(tally.value) if tally.value is not None else None

    def run(scope: Scope) -> Decimal | None:
        if scope.history is None:
            return None
        if value is None:
            return Decimal(sum(1 for _ in events(scope)))
        total = Decimal(0)
        for _, inner in events(scope):
            if (number := value(inner)) is not None:
                total = EXACT.add(total, number)
        return values.number(total)

    return run


def _turn(tally: Tally) -> Run:
    events = _past_events(tally, also_future=True)
    window = tally.window

    def run(scope: Scope) -> datetime | None:
        if window is None:
            return None
        turns = (at if at > scope.now else at + window + INSTANT for at, _ in events(scope))
        return min(turns, default=None)

    return run


def _strict(function: Callable[..., Any], args: list[Run], when_missing: bool | None) -> Run:
    """`function` of arguments that are all there."""

    def run(scope: Scope) -> Any:
        given = []
        for arg in args:
            value = arg(scope)
            if value is None:
                return when_missing
            given.append(value)
        return function(*given)

    return run


def _and(args: list[Run]) -> Run:
    return lambda scope: all(arg(scope) for arg in args)


def _or(args: list[Run]) -> Run:
    return lambda scope: any(arg(scope) for arg in args)


def _not(args: list[Run]) -> Run:
    (arg,) = args
    return lambda scope: not arg(scope)


def _is_true(args: list[Run]) -> Run:
    (arg,) = args
    return lambda scope: arg(scope) is True


def _has(args: list[Run]) -> Run:
    (arg,) = args
    return lambda scope: arg(scope) is not None


def _coalesce(args: list[Run]) -> Run:
    def run(scope: Scope) -> Any:
        for arg in args:
            if (value := arg(scope)) is not None:
                return value
        return None

    return run


def _conditional(args: list[Run]) -> Run:
    condition, then, otherwise = args
    return lambda scope: then(scope) if condition(scope) else otherwise(scope)


def _among_known(choose: Callable[[list[Any]], Any]) -> Callable[[list[Run]], Run]:
    def form(args: list[Run]) -> Run:
        def run(scope: Scope) -> Any:
            known = [value for arg in args if (value := arg(scope)) is not None]
            return choose(known) if known else None

        return run

    return form


def _in_items(args: list[Run]) -> Run:
    def run(scope: Scope) -> bool:
        value = _comparable(args[0](scope))
        return value is not None and any(value == _comparable(arg(scope)) for arg in args[1:])

    return run


def _now(args: list[Run]) -> Run:
    return lambda scope: scope.now.astimezone(UTC)


def _in_future(args: list[Run]) -> Run:
    (arg,) = args

    def run(scope: Scope) -> datetime | None:
        moment = arg(scope)
        return moment if moment is not None and moment > scope.now else None

    return run


def _within(args: list[Run]) -> Run:
    def run(scope: Scope) -> bool:
        moment, length = (arg(scope) for arg in args)
        return moment is not None and length is not None and timedelta() <= scope.now - moment <= length

    return run


def _comparable(value: Any) -> Any:
    """A value that equals another only if their types are equal too; None for documents and lists."""
    if isinstance(value, bool):
        return Type.BOOLEAN, value
    if isinstance(value, int | float | Decimal):
        read = values.from_json(value, Type.NUMBER)
        return (Type.NUMBER, read) if read is not None else None
    if isinstance(value, str | datetime | timedelta | Money):
        return type(value), value
    return None


def _in_list(value: Any, many: list[Any]) -> bool:
    """Each element is read as the type of `value`; for a value just read from JSON it keeps its own."""
    wanted = _comparable(value)
    if isinstance(value, datetime):
        many = [values.from_json(element, Type.TIME) for element in many]
    elif isinstance(value, Money):
        many = [values.from_json(element, Type.MONEY) for element in many]
    return wanted is not None and any(_comparable(element) == wanted for element in many)


def _equal_any(a: Any, b: Any) -> bool:
    x, y = _comparable(a), _comparable(b)
    return x is not None and x == y


def _unequal_any(a: Any, b: Any) -> bool:
    x, y = _comparable(a), _comparable(b)
    return x is not None and y is not None and x != y


def _of_one_currency(compare: Callable[[Any, Any], bool]) -> Callable[[Money, Money], bool]:
    return lambda a, b: a.currency == b.currency and compare(a.amount, b.amount)


def _divide(a: Decimal, b: Decimal) -> Decimal | None:
    """Half-up at the last kept decimal needs one digit more and no other."""
    if not b:
        return None
    digits = EXACT.divide_int(a.scaleb(values.SCALE + 1, EXACT), b)
    return values.number(digits.scaleb(-values.SCALE - 1, EXACT))


def _move(moment: datetime, by: timedelta) -> datetime | None:
    try:
        return values.time(moment + by)
    except OverflowError:
        return None


def _add_money(a: Money, b: Money) -> Money | None:
    return _money(EXACT.add(a.amount, b.amount), a.currency) if a.currency == b.currency else None


def _subtract_money(a: Money, b: Money) -> Money | None:
    return _money(EXACT.subtract(a.amount, b.amount), a.currency) if a.currency == b.currency else None


def _multiply_money(a: Money, by: Decimal) -> Money | None:
    return _money(EXACT.multiply(a.amount, by), a.currency)


def _money(amount: Decimal, currency: str) -> Money | None:
    bounded = values.number(amount)
    return Money(bounded, currency) if bounded is not None else None


def _size_any(value: Any) -> Decimal | None:
    return Decimal(len(value)) if isinstance(value, str | list) else None


def _written_any(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    number = values.from_json(value, Type.NUMBER)
    return values.write_decimal(number) if number is not None else None


_LOWER = str.maketrans(UPPER_LETTERS, LOWER_LETTERS)
_UPPER = str.maketrans(LOWER_LETTERS, UPPER_LETTERS)

_FORMS: dict[str, Callable[[list[Run]], Run]] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "is_true": _is_true,
    "has": _has,
    "coalesce": _coalesce,
    "conditional": _conditional,
    "in_items": _in_items,
    "now": _now,
    "within": _within,
    "in_future": _in_future,
    **{f"min_{type_}": _among_known(min) for type_ in ("number", "time", "duration")},
    **{f"max_{type_}": _among_known(max) for type_ in ("number", "time", "duration")},
}
"""Operations that decide themselves what a missing argument means."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "less": operator.lt,
    "at_most": operator.le,
    "more": operator.gt,
    "at_least": operator.ge,
}
_EQUATED = ("text", "number", "boolean", "time", "duration", "money")
_PARTS: dict[str, Callable[[datetime], int]] = {
    "year": lambda t: t.year,
    "month": lambda t: t.month,
    "day": lambda t: t.day,
    "weekday": lambda t: t.isoweekday(),
    "hour": lambda t: t.hour,
    "minute": lambda t: t.minute,
}


def _part(read: Callable[[datetime], int]) -> Callable[[datetime], Decimal]:
    return lambda moment: Decimal(read(moment))


def _local_part(read: Callable[[datetime], int]) -> Callable[[datetime, str], Decimal | None]:
    def run(moment: datetime, zone: str) -> Decimal | None:
        local = values.local_time(moment, zone)
        return Decimal(read(local)) if local is not None else None

    return run


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{f"equal_{type_}": operator.eq for type_ in _EQUATED},
    **{f"unequal_{type_}": operator.ne for type_ in _EQUATED},
    "equal_any": _equal_any,
    "unequal_any": _unequal_any,
    **{
        f"{word}_{type_}": compare
        for word, compare in _COMPARISONS.items()
        for type_ in ("text", "number", "time", "duration")
    },
    **{f"{word}_money": _of_one_currency(compare) for word, compare in _COMPARISONS.items()},
    "in_list": _in_list,
    "add_number": lambda a, b: values.number(EXACT.add(a, b)),
    "subtract_number": lambda a, b: values.number(EXACT.subtract(a, b)),
    "multiply": lambda a, b: values.number(EXACT.multiply(a, b)),
    "divide": _divide,
    "remainder": lambda a, b: values.number(EXACT.remainder(a, b)) if b else None,
    "negate_number": lambda a: values.number(EXACT.minus(a)),
    "join_text": operator.add,
    "join_texts": lambda *texts: "".join(texts),
    "written_number": values.write_decimal,
    "written_any": _written_any,
    "add_time": _move,
    "subtract_time": lambda moment, by: _move(moment, -by),
    "between_times": lambda a, b: values.duration(a - b),
    "add_duration": lambda a, b: values.duration(a + b),
    "subtract_duration": lambda a, b: values.duration(a - b),
    "negate_duration": operator.neg,
    "size_text": lambda text: Decimal(len(text)),
    "size_list": lambda many: Decimal(len(many)),
    "size_any": _size_any,
    **{name: _part(read) for name, read in _PARTS.items()},
    **{f"{name}_there": _local_part(read) for name, read in _PARTS.items()},
    "known_zone": lambda zone, known: zone if zone in known else None,
    "add_money": _add_money,
    "subtract_money": _subtract_money,
    "multiply_money": _multiply_money,
    "times_money": lambda by, money: _multiply_money(money, by),
    "amount": lambda money: money.amount,
    "currency": lambda money: money.currency,
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "lower": lambda text: text.translate(_LOWER),
    "upper": lambda text: text.translate(_UPPER),
}
"""Operations of arguments that are all there; with a missing one they are missing, or false for a condition."""
