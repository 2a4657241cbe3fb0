"""Which journeys use which contents, audiences and lookups, for the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import Q
from django.urls import reverse

from channels.usage import Use
from journeys.models import JourneyInstance, JourneyVersion
from profiles.lookups.usage import named_in

_OVER = (JourneyVersion.State.STOPPED, JourneyVersion.State.FINISHED)


def contents_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys that pinned a content in a version that people can be in, or name it in their draft."""
    wanted = set(keys)
    versions = (
        JourneyVersion.objects.filter(
            Q(pins__has_any_keys=list(wanted)) | Q(state=JourneyVersion.State.DRAFT)
        )
        .exclude(state__in=_OVER)
        .select_related("journey")
        .order_by("journey__name")
    )
    return _uses(wanted, ((version, _contents(version)) for version in versions))


def audiences_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys that people enter or leave by an audience, in a version that they can be in or in their draft."""
    return _with_setting(keys, "audience")


def policies_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys with an offer box of these decision policies."""
    return _with_setting(keys, "policy")


def placements_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys with an offer box for these placements."""
    return _with_setting(keys, "placement")


def journeys_of(instance_ids: Iterable[str]) -> dict[str, list[Use]]:
    """Journey instance → its journey, with the address of the instance's page."""
    walks = JourneyInstance.objects.filter(pk__in=list(instance_ids)).select_related("journey")
    return {
        str(walk.pk): [
            Use(walk.journey.name, reverse("admin:journeys_journeyinstance_change", args=[walk.pk]))
        ]
        for walk in walks
    }


def _with_setting(keys: Iterable[str], name: str) -> dict[str, list[Use]]:
    return _reading(keys, lambda version: _settings(version, name))


def _reading(keys: Iterable[str], read: Callable[[JourneyVersion], set[str]]) -> dict[str, list[Use]]:
    versions = (
        JourneyVersion.objects.exclude(state__in=_OVER).select_related("journey").order_by("journey__name")
    )
    return _uses(set(keys), ((version, read(version)) for version in versions))


def _uses(wanted: set[str], named: Iterable[tuple[JourneyVersion, set[str]]]) -> dict[str, list[Use]]:
    found: dict[str, dict[int, Use]] = {}
    for version, keys in named:
        for key in wanted & keys:
            url = reverse("admin:journeys_journey_change", args=[version.journey_id])
            found.setdefault(key, {})[version.journey_id] = Use(version.journey.name, url)
    return {key: list(uses.values()) for key, uses in found.items()}


def _contents(version: JourneyVersion) -> set[str]:
    """The keys in the pins of a published version, in the settings of a draft."""
    if version.state != JourneyVersion.State.DRAFT:
        return set(version.pins)
    return _settings(version, "content")


def _settings(version: JourneyVersion, name: str) -> set[str]:
    """What the boxes of a version, which may be any JSON, have in this setting."""
    boxes = version.graph.get("activities", []) if isinstance(version.graph, dict) else []
    configs = [box.get("config") for box in boxes if isinstance(box, dict)]
    return {
        config[name] for config in configs if isinstance(config, dict) and isinstance(config.get(name), str)
    }


def lookups_in_use(keys: Iterable[str]) -> dict[str, list[Use]]:
    """The journeys whose expressions read these lookups, in a version that people can be in or in their draft."""
    return _reading(keys, lambda version: named_in(_texts(version.graph)))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
