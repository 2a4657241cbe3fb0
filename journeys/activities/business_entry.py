from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk
from journeys.activities.membership import AudienceField, audience_problems
from profiles.consumers import StreamEvent
from profiles.models import EventKind


class Config(serializers.Serializer[Any]):
    event = serializers.CharField(
        max_length=200,
        label=_("Business event"),
        help_text=_("Something that is about no single person, such as Ride Closed or Back In Stock."),
        style={"widget": "event"},
    )
    audience = AudienceField(help_text=_("Whoever is in it when the event comes enters the journey."))


@registry.register
class BusinessEntry(Activity):
    """When something happens in the business, a whole audience enters."""

    kind = "business_entry"
    label = _("Business event entry")
    category = "entry"
    icon = "campaign"
    help = _("Lets everybody of an audience in when something happens that is about no single person.")
    Config = Config
    is_entry = True
    uses_database = False

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("%(event)s → %(audience)s") % config

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["event"],)

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        return audience_problems(config["audience"])

    def let_in_at_once(self, config: Mapping[str, Any]) -> str:
        return str(config["audience"])

    def admits(self, event: StreamEvent, place: Place) -> bool:
        return event.kind == EventKind.BUSINESS

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(moved={"next": walks})
