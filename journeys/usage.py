"""Which journeys use which contents, for the rooms below."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q
from django.urls import reverse

from channels.usage import Use
from journeys.models import JourneyVersion

_OVER = (JourneyVersion.State.STOPPED, JourneyVersion.State.FINISHED)


def contents_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys that pinned a content in a version that people can be in, or name it in their draft."""
    wanted = set(keys)
    found: dict[str, dict[int, Use]] = {}
    versions = (
        JourneyVersion.objects.filter(
            Q(pins__has_any_keys=list(wanted)) | Q(state=JourneyVersion.State.DRAFT)
        )
        .exclude(state__in=_OVER)
        .select_related("journey")
        .order_by("journey__name")
    )
    for version in versions:
        for key in wanted & _named(version):
            journey = version.journey
            url = reverse("admin:journeys_journey_change", args=[journey.pk])
            found.setdefault(key, {})[journey.pk] = Use(journey.name, url)
    return {key: list(uses.values()) for key, uses in found.items()}


def _named(version: JourneyVersion) -> set[str]:
    """The keys in the pins of a published version, in the settings of a draft."""
    if version.state != JourneyVersion.State.DRAFT:
        return set(version.pins)
    boxes = version.graph.get("activities", []) if isinstance(version.graph, dict) else []
    configs = [box.get("config") for box in boxes if isinstance(box, dict)]
    return {
        config["content"]
        for config in configs
        if isinstance(config, dict) and isinstance(config.get("content"), str)
    }
