"""What the people of a notice would read, for one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from channels import authoring, rendering, services
from channels.liquid import ContentError
from channels.models import ChannelConfiguration, Content, ContentVersion, Variant
from channels.rendering import Shown
from profiles.models import Channel


@dataclass(frozen=True, slots=True)
class Preview:
    """One message as its reader sees it; without `shown` it cannot be sent, and `problem` says why."""

    channel: str
    sender: str
    shown: Shown | None
    problem: str = ""


def preview(
    *,
    content: Content,
    configuration: ChannelConfiguration,
    context: Mapping[str, Any],
    profile_id: int | None,
) -> Preview:
    """The published words of a content with what somebody filled in: offers as they would be decided for the profile,
    sample codes, rows of lookups. Stores, takes and sends nothing."""
    channel = Channel(configuration.channel)
    sender = configuration.sender_name or configuration.sender_address
    variant = _current_words(content)
    if variant is None:
        return Preview(channel.name.lower(), sender, None, f"The words of “{content}” are not published yet.")
    values = authoring.values_for(content=content, profile_id=profile_id, configuration=configuration)
    values["context"] = dict(context)
    try:
        words = services.words_of(variant)
        compiled = rendering.compiled(channel, words)
        shown = compiled.preview(authoring.reached(channel, words, compiled, values, profile_id))
    except ContentError as error:
        return Preview(channel.name.lower(), sender, None, str(error))
    return Preview(channel.name.lower(), sender, shown)


def _current_words(content: Content) -> Variant | None:
    """What everybody gets for whom there is nothing special."""
    published = content.versions.filter(state=ContentVersion.State.PUBLISHED).order_by("-number")
    return Variant.objects.filter(version=published.values("pk")[:1], treatment="", locale="").first()
