from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk
from journeys.expressions import Reader, find_problems, undeclared
from profiles.attributes import MAX_KEY_LENGTH
from profiles.catalog import read_catalog, sensitive_attributes
from profiles.language import (
    Call,
    Catalog,
    Field,
    Literal,
    Money,
    Node,
    Scope,
    Type,
    compile_python,
    fields_of_row_keys,
    parse_checked,
    type_of,
    values,
)

_IDENTIFYING = ("email", "phone")
_UNKEPT = (Type.DURATION, Type.NULL)
_WRITE = {
    Type.NUMBER: "Write digits with a point, such as 12.5.",
    Type.BOOLEAN: "Write true or false.",
    Type.TIME: "Write a date or a time, such as 2026-12-24 or 2026-12-24T18:00:00Z.",
    Type.MONEY: "Write an amount and a currency, such as 12.50 EUR.",
    Type.LIST: "A list cannot be written here. Set it to the result of an expression that reads one.",
}
_encoder = msgspec.json.Encoder(decimal_format="number")
_MOST_SHOWN = 60
"""Characters of a value in the step log."""


class ChangeConfig(serializers.Serializer[Any]):
    attribute = serializers.CharField(
        max_length=MAX_KEY_LENGTH,
        label=_("Attribute"),
        help_text=_("The name of the attribute, such as tier."),
        style={"widget": "attribute"},
    )
    how = serializers.ChoiceField(
        choices=[
            ("set", _("Set to")),
            ("expression", _("Set to the result of")),
            ("add", _("Add")),
            ("remove", _("Remove")),
        ],
        default="set",
        label=_("What to do"),
    )
    value = serializers.CharField(
        max_length=1_000,
        default="",
        allow_blank=True,
        label=_("Value"),
        help_text=_("Written as the attribute was declared: gold, 12.5, true, 2026-12-24, 12.50 EUR."),
        style={"shown_when": {"how": ["set"]}},
    )
    expression = serializers.CharField(
        max_length=10_000,
        default="",
        allow_blank=True,
        label=_("Expression"),
        help_text=_("Such as profile.points + entry.total. A missing result changes nothing."),
        style={"widget": "expression", "shown_when": {"how": ["expression"]}},
    )
    amount = serializers.DecimalField(
        max_digits=24,
        decimal_places=6,
        default=Decimal(1),
        label=_("Number"),
        help_text=_("How much more; negative for less. A person without the attribute begins at 0."),
        style={"shown_when": {"how": ["add"]}},
    )

    def validate_attribute(self, attribute: str) -> str:
        if attribute in _IDENTIFYING:
            raise serializers.ValidationError(
                gettext(
                    "%(attribute)s says who the person is, so a journey cannot change it. Send an identify call."
                )
                % {"attribute": attribute}
            )
        return attribute


class Config(serializers.Serializer[Any]):
    changes = ChangeConfig(
        many=True,
        min_length=1,
        max_length=20,
        label=_("Changes"),
        help_text=_("They are made from top to bottom, and each sees those above it."),
    )


