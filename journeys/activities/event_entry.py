from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Outcome, Place, Walk


class Config(serializers.Serializer[Any]):
    event = serializers.CharField(
        max_length=200,
        label=_("Event"),
        help_text=_("The name of the event as your sources send it."),
        style={"widget": "event"},
    )


@registry.register
class EventEntry(Activity):
    """People enter when they do something. Who may enter again is a property of the version."""

    kind = "event_entry"
    label = _("Event entry")
    category = "entry"
    icon = "bolt"
    help = _("Lets a person in at the moment when an event of this name arrives.")
    Config = Config
    is_entry = True
    uses_database = False

    def summary(self, config: Mapping[str, Any]) -> str:
        return str(config["event"])

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["event"],)

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(moved={"next": walks})
