"""The expression language of audience rules, conditions, eligibility and formulas. Pure: no database, no clock.

    tree = parse('profile.age >= 18 && profile.country in ["DE", "AT"]', catalog, expects=Type.BOOLEAN)
    print_tree(tree)                      the canonical text; parse() of it is the tree again
    to_json(tree), from_json(data)        the form that builders edit and the database stores
    check(tree, catalog)                  what its types make wrong, each with its path in the tree
    compile_condition(tree, catalog)      the Python reading: a function of a Scope, true or false
    compile_python(tree, catalog)         the same for a value; None is missing
    condition_to_sql(tree, catalog, ...)  the SQL reading, for WHERE: never NULL
    to_sql(tree, catalog, ...)            the same for a value; NULL is missing
    check_moments(tree, catalog)          why it cannot be told when mere time changes the value
    changes_with_time(tree, catalog)      whether there are such moments
    compile_change(tree, catalog)         the next moment at which mere time can change it, read by Python
    change_to_sql(tree, catalog, ...)     the same in SQL
    compile_rows(trees, catalog)          what gives scopes the rows of lookups that the trees ask for

Both readings must be given the same catalogue. They agree on every tree, also on one that check() would refuse:
nothing fails at run time. A missing operand makes a comparison false, `x / 0` is missing, text compares by code point,
numbers are decimal (values.py has the bounds). Every error is a LanguageError. FUNCTIONS and LITERAL_FUNCTIONS are the
catalogue of functions, Catalog that of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from profiles.language import evaluate, moments, nodes, postgres, values
from profiles.language.catalog import EMPTY, WALK_DOCUMENTS, Catalog, FieldDefinition, python_zones
from profiles.language.errors import LanguageError, Position
from profiles.language.evaluate import Gather, PastEvent, Scope
from profiles.language.functions import FUNCTIONS, LITERAL_FUNCTIONS
from profiles.language.nodes import MAX_TEXT, Call, Field, Items, Literal, Node, to_json
from profiles.language.parser import parse_syntax
from profiles.language.postgres import Columns, Sql, Tallies
from profiles.language.printer import print_tree
from profiles.language.resolve import condition, resolve
from profiles.language.values import Money, Type

__all__ = [
    "FUNCTIONS",
    "LITERAL_FUNCTIONS",
    "WALK_DOCUMENTS",
    "Call",
    "Catalog",
    "Columns",
    "Field",
    "FieldDefinition",
    "Gather",
    "Items",
    "LanguageError",
    "Literal",
    "Money",
    "Node",
    "PastEvent",
    "Position",
    "Scope",
    "Sql",
    "Tallies",
    "Type",
    "change_to_sql",
    "changes_with_time",
    "check",
    "check_moments",
    "compile_change",
    "compile_condition",
    "compile_python",
    "compile_rows",
    "condition_to_sql",
    "fields_of",
    "fields_of_row_keys",
    "from_json",
    "parse",
    "parse_checked",
    "print_tree",
    "python_zones",
    "to_json",
    "to_sql",
    "type_of",
    "values",
]


def parse(source: str, catalog: Catalog = EMPTY, *, expects: Type | None = None) -> Node:
    """The tree of a text, its types checked. Raises LanguageError with the place of the first thing that is wrong."""
    parsed = parse_syntax(source)
    for error in check(parsed.tree, catalog, expects=expects):
        raise parsed.locate(error)
    return parsed.tree


def parse_checked(source: str) -> Node:
    """The tree of a text that parse() took when it was stored. Its types are not checked again, so that a field which
    was declared anew since makes an expression missing or false, and never makes it unreadable."""
    return parse_syntax(source).tree


def from_json(data: Any) -> Node:
    """The tree of decoded JSON, its types unchecked. Raises LanguageError; what is accepted can be shown as text."""
    tree = nodes.from_json(data)
    if len(print_tree(tree).encode()) > MAX_TEXT:
        raise LanguageError(
            f"As text, the expression is longer than {MAX_TEXT:,} bytes.",
            "Split it, or keep long lists of values in an attribute.",
        )
    return tree


def check(tree: Node, catalog: Catalog = EMPTY, *, expects: Type | None = None) -> list[LanguageError]:
    """What the types of `tree` make wrong, innermost first. With `expects`, also when it holds another type."""
    resolution = resolve(tree, catalog)
    found = resolution.step.type
    if expects is not None and not resolution.problems and found not in (expects, Type.ANY):
        return [
            LanguageError(
                f"The expression holds {found} where {expects} is wanted.",
                "Compare it with a value." if expects is Type.BOOLEAN else f"Write one that holds {expects}.",
            )
        ]
    return resolution.problems


def type_of(tree: Node, catalog: Catalog = EMPTY) -> Type:
    """What it holds."""
    return resolve(tree, catalog).step.type


def fields_of(tree: Node) -> Iterator[Field]:
    """The fields that it reads, from left to right, as often as they stand there."""
    match tree:
        case Field():
            yield tree
        case Call(args=children) | Items(items=children):
            for child in children:
                yield from fields_of(child)


def fields_of_row_keys(tree: Node) -> Iterator[Field]:
    """Those that decide which rows of lookups it reads."""
    if isinstance(tree, Call) and tree.name == "lookup":
        yield from fields_of(tree.args[1])
    else:
        for child in nodes.children(tree):
            yield from fields_of_row_keys(child)


def compile_python(tree: Node, catalog: Catalog = EMPTY) -> Callable[[Scope], Any]:
    """The value as a function of a scope; see values.py for the types. None is missing."""
    return evaluate.compiled(resolve(tree, catalog).step)


def compile_condition(tree: Node, catalog: Catalog = EMPTY) -> Callable[[Scope], bool]:
    """Whether it is true, as a function of a scope; a missing value is not."""
    return evaluate.compiled(condition(resolve(tree, catalog).step))


def compile_rows(trees: Iterable[Node], catalog: Catalog = EMPTY) -> Gather:
    """What gives scopes the rows of lookups, to be used before the trees are evaluated there: a function of scopes and
    of what reads rows (profiles.lookups.rows.read_rows), which is called once for all of them, or not at all."""
    return evaluate.gatherer([resolve(tree, catalog).step for tree in trees])


def to_sql(
    tree: Node, catalog: Catalog = EMPTY, *, columns: Columns, now: datetime, prefix: str = "x"
) -> Sql:
    """The value as an SQL expression. Expressions in one statement need prefixes of which none begins another."""
    return postgres.printed(resolve(tree, catalog).step, columns, now, prefix)


def condition_to_sql(
    tree: Node,
    catalog: Catalog = EMPTY,
    *,
    columns: Columns,
    now: datetime,
    prefix: str = "x",
    tallies: Tallies | None = None,
) -> Sql:
    """Whether it is true, as an SQL expression that is never NULL. `tallies`: as in change_to_sql()."""
    return postgres.printed(condition(resolve(tree, catalog).step), columns, now, prefix, tallies)


def check_moments(tree: Node, catalog: Catalog = EMPTY) -> list[LanguageError]:
    """Why the moments at which mere time can change its value cannot be told; empty when they can."""
    try:
        moments.next_change(resolve(tree, catalog).step)
    except LanguageError as error:
        return [error]
    return []


def changes_with_time(tree: Node, catalog: Catalog = EMPTY) -> bool:
    """Whether mere time can change its value. Raises what check_moments() finds."""
    return moments.next_change(resolve(tree, catalog).step) != moments.NEVER


def compile_change(tree: Node, catalog: Catalog = EMPTY) -> Callable[[Scope], Any]:
    """The first moment after now at which mere time can change its value; None: never. Raises what check_moments()
    finds."""
    return evaluate.compiled(moments.next_change(resolve(tree, catalog).step))


def change_to_sql(
    tree: Node,
    catalog: Catalog = EMPTY,
    *,
    columns: Columns,
    now: datetime,
    prefix: str = "x",
    tallies: Tallies | None = None,
) -> Sql:
    """The same as an SQL expression; NULL is never. With `tallies`, past events are read from a table of the statement
    that all its expressions share."""
    return postgres.printed(moments.next_change(resolve(tree, catalog).step), columns, now, prefix, tallies)
