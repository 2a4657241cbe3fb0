"""What a rule asks for, and what is wrong with it. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from profiles.language import (
    Call,
    Catalog,
    Field,
    Items,
    LanguageError,
    Literal,
    Node,
    Type,
    check_moments,
    fields_of,
    parse,
    parse_checked,
)
from profiles.language.nodes import children


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in which the rules of the audiences that it names stand in the place of their names, and what can change
    its answer: attributes, events by name, other audiences, which are lists or not there, and lookups."""

    tree: Node
    attributes: frozenset[str]
    event_types: frozenset[str]
    audiences: frozenset[str]
    lookups: frozenset[str]


def parse_rule(text: str, catalog: Catalog) -> Node:
    """The tree of a rule that somebody wrote. Raises LanguageError with what is wrong first.

    Beyond the language: an audience has no event at hand, and it must be known when time alone changes its answer.
    """
    tree = parse(text, catalog, expects=Type.BOOLEAN)
    for field, is_of_past_event in _fields(tree):
        if field.root != "profile" and not (field.root == "event" and is_of_past_event):
            raise LanguageError(
                f"{field.root}.{field.name} stands where there is no such event.",
                "Ask for past events with count or sum.",
            )
    for error in check_moments(tree, catalog):
        raise error
    return tree


def compile_rule(key: str, rules: Mapping[str, str]) -> Rule:
    """The rule of the audience `key` among the texts of all. Raises LanguageError when it leads back to itself."""
    tree = _expanded(_tree(rules[key]), rules, (key,))
    calls = list(_calls(tree))
    return Rule(
        tree,
        frozenset(field.name for field in fields_of(tree) if field.root == "profile"),
        frozenset(_name(call) for call in calls if call.name in ("count", "sum")),
        frozenset(_name(call) for call in calls if call.name == "inAudience"),
        frozenset(_name(call) for call in calls if call.name == "lookup"),
    )


def names_audience(text: str, key: str) -> bool:
    """Whether the rule itself names the audience."""
    return any(call.name == "inAudience" and _name(call) == key for call in _calls(_tree(text)))


@functools.lru_cache(maxsize=1_000)
def _tree(text: str) -> Node:
    return parse_checked(text)


def _expanded(node: Node, rules: Mapping[str, str], inside: tuple[str, ...]) -> Node:
    match node:
        case Call(name="inAudience") if (key := _name(node)) in rules:
            if key in inside:
                raise LanguageError(
                    f"The audiences name each other: {' → '.join((*inside, key))}.",
                    "Take one of them out of the rule of another.",
                )
            return _expanded(_tree(rules[key]), rules, (*inside, key))
        case Call():
            return Call(node.name, tuple(_expanded(arg, rules, inside) for arg in node.args))
        case Items():
            return Items(tuple(_expanded(item, rules, inside) for item in node.items))
        case _:
            return node


def _name(call: Call) -> str:
    """The text that the call begins with, which names events or an audience."""
    first = call.args[0]
    return first.value if isinstance(first, Literal) and first.type is Type.TEXT else ""


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
    for child in children(node):
        yield from _calls(child)


def _fields(node: Node, is_of_past_event: bool = False) -> Iterator[tuple[Field, bool]]:
    if isinstance(node, Field):
        yield node, is_of_past_event
    inside = is_of_past_event or (isinstance(node, Call) and node.name in ("count", "sum"))
    for child in children(node):
        yield from _fields(child, inside)
