"""The types of the language and the exact domain of each: what a number, a time or an amount of money can be.

Both readings keep to these bounds, so that PostgreSQL and Python hold the same value or both hold none:
- a number has at most 12 decimals (half is rounded away from zero) and lies strictly between ±10^30;
- a time has microseconds, is in UTC, and lies strictly between the first and the last microsecond of years 1 to 9999;
- a duration lies strictly between ±100,000 days: as microseconds that fits a double, which PostgreSQL multiplies with.
Outside of its bounds a value is missing, which Python writes as None.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

SCALE = 12
NUMBER_LIMIT = Decimal(10) ** 30
DURATION_LIMIT = timedelta(days=100_000)
INSTANT = timedelta(microseconds=1)
"""Between one time and the next."""
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

# Wide enough for every product of two numbers: nothing is rounded before number() does.
EXACT = Context(prec=200, rounding=ROUND_HALF_UP)

_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    "(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
# Read by Python's re and by PostgreSQL alike. They admit only what both can turn into a time without an error.
LOCAL_TIME = f"^{_DATE}(?:{_CLOCK})?$"
ZONED_TIME = f"^{_DATE}{_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])$"
DECIMAL_TEXT = r"^-?[0-9]{1,40}(?:\.[0-9]{1,40})?$"
CURRENCY = "^[A-Z]{3}$"

_local_time = re.compile(LOCAL_TIME.rstrip("$"))
_zoned_time = re.compile(ZONED_TIME.rstrip("$"))
_decimal_text = re.compile(DECIMAL_TEXT.rstrip("$"))
_currency = re.compile(CURRENCY.rstrip("$"))
_duration = re.compile(
    r"(?P<sign>-?)(?:(?P<weeks>[0-9]{1,9})w)?(?:(?P<days>[0-9]{1,9})d)?(?:(?P<hours>[0-9]{1,9})h)?"
    r"(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,6}))?s)?"
)


class Type(enum.StrEnum):
    """What an expression holds. The first six are those that an attribute can be declared with."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    LIST = "list"
    MONEY = "money"
    DURATION = "duration"
    ANY = "any"  # not known before it is read: an undeclared field
    NULL = "null"  # always missing


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency of three capital letters. Amounts of two currencies do not compare."""

    amount: Decimal
    currency: str


_LAST_PLACE = Decimal(1).scaleb(-SCALE)


def number(value: int | Decimal) -> Decimal | None:
    """`value` in the domain of numbers; None beyond it."""
    if isinstance(value, int):  # most are, and need no rounding
        return Decimal(value) if -NUMBER_LIMIT < value < NUMBER_LIMIT else None
    if not value.is_finite():
        return None
    if not value:
        return Decimal(0)
    if value.adjusted() > 30:  # quantize() would have to write all its digits
        return None
    rounded = value.quantize(_LAST_PLACE, context=EXACT)
    # Not abs(): it rounds to the digits of the thread's own context.
    return rounded if rounded.copy_abs() < NUMBER_LIMIT else None


def time(value: datetime) -> datetime | None:
    """An aware `value` in the domain of times; None beyond it."""
    try:
        moved = value.astimezone(UTC)
    except OverflowError:  # the last day of year 9999, west of Greenwich
        return None
    return moved if EARLIEST < moved < LATEST else None


def local_time(value: datetime, zone: str) -> datetime | None:
    """What clocks in a zone of the database of zones show at `value`; None beyond the years 1 to 9999."""
    try:
        local = value.astimezone(ZoneInfo(zone))
    except OverflowError:
        return None
    return local if EARLIEST < local.replace(tzinfo=UTC) < LATEST else None


def duration(value: timedelta) -> timedelta | None:
    """`value` in the domain of durations; None beyond it."""
    return value if -DURATION_LIMIT < value < DURATION_LIMIT else None


def read_time(text: str) -> datetime | None:
    """An ISO 8601 date or time; without a zone it is UTC, and digits beyond microseconds are cut off."""
    if _zoned_time.fullmatch(text):
        return time(datetime.fromisoformat(text))
    if _local_time.fullmatch(text):
        return time(datetime.fromisoformat(text).replace(tzinfo=UTC))
    return None


def write_time(value: datetime) -> str:
    """ISO 8601 in UTC with Z; only the date when it is midnight."""
    if value.time() == datetime.min.time():
        return value.date().isoformat()
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def read_duration(text: str) -> timedelta | None:
    """Weeks, days, hours, minutes and seconds in this order, such as 3d, 1d12h or -1.5s."""
    found = _duration.fullmatch(text)
    parts = found.groupdict() if found else {}
    sign, fraction = parts.pop("sign", ""), parts.pop("fraction", None)
    given = {unit: int(n) for unit, n in parts.items() if n is not None}
    if not given:
        return None
    try:
        value = timedelta(**given, microseconds=int((fraction or "0").ljust(6, "0")))
    except OverflowError:
        return None
    return duration(-value if sign else value)


def write_duration(value: timedelta) -> str:
    """The shortest text that read_duration() reads as `value`, without weeks."""
    rest = abs(value)
    hours, below = divmod(rest.seconds, 3600)
    minutes, seconds = divmod(below, 60)
    parts = [f"{n}{unit}" for n, unit in ((rest.days, "d"), (hours, "h"), (minutes, "m")) if n]
    if seconds or rest.microseconds or not parts:
        fraction = f".{rest.microseconds:06}".rstrip("0") if rest.microseconds else ""
        parts.append(f"{seconds}{fraction}s")
    return ("-" if value < timedelta() else "") + "".join(parts)


def read_decimal(text: str) -> Decimal | None:
    """A decimal string such as -12.50; None for anything else, exponents included."""
    return number(Decimal(text)) if _decimal_text.fullmatch(text) else None


def write_decimal(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def is_currency(text: str) -> bool:
    return _currency.fullmatch(text) is not None


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold `text`: it has no NUL and no half of a surrogate pair."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def from_json(value: Any, to: Type) -> Any:
    """A value of a decoded JSON document as `to`; None when it is of another type or out of bounds."""
    match to:
        case Type.TEXT:
            return value if isinstance(value, str) else None
        case Type.BOOLEAN:
            return value if isinstance(value, bool) else None
        case Type.LIST:
            return value if isinstance(value, list) else None
        case Type.TIME:
            return read_time(value) if isinstance(value, str) else None
        case Type.NUMBER:
            if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
                return None
            return number(Decimal(repr(value)) if isinstance(value, float) else value)
        case Type.MONEY:
            return _money(value)
        case _:
            return None


def to_json(value: Any) -> Any:
    """A value of the language as it stands in data, numbers as Decimal; what was read from JSON stays what it is."""
    if isinstance(value, Decimal):
        return Decimal(write_decimal(value))
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, Money):
        return {"amount": write_decimal(value.amount), "currency": value.currency}
    return value


def _money(value: Any) -> Money | None:
    if not isinstance(value, dict):
        return None
    amount, currency = value.get("amount"), value.get("currency")
    if not isinstance(currency, str) or not is_currency(currency):
        return None
    read = read_decimal(amount) if isinstance(amount, str) else from_json(amount, Type.NUMBER)
    return Money(read, currency) if read is not None else None


def _case_tables() -> tuple[str, str]:
    """Letters with one partner in the other case, Latin, Greek and Cyrillic, as two texts of equal length."""
    lower, upper = [], []
    for code in (*range(0x41, 0x590), *range(0x1E00, 0x2000)):
        small = chr(code)
        capital = small.upper()
        if unicodedata.category(small) == "Ll" and len(capital) == 1 and capital.lower() == small != capital:
            lower.append(small)
            upper.append(capital)
    return "".join(lower), "".join(upper)


# PostgreSQL's lower() depends on the locale of the server, so both readings use this table instead.
LOWER_LETTERS, UPPER_LETTERS = _case_tables()
"""The i-th letter of one belongs to the i-th of the other."""
