"""Random trees, well typed and ill typed, and random documents for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from profiles.language import (
    FUNCTIONS,
    Call,
    Catalog,
    Field,
    FieldDefinition,
    Items,
    Literal,
    Money,
    Node,
    Type,
)
from profiles.language.functions import Function, Overload
from profiles.language.values import NUMBER_LIMIT

NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
NAMES = ["a", "b", "first name"]
DECLARED = {
    "age": Type.NUMBER,
    "city": Type.TEXT,
    "vip": Type.BOOLEAN,
    "seen": Type.TIME,
    "tags": Type.LIST,
    "credit": Type.MONEY,
}
COLUMNS = {
    "title": Type.TEXT,
    "on_hand": Type.NUMBER,
    "is_new": Type.BOOLEAN,
    "back_at": Type.TIME,
    "price": Type.MONEY,
    "tags": Type.LIST,
}
CATALOG = Catalog(
    (FieldDefinition(Field("profile", (name,)), type_) for name, type_ in DECLARED.items()),
    lookups={"stock": COLUMNS, "empty": COLUMNS},
)

_WORDS = st.sampled_from(
    ["", "a", "A", "ab", "DE", "z", "Z", "é", "É", "ß", "\u0130", "ς", "Σ", "ж", "😀", "a'b\"\\", "%s", "\n", "null"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)  # fmt: skip
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]
_DECIMALS = (
    st.integers(-12, 12).map(Decimal)
    | st.decimals(-1000, 1000, places=2)
    | st.decimals(-10, 10, places=12)
    | st.sampled_from(list(map(Decimal, ["1e-12", "1e29", "-1e29", "9" * 30, "0.5"])))
)
_TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)) | st.sampled_from(
    [NOW, NOW - timedelta(days=1), NOW.replace(hour=0, minute=0, second=0, microsecond=0)]
)
_DURATIONS = st.timedeltas(timedelta(days=-99_999), timedelta(days=99_999)) | st.sampled_from(
    [timedelta(), timedelta(days=1), timedelta(microseconds=1)]
)
_CURRENCIES = st.sampled_from(["EUR", "USD"])

LITERALS = {
    Type.TEXT: _WORDS,
    Type.NUMBER: _DECIMALS,
    Type.BOOLEAN: st.booleans(),
    Type.TIME: _TIMES,
    Type.DURATION: _DURATIONS,
    Type.MONEY: st.builds(Money, st.decimals(-50, 50, places=2), _CURRENCIES),
    Type.NULL: st.none(),
}


def _literals(type_: Type) -> st.SearchStrategy[Node]:
    return LITERALS[type_].map(lambda value: Literal(type_, value))


ROW_KEYS = ["a", "DE", "", "ab", "12", "0.5", "a-12", "😀", "a'b\"\\"]
"""Keys of rows in the lookup "stock"."""
literals = st.one_of(*map(_literals, LITERALS))
undeclared = st.builds(
    Field,
    st.sampled_from(["profile", "profile", "event", "entry"]),
    st.builds(
        lambda name, steps: (name, *steps),
        st.sampled_from(NAMES),
        st.lists(st.sampled_from([*NAMES, 0, 1, 2]), max_size=2),
    ),
)
declared = st.sampled_from(list(CATALOG.definitions))
inside_declared = st.builds(
    lambda field, step: Field(field.root, (*field.path, step)), declared, st.sampled_from(["amount", 0, 1])
)
_zones: st.SearchStrategy[Node] = (
    st.sampled_from([*ZONES, *ZONES, "europe/berlin", "Europe/Nowhere"]).map(
        lambda zone: Literal(Type.TEXT, zone)
    )
    | undeclared
)


def _call(name: str, children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    function = FUNCTIONS[name]
    most = function.max_arguments
    arguments = st.lists(
        children,
        min_size=function.min_arguments,
        max_size=max(3, function.min_arguments) if most is None else most,
    )
    return arguments.map(lambda args: Call(name, tuple(args)))


def _anything(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(children, max_size=3).map(lambda items: Items(tuple(items)))
    calls = st.sampled_from(sorted(FUNCTIONS)).flatmap(lambda name: _call(name, children))
    return calls | calls | calls | lists


ill_typed = st.recursive(
    literals | undeclared | declared | declared | inside_declared, _anything, max_leaves=8
)
"""Any tree: whatever can be built."""

_row_keys = st.sampled_from(ROW_KEYS).map(lambda key: Literal(Type.TEXT, key))


def _lookups(wanted: Type, keys: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    columns = st.sampled_from([name for name, type_ in COLUMNS.items() if type_ is wanted])
    names = st.sampled_from(["stock", "stock", "stock", "empty"])
    return st.tuples(names, keys, columns).map(
        lambda found: Call("lookup", (Literal(Type.TEXT, found[0]), found[1], Literal(Type.TEXT, found[2])))
    )


def _joined(*parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.tuples(*parts, undeclared).map(lambda args: Call("concat", args))


_FIELDS_OF = {
    type_: st.sampled_from(
        [Field("profile", (name,)) for name, declared in DECLARED.items() if declared is type_]
    )
    for type_ in DECLARED.values()
}


@st.composite
def _typed(draw: st.DrawFn, wanted: Type, depth: int) -> Node:
    """A tree that holds `wanted`."""
    leaves: list[st.SearchStrategy[Node]] = [undeclared, inside_declared] if wanted is Type.ANY else []
    if wanted in LITERALS:
        leaves.append(_literals(wanted))
    if wanted in _FIELDS_OF:
        leaves += [_FIELDS_OF[wanted], _FIELDS_OF[wanted], undeclared]
    overloads = [
        (function, overload)
        for function in FUNCTIONS.values()
        for overload in function.overloads
        if overload.result is wanted
    ]
    special = ["?:", "coalesce"] + (["in", "in", "has"] if wanted is Type.BOOLEAN else [])
    special += ["lookup"] * (wanted in COLUMNS.values()) + ["concat"] * (wanted is Type.TEXT)
    kind = draw(st.integers(0, 9))
    if depth <= 0 or (leaves and kind < 2):
        return draw(st.one_of(*leaves)) if leaves else draw(_typed(wanted, 1))
    if overloads and kind < 7:
        function, overload = draw(st.sampled_from(overloads))
        n = len(overload.arguments) if function.max_arguments is not None else draw(st.integers(2, 3))
        args = [draw(_typed(overload.argument(i), depth - 1)) for i in range(n)]
        if overload.operation.endswith("_there"):
            args[1] = draw(_zones)
        return Call(function.name, tuple(args))
    match draw(st.sampled_from(special)):
        case "has":
            return Call("has", (draw(_typed(draw(st.sampled_from(list(_FIELDS_OF))), depth - 1)),))
        case "in":
            element = draw(st.sampled_from([Type.TEXT, Type.NUMBER, Type.TIME, Type.MONEY, Type.ANY]))
            value = draw(_typed(element, depth - 1))
            if draw(st.booleans()):
                return Call("in", (value, draw(_typed(Type.LIST, 0))))
            items = draw(st.lists(_typed(element, depth - 1), min_size=1, max_size=3))
            return Call("in", (value, Items(tuple(items))))
        case "lookup":
            return draw(_lookups(wanted, _typed(Type.TEXT, depth - 1) | _row_keys))
        case "concat":
            return draw(_joined(*(_typed(type_, depth - 1) for type_ in (Type.TEXT, Type.NUMBER))))
        case "coalesce":
            return Call("coalesce", (draw(_typed(wanted, depth - 1)), draw(_typed(wanted, depth - 1))))
        case _:
            then, otherwise = draw(_typed(wanted, depth - 1)), draw(_typed(wanted, depth - 1))
            return Call("?:", (draw(_typed(Type.BOOLEAN, depth - 1)), then, otherwise))


well_typed = st.sampled_from([*_FIELDS_OF, Type.DURATION, Type.BOOLEAN, Type.BOOLEAN]).flatmap(
    lambda wanted: _typed(wanted, 4)
)

trees = well_typed | ill_typed

_LEAVES = {type_: _typed(type_, 0) for type_ in (*_FIELDS_OF, Type.DURATION, Type.ANY)}


def _directly(function: Function, overload: Overload) -> st.SearchStrategy[Node]:
    """A call of fields and literals."""
    n = len(overload.arguments) if function.max_arguments is not None else 2
    leaves = [_LEAVES[overload.argument(index)] for index in range(n)]
    if overload.operation.endswith("_there"):
        leaves[1] = _zones
    arguments = st.tuples(*leaves)
    return arguments.map(lambda args: Call(function.name, args))


def _memberships(type_: Type) -> st.SearchStrategy[Node]:
    items = st.lists(_LEAVES[type_], min_size=1, max_size=3).map(lambda items: Items(tuple(items)))
    return st.tuples(_LEAVES[type_], items | _LEAVES[Type.LIST]).map(lambda args: Call("in", args))


one_of_each = st.tuples(
    *(
        _directly(function, overload)
        for function in FUNCTIONS.values()
        if function.name not in ("&&", "||", "!")
        for overload in function.overloads
    ),
    *(_memberships(type_) for type_ in _LEAVES if type_ is not Type.LIST),
    *(st.tuples(leaves, leaves).map(lambda args: Call("coalesce", args)) for leaves in _LEAVES.values()),
    *(leaves.map(lambda leaf: Call("has", (leaf,))) for leaves in _LEAVES.values()),
    st.tuples(*[_LEAVES[Type.BOOLEAN]] * 3).map(lambda args: Call("?:", args)),
    *(_lookups(type_, _row_keys | _LEAVES[Type.TEXT]) for type_ in COLUMNS.values()),
    *(_joined(_LEAVES[type_]) for type_ in (Type.TEXT, Type.NUMBER, Type.ANY)),
).map(list)
"""For each operation one tree in which its arguments are fields and literals, so that none is seldom tried."""

_written_times = st.sampled_from(
    [
        "2026-11-21",
        "2026-11-20T12:30:15.25Z",
        "2024-02-29 23:59:59.1234567+05:30",
        "2023-02-29",
        "1900-02-29",
        "2000-02-29T00:00",
        "2026-04-31",
        "0000-01-01",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31",
        "2026-11-21T24:00",
        "2026-11-21T12:00:00.999999999-0100",
        "2026-11-21T12:00Z\n",
        "today",
        "infinity",
    ]
) | st.builds(
    lambda moment, zone: moment.replace(tzinfo=None).isoformat() + zone,
    _TIMES,
    st.sampled_from(["", "Z", "+02:00"]),
)
_numbers = _DECIMALS | st.sampled_from(
    [Decimal("0.30000000000000004"), Decimal("1e40"), Decimal("0e40"), NUMBER_LIMIT]
)
_amounts = st.one_of(
    _numbers,
    st.decimals(-50, 50, places=2).map(str),
    st.sampled_from(["12.5", "1e3", "x", "NaN", "9" * 41, "-0", None]),
)
_money = st.fixed_dictionaries(
    {"amount": _amounts, "currency": st.sampled_from(["EUR", "USD", "eur", "EURO", None, 1])}
)
_scalars = st.one_of(
    _numbers, _WORDS, st.booleans(), st.none(), _written_times, st.sampled_from([*ZONES, "Mars/Base"])
)
_json = st.one_of(
    _scalars,
    _money,
    st.lists(_scalars | _money, max_size=3),
    st.dictionaries(st.sampled_from(NAMES), _scalars),
)
_FITTING: dict[Type, st.SearchStrategy[Any]] = {
    Type.NUMBER: _numbers,
    Type.TEXT: _WORDS,
    Type.BOOLEAN: st.booleans(),
    Type.TIME: _written_times,
    Type.LIST: st.lists(_scalars | _money, max_size=4),
    Type.MONEY: _money,
}

_profile = st.fixed_dictionaries(
    {
        **dict.fromkeys(NAMES, _json),
        **{name: _FITTING[type_] | _FITTING[type_] | _json for name, type_ in DECLARED.items()},
    },
)
_event = st.none() | st.dictionaries(st.sampled_from(NAMES), _json, min_size=1)

rows = st.fixed_dictionaries(
    {},
    optional={
        key: st.fixed_dictionaries(
            {}, optional={name: _FITTING[type_] | _FITTING[type_] | _json for name, type_ in COLUMNS.items()}
        )
        for key in ROW_KEYS
    },
)
"""Rows of the lookup "stock" by their keys, some with values of another type than their column's."""

documents = st.fixed_dictionaries(
    {"profile": st.just({}) | _profile | _profile, "event": _event, "entry": _event}
)
