from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from journeys.activities import registry
from journeys.activities.base import Outcome, Place, Walk
from journeys.activities.membership import MembershipActivity


@registry.register
class AudienceEntry(MembershipActivity):
    """People enter when they come to fit an audience, or no longer do."""

    kind = "audience_entry"
    label = _("Audience entry")
    category = "entry"
    icon = "group_add"
    help = _("Lets a person in at the moment when they enter an audience, or leave it.")
    is_entry = True

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        return Outcome(moved={"next": walks})
