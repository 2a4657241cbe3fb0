from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk
from journeys.activities.paths import PathConfig, check_ids
from journeys.expressions import Reader, find_problems
from profiles.catalog import read_catalog
from profiles.language import Scope, Type, compile_condition, parse_checked, print_tree

ELSE = "else"


class ConditionConfig(PathConfig):
    expression = serializers.CharField(
        max_length=10_000,
        default="",
        allow_blank=True,
        label=_("Condition"),
        help_text=_('Such as profile.tier == "gold" && entry.total > 100.'),
        style={"widget": "expression"},
    )


class Config(serializers.Serializer[Any]):
    paths = ConditionConfig(
        many=True,
        default=[{"id": "yes", "label": "Yes", "expression": ""}],
        min_length=1,
        max_length=50,
        label=_("Paths"),
        help_text=_("The first path whose condition is true is taken, from top to bottom."),
    )

    def validate_paths(self, paths: list[dict[str, Any]]) -> list[dict[str, Any]]:
        check_ids(paths)
        if any(path["id"] == ELSE for path in paths):
            raise serializers.ValidationError(
                gettext(
                    "“else” is the exit of those for whom no condition is true. Choose another key for the path."
                )
            )
        return paths


@dataclass(frozen=True, slots=True)
class _Prepared:
    paths: Sequence[tuple[str, Callable[[Scope], bool]]]
    """(port, does it hold) from top to bottom."""
    reasons: Mapping[str, str]
    reader: Reader

    def choose(self, scope: Scope) -> str:
        """The port."""
        return next((port for port, holds in self.paths if holds(scope)), ELSE)


@registry.register
class Condition(Activity):
    """Each person goes the first way whose condition is true, or the last one when none is."""

    kind = "condition"
    label = _("Condition")
    category = "flow"
    icon = "fork_right"
    help = _("Sends people different ways by their attributes and by the events that brought them here.")
    Config = Config

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return [*(path["id"] for path in config["paths"]), ELSE]

    def port_label(self, config: Mapping[str, Any], port: str) -> str:
        if port == ELSE:
            return gettext("Else")
        return next(_name(path) for path in config["paths"] if path["id"] == port)

    def summary(self, config: Mapping[str, Any]) -> str:
        return " · ".join([*map(_name, config["paths"]), gettext("Else")])

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        catalog = read_catalog()
        return [
            finding
            for index, path in enumerate(config["paths"])
            for finding in find_problems(
                path["expression"],
                catalog,
                expects=Type.BOOLEAN,
                field=f"paths.{index}.expression",
                where=f"The condition of the path {_name(path)!r}",
            )
        ]

    def prepare(self, place: Place) -> _Prepared:
        catalog = read_catalog()
        paths = place.config["paths"]
        trees = [parse_checked(path["expression"]) for path in paths]
        return _Prepared(
            paths=[
                (path["id"], compile_condition(tree, catalog))
                for path, tree in zip(paths, trees, strict=True)
            ],
            reasons={
                path["id"]: f"{_name(path)}: {print_tree(tree)} was true."
                for path, tree in zip(paths, trees, strict=True)
            }
            | {ELSE: "No condition was true."},
            reader=Reader(trees, catalog),
        )

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        prepared: _Prepared = place.prepared
        sights = prepared.reader.read(walks)
        # Many people look alike to a condition.
        scopes = prepared.reader.scopes(sights, now)
        chosen = {sight: prepared.choose(scope) for sight, scope in scopes.items()}
        moved: dict[str, list[Walk]] = defaultdict(list)
        for walk, sight in zip(walks, sights, strict=True):
            moved[chosen[sight]].append(walk)
        return Outcome(moved=dict(moved), reasons=prepared.reasons)


def _name(path: Mapping[str, Any]) -> str:
    return path.get("label") or str(path["id"])
