from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from channels.delivery import Draft
from channels.models import CauseKind, ChannelConfiguration, Content, ContentVersion, MessageClass, Variant
from channels.services import has_way_out
from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Place, Walk
from profiles.models import Channel

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
        found = []
        configuration = ChannelConfiguration.objects.filter(key=config["configuration"]).first()
        content = Content.objects.filter(key=config["content"]).first()
        if configuration is None:
            found.append(
                Finding(
                    f"There is no channel configuration {config['configuration']!r}, so nothing could be sent."
                    " Choose one that exists, or make it under Administration.",
                    "configuration",
                )
            )
        elif not configuration.is_active:
            found.append(
                Finding(
                    f"The channel configuration {configuration.key!r} is switched off, so nothing would be sent."
                    " Switch it on or choose another.",
                    "configuration",
                )
            )
        if content is None:
            found.append(
                Finding(
                    f"There is no content {config['content']!r}, so there is nothing to send."
                    " Choose one that exists, or write it under Content.",
                    "content",
                )
            )
        elif not content.versions.filter(
            state=ContentVersion.State.PUBLISHED, variants__isnull=False
        ).exists():
            found.append(
                Finding(
                    f"The content {content.key!r} has no published version, so there is nothing to send."
                    " Publish it first.",
                    "content",
                )
            )
        elif (
            config["message_class"] == MessageClass.MARKETING.name.lower()
            and content.channel == Channel.EMAIL
            and not has_way_out(content)
        ):
            found.append(
                Finding(
                    f"The content {content.key!r} has no link to unsubscribe, which marketing email must have."
                    " Put {{ unsubscribe_url }} or {{ preferences_url }} into its HTML and its text, and publish it"
                    " again.",
                    "content",
                )
            )
        if configuration and content and configuration.channel != content.channel:
            found.append(
                Finding(
                    f"The content {content.key!r} is written for {content.get_channel_display()}, the channel"
                    f" configuration {configuration.key!r} sends {configuration.get_channel_display()}."
                    " Choose two of the same channel.",
                    "configuration",
                )
            )
        return found

    def prepare(self, place: Place) -> _Prepared:
        """The sender and the default variant of the pinned version: neither treatment nor locale, else the oldest."""
        configuration = ChannelConfiguration.objects.get(key=place.config["configuration"])
        variants = Variant.objects.filter(version_id=place.pins[place.config["content"]])
        variant = variants.order_by("treatment", "locale", "pk")[0]
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
