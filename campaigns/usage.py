"""What campaigns and notices use, for the rooms below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from ajo.lib.usage import Use
from campaigns.models import Campaign, Notice

_OVER = (Campaign.State.STOPPED, Campaign.State.FINISHED)


def contents_in_use(keys: Iterable[str]) -> Mapping[str, list[Use]]:
    """The campaigns that are not over and the notices that send these contents, by key."""
    wanted = set(keys)
    return _by_key(
        wanted,
        _open_campaigns().filter(content__key__in=wanted).values_list("pk", "name", "content__key"),
        Notice.objects.filter(Q(content__key__in=wanted) | Q(all_clear_content__key__in=wanted)).values_list(
            "pk", "name", "content__key", "all_clear_content__key"
        ),
    )


def audiences_in_use(keys: Iterable[str]) -> Mapping[str, list[Use]]:
    """The campaigns that are not over and the notices that go to these audiences or leave them out, by key."""
    wanted = set(keys)
    touches = Q(audience__key__in=wanted) | Q(exclusions__key__in=wanted)
    fields = ("pk", "name", "audience__key", "exclusions__key")
    return _by_key(
        wanted,
        _open_campaigns().filter(touches).values_list(*fields),
        Notice.objects.filter(touches).values_list(*fields),
    )


def _open_campaigns() -> QuerySet[Campaign]:
    return Campaign.objects.exclude(state__in=_OVER)


def _by_key(
    wanted: set[str], campaigns: Iterable[tuple[Any, ...]], notices: Iterable[tuple[Any, ...]]
) -> dict[str, list[Use]]:
    found: dict[str, dict[Use, None]] = {}
    for model, rows in (("campaign", campaigns), ("notice", notices)):
        for pk, name, *keys in sorted(rows, key=lambda row: (row[1], row[0])):
            use = Use(name, reverse(f"admin:campaigns_{model}_change", args=[pk]))
            for key in wanted.intersection(keys):
                found.setdefault(key, {})[use] = None
    return {key: list(uses) for key, uses in found.items()}
