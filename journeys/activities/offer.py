from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels.reaching import Slot
from channels.shown_offers import HELD, walk_key
from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk
from offers.decide import Ask, Decided, decide, set_keys
from offers.models import Decision, DecisionPolicy, Placement
from offers.plans import PlanMissing, current_plan

OFFERED, NOTHING = "offered", "nothing"


class Config(serializers.Serializer[Any]):
    policy = serializers.SlugField(
        max_length=60, label=_("Decision policy"), help_text=_("The key of the policy that chooses.")
    )
    placement = serializers.SlugField(
        max_length=60, label=_("Placement"), help_text=_("The key of the place in which it will be shown.")
    )


@registry.register
class Offer(Activity):
    """Chooses the best offers for everybody who comes here. The messages that follow show what was chosen, where they
    name the same policy and placement."""

    kind = "offer"
    label = _("Offer")
    category = "action"
    icon = "loyalty"
    help = _("Chooses the best offer for the person. Messages with the same policy and placement show it.")
    Config = Config

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (OFFERED, NOTHING)

    def port_label(self, config: Mapping[str, Any], port: str) -> str:
        return gettext("Offered") if port == OFFERED else gettext("Nothing")

    def summary(self, config: Mapping[str, Any]) -> str:
        return str(config["policy"])

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        found = []
        if not DecisionPolicy.objects.filter(key=config["policy"]).exists():
            sentence = (
                f"There is no decision policy {config['policy']!r}, so nothing could be chosen."
                " Choose one that exists, or make it under Offers."
            )
            found.append(Finding(sentence, "policy"))
        if not Placement.objects.filter(key=config["placement"]).exists():
            sentence = (
                f"There is no placement {config['placement']!r}, so nothing could be shown."
                " Choose one that exists, or make it under Offers."
            )
            found.append(Finding(sentence, "placement"))
        return found

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        slot = Slot(place.config["policy"], place.config["placement"])
        try:
            plan = current_plan(*slot, now)
        except PlanMissing as missing:
            return Outcome(failed={walk.instance_id: str(missing) for walk in walks})
        asks = [
            Ask(walk.profile_id, _context(walk), door=Decision.Door.WALK, cause_id=walk.instance_id)
            for walk in walks
        ]
        decided = decide(asks, plan, now, held_until=now + HELD)
        ways: dict[str, list[Walk]] = defaultdict(list)
        details = {}
        keys = {}
        for walk, one in zip(walks, decided, strict=True):
            if one is not None:
                keys[walk_key(walk.instance_id, slot)] = one.id
            ways[OFFERED if one is not None and one.items else NOTHING].append(walk)
            details[walk.instance_id] = _reason(one)
        set_keys(keys)
        return Outcome(moved=dict(ways), details=details)


def _context(walk: Walk) -> dict[str, Any]:
    """What expressions of offers read as context.event: the event at hand."""
    return {"event": walk.event.decoded()} if walk.event is not None else {}


def _reason(decided: Decided | None) -> str:
    if decided is None or not decided.items:
        return "No offer was left for this person."
    chosen = ", ".join(item.key for item in decided.items)
    return f"Chosen as the fallback: {chosen}." if decided.is_fallback else f"Chosen: {chosen}."
