"""The two notations of a tree, text and JSON, and what is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.language import (
    FUNCTIONS,
    LITERAL_FUNCTIONS,
    Call,
    Field,
    Items,
    LanguageError,
    Literal,
    Money,
    Node,
    Type,
    check,
    from_json,
    parse,
    print_tree,
    to_json,
)
from profiles.language.nodes import MAX_DEPTH, MAX_NODES, MAX_TEXT
from profiles.language.parser import parse_syntax
from tests.profiles.language import cases, strategies
from tests.profiles.language.strategies import CATALOG

_EXAMPLES = settings(max_examples=300, derandomize=True, database=None, deadline=None)
# Pieces of the notation in any order come closer to the parser's edges than random characters do.
_PIECES = st.lists(
    st.sampled_from(
        [
            *FUNCTIONS,
            *LITERAL_FUNCTIONS,
            *["profile", "event", ".", "a", "(", ")", "[", "]", ",", "?", ":", " ", "\n", "1", "2.5", '"x"', "'", '"'],
            *["\\", "null", "true", "\0", "\ud800", "😀", "=", "&", '"2026-01-01"', '"3d"'],
            *['"\\uD800"', '"\\U00110000"'],
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip


def outcome(make: Callable[[], Node]) -> tuple[Node | None, LanguageError | None]:
    """The tree or the error; anything else that is raised fails the test."""
    try:
        return make(), None
    except LanguageError as error:
        return None, error


def place(error: LanguageError) -> tuple[int, int]:
    assert error.position is not None
    return error.position.line, error.position.column


@_EXAMPLES
@given(strategies.trees)
def test_text_and_json_lead_back_to_the_tree(tree: Node) -> None:
    printed = print_tree(tree)
    assert parse_syntax(printed).tree == tree
    assert print_tree(parse_syntax(printed).tree) == printed
    assert from_json(json.loads(json.dumps(to_json(tree)))) == tree


@_EXAMPLES
@given(st.text() | _PIECES)
def test_any_text_is_a_tree_or_a_language_error(text: str) -> None:
    tree, error = outcome(lambda: parse(text, CATALOG))
    if error is None:
        assert tree is not None
        assert parse(print_tree(tree), CATALOG) == tree
    else:
        assert error.remedy
        assert error.position is not None
        assert 0 <= error.position.offset <= len(text)
        assert text[error.position.offset :].startswith(error.token)


@_EXAMPLES
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda children: (
            st.lists(children, max_size=3)
            | st.fixed_dictionaries({"call": st.sampled_from(["==", "!", "x"]) | children, "args": children})
            | st.fixed_dictionaries({"type": st.sampled_from([*Type, "x"]) | children, "value": children})
            | st.fixed_dictionaries({"field": st.just("profile") | children, "path": children})
            | st.fixed_dictionaries({"list": children}, optional={"more": children})
        ),
    )
)
def test_any_json_is_a_tree_or_a_language_error(data: Any) -> None:
    tree, error = outcome(lambda: from_json(data))
    if error is None:
        assert tree is not None
        assert from_json(to_json(tree)) == tree
    else:
        assert error.remedy


@pytest.mark.parametrize("case", cases.load("language_errors"), ids=lambda case: repr(case["text"]))
def test_errors_name_place_token_and_remedy(case: dict[str, Any]) -> None:
    with pytest.raises(LanguageError) as caught:
        parse(case["text"], CATALOG, expects=Type.BOOLEAN)
    assert place(caught.value) == (case["line"], case["column"])
    assert caught.value.token == case["token"]
    assert case["says"] in str(caught.value)
    assert caught.value.problem.endswith(".")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("profile . age>=18&&!( profile.vip )", "profile.age >= 18 && !profile.vip"),
        ("profile['first name'] == 'a'", 'profile["first name"] == "a"'),
        ('profile["age"] < 1.50', "profile.age < 1.5"),
        ("profile.in == 1", 'profile["in"] == 1'),
        ("true&&false&&true", "true && false && true"),
        ("(true && false) && true", "(true && false) && true"),
        ("true && (false || true)", "true && (false || true)"),
        ("(true && false) || true", "true && false || true"),
        ("1 - (2 - 3) - 4", "1 - (2 - 3) - 4"),
        ("- 5", "-5"),
        ("-(5)", "-(5)"),
        ("true ? 1 : (false ? 2 : 3)", "true ? 1 : false ? 2 : 3"),
        ('duration("2w36h")', 'duration("15d12h")'),
        ('timestamp("2026-01-31T01:00+01:00")', 'date("2026-01-31")'),
        ('timestamp("2026-01-31T01:00:00.5Z")', 'timestamp("2026-01-31T01:00:00.500000Z")'),
        ('money("12.50", "EUR")', 'money("12.5", "EUR")'),
        ('"\u202e"', '"\\u202e"'),
    ],
)
def test_one_way_to_write_it(written: str, canonical: str) -> None:
    assert parse_syntax(written).tree == parse_syntax(canonical).tree
    assert print_tree(parse_syntax(written).tree) == canonical


def test_json_form() -> None:
    tree = parse('profile.age >= 18 && event.total in [money("12.50", "EUR")]')
    assert to_json(tree) == {
        "call": "&&",
        "args": [
            {
                "call": ">=",
                "args": [{"field": "profile", "path": ["age"]}, {"type": "number", "value": "18"}],
            },
            {
                "call": "in",
                "args": [
                    {"field": "event", "path": ["total"]},
                    {"list": [{"type": "money", "value": {"amount": "12.5", "currency": "EUR"}}]},
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"type": "number", "value": 1},
        {"type": "number", "value": "1e5"},
        {"type": "any", "value": "x"},
        {"type": "text", "value": "\0"},
        {"type": "text", "value": "x", "more": 1},
        {"field": "settings", "path": ["SECRET_KEY"]},
        {"field": "profile", "path": []},
        {"field": "profile", "path": [1]},
        {"field": "profile", "path": ["a", True]},
        {"field": "profile", "path": ["a", -1]},
        {"field": "profile", "path": ["a", 1.0]},
        {"field": "profile", "path": ["a", 10_000]},
        {"field": "profile", "path": ["a", [0]]},
        {"field": "profile", "path": ["a"] * 11},
        {"call": "pg_sleep", "args": []},
        {"call": "==", "args": [{"type": "null", "value": None}]},
    ],
)
def test_json_that_is_no_tree(data: Any) -> None:
    with pytest.raises(LanguageError):
        from_json(data)


def test_errors_of_json_name_the_path() -> None:
    good = {"type": "number", "value": "1"}
    with pytest.raises(LanguageError) as caught:
        from_json({"call": "==", "args": [good, {"list": [good, {"type": "number", "value": "x"}]}]})
    assert caught.value.path == (1, 1)


def test_errors_of_types_name_the_path() -> None:
    (error,) = check(from_json(to_json(parse_syntax("true && (1 == profile.city)").tree)), CATALOG)
    assert error.path == (1,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * 5_000 + "1" + ")" * 5_000, "nested deeper"),
        ("!" * 5_000 + "true", "nested deeper"),
        ("-" * 5_000 + "profile.a", "nested deeper"),
        (" + ".join(["1"] * 5_000), "nested deeper"),
        ("true ? 1 : " * 500 + "2", "nested deeper"),
        ("[" * 5_000, "nested deeper"),
        ("[" + "1," * 5_000, "too many values"),
        (" && ".join(["true"] * 5_000), "takes 2 to 1000 value"),
        ("1 in [" + ",".join(["[" + ",".join(["1"] * 999) + "]"] * 11) + "]", "more than 10,000 parts"),
        ('"' + "x" * MAX_TEXT + '"', "longer than 65,536 bytes"),
        ("9" * 60_000, "too large"),
        ("a" * 60_000, "is not known here"),
    ],
    ids=lambda value: value[:12],
)
def test_bounds_are_errors(text: str, problem: str) -> None:
    with pytest.raises(LanguageError, match=problem) as caught:
        parse(text)
    assert len(str(caught.value)) < 1_000


def test_what_is_too_long_as_text_is_no_tree() -> None:
    data = {"list": [{"type": "text", "value": "x" * 1_000}] * 100}
    with pytest.raises(LanguageError, match="As text"):
        from_json(data)


def test_the_deepest_tree_has_both_notations() -> None:
    tree: Node = Field("profile", ("a",))
    for _ in range(MAX_DEPTH - 1):
        tree = Call("!", (Call("has", (tree,)),)) if tree.depth < MAX_DEPTH - 1 else tree
    assert tree.depth == MAX_DEPTH - 1
    assert parse(print_tree(tree)) == tree == from_json(to_json(tree))
    with pytest.raises(LanguageError, match="nested deeper"):
        Call("!", (Call("has", (tree,)),))


def test_the_largest_tree_has_both_notations() -> None:
    ones = Items((Literal(Type.NUMBER, Decimal(1)),) * 999)
    tree = Items((ones,) * 9)
    assert MAX_NODES - 1_000 < tree.size < MAX_NODES
    assert parse_syntax(print_tree(tree)).tree == tree == from_json(to_json(tree))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Type.NUMBER, Decimal("NaN")),
        (Type.NUMBER, Decimal("1e-13")),
        (Type.NUMBER, Decimal("1e30")),
        (Type.NUMBER, 1),
        (Type.BOOLEAN, 1),
        (Type.TEXT, None),
        (Type.ANY, "x"),
        (Type.DURATION, timedelta(days=100_000)),
        (Type.MONEY, Money(Decimal(1), "euro")),
    ],
)
def test_literals_stay_in_their_domain(type_: Type, value: Any) -> None:
    with pytest.raises(LanguageError):
        Literal(type_, value)
