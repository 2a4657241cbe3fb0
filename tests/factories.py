"""The cast: the same few people and things in every test. Plain functions, no library."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from channels.models import ChannelConfiguration, Content, ContentVersion, Variant
from journeys.models import JourneyInstance, JourneyPassage, JourneyTrail
from profiles.models import Channel, EventType, Identity, IdentityNamespace, Profile, Source

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def make_source(key: str = "website", **fields: Any) -> Source:
    return Source.objects.create(key=key, name=fields.pop("name", key.title()), **fields)


def make_profile(user_id: str | None = None, email: str | None = None, **attributes: Any) -> Profile:
    """A profile with its attributes, a user_id identity (made up unless given) and an email identity."""
    number = next(_numbers)
    user_id = user_id or f"user-{number}"
    email = email or f"{user_id}@example.com"
    profile = Profile.objects.create(attributes={"email": email, **attributes})
    Identity.objects.bulk_create(
        [
            Identity(namespace_id=IdentityNamespace.USER_ID, value=user_id, profile=profile),
            Identity(namespace_id=IdentityNamespace.EMAIL, value=email, profile=profile),
        ]
    )
    return profile


def make_event_type(name: str = "Signed Up") -> EventType:
    return EventType.objects.get_or_create(name=name)[0]


def make_configuration(key: str = "email", **fields: Any) -> ChannelConfiguration:
    defaults = {
        "name": key.title(),
        "channel": Channel.EMAIL,
        "provider": "smtp",
        "sender_name": "Harbour & Pine",
        "sender_address": "hello@brand.example",
    }
    return ChannelConfiguration.objects.create(key=key, **(defaults | fields))


def make_variant(key: str = "welcome", **fields: Any) -> Variant:
    """A published content of one version with one variant."""
    content = Content.objects.create(key=key, name=key.title(), channel=fields.pop("channel", Channel.EMAIL))
    version = ContentVersion.objects.create(
        content=content, number=1, state=ContentVersion.State.PUBLISHED, published_at=NOW
    )
    defaults = {
        "subject": "Welcome, {{ profile.first_name | default: 'friend' }}",
        "html": "<p>Hello {{ profile.first_name | default: 'friend' }}.</p><a href=\"{{ unsubscribe_url }}\">Leave</a>",
        "text": "Hello {{ profile.first_name | default: 'friend' }}. {{ unsubscribe_url }}",
    }
    return Variant.objects.create(version=version, **(defaults | fields))


def make_step(
    walk: JourneyInstance, visit: int, activity: str, outcome: str, *, detail: str = "", at: datetime = NOW
) -> None:
    """A row of the step log, as a trail of its own."""
    with connection.cursor() as cur:
        cur.execute("SELECT nextval('journey_trail_id')")
        (trail_id,) = cur.fetchone()
    JourneyTrail.objects.create(
        trail_id=trail_id,
        nth=0,
        version=walk.version,
        activity=activity,
        outcome=outcome,
        detail=detail,
        at=at,
    )
    JourneyPassage.objects.create(instance=walk, visit=visit, trail_id=trail_id)


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
