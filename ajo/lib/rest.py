"""A serializer described as JSON, so that a form can be drawn from it without knowing it.

`describe(Serializer)` gives a list of fields in their order:
    name, label, help, type, required, nullable, default,
    choices   [{value, label}] of a choice or of choices
    min, max, max_length, min_items, max_items   where there is a limit
    fields    the fields of an object, or of each item of a list of objects
    widget    how to ask, where the type alone does not say it: the serializer field's style["widget"]
    shown_when {other field: [values]}   the field counts only then: its style["shown_when"]
`type` is one of text, integer, number, boolean, choice, choices, values, list, object, duration, time, date, datetime.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.utils.encoding import force_str
from rest_framework import serializers

Described = dict[str, Any]

# The first that fits counts, so the more special class stands before its base.
_TYPES: list[tuple[type[serializers.Field[Any, Any, Any, Any]], str]] = [
    (serializers.ListSerializer, "list"),
    (serializers.Serializer, "object"),
    (serializers.MultipleChoiceField, "choices"),
    (serializers.ChoiceField, "choice"),
    (serializers.BooleanField, "boolean"),
    (serializers.IntegerField, "integer"),
    (serializers.FloatField, "number"),
    (serializers.DecimalField, "number"),
    (serializers.DurationField, "duration"),
    (serializers.DateTimeField, "datetime"),
    (serializers.DateField, "date"),
    (serializers.TimeField, "time"),
    (serializers.ListField, "values"),
    (serializers.CharField, "text"),
]


def describe(serializer: type[serializers.Serializer[Any]] | serializers.Serializer[Any]) -> list[Described]:
    """The fields that a person fills in, as plain JSON values. Texts are in the language that is active now."""
    instance = serializer() if isinstance(serializer, type) else serializer
    return [_describe(name, field) for name, field in instance.fields.items() if not field.read_only]


def defaults(serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The settings of a new thing: what has a default, as JSON values."""
    return {field["name"]: field["default"] for field in describe(serializer) if field["default"] is not None}


def _describe(name: str, field: Any) -> Described:
    type_ = next((word for cls, word in _TYPES if isinstance(field, cls)), "text")
    child = getattr(field, "child", None)
    if type_ == "values" and isinstance(child, serializers.ChoiceField):
        type_ = "choices"
    elif type_ == "values" and isinstance(child, serializers.Serializer):
        type_ = "list"
    described: Described = {
        "name": name,
        "label": force_str(field.label or name),
        "help": force_str(field.help_text or ""),
        "type": type_,
        "required": bool(field.required),
        "nullable": bool(field.allow_null),
        "default": _default(field),
        "widget": field.style.get("widget", ""),
        "shown_when": field.style.get("shown_when"),
    }
    if type_ in {"choice", "choices"}:
        offered = field if type_ == "choice" or child is None else child
        described["choices"] = [
            {"value": value, "label": force_str(label)} for value, label in offered.choices.items()
        ]
    if type_ in {"list", "object"}:
        described["fields"] = describe(child if type_ == "list" else field)
    for key, attributes in _LIMITS.items():
        for attribute in attributes:
            if (limit := getattr(field, attribute, None)) is not None and not callable(limit):
                described[key] = as_json(limit)
    if type_ in {"list", "choices", "values"} and "max_length" in described:
        described["max_items"] = described.pop("max_length")
    if type_ in {"list", "choices", "values"} and "min_length" in described:
        described["min_items"] = described.pop("min_length")
    return described


_LIMITS = {
    "min": ("min_value",),
    "max": ("max_value",),
    "min_length": ("min_length",),
    "max_length": ("max_length",),
}


def _default(field: Any) -> Any:
    default = field.default
    if default is serializers.empty:
        return None
    return as_json(default() if callable(default) else default)


def as_json(value: Any) -> Any:
    """A Python value as JSON shows it: decimals and times as text, in the notation that serializers read."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return value
