from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from journeys.activities import registry
from journeys.activities.base import Outcome, Place, Walk
from journeys.activities.membership import MembershipActivity


@registry.register
class ExitOnAudience(MembershipActivity):
    """Whoever enters or leaves an audience leaves the journey, wherever they wait."""

    kind = "exit_on_audience"
    label = _("Exit on audience")
    category = "exit"
    icon = "group_remove"
    help = _(
        "Takes a person out of the journey, wherever they wait, when they enter an audience or leave it."
    )
    is_exit = True

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return ()

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(left=walks)
