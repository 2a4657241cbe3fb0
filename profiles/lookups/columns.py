"""The columns of a lookup, and a row that somebody gave read as their types."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from profiles.language import Money, Type, values

MAX_COLUMNS = 100
MAX_KEY = 200
TYPES = (Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME, Type.MONEY, Type.LIST)
"""What a column can be declared as."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_HOW: Mapping[Type, str] = {
    Type.TEXT: "Write a text.",
    Type.NUMBER: "Write a number such as 12 or 12.50, without spaces and signs between thousands.",
    Type.BOOLEAN: "Write true or false.",
    Type.TIME: "Write a date such as 2026-01-31, or a time such as 2026-01-31T10:00:00Z.",
    Type.MONEY: "Write an amount and its currency, such as 12.50 EUR.",
    Type.LIST: "Write texts with a | between them.",
}
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class Row(NamedTuple):
    """A row as somebody gave it. A value is of its column's type as it stands in JSON, or a text of it; None and ""
    are no value."""

    line: int
    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be taken. `column` is "" when it is about the key or the row as a whole."""

    line: int
    column: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"Line {self.line}, {self.column}" if self.column else f"Line {self.line}"
        return f"{place}: {self.problem} {self.remedy}"


class FileProblem(ValueError):
    """The file cannot be read as a table. The message is a sentence for people."""


def validate_columns(columns: Any) -> None:
    """Raises ValidationError unless it is a list of columns, each with a name of its own and a type."""
    if not isinstance(columns, list) or len(columns) > MAX_COLUMNS:
        raise ValidationError(
            _('Give a list of at most %(most)d columns, each like {"name": "price", "type": "money"}.')
            % {"most": MAX_COLUMNS}
        )
    seen: set[str] = set()
    for column in columns:
        name = column.get("name") if isinstance(column, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationError(
                _(
                    "A column is named %(name)r. Begin with a small letter and go on with at most 59 small letters,"
                    " digits or _."
                )
                % {"name": name}
            )
        if name in seen:
            raise ValidationError(
                _("Two columns are named %(name)r. Give each its own name.") % {"name": name}
            )
        if column.get("type") not in TYPES or column.keys() != {"name", "type"}:
            raise ValidationError(
                _("The column %(name)r needs a type, and nothing else. Use one of %(types)s.")
                % {"name": name, "types": ", ".join(TYPES)}
            )
        seen.add(name)


def types_of(columns: Iterable[Mapping[str, str]]) -> dict[str, Type]:
    """The type of each column by its name, in their order."""
    return {column["name"]: Type(column["type"]) for column in columns}


def read_csv(lines: Iterable[str], types: Mapping[str, Type]) -> Iterator[Row]:
    """The rows of a CSV text whose first line names the columns: "key", which may stand anywhere, and some or all of
    the others. Raises FileProblem when the first line does not fit, or a later one is no CSV."""
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if header:
            header[0] = header[0].removeprefix("\ufeff")
        if "key" not in header:
            raise FileProblem(
                _("No column of the file is named key. Name the columns in the first line, one of them key.")
            )
        if len(set(header)) < len(header):
            raise FileProblem(_("The first line names a column twice. Take one of them out."))
        if unknown := [name for name in header if name != "key" and name not in types]:
            raise FileProblem(
                _("The lookup has no column %(name)r. Take it out of the file, or add it to the lookup.")
                % {"name": unknown[0]}
            )
        for cells in reader:
            if any(cells):
                given = dict(zip(header, cells, strict=False))
                yield Row(reader.line_num, given.pop("key", ""), given)
    except csv.Error as error:
        raise FileProblem(
            _(
                "Line %(line)d cannot be read as CSV: %(error)s. Put texts that hold commas or quotes in quotes."
            )
            % {"line": reader.line_num, "error": error}
        ) from error


def check_row(row: Row, types: Mapping[str, Type]) -> tuple[dict[str, Any], list[RowProblem]]:
    """Its values as JSON, None where there is none, and what is wrong with it."""
    problems = []
    if not isinstance(row.key, str) or not row.key or not values.is_storable(row.key):
        problems.append(RowProblem(row.line, "", _("The row has no key."), _("Give it a text.")))
    elif len(row.key) > MAX_KEY:
        problems.append(
            RowProblem(
                row.line,
                "",
                _("The key has %(n)d characters.") % {"n": len(row.key)},
                _("Use at most %(most)d.") % {"most": MAX_KEY},
            )
        )
    read: dict[str, Any] = {}
    for name, value in row.values.items():
        if name not in types:
            problems.append(
                RowProblem(
                    row.line, name, _("The lookup has no such column."), _("Add it to the lookup first.")
                )
            )
        elif value is None or value == "":
            read[name] = None
        elif (found := _read(value, types[name])) is None:
            problems.append(
                RowProblem(
                    row.line,
                    name,
                    _("%(value)s is no %(type)s.") % {"value": repr(value)[:60], "type": types[name]},
                    _HOW[types[name]],
                )
            )
        else:
            read[name] = values.to_json(found)
    return read, problems


def _read(value: Any, type_: Type) -> Any:
    """A value of the language; None when it is not of the type."""
    if isinstance(value, str) and not values.is_storable(value):
        return None
    if type_ is Type.LIST:
        many = [part.strip() for part in value.split("|")] if isinstance(value, str) else value
        elements = list(map(_element, many)) if isinstance(many, list) else [None]
        return None if None in elements else elements
    if not isinstance(value, str) or type_ in (Type.TEXT, Type.TIME):
        return values.from_json(value, type_)
    text = value.strip()
    match type_:
        case Type.NUMBER:
            return values.read_decimal(text)
        case Type.MONEY:
            amount, _separator, currency = text.partition(" ")
            number = values.read_decimal(amount)
            return Money(number, currency) if number is not None and values.is_currency(currency) else None
        case _:
            word = text.lower()
            return True if word in _TRUE else False if word in _FALSE else None


def _element(value: Any) -> Any:
    """Of a list: a text, a number, true or false; None for anything else."""
    if isinstance(value, str):
        return value if values.is_storable(value) else None
    return value if isinstance(value, bool) else values.from_json(value, Type.NUMBER)
