from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from journeys.activities import registry
from journeys.activities.base import Activity, Outcome, Place, Walk
from journeys.activities.event_entry import Config


@registry.register
class ExitOnEvent(Activity):
    """Whoever does something leaves the journey, wherever they wait."""

    kind = "exit_on_event"
    label = _("Exit on event")
    category = "exit"
    icon = "logout"
    help = _("Takes a person out of the journey, wherever they wait, when an event of this name arrives.")
    Config = Config
    is_exit = True
    uses_database = False

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ()

    def summary(self, config: Mapping[str, Any]) -> str:
        return str(config["event"])

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["event"],)

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(left=walks)
