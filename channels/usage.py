"""Where contents are used, and what they use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from django.db.models import Max, OuterRef, Q, Subquery, TextField
from django.db.models.functions import Cast
from django.urls import reverse

from ajo.lib.usage import Finders, FindUses, Use
from channels.models import ContentVersion, Variant

__all__ = ["FindUses", "Use", "contents_naming", "lookups_in_use", "register", "uses_of"]

_FIELDS = ("subject", "preheader", "mjml", "html", "text", "image_url", "link_url")
_LOOKUP = re.compile(r"""\blookups\s*(?:\.\s*([-\w]+)|\[\s*["']([^"'\]\\]+))""")

_finders = Finders()
register, uses_of = _finders.register, _finders.uses_of


def lookups_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The contents that read these lookups; one statement."""

    def read(text: str) -> set[str]:
        return {dotted or quoted for dotted, quoted in _LOOKUP.findall(text)}

    return contents_naming(keys, "lookups", read)


def contents_naming(
    keys: Iterable[str], word: str, names_in: Callable[[str], set[str]]
) -> dict[str, list[Use]]:
    """The contents that name these keys in their draft or in the newest published version; one statement.

    `word` stands in every text that names one, and `names_in` finds which.
    """
    wanted = set(keys)
    published = ContentVersion.objects.filter(
        content=OuterRef("version__content"), state=ContentVersion.State.PUBLISHED
    )
    newest = published.order_by().values("content").annotate(n=Max("number")).values("n")
    holds = Q(columns_text__contains=word)
    for field in _FIELDS:
        holds |= Q(**{f"{field}__contains": word})
    variants = (
        Variant.objects.annotate(columns_text=Cast("columns", TextField()))
        .filter(holds, Q(version__state=ContentVersion.State.DRAFT) | Q(version__number=Subquery(newest)))
        .order_by("version__content__name", "version__content")
        .values_list("version__content", "version__content__name", "columns", *_FIELDS)
    )
    found: dict[str, dict[Use, None]] = {}
    for pk, name, columns, *texts in variants:
        use = Use(name, reverse("admin:channels_content_change", args=[pk]))
        named = {key for text in (*texts, *(source for _, source in columns)) for key in names_in(text)}
        for key in wanted & named:
            found.setdefault(key, {})[use] = None
    return {key: list(uses) for key, uses in found.items()}