@dataclass(frozen=True, slots=True)
class _Change:
    attribute: str
    evaluate: Callable[[Scope], Any] | None
    """Gives the new value as in JSON, None for nothing new; None to remove the attribute."""
    is_shown: bool
    """The step log may name the value."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    changes: Sequence[_Change]
    reader: Reader


@registry.register
class UpdateProfile(Activity):
    """Writes attributes of everybody who comes here. What follows in the journey sees them."""

    kind = "update_profile"
    label = _("Update profile")
    category = "action"
    icon = "edit"
    help = _("Sets, adds to or removes attributes of the person.")
    Config = Config

    def summary(self, config: Mapping[str, Any]) -> str:
        first, *others = config["changes"]
        more = gettext(" and %(n)d more") % {"n": len(others)} if others else ""
        return f"{_in_words(first)}{more}"

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        catalog, changed = read_catalog(), {change["attribute"] for change in config["changes"]}
        return [
            finding
            for index, change in enumerate(config["changes"])
            for finding in _problems(change, f"changes.{index}", catalog, changed)
        ]

    def prepare(self, place: Place) -> _Prepared:
        catalog, hidden = read_catalog(), sensitive_attributes()
        changes, trees = [], []
        for change in place.config["changes"]:
            attribute = change["attribute"]
            evaluate = None
            if change["how"] != "remove":
                tree = _tree(change, catalog)
                trees.append(tree)
                evaluate = _evaluation(tree, _declared(attribute, catalog), catalog)
            changes.append(_Change(attribute, evaluate, attribute not in hidden))
        return _Prepared(changes, Reader(trees, catalog))

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        prepared: _Prepared = place.prepared
        # By profile, since several walks of one person may stand here: the later sees what the earlier changed.
        news: dict[int, dict[str, Any]] = defaultdict(dict)
        details = {}
        sights = prepared.reader.read(walks)
        scopes = prepared.reader.scopes(sights, now)
        for walk, sight in zip(walks, sights, strict=True):
            details[walk.instance_id] = _apply(prepared.changes, scopes[sight], news[walk.profile_id])
        updates = {profile_id: changed for profile_id, changed in news.items() if changed}
        return Outcome(moved={"next": walks}, details=details, updates={**updates})


def _apply(changes: Sequence[_Change], scope: Scope, news: dict[str, Any]) -> str:
    """Adds what they come to for one walk to `news`; says it in words."""
    said = []
    for change in changes:
        if change.evaluate is None:
            news[change.attribute] = None
            said.append(f"{change.attribute} was removed")
            continue
        value = change.evaluate(replace(scope, profile={**scope.profile, **news}))
        if value is None:
            said.append(f"{change.attribute} stays as it is")
        else:
            news[change.attribute] = value
            said.append(f"{change.attribute} is {_shown(value) if change.is_shown else 'set'}")
    return f"{'; '.join(said)}."


def _shown(value: Any) -> str:
    text = _encoder.encode(value).decode()
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _declared(attribute: str, catalog: Catalog) -> Type:
    return catalog.type_of(Field("profile", (attribute,)))


def _problems(
    change: Mapping[str, Any], field: str, catalog: Catalog, changed: Collection[str]
) -> list[Finding]:
    attribute, how = change["attribute"], change["how"]
    declared = _declared(attribute, catalog)
    where = f"The change of {attribute!r}"
    found = []
    if how == "set":
        try:
            _literal(change["value"], declared)
        except ValueError as error:
            found.append(Finding(f"{where} cannot be made. {error}", f"{field}.value"))
    elif how == "expression":
        expects = declared if declared is not Type.ANY else None
        path = f"{field}.expression"
        found += find_problems(change["expression"], catalog, expects=expects, field=path, where=where)
        if not found:
            found += _problems_of(parse_checked(change["expression"]), catalog, changed, where, path)
    elif how == "add" and declared not in (Type.NUMBER, Type.ANY):
        found.append(
            Finding(
                f"{where} adds a number, but it is declared as {declared}. Choose another attribute or an expression.",
                f"{field}.how",
            )
        )
    if how != "remove" and Field("profile", (attribute,)) not in catalog.definitions:
        found.append(Finding(f"{where} writes {undeclared(attribute, catalog)}", f"{field}.attribute", True))
    return found


def _problems_of(
    tree: Node, catalog: Catalog, changed: Collection[str], where: str, path: str
) -> Iterator[Finding]:
    if type_of(tree, catalog) in _UNKEPT:
        yield Finding(f"{where} gives nothing that an attribute can hold. Give a value.", path)
    # Rows are read for all people at once, before the first change is made.
    keys = {field.name for field in fields_of_row_keys(tree) if field.root == "profile"}
    for name in sorted(keys.intersection(changed)):
        yield Finding(
            f"{where} looks something up by {name!r}, which this box changes too. Do it in a box of its own.",
            path,
        )


def _tree(change: Mapping[str, Any], catalog: Catalog) -> Node:
    """What the attribute becomes."""
    attribute = change["attribute"]
    if change["how"] == "expression":
        return parse_checked(change["expression"])
    if change["how"] == "add":
        zero, amount = Literal(Type.NUMBER, Decimal(0)), Literal(Type.NUMBER, change["amount"])
        return Call("+", (Call("coalesce", (Field("profile", (attribute,)), zero)), amount))
    return _literal(change["value"], _declared(attribute, catalog))


def _literal(text: str, declared: Type) -> Literal:
    """The value that a person wrote for an attribute. Raises ValueError with what to write instead."""
    match declared:
        case Type.TEXT | Type.ANY:
            return Literal(Type.TEXT, text)
        case Type.NUMBER if (number := values.read_decimal(text)) is not None:
            return Literal(Type.NUMBER, number)
        case Type.BOOLEAN if text in ("true", "false"):
            return Literal(Type.BOOLEAN, text == "true")
        case Type.TIME if (moment := values.read_time(text)) is not None:
            return Literal(Type.TIME, moment)
        case Type.MONEY:
            written, _space, currency = text.partition(" ")
            amount = values.read_decimal(written)
            if amount is not None and values.is_currency(currency):
                return Literal(Type.MONEY, Money(amount, currency))
    raise ValueError(f"{text!r} is not a {declared}. {_WRITE[declared]}")


def _evaluation(tree: Node, declared: Type, catalog: Catalog) -> Callable[[Scope], Any]:
    """The value as JSON in the declared type; None when it is missing or of another type."""
    run = compile_python(tree, catalog)
    if declared is Type.ANY:
        return lambda scope: values.to_json(run(scope))
    if type_of(tree, catalog) is Type.ANY:
        return lambda scope: values.to_json(values.from_json(run(scope), declared))
    return lambda scope: values.to_json(run(scope))


def _in_words(change: Mapping[str, Any]) -> str:
    attribute = change["attribute"]
    match change["how"]:
        case "set":
            return f"{attribute} = {_shown(change['value'])}"
        case "expression":
            return f"{attribute} = {change['expression'][:_MOST_SHOWN]}"
        case "add":
            return f"{attribute} + {change['amount'].normalize():f}"
        case _:
            return gettext("remove %(attribute)s") % {"attribute": attribute}
