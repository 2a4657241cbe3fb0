"""Where audiences are used: by the rules of others, and by what rooms above register."""

from __future__ import annotations

from collections.abc import Iterable

from django.urls import reverse

from ajo.lib.usage import Finders, FindUses, Use
from profiles.audiences.rules import names_audience
from profiles.models import Audience

__all__ = ["FindUses", "Use", "register", "uses_of"]

_finders = Finders()
register, uses_of = _finders.register, _finders.uses_of


def _in_rules(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The audiences whose rules name these; one statement."""
    wanted = set(keys)
    found: dict[str, list[Use]] = {}
    rules = Audience.objects.exclude(state=Audience.State.ARCHIVED).exclude(rule="")
    for audience in rules:
        use = Use(audience.name, reverse("admin:profiles_audience_change", args=[audience.pk]))
        for key in wanted:
            if names_audience(audience.rule, key):
                found.setdefault(key, []).append(use)
    return found


register("audiences", _in_rules)
