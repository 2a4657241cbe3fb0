"""What the canvas draws, as plain JSON values: the kinds of boxes, the boxes of a graph, and its problems. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from django.utils.encoding import force_str
from django.utils.translation import gettext_lazy as _

from ajo.lib import rest
from journeys.activities import registry
from journeys.activities.base import Activity
from journeys.graph import Problem

CATEGORIES = {"entry": _("Entries"), "action": _("Actions"), "flow": _("Flow"), "exit": _("Exits")}
"""The groups of the step menu, in their order. A category without a name here is shown as it is, behind these."""


class PortJson(TypedDict):
    id: str
    label: str
    is_optional: bool


class BoxJson(TypedDict):
    ports: list[PortJson]
    summary: str


class ProblemJson(TypedDict):
    level: str
    activity: str
    field: str
    message: str


class KindJson(TypedDict):
    kind: str
    label: str
    category: str
    icon: str
    help: str
    is_entry: bool
    is_exit: bool
    fields: list[rest.Described]
    defaults: dict[str, Any]
    ports: list[PortJson]


def kinds_json() -> list[KindJson]:
    """Every kind of box, in the language that is active now."""
    return [kind_json(cls) for cls in registry]


def kind_json(cls: type[Activity]) -> KindJson:
    """One kind: its form, the settings of a new box, and the exits of that box."""
    defaults = rest.defaults(cls.Config)
    return {
        "kind": cls.kind,
        "label": force_str(cls.label),
        "category": cls.category,
        "icon": cls.icon,
        "help": force_str(cls.help),
        "is_entry": cls.is_entry,
        "is_exit": cls.is_exit,
        "fields": rest.describe(cls.Config),
        "defaults": defaults,
        "ports": box_json(cls(), defaults)["ports"],
    }


def boxes_json(graph: Any) -> dict[str, BoxJson]:
    """id → exits and words of each box of any JSON value that claims to be a graph. Never raises."""
    activities = graph.get("activities") if isinstance(graph, dict) else None
    boxes: dict[str, BoxJson] = {}
    for item in activities if isinstance(activities, list) else ():
        if not isinstance(item, dict):
            continue
        box_id, kind, config = item.get("id"), item.get("kind"), item.get("config", {})
        if isinstance(box_id, str) and isinstance(kind, str) and kind in registry:
            boxes[box_id] = box_json(registry.get(kind)(), config if isinstance(config, dict) else {})
    return boxes


def box_json(activity: Activity, config: Mapping[str, Any]) -> BoxJson:
    """The exits and words of a box. Settings that cannot be used yet say what they can, so that its lines stay."""
    serializer = activity.Config(data=config)
    if serializer.is_valid():
        settings: Mapping[str, Any] = serializer.validated_data
        return {"ports": _ports(activity, settings), "summary": force_str(activity.summary(settings))}
    try:
        ports = _ports(activity, {**rest.defaults(activity.Config), **config})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        ports = []  # half-written settings may be anything
    return {"ports": ports, "summary": ""}


def _ports(activity: Activity, config: Mapping[str, Any]) -> list[PortJson]:
    return [
        {
            "id": port,
            "label": force_str(activity.port_label(config, port)),
            "is_optional": port in activity.optional_ports,
        }
        for port in dict.fromkeys(activity.ports(config))
        if isinstance(port, str) and port
    ]


def problems_json(problems: Iterable[Problem]) -> list[ProblemJson]:
    return [
        {
            "level": problem.level.value,
            "activity": problem.activity,
            "field": problem.field,
            "message": force_str(problem.message),
        }
        for problem in problems
    ]
