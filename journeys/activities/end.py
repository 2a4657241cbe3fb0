from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Outcome, Place, Walk


class Config(serializers.Serializer[Any]):
    """An end has no settings."""


@registry.register
class End(Activity):
    """People leave the journey."""

    kind = "end"
    label = _("End")
    category = "flow"
    icon = "flag"
    help = _("The person leaves the journey here.")
    Config = Config
    uses_database = False

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ()

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(left=walks)
