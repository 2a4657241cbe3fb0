"""What must be there before anything can be sent: a sender, published words, a way out of marketing email."""

from __future__ import annotations

from dataclasses import dataclass

from channels.models import ChannelConfiguration, Content, ContentVersion, MessageClass, Variant
from channels.services import has_way_out
from profiles.models import Channel


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A sentence about what stands in the way. `field` is "content" or "configuration"."""

    message: str
    field: str


def obstacles(*, content: str, configuration: str, message_class: int) -> list[Obstacle]:
    """Why messages with these words cannot be sent by this sender, both given by key; nothing when they can."""
    found = []
    sender = ChannelConfiguration.objects.filter(key=configuration).first()
    words = Content.objects.filter(key=content).first()
    if sender is None:
        found.append(
            Obstacle(
                f"There is no channel configuration {configuration!r}, so nothing could be sent."
                " Choose one that exists, or make it under Administration.",
                "configuration",
            )
        )
    elif not sender.is_active:
        found.append(
            Obstacle(
                f"The channel configuration {sender.key!r} is switched off, so nothing would be sent."
                " Switch it on or choose another.",
                "configuration",
            )
        )
    if words is None:
        found.append(
            Obstacle(
                f"There is no content {content!r}, so there is nothing to send."
                " Choose one that exists, or write it under Content.",
                "content",
            )
        )
    elif current_version(words.key) is None:
        found.append(
            Obstacle(
                f"The content {words.key!r} has no published version, so there is nothing to send."
                " Publish it first.",
                "content",
            )
        )
    elif (
        message_class == MessageClass.MARKETING and words.channel == Channel.EMAIL and not has_way_out(words)
    ):
        found.append(
            Obstacle(
                f"The content {words.key!r} has no link to unsubscribe, which marketing email must have."
                " Put {{ unsubscribe_url }} or {{ preferences_url }} into its HTML and its text, and publish it"
                " again.",
                "content",
            )
        )
    if sender and words and sender.channel != words.channel:
        found.append(
            Obstacle(
                f"The content {words.key!r} is written for {words.get_channel_display()}, the channel"
                f" configuration {sender.key!r} sends {sender.get_channel_display()}."
                " Choose two of the same channel.",
                "configuration",
            )
        )
    return found


def current_version(content: str) -> ContentVersion | None:
    """The version that is pinned by what uses the content with this key: the newest published one that has words."""
    published = ContentVersion.objects.filter(content__key=content, state=ContentVersion.State.PUBLISHED)
    return published.filter(variants__isnull=False).order_by("-number").first()


def default_variant(version_id: int) -> Variant:
    """The words of a version for everybody: neither treatment nor locale, else the oldest."""
    return Variant.objects.filter(version_id=version_id).order_by("treatment", "locale", "pk")[0]
