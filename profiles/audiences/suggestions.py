"""What the rule builder offers: attributes, events and values that are there; bounded in rows and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from profiles.audiences.probe import ask_within
from profiles.catalog import sensitive_attributes
from profiles.language import Type
from profiles.models import AttributeDefinition, Audience, EventType, Lookup

LOOKED_AT = 2_000
SHOWN = 20
SHOWN_EVENTS = 500
SECONDS = 0.4
_TYPES = {"string": Type.TEXT, "number": Type.NUMBER, "boolean": Type.BOOLEAN, "array": Type.LIST}

# The newest profiles tell what is in use now, and reading them does not grow with the table.
_SEEN = """
SELECT e.key, jsonb_typeof(e.value) AS type, count(*) AS n
FROM (SELECT attributes FROM profile ORDER BY id DESC LIMIT %(most)s) p
CROSS JOIN LATERAL jsonb_each(p.attributes) AS e(key, value) GROUP BY 1, 2 ORDER BY n DESC
"""
# What several people share; a value that one person has is nobody's business.
_VALUES = """
SELECT p.value #>> '{}' AS value
FROM (SELECT attributes #> %(path)s::text[] AS value FROM profile ORDER BY id DESC LIMIT %(most)s) p
WHERE jsonb_typeof(p.value) IN ('string', 'number') GROUP BY 1 HAVING count(*) > 1
ORDER BY count(*) DESC, 1 LIMIT %(shown)s
"""
_PROPERTIES = """
SELECT e.key, jsonb_typeof(e.value) AS type, e.value #>> '{}' AS value, count(*) AS n
FROM (SELECT properties FROM event WHERE event_type_id = %(type)s ORDER BY id DESC LIMIT 300) p
CROSS JOIN LATERAL jsonb_each(p.properties) AS e(key, value) GROUP BY 1, 2, 3 ORDER BY n DESC, 3
"""


def attributes() -> list[dict[str, Any]]:
    """{key, label, type}: those that are declared, then those that are in use all the same."""
    declared = [
        {"key": each.key, "label": each.label, "type": each.type}
        for each in AttributeDefinition.objects.order_by("label")
    ]
    known = {each["key"] for each in declared}
    for row in ask_within(SECONDS, _SEEN, {"most": LOOKED_AT}) or ():
        if row.key not in known and "." not in row.key:
            known.add(row.key)
            declared.append({"key": row.key, "label": row.key, "type": _TYPES.get(row.type, Type.ANY)})
    return declared


def values_of(attribute: str) -> list[str]:
    """Values of an attribute that several people have, the most frequent first; none of a sensitive one."""
    path = attribute.split(".")
    if path[0] in sensitive_attributes():
        return []
    rows = ask_within(SECONDS, _VALUES, {"path": path, "most": LOOKED_AT, "shown": SHOWN})
    return [row.value for row in rows or ()]


def properties_of(event: str) -> list[dict[str, Any]]:
    """{key, type, values} of the properties that the newest events with this name have."""
    event_type = EventType.objects.filter(name=event).first()
    if event_type is None:
        return []
    found: dict[str, dict[str, Any]] = {}
    for row in ask_within(SECONDS, _PROPERTIES, {"type": event_type.pk}) or ():
        if row.type not in _TYPES:
            continue
        shown = found.setdefault(row.key, {"key": row.key, "type": _TYPES[row.type], "values": []})
        if row.type in ("string", "number") and row.n > 1 and len(shown["values"]) < SHOWN:
            shown["values"].append(row.value)
    return sorted(found.values(), key=lambda each: str(each["key"]))


def events() -> Sequence[str]:
    """The names of events, own ones last."""
    names = EventType.objects.order_by("name").values_list("name", flat=True)[:SHOWN_EVENTS]
    return sorted(names, key=lambda name: (name.startswith("$"), name))


def audiences(but: str) -> list[dict[str, str]]:
    """{key, name} of the active ones, without the one with the key `but`."""
    found = Audience.objects.filter(state=Audience.State.ACTIVE).exclude(key=but)
    return [{"key": each.key, "name": each.name} for each in found]


def lookups() -> list[dict[str, Any]]:
    """{key, name, columns: [{name, type}]}."""
    return [{"key": each.key, "name": each.name, "columns": each.columns} for each in Lookup.objects.all()]
