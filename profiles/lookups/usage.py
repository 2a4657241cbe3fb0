"""Where lookups are used: by the rules of audiences, and by what rooms above register."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.urls import reverse

from ajo.lib.usage import Finders, FindUses, Use
from profiles.models import Audience

__all__ = ["FindUses", "Use", "named_in", "register", "uses_of"]

_NAMED = re.compile(r'\blookup\(\s*"([^"]+)"')

_finders = Finders()
register, uses_of = _finders.register, _finders.uses_of


def named_in(texts: Iterable[str]) -> set[str]:
    """The keys of the lookups that expressions name, as they are written."""
    return {key for text in texts for key in _NAMED.findall(text)}


def _in_rules(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The audiences whose rules read these lookups; one statement."""
    wanted = set(keys)
    found: dict[str, list[Use]] = {}
    for audience in Audience.objects.exclude(state=Audience.State.ARCHIVED).filter(rule__contains="lookup("):
        use = Use(audience.name, reverse("admin:profiles_audience_change", args=[audience.pk]))
        for key in wanted & named_in([audience.rule]):
            found.setdefault(key, []).append(use)
    return found


register("audiences", _in_rules)
