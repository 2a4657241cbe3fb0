"""The catalogue is the only list: both readings implement it, every example is true, and the page names it all."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest

from profiles.language import (
    FUNCTIONS,
    LITERAL_FUNCTIONS,
    LanguageError,
    Scope,
    Type,
    compile_condition,
    compile_rows,
    evaluate,
    parse,
    postgres,
)
from profiles.language.catalog import Catalog, FieldDefinition
from profiles.language.nodes import Field
from profiles.language.printer import quote
from profiles.models import AttributeDefinition

PAGE = Path(__file__).resolve().parents[3] / "templates" / "docs" / "language.md"
BUILT_IN = {
    "is_true",
    "known_zone",
    "has",
    "coalesce",
    "conditional",
    "in_items",
    "in_list",
    "in_future",
    "join_texts",
    "written_number",
    "written_any",
}


def test_both_readings_implement_every_operation_and_no_other() -> None:
    wanted = {
        overload.operation for function in FUNCTIONS.values() for overload in function.overloads
    } | BUILT_IN
    assert evaluate.operations() == wanted
    assert postgres.operations() == wanted


@pytest.mark.parametrize("example", [function.example for function in FUNCTIONS.values()])
def test_examples_of_functions_are_valid(example: str) -> None:
    parse(example, Catalog(knows_history=True, lookups={"products": {"on_hand": Type.NUMBER}}))


@pytest.mark.parametrize("literal", LITERAL_FUNCTIONS.values(), ids=lambda literal: literal.name)
def test_examples_of_literals_are_valid(literal: object) -> None:
    parse(getattr(literal, "example", ""))


@pytest.mark.parametrize("name", [*FUNCTIONS, *LITERAL_FUNCTIONS])
def test_the_page_explains_every_function(name: str) -> None:
    described = PAGE.read_text(encoding="utf-8").replace("\\|", "|")
    assert f"`{name}`" in described or f"`{name}(" in described or f".{name}(" in described


def test_attributes_can_be_declared_with_every_type_of_their_definitions() -> None:
    declared = {Type(value) for value in AttributeDefinition.Type.values}
    catalog = Catalog(FieldDefinition(Field("profile", (str(type_),)), type_) for type_ in declared)
    assert {catalog.type_of(field) for field in catalog.definitions} == declared
    assert catalog.type_of(Field("profile", ("unheard of",))) is Type.ANY


@pytest.mark.parametrize("type_", [Type.DURATION, Type.NULL])
def test_no_field_holds_what_json_cannot(type_: Type) -> None:
    with pytest.raises(LanguageError, match="cannot be declared"):
        Catalog([FieldDefinition(Field("profile", ("a",)), type_)])


def test_only_the_documents_at_hand_can_be_named() -> None:
    for source in ("offer.margin > 1", "context.weather == 'rain'"):
        with pytest.raises(LanguageError, match="Name a field of entry or event or profile"):
            parse(source)
    weighing = Catalog(documents={"profile", "offer"})
    tree = parse("offer.margin > 1 && profile.age > 17", weighing)
    scope = Scope(datetime(2026, 1, 1, tzinfo=UTC), profile={"age": 18}, offer={"margin": 2})
    assert compile_condition(tree, weighing)(scope) is True
    assert compile_condition(tree)(scope) is False
    with pytest.raises(LanguageError, match="There is no entry here"):
        parse("entry.total > 1", weighing)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            'lookup("products", event.sku, profile.a)',
            "lookup wants the key of a lookup and the name of a column",
        ),
        ('lookup("product", event.sku, "price")', "no lookup 'product'. Did you mean 'products'?"),
        ('lookup("products", event.sku, "stock")', "no column 'stock'. Use one of 'on_hand', 'price'."),
        ('lookup("products", 12, "price")', "The key of a row is a text, and this is a number."),
        ('lookup("products", event.sku, "price") > 5', "> does not work on money, number"),
        ('concat("a", now())', "A time cannot be joined."),
    ],
)
def test_what_is_wrong_with_a_lookup_is_told(source: str, problem: str) -> None:
    catalog = Catalog(lookups={"products": {"on_hand": Type.NUMBER, "price": Type.MONEY}})
    with pytest.raises(LanguageError, match=re.escape(problem)) as caught:
        parse(source, catalog)
    assert caught.value.position is not None
    with pytest.raises(LanguageError, match="Nothing can be looked up here"):
        parse('lookup("products", event.sku, "price")')


def test_rows_are_read_once_for_all_and_once_more_for_keys_that_are_looked_up() -> None:
    catalog = Catalog(
        lookups={"products": {"group": Type.TEXT, "on_hand": Type.NUMBER}, "groups": {"is_on": Type.BOOLEAN}}
    )
    plain = parse('lookup("products", profile.sku, "on_hand") > 0', catalog)
    inside = parse('lookup("groups", lookup("products", profile.sku, "group"), "is_on")', catalog)
    table = {
        ("products", "A"): {"group": "hats", "on_hand": 0},
        ("products", "B"): {"group": "shoes", "on_hand": 2},
        ("groups", "hats"): {"is_on": True},
    }
    calls: list[set[tuple[str, str]]] = []

    def read(pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, object]]:
        calls.append(set(pairs))
        return {pair: table[pair] for pair in pairs if pair in table}

    scopes = [
        Scope(datetime(2026, 1, 1, tzinfo=UTC), {"sku": sku} if sku else {})
        for sku in ("A", "B", "C", "A", None)
    ]
    given = compile_rows([plain, inside], catalog)(scopes, read)
    assert calls == [
        {("products", "A"), ("products", "B"), ("products", "C")},
        {("groups", "hats"), ("groups", "shoes")},
    ]
    assert [compile_condition(plain, catalog)(scope) for scope in given] == [False, True, False, False, False]
    assert [compile_condition(inside, catalog)(scope) for scope in given] == [True, False, False, True, False]
    assert compile_rows([parse("profile.sku == 'A'")], catalog)(scopes, read) is scopes
    assert len(calls) == 2


def test_quoted_text_is_one_line() -> None:
    assert quote('a"b\\c\n\u2028') == '"a\\"b\\\\c\\n\\u2028"'
