"""People enter an audience, or leave it: what the settings of every kind that listens to this are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from journeys.activities.base import Activity, Finding, Place
from profiles.audiences import ENTERED, LEFT
from profiles.consumers import StreamEvent
from profiles.models import Audience

_EVENTS = {"entered": ENTERED, "left": LEFT}


class AudienceField(serializers.CharField):
    """The key of an audience."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=60, label=_("Audience"), style={"widget": "audience"}, **kwargs)


class Config(serializers.Serializer[Any]):
    audience = AudienceField()
    change = serializers.ChoiceField(
        choices=[("entered", _("A person enters it")), ("left", _("A person leaves it"))],
        default="entered",
        label=_("When"),
        help_text=_("Who is in it already when the journey is published does not count."),
    )


class MembershipActivity(Activity):
    """Listens to the changes of one audience."""

    Config: ClassVar[type[serializers.Serializer[Any]]] = Config
    uses_database = False

    def summary(self, config: Mapping[str, Any]) -> str:
        words = (
            gettext("Enters %(audience)s")
            if config["change"] == "entered"
            else gettext("Leaves %(audience)s")
        )
        return words % {"audience": config["audience"]}

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (_EVENTS[config["change"]],)

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        return audience_problems(config["audience"])

    def admits(self, event: StreamEvent, place: Place) -> bool:
        return event.decoded().get("audience") == place.config["audience"]


def audience_problems(key: str) -> Sequence[Finding]:
    """What keeps a journey from listening to the audience."""
    audience = Audience.objects.filter(key=key).first()
    if audience is None:
        return [
            Finding(
                f"There is no audience {key!r}, so nothing would ever happen. Choose another.", "audience"
            )
        ]
    if audience.state != Audience.State.ACTIVE:
        return [
            Finding(
                f"The audience {key!r} is not active, so nobody is in it. Activate it first.",
                "audience",
            )
        ]
    return []
