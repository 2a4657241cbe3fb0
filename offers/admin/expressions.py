"""Expressions while they are written: what is wrong with one and how to mend it, or what it says and whom it finds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ajo.lib import sql
from offers import plans
from offers.models import OfferItem
from offers.plans import COLLECTION_DOCUMENTS, DOCUMENTS
from profiles.audiences import probe, wording
from profiles.catalog import read_catalog
from profiles.language import Catalog, Field, LanguageError, Node, Type, fields_of, parse

NAMES_SHOWN = 6
_KNOWN_ATTRIBUTES = """
SELECT DISTINCT k.key FROM offers_offeritem o
CROSS JOIN LATERAL jsonb_object_keys(CASE jsonb_typeof(o.attributes) WHEN 'object' THEN o.attributes ELSE '{}' END)
    AS k(key) ORDER BY k.key
"""


@dataclass(slots=True)
class Said:
    """What there is to say about an expression. `problem` ends with its remedy."""

    problem: str = ""
    place: str = ""
    sentence: str = ""
    doubts: list[str] = field(default_factory=list)
    estimate: probe.Estimate | None = None
    fitting: list[str] | None = None
    """Names of the items that fit the rule of a collection."""


def check_view(request: HttpRequest) -> HttpResponse:
    """POST `field`, the text under that name, and `expects`: condition, rule or number. Stores nothing."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not request.user.has_perm("offers.view_offeritem"):
        raise PermissionDenied
    text = request.POST.get(request.POST.get("field", ""), "").replace("\0", "")
    expects = request.POST.get("expects", "condition")
    said = check(text, expects) if text.strip() else Said()
    context = {"said": said, "names_shown": NAMES_SHOWN, "is_rule": expects == "rule"}
    return TemplateResponse(request, "admin/offers/expression.html", context)


def check(text: str, expects: str) -> Said:
    """`rule` may name the item alone, `condition` and `number` the person, the item and the request."""
    is_rule, wanted = expects == "rule", Type.NUMBER if expects == "number" else Type.BOOLEAN
    catalog = Catalog(documents=COLLECTION_DOCUMENTS) if is_rule else read_catalog(DOCUMENTS)
    try:
        tree = parse(text, catalog, expects=wanted)
    except LanguageError as error:
        return Said(f"{error.problem} {error.remedy}", _place(error))
    found = Said(doubts=list(_doubts(tree, catalog)))
    if wanted is Type.BOOLEAN:
        found.sentence = wording.in_words(tree, probe.read_labels())
        if found.sentence == text.strip():
            found.sentence = ""
    if is_rule:
        offers = OfferItem.objects.exclude(state=OfferItem.State.ARCHIVED).order_by("name")
        rows = list(offers.values_list("pk", "name", "attributes"))
        names = {pk: name for pk, name, _attributes in rows}
        fitting = plans.fitting(text, [(pk, attributes) for pk, _name, attributes in rows], timezone.now())
        found.fitting = [names[pk] for pk in fitting]
    elif wanted is Type.BOOLEAN and {one.root for one in fields_of(tree)} == {"profile"}:
        found.estimate = probe.estimate(tree, now=timezone.now())
    return found


def known_attributes() -> list[str]:
    """The names of attributes that any offer item has; one statement."""
    with sql.cursor() as cur:
        cur.execute(_KNOWN_ATTRIBUTES)
        return [row.key for row in cur]


def nameable() -> list[tuple[str, list[tuple[str, str]]]]:
    """What an expression may name, in groups of (text, label), for those who write one."""
    catalog = read_catalog(DOCUMENTS)
    profile = [
        (f"{one.root}.{one.name}", str(definition.label or one.name))
        for one, definition in sorted(catalog.definitions.items(), key=lambda pair: pair[0].name)
    ]
    return [
        (_("The person"), profile),
        (_("The item"), [(f"offer.{name}", name) for name in known_attributes()]),
        (_("The request"), [("context.", _("what came with it"))]),
    ]


def _place(error: LanguageError) -> str:
    at = error.position
    if not at or (at.line == 1 and at.column == 1 and not error.token):
        return ""
    return _("Line %(line)s, column %(column)s") % {"line": at.line, "column": at.column}


def _doubts(tree: Node, catalog: Catalog) -> Iterable[str]:
    """What is read that nobody has declared and no item has: allowed, and most often a slip of the pen."""
    names: list[str] | None = None
    for one in dict.fromkeys(fields_of(tree)):
        if one.root == "profile" and Field("profile", (one.name,)) not in catalog.definitions:
            known = [field.name for field in catalog.definitions if field.root == "profile"]
            said = _("No attribute “%(name)s” is declared for people.") % {"name": one.name}
            yield said + _near("profile", one.name, known)
        if one.root == "offer":
            names = known_attributes() if names is None else names
            if one.name not in names:
                said = _("No item has the attribute “%(name)s” yet.") % {"name": one.name}
                yield said + _near("offer", one.name, names)


def _near(root: str, name: str, known: list[str]) -> str:
    near: list[Any] = difflib.get_close_matches(name, known, n=1)
    return " " + _("Did you mean %(near)s?") % {"near": f"{root}.{near[0]}"} if near else ""
