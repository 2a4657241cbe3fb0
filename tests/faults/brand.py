"""The smallest brand that can be tested: a source, one email, one live journey. Run in the lab's environment.

`python -m tests.faults.brand` prints {"write_key": …}.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import django


def make_brand(now: datetime) -> str:
    """Write the brand; the write key of its source."""
    from channels import services as contents
    from channels.models import ChannelConfiguration
    from journeys import services as journeys
    from journeys.models import ReEntry
    from profiles.models import Channel, Source
    from profiles.partitions import ensure_partitions
    from tests.faults.lab import LEASE_SECONDS

    ensure_partitions(now)
    source = Source.objects.create(key="lab", name="Lab")
    ChannelConfiguration.objects.create(
        key="email",
        name="Email",
        channel=Channel.EMAIL,
        provider="smtp",
        settings={"timeout": LEASE_SECONDS / 3},
        sender_name="Harbour & Pine",
        sender_address="hello@brand.example",
    )
    words = {
        "subject": "Welcome, {{ profile.first_name }}",
        "html": "<p>Hello {{ profile.first_name }}, this is the only one.</p>",
        "text": "Hello {{ profile.first_name }}, this is the only one.",
    }
    draft = contents.save_draft(key="welcome", name="Welcome", variants=[words])
    contents.publish_content(content=draft.content, now=now)
    journey = journeys.create_journey(key="welcome", name="Welcome", user=None)
    # Every time: an event that counted twice would be a second walk and a second message.
    journeys.save_draft(journey=journey, graph=_graph(), re_entry=ReEntry.ALWAYS, revision=1, user=None)
    journeys.publish_journey(journey=journey, user=None, now=now)
    return source.write_key


def _graph() -> dict[str, Any]:
    from tests.faults.load import SIGN_UP

    message = {"content": "welcome", "configuration": "email", "message_class": "transactional"}
    return {
        "activities": [
            {"id": "entry", "kind": "event_entry", "config": {"event": SIGN_UP}},
            {"id": "mail", "kind": "message", "config": message},
            {"id": "end", "kind": "end", "config": {}},
        ],
        "links": [
            {"from": "entry", "port": "next", "to": "mail"},
            {"from": "mail", "port": "next", "to": "end"},
        ],
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ajo.settings")
    django.setup()
    sys.stdout.write(json.dumps({"write_key": make_brand(datetime.now(UTC))}))
