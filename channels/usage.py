"""Where contents are used, and what they use."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Max, OuterRef, Q, Subquery, TextField
from django.db.models.functions import Cast
from django.urls import reverse

from ajo.lib.usage import Finders, FindUses, Use
from channels.models import ContentVersion, Variant

__all__ = ["FindUses", "Use", "lookups_in_use", "register", "uses_of"]

_WORDS = ("subject", "preheader", "mjml", "html", "text", "image_url", "link_url", "columns_text")
_LOOKUP = re.compile(r"""\blookups\s*(?:\.\s*([-\w]+)|\[\s*["']([^"'\]\\]+))""")

_finders = Finders()
register, uses_of = _finders.register, _finders.uses_of


def lookups_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The contents whose draft or newest published version reads these lookups; one statement."""
    wanted = set(keys)
    published = ContentVersion.objects.filter(
        content=OuterRef("version__content"), state=ContentVersion.State.PUBLISHED
    )
    newest = published.order_by().values("content").annotate(n=Max("number")).values("n")
    speaks = Q()
    for field in _WORDS:
        speaks |= Q(**{f"{field}__contains": "lookups"})
    variants = (
        Variant.objects.annotate(columns_text=Cast("columns", TextField()))
        .filter(speaks, Q(version__state=ContentVersion.State.DRAFT) | Q(version__number=Subquery(newest)))
        .order_by("version__content__name", "version__content")
        .values_list("version__content", "version__content__name", *_WORDS)
    )
    found: dict[str, dict[Use, None]] = {}
    for pk, name, *words in variants:
        named = {dotted or quoted for text in words for dotted, quoted in _LOOKUP.findall(text)}
        for key in wanted & named:
            found.setdefault(key, {})[Use(name, reverse("admin:channels_content_change", args=[pk]))] = None
    return {key: list(uses) for key, uses in found.items()}
