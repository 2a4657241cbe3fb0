from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from profiles.lookups.columns import FileProblem, Row, check_row, read_csv, types_of, validate_columns
from tests.profiles.lookups.tables import PRODUCTS

TYPES = types_of([{"name": name, "type": type_} for name, type_ in PRODUCTS.items()])


@pytest.mark.parametrize(
    ("column", "given", "read"),
    [
        ("title", "Wool sweater", "Wool sweater"),
        ("title", " kept ", " kept "),
        ("price", "79.90 EUR", {"amount": "79.9", "currency": "EUR"}),
        ("price", {"amount": 5, "currency": "SEK"}, {"amount": "5", "currency": "SEK"}),
        ("on_hand", "12.50", Decimal("12.5")),
        ("on_hand", 3, Decimal(3)),
        ("is_new", "Yes", True),
        ("is_new", "0", False),
        ("is_new", False, False),
        ("back_at", "2026-12-01", "2026-12-01"),
        ("back_at", "2026-12-01T10:00:00+02:00", "2026-12-01T08:00:00Z"),
        ("tags", "warm | red", ["warm", "red"]),
        ("tags", ["warm", 2], ["warm", Decimal(2)]),
        ("title", "", None),
        ("on_hand", None, None),
    ],
)
def test_a_value_is_read_as_its_column(column: str, given: Any, read: Any) -> None:
    assert check_row(Row(2, "A1", {column: given}), TYPES) == ({column: read}, [])


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("title", 5),
        ("title", "nul \0"),
        ("price", "79.90"),
        ("price", "79,90 EUR"),
        ("price", "79.90 Euro"),
        ("on_hand", "1 000"),
        ("on_hand", True),
        ("on_hand", 10**30),
        ("is_new", "maybe"),
        ("is_new", 1),
        ("back_at", "tomorrow"),
        ("back_at", "2026-02-30"),
        ("tags", [{"a": 1}]),
        ("tags", 5),
    ],
)
def test_a_value_of_another_type_is_a_problem_with_its_place_and_a_remedy(column: str, given: Any) -> None:
    read, (problem,) = check_row(Row(7, "A1", {column: given}), TYPES)
    assert read == {}
    assert (problem.line, problem.column) == (7, column)
    assert problem.problem.endswith(f"is no {TYPES[column]}.")
    assert problem.remedy.startswith("Write ")


def test_every_problem_of_a_row_is_told() -> None:
    _, problems = check_row(Row(3, "", {"colour": "red", "on_hand": "many"}), TYPES)
    assert [str(problem) for problem in problems] == [
        "Line 3: The row has no key. Give it a text.",
        "Line 3, colour: The lookup has no such column. Add it to the lookup first.",
        "Line 3, on_hand: 'many' is no number. Write a number such as 12 or 12.50, without spaces and signs between"
        " thousands.",
    ]
    assert "201 characters" in str(check_row(Row(3, "k" * 201, {}), TYPES)[1])


def test_a_csv_file_may_order_its_columns_and_leave_some_out() -> None:
    text = '\ufefftitle,key,on_hand\r\n"Sweater, red",A1,3\r\n\r\n"two\nlines",A2,\r\n'
    assert list(read_csv(text.splitlines(keepends=True), TYPES)) == [
        Row(2, "A1", {"title": "Sweater, red", "on_hand": "3"}),
        Row(5, "A2", {"title": "two\nlines", "on_hand": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "named key"),
        ("sku,title\nA,b\n", "named key"),
        ("key,title,title\n", "names a column twice"),
        ("key,colour\n", "no column 'colour'"),
        ('key,title\nA,"open\n', "Line 2 cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(FileProblem, match=problem):
        list(read_csv(text.splitlines(keepends=True), TYPES))


@pytest.mark.parametrize(
    "columns",
    [
        {"name": "a", "type": "text"},
        ["a"],
        [{"name": "Price", "type": "money"}],
        [{"name": "1st", "type": "money"}],
        [{"name": "a", "type": "duration"}],
        [{"name": "a"}],
        [{"name": "a", "type": "text", "unit": "kg"}],
        [{"name": "a", "type": "text"}, {"name": "a", "type": "number"}],
        [{"name": f"c{number}", "type": "text"} for number in range(101)],
    ],
)
def test_columns_have_names_of_their_own_and_types(columns: Any) -> None:
    with pytest.raises(ValidationError):
        validate_columns(columns)
    validate_columns([{"name": "a", "type": "text"}])
