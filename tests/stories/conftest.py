from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import timezone

from ajo.demo import seeding
from channels.providers.fcm import FcmProvider
from channels.providers.smtp import SmtpProvider
from channels.providers.twilio_sms import TwilioProvider
from tests.factories import NOW
from tests.stories.world import World


@pytest.fixture
def world(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A demo of 30 people at NOW, nothing of which is left to do."""
    monkeypatch.setenv("AJO_HOME", str(tmp_path))
    demo = seeding.seed_demo(
        profiles=30, seed=1, url="http://127.0.0.1:8123", now=NOW, make_secret=seeding.seeded_secrets(1)
    )
    world = World(demo)

    def now() -> datetime:
        return world.now.astimezone(UTC)

    monkeypatch.setattr(timezone, "now", now)
    for provider in (SmtpProvider, FcmProvider, TwilioProvider):
        monkeypatch.setattr(provider, "send", lambda self, batch: world.send(batch))
    world.forget()
    return world
