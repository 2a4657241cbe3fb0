"""Campaigns in tests: lists of people, a campaign that is live, and the messages of a run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from campaigns import runs
from campaigns.models import Campaign, CampaignRun
from channels import delivery
from channels.models import CauseKind, ChannelConfiguration, Message, Variant
from profiles.audiences import services as audiences
from profiles.models import Audience, Channel, Profile
from tests.factories import NOW, make_configuration, make_profile, make_variant


def make_list(key: str, profiles: Iterable[Profile]) -> Audience:
    """An audience that is a list of these people."""
    audience = Audience.objects.create(key=key, name=key.title(), kind=Audience.Kind.LIST)
    audiences.replace_list(audience, [profile.pk for profile in profiles], now=NOW)
    return audience


def make_people(n: int) -> list[Profile]:
    return [make_profile() for _ in range(n)]


def make_words() -> dict[str, Any]:
    """A sender and a published content, each made once."""
    configuration = ChannelConfiguration.objects.filter(key="email").first() or make_configuration()
    variant = Variant.objects.filter(version__content__key="welcome").first() or make_variant()
    return {"configuration": configuration, "content": variant.version.content}


def make_campaign(
    audience: Audience | None, *, key: str = "survey", exclusions: Iterable[Audience] = (), **fields: Any
) -> Campaign:
    """A campaign that is live and due at NOW."""
    words = make_words()
    defaults = {
        "name": key.title(),
        "state": Campaign.State.LIVE,
        "audience": audience,
        "pinned_version": words["content"].versions.get(),
        "next_run_at": NOW,
        **words,
    }
    campaign = Campaign.objects.create(key=key, **(defaults | fields))
    campaign.exclusions.set(exclusions)
    return campaign


def start(campaign: Campaign, now: datetime = NOW) -> CampaignRun:
    """Begin the run that is due."""
    assert runs.start_due_runs(now) == 1
    return campaign.runs.latest("number")


def freeze(now: datetime = NOW, limit: int = 2) -> None:
    """Write every recipient of every run, in small pieces."""
    while runs.freeze_next(now, limit):
        pass


def send(now: datetime = NOW) -> None:
    while delivery.take_batch(Channel.EMAIL, now=now):
        pass


def recipients(run: CampaignRun) -> list[int]:
    """Who has a message of this run, in order; somebody who has two stands twice."""
    rows = Message.objects.filter(cause_kind=CauseKind.CAMPAIGN_RUN, cause_id=run.pk, origin_id=run.pk)
    return list(rows.order_by("profile_id").values_list("profile_id", flat=True))
