"""The promise of the language: PostgreSQL and Python read every tree alike, on every document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ajo.lib import sql
from profiles.language import (
    Call,
    Catalog,
    Columns,
    Literal,
    Money,
    Node,
    Scope,
    Type,
    check,
    compile_condition,
    compile_python,
    compile_rows,
    condition_to_sql,
    parse,
    to_sql,
)
from profiles.language.resolve import resolve
from profiles.lookups.rows import read_rows
from profiles.models import Lookup
from tests.profiles.language import cases, strategies
from tests.profiles.language.strategies import CATALOG, NOW

pytestmark = pytest.mark.django_db

COLUMNS = Columns("d.profile", "d.event", "d.entry")
Document = dict[str, Any]

# A statement costs much more than a document, so each example asks many trees about many documents at once.
_EXAMPLES = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def encoded(value: Any) -> str:
    """JSON whose decimals keep all their digits."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)}: {encoded(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(encoded, value)) + "]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)


def decoded(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def by_python(trees: list[Node], documents: list[Document]) -> list[list[Any]]:
    """For each document the values of all trees, then their truth."""
    runs = [compile_python(tree, CATALOG) for tree in trees]
    runs += [compile_condition(tree, CATALOG) for tree in trees]
    scopes = compile_rows(trees, CATALOG)([Scope(NOW, **document) for document in documents], read_rows)
    return [[comparable(run(scope)) for run in runs] for scope in scopes]


def by_postgres(trees: list[Node], documents: list[Document]) -> list[list[Any]]:
    """The same from one statement."""
    expressions = [
        to_sql(tree, CATALOG, columns=COLUMNS, now=NOW, prefix=f"v{index}_")
        for index, tree in enumerate(trees)
    ] + [
        condition_to_sql(tree, CATALOG, columns=COLUMNS, now=NOW, prefix=f"c{index}_")
        for index, tree in enumerate(trees)
    ]
    # jsonb comes back as text, or psycopg would make floats of its numbers.
    json_types = (Type.ANY, Type.LIST, Type.MONEY)
    selected = ", ".join(
        f"{found.text}{'::text' if found.type in json_types else ''}" for found in expressions
    )
    params = {name: value for found in expressions for name, value in found.params.items()}
    with sql.cursor(row_factory=_tuples) as cur:
        cur.execute(
            f"SELECT {selected} FROM (SELECT NULLIF(doc -> 'profile', 'null') AS profile,"
            " NULLIF(doc -> 'event', 'null') AS event, NULLIF(doc -> 'entry', 'null') AS entry, n"
            " FROM jsonb_array_elements(%(documents)s::jsonb) WITH ORDINALITY AS t(doc, n)) AS d ORDER BY n",
            {**params, "documents": encoded(documents)},
        )
        return [
            [from_database(value, found.type) for value, found in zip(row, expressions, strict=True)]
            for row in cur.fetchall()
        ]


def _tuples(cursor: Any) -> Any:
    return tuple


def from_database(value: Any, type_: Type) -> Any:
    if value is None:
        return None
    if type_ is Type.MONEY:
        read = decoded(value)
        return comparable(Money(read["amount"], read["currency"]))
    return comparable(decoded(value) if type_ in (Type.ANY, Type.LIST) else value)


def comparable(value: Any) -> Any:
    """A value with its type, so that 1 is not true; numbers without their zeros at the end."""
    match value:
        case None | bool():
            return value
        case int() | Decimal():
            return "number", Decimal(value)
        case datetime():
            return "time", value.astimezone(UTC)
        case list():
            return [comparable(item) for item in value]
        case dict():
            return {key: comparable(item) for key, item in value.items()}
        case str() | timedelta() | Money():
            return type(value).__name__, value
        case _:
            raise AssertionError(f"A reading made {value!r}.")


@pytest.fixture(autouse=True)
def stock() -> Lookup:
    return Lookup.objects.create(key="stock", name="Stock")


def store_rows(rows: dict[str, Document]) -> None:
    """From now on these are the rows of the lookup."""
    with sql.cursor() as cur:
        cur.execute("DELETE FROM lookup_row")
        cur.execute(
            "INSERT INTO lookup_row (lookup_id, key, values) SELECT l.id, t.key, t.values FROM lookup l,"
            " unnest(%b::text[], %b::jsonb[]) AS t(key, values) WHERE l.key = 'stock'",
            [list(rows), [encoded(row) for row in rows.values()]],
        )


def assert_agreement(trees: list[Node], documents: list[Document]) -> None:
    by_row = zip(documents, by_python(trees, documents), by_postgres(trees, documents), strict=True)
    for document, python, postgres in by_row:
        for index, (mine, theirs) in enumerate(zip(python, postgres, strict=True)):
            tree = trees[index % len(trees)]
            assert mine == theirs, f"Python says {mine!r}, PostgreSQL {theirs!r} for {tree!r} on {document!r}"


@_EXAMPLES
@given(
    st.lists(strategies.trees, min_size=1, max_size=6),
    st.lists(strategies.documents, min_size=2, max_size=4),
    strategies.rows,
)
def test_both_readings_agree(trees: list[Node], documents: list[Document], rows: dict[str, Document]) -> None:
    store_rows(rows)
    assert_agreement(trees, documents)


@settings(_EXAMPLES, max_examples=40)
@given(strategies.one_of_each, st.lists(strategies.documents, min_size=8, max_size=8), strategies.rows)
def test_both_readings_agree_on_each_operation(
    trees: list[Node], documents: list[Document], rows: dict[str, Document]
) -> None:
    store_rows(rows)
    assert_agreement(trees, documents)


@pytest.mark.parametrize("case", cases.load("language_values"), ids=lambda case: case["text"])
def test_values(case: dict[str, Any]) -> None:
    """The table of meanings: both readings say what it says."""
    tree = parse(case["text"], CATALOG)
    document = {"profile": {}, "event": None, "entry": None} | decoded(json.dumps(case.get("given", {})))
    wanted = comparable(decoded(json.dumps(case["value"])))
    (python,), (postgres,) = by_python([tree], [document]), by_postgres([tree], [document])
    if isinstance(case["value"], str) and resolve(tree, CATALOG).step.type is Type.TIME:
        wanted = "time", datetime.fromisoformat(case["value"])
    assert python[0] == postgres[0] == wanted


@pytest.mark.parametrize("text", cases.load("language_injections"))
def test_what_people_write_stays_data(text: str) -> None:
    """As a literal and as the name of a field it is a parameter, and the statement does what it did."""
    tree = parse(f"profile.a == {json.dumps(text)} || has(profile[{json.dumps(text)}])")
    found = condition_to_sql(tree, columns=COLUMNS, now=NOW)
    harmless = parse('profile.a == "b" || has(profile["b"])')
    assert found.text == condition_to_sql(harmless, columns=COLUMNS, now=NOW).text
    assert text in found.params.values()
    profiles: list[Document] = [{"a": text}, {text: 1}, {"a": "b"}]
    documents: list[Document] = [{"profile": profile, "event": None, "entry": None} for profile in profiles]
    assert [row[1] for row in by_postgres([tree], documents)] == [True, True, False]
    assert_agreement([tree], documents)


@pytest.mark.parametrize(
    "text", [*cases.load("language_injections"), "<+02>-2", "EST5EDT4", "../etc/passwd", ""]
)
def test_no_text_is_a_time_zone_unless_both_know_it(text: str) -> None:
    """PostgreSQL would take rules of its own making, and refuse the whole statement for others."""
    written = Call("hour", (Call("now", ()), Literal(Type.TEXT, text)))
    read = parse("hour(now(), profile.a)")
    documents: list[Document] = [{"profile": {"a": text}, "event": None, "entry": None}]
    assert by_postgres([written, read], documents) == [[None, None, False, False]]
    assert_agreement([written, read], documents)


def test_a_zone_that_only_one_reading_knows_is_missing() -> None:
    known = Catalog(zones=frozenset({"Europe/Berlin"}))
    tree = parse('hour(now(), "Europe/Paris")')
    assert compile_python(tree, known)(Scope(NOW)) is None
    assert "Give a name such as Europe/Berlin." in str(check(tree, known)[0])
    assert compile_python(tree)(Scope(NOW)) == 13


@pytest.mark.parametrize(
    "name", ["p.attributes; DROP TABLE profile", 'p."a"', "p.a.b", "(SELECT 1)", "", "P"]
)
def test_columns_are_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a column"):
        Columns(name)


def test_prefixes_are_names() -> None:
    with pytest.raises(ValueError, match="cannot begin the name of a parameter"):
        condition_to_sql(parse("true"), columns=COLUMNS, now=NOW, prefix="x)s; --")


def test_the_deepest_and_the_largest_trees_run() -> None:
    """What is in bounds can be read by both, and the SQL does not grow faster than the tree."""
    deep = "1"
    for _ in range(48):
        deep = f"coalesce(profile.a, {deep}) + 1"
    chosen = "profile.a"
    for _ in range(40):
        chosen = f"(({chosen}) == 1 ? profile.a : profile.b)"
    wide = " || ".join(f'profile.a == "{index}"' for index in range(900))
    listed = f"profile.a in [{', '.join(map(str, range(900)))}]"
    trees = [parse(text) for text in (deep, chosen, wide, listed)]
    documents = [{"profile": {"a": value, "b": 2}, "event": None, "entry": None} for value in (1, "7", None)]
    assert_agreement(trees, documents)
    assert len(to_sql(trees[1], columns=COLUMNS, now=NOW).text) < 100_000


def test_an_expression_stands_in_a_where_of_real_profiles() -> None:
    from profiles.models import Profile

    young, old = (Profile.objects.create(attributes={"age": age}).pk for age in (17, 71))
    Profile.objects.create(attributes={"age": "old"})
    found = condition_to_sql(parse("profile.age > 18"), columns=Columns("p.attributes"), now=NOW)
    with sql.cursor() as cur:
        cur.execute(
            f"SELECT id FROM profile p WHERE id >= %(first)s AND {found.text}",
            {**found.params, "first": young},
        )
        assert [row.id for row in cur.fetchall()] == [old]
