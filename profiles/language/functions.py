"""Every operator and function of the language, with its types, label and help: what the parser accepts, what builders
offer and what the documentation lists. There is no second list.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from profiles.language.values import Type

TEXT, NUMBER, BOOLEAN, TIME = Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME
LIST, MONEY, DURATION, ANY = Type.LIST, Type.MONEY, Type.DURATION, Type.ANY


class Notation(enum.StrEnum):
    OPERATOR = "operator"  # a < b
    FUNCTION = "function"  # has(a)
    METHOD = "method"  # a.contains(b)


@dataclass(frozen=True, slots=True)
class Overload:
    """One meaning of a function: the operation that both readings implement, and its types.

    When the function takes more arguments than `arguments` names, the others have the type of the last one.
    """

    operation: str
    arguments: tuple[Type, ...]
    result: Type

    def argument(self, index: int) -> Type:
        return self.arguments[min(index, len(self.arguments) - 1)]


@dataclass(frozen=True, slots=True)
class Function:
    """`max_arguments` None: as many as wanted. Without overloads its types follow from its arguments (resolve.py)."""

    name: str
    label: str
    help: str
    example: str
    notation: Notation
    overloads: tuple[Overload, ...]
    min_arguments: int
    max_arguments: int | None


MAX_ARGUMENTS = 1_000

FUNCTIONS: dict[str, Function] = {}


def _add(
    name: str,
    label: str,
    help: str,
    example: str,
    notation: Notation,
    overloads: Iterable[Overload],
    arguments: tuple[int, int | None],
) -> None:
    FUNCTIONS[name] = Function(name, label, help, example, notation, tuple(overloads), *arguments)


def _comparison(name: str, label: str, help: str, example: str, word: str, types: Iterable[Type]) -> None:
    overloads = [Overload(f"{word}_{type_}", (type_, type_), BOOLEAN) for type_ in types]
    _add(name, label, help, example, Notation.OPERATOR, overloads, (2, 2))


_ORDERED = (NUMBER, TEXT, TIME, DURATION, MONEY)

_add(
    "&&",
    "and",
    "True when all of them are true.",
    'profile.vip && profile.country == "DE"',
    Notation.OPERATOR,
    [Overload("and", (BOOLEAN,), BOOLEAN)],
    (2, None),
)
_add(
    "||",
    "or",
    "True when at least one of them is true.",
    "profile.vip || profile.orders > 10",
    Notation.OPERATOR,
    [Overload("or", (BOOLEAN,), BOOLEAN)],
    (2, None),
)
_add(
    "!",
    "not",
    "True when it is false or missing.",
    "!profile.vip",
    Notation.OPERATOR,
    [Overload("not", (BOOLEAN,), BOOLEAN)],
    (1, 1),
)
_comparison(
    "==",
    "is",
    "True when both are there and equal. Text counts capitals.",
    'profile.country == "DE"',
    "equal",
    (TEXT, NUMBER, BOOLEAN, TIME, DURATION, MONEY, ANY),
)
_comparison(
    "!=",
    "is not",
    "True when both are there and differ.",
    'profile.country != "DE"',
    "unequal",
    (TEXT, NUMBER, BOOLEAN, TIME, DURATION, MONEY, ANY),
)
_comparison(
    "<",
    "is less than",
    "True when both are there and the first is less.",
    "profile.age < 18",
    "less",
    _ORDERED,
)
_comparison(
    "<=",
    "is at most",
    "True when both are there and the first is not more.",
    "profile.age <= 18",
    "at_most",
    _ORDERED,
)
_comparison(
    ">",
    "is more than",
    "True when both are there and the first is more.",
    "profile.age > 18",
    "more",
    _ORDERED,
)
_comparison(
    ">=",
    "is at least",
    "True when both are there and the first is not less.",
    "profile.age >= 18",
    "at_least",
    _ORDERED,
)
_add(
    "in",
    "is one of",
    "True when the value is in the list.",
    'profile.country in ["DE", "AT", "CH"]',
    Notation.OPERATOR,
    [],
    (2, 2),
)
_add(
    "+",
    "plus",
    "Adds numbers or money of one currency, joins texts, moves a time by a duration.",
    "event.price + event.shipping",
    Notation.OPERATOR,
    [
        Overload("add_number", (NUMBER, NUMBER), NUMBER),
        Overload("join_text", (TEXT, TEXT), TEXT),
        Overload("add_time", (TIME, DURATION), TIME),
        Overload("add_duration", (DURATION, DURATION), DURATION),
        Overload("add_money", (MONEY, MONEY), MONEY),
    ],
    (2, 2),
)
_add(
    "-",
    "minus",
    "Subtracts; before a single value, it turns its sign.",
    'now() - duration("30d")',
    Notation.OPERATOR,
    [
        Overload("subtract_number", (NUMBER, NUMBER), NUMBER),
        Overload("subtract_time", (TIME, DURATION), TIME),
        Overload("between_times", (TIME, TIME), DURATION),
        Overload("subtract_duration", (DURATION, DURATION), DURATION),
        Overload("subtract_money", (MONEY, MONEY), MONEY),
        Overload("negate_number", (NUMBER,), NUMBER),
        Overload("negate_duration", (DURATION,), DURATION),
    ],
    (1, 2),
)
_add(
    "*",
    "times",
    "Multiplies numbers, or money by a number.",
    "event.price * event.quantity",
    Notation.OPERATOR,
    [
        Overload("multiply", (NUMBER, NUMBER), NUMBER),
        Overload("multiply_money", (MONEY, NUMBER), MONEY),
        Overload("times_money", (NUMBER, MONEY), MONEY),
    ],
    (2, 2),
)
_add(
    "/",
    "divided by",
    "Divides numbers. Divided by zero is missing.",
    "event.total / event.quantity",
    Notation.OPERATOR,
    [Overload("divide", (NUMBER, NUMBER), NUMBER)],
    (2, 2),
)
_add(
    "%",
    "remainder of",
    "What is left of a division, with the sign of the first number.",
    "profile.number % 10",
    Notation.OPERATOR,
    [Overload("remainder", (NUMBER, NUMBER), NUMBER)],
    (2, 2),
)
_add(
    "?:",
    "if, then, else",
    "The second value when the first is true, else the third.",
    'profile.vip ? "Dear friend" : "Hello"',
    Notation.OPERATOR,
    [],
    (3, 3),
)
_add("has", "is known", "True when the value is there.", "has(profile.email)", Notation.FUNCTION, [], (1, 1))
_add(
    "coalesce",
    "first known of",
    "The first value that is there.",
    'coalesce(profile.first_name, "friend")',
    Notation.FUNCTION,
    [],
    (1, None),
)
_add(
    "now",
    "now",
    "The time at which the rule is evaluated.",
    "profile.expires_at > now()",
    Notation.FUNCTION,
    [Overload("now", (), TIME)],
    (0, 0),
)
_add(
    "within",
    "is within the last",
    "True when the time lies in the past, at most this duration ago.",
    'within(profile.last_seen, duration("30d"))',
    Notation.FUNCTION,
    [Overload("within", (TIME, DURATION), BOOLEAN)],
    (2, 2),
)
for _word, _label in (("min", "smallest of"), ("max", "largest of")):
    _add(
        _word,
        _label,
        f"The {_label.split()[0]} of the values that are there.",
        f"{_word}(event.price, 100)",
        Notation.FUNCTION,
        [Overload(f"{_word}_{type_}", (type_,), type_) for type_ in (NUMBER, TIME, DURATION)],
        (1, None),
    )
_add(
    "size",
    "size",
    "The number of characters of a text or of elements of a list.",
    "size(profile.tags) > 2",
    Notation.FUNCTION,
    [
        Overload("size_text", (TEXT,), NUMBER),
        Overload("size_list", (LIST,), NUMBER),
        Overload("size_any", (ANY,), NUMBER),
    ],
    (1, 1),
)
for _word, _label, _what in (
    ("year", "year", "the year"),
    ("month", "month", "the month, 1 to 12"),
    ("day", "day of the month", "the day of the month, 1 to 31"),
    ("weekday", "weekday", "the weekday, 1 for Monday to 7 for Sunday"),
    ("hour", "hour", "the hour, 0 to 23"),
    ("minute", "minute", "the minute, 0 to 59"),
):
    _add(
        _word,
        _label,
        f"Of a time, {_what}: in UTC, or in the time zone that is named.",
        f"{_word}(now(), profile.time_zone)",
        Notation.FUNCTION,
        [Overload(_word, (TIME,), NUMBER), Overload(f"{_word}_there", (TIME, TEXT), NUMBER)],
        (1, 2),
    )
_add(
    "amount",
    "amount",
    "The number in an amount of money.",
    "amount(profile.credit) * 2",
    Notation.FUNCTION,
    [Overload("amount", (MONEY,), NUMBER)],
    (1, 1),
)
_add(
    "currency",
    "currency",
    "The currency of an amount of money, three capital letters.",
    'currency(profile.credit) == "EUR"',
    Notation.FUNCTION,
    [Overload("currency", (MONEY,), TEXT)],
    (1, 1),
)
for _word, _label, _what in (
    ("contains", "contains", "has the other one in it"),
    ("startsWith", "starts with", "begins with the other one"),
    ("endsWith", "ends with", "ends with the other one"),
):
    _add(
        _word,
        _label,
        f"True when the text {_what}. Capitals count.",
        f'profile.email.{_word}("a")',
        Notation.METHOD,
        [Overload(_word, (TEXT, TEXT), BOOLEAN)],
        (2, 2),
    )
for _word, _label in (("lower", "in small letters"), ("upper", "in capitals")):
    _add(
        _word,
        _label,
        f"The text {_label}; Latin, Greek and Cyrillic letters.",
        f"profile.city.{_word}()",
        Notation.METHOD,
        [Overload(_word, (TEXT,), TEXT)],
        (1, 1),
    )
_add(
    "concat",
    "joined",
    "The values one after the other as one text. Numbers are written without zeros at the end.",
    'concat(event.sku, "-", profile.size)',
    Notation.FUNCTION,
    [],
    (1, None),
)
_add(
    "lookup",
    "looked up",
    "A value of a lookup: which lookup, the key of the row, and the column.",
    'lookup("products", event.sku, "on_hand") > 0',
    Notation.FUNCTION,
    [],
    (3, 3),
)
_add(
    "count",
    "number of times",
    "How often the profile did something: ever, or within the last while. With a condition, in which event is each"
    " of these past events, only those for which it is true.",
    'count("Order Completed", duration("7d"), event.total > 100) >= 2',
    Notation.FUNCTION,
    [],
    (1, 3),
)
_add(
    "sum",
    "sum",
    "What a property of the events that the profile caused adds up to; which events, is said as for count. Events"
    " without it add nothing.",
    'sum("Order Completed", event.total, duration("30d")) >= 500',
    Notation.FUNCTION,
    [],
    (2, 4),
)
_add(
    "inAudience",
    "is in the audience",
    "True when the profile is in the audience with this key.",
    'inAudience("vip")',
    Notation.FUNCTION,
    [],
    (1, 1),
)


@dataclass(frozen=True, slots=True)
class LiteralFunction:
    """A function whose arguments are texts in quotes and which is a value, not a call."""

    name: str
    label: str
    help: str
    example: str
    arguments: int


LITERAL_FUNCTIONS = {
    literal.name: literal
    for literal in (
        LiteralFunction(
            "duration", "duration", "Weeks, days, hours, minutes, seconds.", 'duration("1d12h")', 1
        ),
        LiteralFunction(
            "timestamp",
            "date and time",
            "A moment; without a zone it is UTC.",
            'timestamp("2026-01-31T10:00:00Z")',
            1,
        ),
        LiteralFunction("date", "date", "Midnight UTC at the start of a day.", 'date("2026-01-31")', 1),
        LiteralFunction("money", "money", "An amount and its currency.", 'money("12.50", "EUR")', 2),
    )
}
