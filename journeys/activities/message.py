from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels import readiness
from channels.delivery import Draft
from channels.models import CauseKind, ChannelConfiguration, MessageClass
from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk

_CLASSES = {member.name.lower(): member for member in MessageClass}
_CAUSE = CauseKind.JOURNEY_INSTANCE.value


class Config(serializers.Serializer[Any]):
    content = serializers.SlugField(
        max_length=60,
        label=_("Content"),
        help_text=_("The key of the content; publishing pins its current version."),
        style={"widget": "content"},
    )
    configuration = serializers.SlugField(
        max_length=60,
        label=_("Channel configuration"),
        help_text=_("The key of the sender to use."),
        style={"widget": "configuration"},
    )
    message_class = serializers.ChoiceField(
        choices=[(name, member.label) for name, member in _CLASSES.items()],
        default="marketing",
        label=_("Message class"),
        help_text=_("A transactional message is sent even to those who opted out; it may not advertise."),
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    channel: int
    configuration_id: int
    variant_id: int
    message_class: int


@registry.register
class Message(Activity):
    """Everybody who comes here is sent one message. The walk does not wait until it has gone out."""

    kind = "message"
    label = _("Message")
    category = "action"
    icon = "mail"
    help = _("Sends the person a message and goes on at once. Consent is read again right before sending.")
    Config = Config
    uses_database = False

    def content_keys(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (config["content"],)

    def summary(self, config: Mapping[str, Any]) -> str:
        return str(config["content"])

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        found = readiness.obstacles(
            content=config["content"],
            configuration=config["configuration"],
            message_class=_CLASSES[config["message_class"]],
        )
        return [Finding(obstacle.message, obstacle.field) for obstacle in found]

    def prepare(self, place: Place) -> _Prepared:
        """The sender and the default variant of the pinned version."""
        configuration = ChannelConfiguration.objects.get(key=place.config["configuration"])
        variant = readiness.default_variant(place.pins[place.config["content"]])
        return _Prepared(
            channel=configuration.channel,
            configuration_id=configuration.pk,
            variant_id=variant.pk,
            message_class=_CLASSES[place.config["message_class"]].value,
        )

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        prepared: _Prepared = place.prepared
        drafts = [
            Draft(
                profile_id=walk.profile_id,
                cause_kind=_CAUSE,
                cause_id=walk.instance_id,
                activity=place.activity,
                visit=walk.visit,
                channel=prepared.channel,
                origin_id=place.version_id,
                configuration_id=prepared.configuration_id,
                variant_id=prepared.variant_id,
                message_class=prepared.message_class,
                event_id=walk.entry_event_id,
                hops=walk.hops,
            )
            for walk in walks
        ]
        return Outcome(moved={"next": walks}, messages=drafts)
