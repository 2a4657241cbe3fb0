"""Rules as sentences for people. What the builder cannot show is told as its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext, ngettext

from profiles.audiences import builder
from profiles.audiences.builder import OPERATORS, Document, Wants
from profiles.language import Node, print_tree, values


@dataclass(frozen=True, slots=True)
class Labels:
    """What people call attributes and audiences, by key."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    audiences: Mapping[str, str] = field(default_factory=dict)


def in_words(tree: Node, labels: Labels) -> str:
    """One sentence without its full stop."""
    document = builder.from_tree(tree)
    return _group(document, labels) if document else print_tree(tree)


def _group(document: Document, labels: Labels) -> str:
    parts = [f"({_group(row, labels)})" if "rows" in row else _row(row, labels) for row in document["rows"]]
    if document["match"] == "none" and len(parts) == 1:
        return gettext("not: %(condition)s") % {"condition": parts[0]}
    if document["match"] == "none":
        return gettext("none of these: %(conditions)s") % {"conditions": "; ".join(parts)}
    word = gettext("and") if document["match"] == "all" else gettext("or")
    return f" {word} ".join(parts)


def _row(row: Document, labels: Labels) -> str:
    subject, operator = row["subject"], row["operator"]
    if "audience" in subject:
        name = labels.audiences.get(subject["audience"], subject["audience"])
        if operator == "true":
            return gettext("is in the audience “%(name)s”") % {"name": name}
        return gettext("is not in the audience “%(name)s”") % {"name": name}
    if "count" in subject:
        return _count(row, labels) + _when(subject, labels)
    if "sum" in subject:
        said = gettext("the sum of “%(property)s” over “%(event)s”%(when)s %(comparison)s")
        return said % {
            "property": subject["property"],
            "event": subject["sum"],
            "when": _when(subject, labels),
            "comparison": _comparison(row),
        }
    if "lookup" in subject:
        key = labels.attributes.get(subject["attribute"], subject["attribute"])
        said = gettext("“%(column)s” of “%(key)s” in the lookup “%(lookup)s” %(comparison)s")
        return said % {**subject, "key": key, "comparison": _comparison(row)}
    name = subject.get("attribute") or subject["property"]
    label = labels.attributes.get(name, name) if "attribute" in subject else name
    return f"{label} {_comparison(row)}"


def _count(row: Document, labels: Labels) -> str:
    event, value = row["subject"]["count"], str(shown(row["value"]))
    n = int(value) if value.isdecimal() else 2
    match row["operator"], value:
        case ("equal", "0"):
            return gettext("never did “%(event)s”") % {"event": event}
        case ("at_least", _):
            times = ngettext("at least %(n)s time", "at least %(n)s times", n) % {"n": value}
        case ("at_most", _):
            times = ngettext("at most %(n)s time", "at most %(n)s times", n) % {"n": value}
        case ("equal", _):
            times = ngettext("exactly %(n)s time", "exactly %(n)s times", n) % {"n": value}
        case _:
            return gettext("the number of “%(event)s” %(comparison)s") % {
                "event": event,
                "comparison": _comparison(row),
            }
    return gettext("did “%(event)s” %(times)s") % {"event": event, "times": times}


def _when(subject: Document, labels: Labels) -> str:
    said = ""
    if subject["within"]:
        said += " " + gettext("in the last %(time)s") % {"time": shown_duration(subject["within"])}
    if subject["where"]:
        said += " " + gettext("where %(condition)s") % {"condition": _group(subject["where"], labels)}
    return said


def _comparison(row: Document) -> str:
    operator = OPERATORS[row["operator"]]
    given = row["value"]
    if operator.wants is Wants.NOTHING:
        return str(operator.label)
    written = ", ".join(map(str, map(shown, given))) if isinstance(given, list) else str(shown(given))
    return f"{operator.label} {written}"


def shown(literal: Any) -> str:
    """A literal of a document as people read it."""
    value = literal["value"]
    match literal["type"]:
        case "duration":
            return shown_duration(value)
        case "money":
            return f"{value['amount']} {value['currency']}"
        case "boolean":
            return gettext("yes") if value else gettext("no")
        case "time":
            return str(value).replace("T", " ").replace("Z", "")
        case "text":
            return f"“{value}”"
        case _:
            return str(value)


def shown_duration(text: str) -> str:
    """Such as "7 days" for 7d; mixed ones as they are written."""
    length = values.read_duration(text)
    for unit, words in (
        (timedelta(days=1), lambda n: ngettext("%(n)s day", "%(n)s days", n)),
        (timedelta(hours=1), lambda n: ngettext("%(n)s hour", "%(n)s hours", n)),
        (timedelta(minutes=1), lambda n: ngettext("%(n)s minute", "%(n)s minutes", n)),
    ):
        if length and not length % unit:
            n = length // unit
            return str(words(n)) % {"n": n}
    return text
