from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Outcome, Place, Walk
from journeys.activities.paths import PathConfig, check_ids
from journeys.models import Journey

_WHOLE = Decimal(100)
_SLOTS = 10_000
"""As many as a share has steps of 0.01 %."""
_HALVES = [
    {"id": "a", "label": "A", "percent": Decimal(50)},
    {"id": "b", "label": "B", "percent": Decimal(50)},
]


class ShareConfig(PathConfig):
    percent = serializers.DecimalField(
        max_digits=5,
        decimal_places=2,
        min_value=Decimal("0.01"),
        max_value=Decimal(100),
        label=_("Share in percent"),
        help_text=_("How many of a hundred people go this way, in steps of 0.01."),
    )


class Config(serializers.Serializer[Any]):
    paths = ShareConfig(
        many=True,
        default=_HALVES,
        min_length=2,
        max_length=50,
        label=_("Paths"),
        help_text=_("Two or more ways whose shares add up to 100 percent."),
    )

    def validate_paths(self, paths: list[dict[str, Any]]) -> list[dict[str, Any]]:
        check_ids(paths)
        total = sum(path["percent"] for path in paths)
        if total != _WHOLE:
            raise serializers.ValidationError(
                gettext("The shares add up to %(total)s percent, but they must add up to 100. Change them.")
                % {"total": total}
            )
        return paths


@dataclass(frozen=True, slots=True)
class _Prepared:
    salt: bytes
    ports: Sequence[str]
    ends: Sequence[int]
    """Where the slots of each port end; a slot that is an end belongs to the next port."""


@registry.register
class Split(Activity):
    """Each person goes one of several ways, by chance but always the same one."""

    kind = "split"
    label = _("Percentage split")
    category = "flow"
    icon = "call_split"
    help = _("Sends fixed shares of the people different ways. A person who comes again goes the same way.")
    Config = Config
    uses_database = False

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return [path["id"] for path in config["paths"]]

    def port_label(self, config: Mapping[str, Any], port: str) -> str:
        return _in_words(next(path for path in config["paths"] if path["id"] == port))

    def summary(self, config: Mapping[str, Any]) -> str:
        return " · ".join(map(_in_words, config["paths"]))

    def prepare(self, place: Place) -> _Prepared:
        paths = place.config["paths"]
        # Keys, since they are the same in every version: whoever enters again by a later one goes the same way.
        journey = Journey.objects.get(pk=place.journey_id)
        return _Prepared(
            salt=f"{journey.key}/{place.activity}".encode(),
            ports=self.ports(place.config),
            ends=list(itertools.accumulate(int(path["percent"] * _SLOTS / _WHOLE) for path in paths)),
        )

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        prepared: _Prepared = place.prepared
        moved: dict[str, list[Walk]] = defaultdict(list)
        for walk in walks:
            slot = slot_of(walk.profile_id, prepared.salt)
            moved[prepared.ports[bisect_right(prepared.ends, slot)]].append(walk)
        return Outcome(moved=dict(moved))


def _in_words(path: Mapping[str, Any]) -> str:
    """The share may be half written: the canvas keeps the lines of the box while somebody types."""
    name = str(path.get("label") or path["id"])
    try:
        return f"{Decimal(path['percent']).normalize():f} % {name}"
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return name


def slot_of(profile_id: int, salt: bytes) -> int:
    """One of 10,000 slots, each as likely as another, always the same one for the same profile and salt."""
    digest = blake2b(b"%d:%b" % (profile_id, salt), digest_size=8).digest()
    return int.from_bytes(digest, "big") * _SLOTS >> 64
