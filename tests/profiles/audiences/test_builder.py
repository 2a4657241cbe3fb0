"""What the rule builder shows is the rule, and what it cannot show it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.audiences import builder
from profiles.audiences.builder import OPERATORS, Document, Unfit, Wants
from profiles.language import Literal, Money, Type, parse_checked, print_tree, to_json
from tests.profiles.language.strategies import trees

LITERALS = {
    Type.TEXT: st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5),
    Type.NUMBER: st.integers(-50, 50).map(Decimal) | st.just(Decimal("12.5")),
    Type.BOOLEAN: st.booleans(),
    Type.TIME: st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    Type.MONEY: st.builds(Money, st.integers(0, 500).map(Decimal), st.sampled_from(["EUR", "USD"])),
    Type.DURATION: st.integers(1, 90).map(lambda days: timedelta(days=days)),
}
NAMES = st.sampled_from(["age", "city", "address.city", "first name", "if", "vip"])


def literal(*types: Type) -> st.SearchStrategy[Any]:
    return st.one_of(
        *(LITERALS[type_].map(lambda value, type_=type_: to_json(Literal(type_, value))) for type_ in types)
    )


def values(name: str) -> st.SearchStrategy[Any]:
    match OPERATORS[name].wants:
        case Wants.NOTHING:
            return st.none()
        case Wants.TEXT:
            return literal(Type.TEXT)
        case Wants.DURATION:
            return literal(Type.DURATION)
        case Wants.MANY:
            return st.lists(literal(Type.TEXT), min_size=1, max_size=3)
    if name in ("before", "since"):
        return literal(Type.TIME)
    if name in ("less", "at_least"):
        return literal(Type.NUMBER, Type.MONEY)
    return literal(Type.TEXT, Type.NUMBER, Type.BOOLEAN, Type.TIME, Type.MONEY)


def fields(kind: str) -> st.SearchStrategy[Document]:
    return st.sampled_from(list(OPERATORS)).flatmap(
        lambda name: st.fixed_dictionaries(
            {
                "subject": st.fixed_dictionaries({kind: NAMES}),
                "operator": st.just(name),
                "value": values(name),
            }
        )
    )


def groups(rows: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"match": st.sampled_from(["all", "any", "none"]), "rows": st.lists(rows, min_size=2, max_size=3)}
    )


alone = st.fixed_dictionaries(
    {"match": st.just("all"), "rows": st.lists(fields("property"), min_size=1, max_size=1)}
)
within = st.sampled_from(["", "7d", "1d12h"])
where = st.none() | alone | groups(fields("property"))
tallies = st.fixed_dictionaries(
    {
        "subject": st.fixed_dictionaries({"count": st.just("Order"), "within": within, "where": where})
        | st.fixed_dictionaries(
            {"sum": st.just("Order"), "property": NAMES, "within": within, "where": where}
        ),
        "operator": st.sampled_from(["at_least", "at_most", "equal", "more", "less"]),
        "value": literal(Type.NUMBER),
    }
)
audiences = st.fixed_dictionaries(
    {
        "subject": st.fixed_dictionaries({"audience": st.sampled_from(["vip", "new"])}),
        "operator": st.sampled_from(["true", "untrue"]),
        "value": st.none(),
    }
)
looked_up = fields("attribute").map(
    lambda row: {**row, "subject": {"lookup": "products", "column": "price", **row["subject"]}}
)
rows = fields("attribute") | looked_up | tallies | audiences
documents = groups(rows | groups(rows | groups(rows))) | st.fixed_dictionaries(
    {"match": st.just("all"), "rows": st.lists(rows, min_size=1, max_size=1)}
)


@given(documents)
def test_a_document_becomes_text_and_the_document_again(document: Document) -> None:
    text = print_tree(builder.to_tree(document))
    assert builder.from_tree(parse_checked(text)) == document


@given(trees)
def test_what_is_shown_of_any_rule_is_that_rule(tree: Any) -> None:
    shown = builder.from_tree(tree)
    assert shown is None or builder.to_tree(shown) == tree


@pytest.mark.parametrize(
    "text",
    [
        'profile.country == "DE" && profile.age >= 18 && profile.vip',
        'profile.city in ["Köln", "Wien"] || !(profile.tags[0] == "a") || !has(profile.email)'.replace(
            "profile.tags[0]", "profile.tag"
        ),
        'count("Order Completed", duration("7d"), event.total > 100 && event.currency == "EUR") >= 2',
        'sum("Order Completed", event.total, duration("30d")) > 500 && !inAudience("vip")',
        'within(profile.last_seen, duration("30d")) && profile.born < now() - duration("6570d")',
        '!(profile.age >= 18) && !(profile.a == "x" || profile.b == "y") && "red" in profile.colours',
        'lookup("products", profile.favourite, "on_hand") > 0 && !has(lookup("shops", profile.city, "open"))',
        'profile.since >= date("2026-01-31") && profile.credit < money("12.5", "EUR")',
    ],
)
def test_what_people_write_is_shown(text: str) -> None:
    shown = builder.from_tree(parse_checked(text))
    assert shown is not None
    assert print_tree(builder.to_tree(shown)) == text


@pytest.mark.parametrize(
    "text",
    [
        "profile.age + 1 > 18",
        "profile.age > profile.limit",
        'profile.tags[0] == "a"',
        'profile["a.b"] == "a"',
        "hour(now(), profile.time_zone) < 12",
        'profile.vip ? true : profile.city == "Köln"',
        'count("Order", event.a == 1 && (event.b == 2 || event.c == 3)) > 1',
        'profile.city == ""',
    ],
)
def test_what_rows_cannot_show_stays_text(text: str) -> None:
    assert builder.from_tree(parse_checked(text)) is None


def row(**subject: Any) -> Document:
    return {"subject": subject, "operator": "at_least", "value": {"type": "number", "value": "2"}}


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ({"match": "all", "rows": []}, "", "no condition"),
        ({"match": "all", "rows": [row(attribute="")]}, "0", "Choose an attribute"),
        (
            {"match": "all", "rows": [row(attribute="a"), row(count="", within="", where=None)]},
            "1",
            "an event",
        ),
        ({"match": "all", "rows": [{**row(attribute="a"), "value": None}]}, "0", "Give a value"),
        (
            {"match": "all", "rows": [{**row(attribute="a"), "value": {"type": "number", "value": "many"}}]},
            "0",
            "cannot be read",
        ),
        ({"match": "all", "rows": [{**row(attribute="a"), "operator": "like"}]}, "0", "how to compare"),
        (
            {"match": "all", "rows": [row(attribute="a"), {"match": "any", "rows": [row(), row()]}]},
            "1.0",
            "what the condition is about",
        ),
        ({"match": "all", "rows": [{"match": "some", "rows": [1]}]}, "0", "A group"),
        ({"match": "all", "rows": ["x"]}, "0", "A condition"),
        ([], "", "A group"),
        (
            {"match": "all", "rows": [row(count="A", within="7 days", where=None)]},
            "0",
            "cannot be read",
        ),
        ({"match": "all", "rows": [row(attribute=".".join("a" * 11))]}, "0", "11 names"),
    ],
)
def test_what_is_missing_is_said_where_it_is(document: Any, path: str, said: str) -> None:
    with pytest.raises(Unfit) as caught:
        builder.to_tree(document)
    assert caught.value.path == path
    assert said in caught.value.message


def test_a_document_is_bounded() -> None:
    with pytest.raises(Unfit, match="at most 200"):
        builder.to_tree({"match": "all", "rows": [row(attribute="a")] * 300})
    deep: Document = row(attribute="a")
    for _ in range(6):
        deep = {"match": "all", "rows": [row(attribute="a"), deep]}
    with pytest.raises(Unfit, match="too deeply"):
        builder.to_tree(deep)
    tree = parse_checked(" || ".join(["profile.a == 1"] * 300))
    assert builder.from_tree(tree) is None
