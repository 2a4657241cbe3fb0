from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ajo.lib import sql
from journeys.activities import registry
from journeys.activities.base import Activity, Outcome, Park, Place, Wake, Walk
from journeys.activities.wait import LONGEST, MOST_UNITS, TOO_LONG, UNIT_CHOICES, UNITS, in_words
from profiles.consumers import StreamEvent
from profiles.models import EventType

_READ_ENTRIES = """
SELECT id, (properties -> %s::text)::text AS value FROM event WHERE id = ANY(%b::uuid[])
"""
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_exactly = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Config(serializers.Serializer[Any]):
    event = serializers.CharField(
        max_length=200,
        label=_("Event"),
        help_text=_("The name of the event as your sources send it."),
        style={"widget": "event"},
    )
    timeout_amount = serializers.IntegerField(
        min_value=1,
        max_value=MOST_UNITS,
        label=_("At most"),
        help_text=_("How long people wait for it, from one second to ten years."),
    )
    timeout_unit = serializers.ChoiceField(
        choices=UNIT_CHOICES,
        default="days",
        label=_("Unit"),
        help_text=_("A day is 24 hours, also when the clocks change."),
    )
    event_property = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        label=_("Property of the event"),
        help_text=_(
            "Only an event counts whose property, such as order_id, equals the one of the entry event. A dot leads"
            " into an object."
        ),
    )
    entry_property = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        label=_("Property of the entry event"),
        help_text=_("What the property must equal. Leave both empty when any event of the name counts."),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["timeout_amount"] * UNITS[attrs["timeout_unit"]][0] > LONGEST:
            raise serializers.ValidationError({"timeout_amount": TOO_LONG})
        for name, other in [("event_property", "entry_property"), ("entry_property", "event_property")]:
            if attrs[other] and not attrs[name]:
                raise serializers.ValidationError(
                    {name: _("A comparison needs both properties. Fill in this one too, or clear the other.")}
                )
        return attrs


@registry.register
class WaitForEvent(Activity):
    """Everybody waits for an event of their own, at most for a time. An event that came before does not count."""

    kind = "wait_for_event"
    label = _("Wait for event")
    category = "flow"
    icon = "hourglass_empty"
    help = _("Holds people until they do something, and lets them go another way when they take too long.")
    Config = Config
    may_park = True

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ("event", "timeout")

    def port_label(self, config: Mapping[str, Any], port: str) -> str:
        return gettext("It happened") if port == "event" else gettext("Too late")

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("%(event)s, at most %(time)s") % {
            "event": config["event"],
            "time": in_words(config["timeout_amount"], config["timeout_unit"]),
        }

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["event"],)

    def prepare(self, place: Place) -> int:
        return EventType.objects.get(name=place.config["event"]).pk

    def wakes(self, event: StreamEvent, correlation: str | None, place: Place) -> bool:
        if not place.config["event_property"]:
            return True
        found = comparable(event.properties, place.config["event_property"].split("."))
        return found is not None and found == correlation

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        arrived = [walk for walk in walks if walk.wake is Wake.ARRIVED]
        return Outcome(
            moved={
                "event": [walk for walk in walks if walk.wake is Wake.EVENT],
                "timeout": [walk for walk in walks if walk.wake is Wake.CLOCK],
            },
            parked=_parked(arrived, place, now) if arrived else [],
        )


def comparable(document: str, path: Sequence[str]) -> str | None:
    """The value at `path` of a JSON text as a text that is equal for equal values: 1 and 1.0 are, 1 and "1" are not.

    None when nothing is there that could be compared: null, an object, a list.
    """
    raw: str | msgspec.Raw = document
    try:
        for name in path:
            raw = _object_decoder.decode(raw)[name]
        value = _decoder.decode(raw)
    except (KeyError, msgspec.DecodeError):
        return None
    if isinstance(value, str | bool):
        return json.dumps(value)
    if not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return str(number.normalize(_exactly)) if number else "0"


def _parked(walks: Sequence[Walk], place: Place, now: datetime) -> list[Park]:
    config = place.config
    due_at = now + config["timeout_amount"] * UNITS[config["timeout_unit"]][0]
    if not config["event_property"]:
        return [Park(walk, due_at, place.prepared) for walk in walks]
    values = _read_entries(walks, config["entry_property"].split("."))
    found = [(walk, values.get(walk.entry_event_id)) for walk in walks]
    # What nothing can equal, no event ends: such a wait is left to the clock.
    return [Park(walk, due_at, None if value is None else place.prepared, value) for walk, value in found]


def _read_entries(walks: Sequence[Walk], path: Sequence[str]) -> dict[UUID | None, str | None]:
    """The value at `path` of the properties of each entry event, by its id; one statement."""
    event_ids = sorted({walk.entry_event_id for walk in walks if walk.entry_event_id})
    with sql.cursor() as cur:
        cur.execute(_READ_ENTRIES, [path[0], event_ids])
        return {row.id: comparable(row.value, path[1:]) for row in cur if row.value is not None}
