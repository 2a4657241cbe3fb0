"""What the benchmarks of sending share: a full outbox, a mail server, and the check that everything arrived."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from django.conf import settings

from ajo.lib.ids import uuid7
from ajo.runtime.process import StartError
from channels import delivery
from channels.delivery.sender import close_providers
from channels.models import (
    CauseKind,
    ChannelConfiguration,
    Content,
    ContentVersion,
    Message,
    MessageClass,
    Variant,
)
from profiles.models import Channel, Event, EventType, Profile
from tests.benchmarks import harness
from tests.mailbox import HOST, Mailbox

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_STYLE = "margin:0 0 16px;font:16px/24px Arial,sans-serif;color:#1f2933"
_LINK = (
    '<li style="margin:0 0 8px"><a href="https://brand.example/shop/item-{0}?from=welcome" '
    f'style="{_STYLE};text-decoration:underline">Something nice from our shop, number {{0}}</a></li>\n'
)
_FILLER = "The garden opens at nine, the boats leave every half hour, and the last train goes at eleven. "
HTML = "".join(
    [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Welcome</title></head>\n<body>\n',
        f'<p style="{_STYLE}">Hello {{{{ profile.first_name | default: "friend" }}}} {{{{ profile.last_name }}}},',
        "</p>\n",
        f'<p style="{_STYLE}">You are a {{{{ profile.tier | capitalize }}}} member since {{{{ profile.since }}}}',
        " with {{ profile.points }} points, and we hope that you like {{ profile.city }}.</p>\n",
        "<table>\n{% for item in event.products %}<tr><td>{{ item.name }}</td><td>{{ item.price }}</td></tr>\n",
        "{% endfor %}</table>\n",
        '<p><a href="https://brand.example/day?at={{ event.day | url_encode }}">',
        "See your day in {{ event.park }}</a></p>\n",
        "<ul>",
        *(_LINK.format(number) for number in range(99)),
        "</ul>",
        *(f'<p style="{_STYLE}">{_FILLER * 4}</p>\n' for _ in range(10)),
        "<p>{{ brand.name }}, {{ brand.address }}</p>\n</body></html>\n",
    ]
)
TEXT = (
    "Hello {{ profile.first_name | default: 'friend' }},\n\nyou have {{ profile.points }} points.\n\n"
    "{% for item in event.products %}- {{ item.name }}: {{ item.price }}\n{% endfor %}\n" + _FILLER * 4 + "\n"
)
"""The email of the performance paper: 28 KB of HTML with ten variables, a loop of five, a hundred links; and a text."""


class Outbox:
    """One content, one configuration and `count` people with an event each; `fill` queues a message to all."""

    def __init__(self, count: int) -> None:
        self.count = count
        Variant.objects.all().delete()
        ContentVersion.objects.all().delete()
        Content.objects.all().delete()
        ChannelConfiguration.objects.all().delete()
        Profile.objects.all().delete()
        configuration = ChannelConfiguration.objects.create(
            key="bench",
            name="Bench",
            channel=Channel.EMAIL,
            provider="smtp",
            sender_name="Harbour & Pine",
            sender_address="hello@brand.example",
        )
        content = Content.objects.create(key="bench", name="Bench")
        version = ContentVersion.objects.create(
            content=content, number=1, state=ContentVersion.State.PUBLISHED, published_at=NOW
        )
        variant = Variant.objects.create(
            version=version, subject="Welcome, {{ profile.first_name }}", html=HTML, text=TEXT
        )
        event_type = EventType.objects.get_or_create(name="Signed Up")[0]
        profiles = Profile.objects.bulk_create(Profile(attributes=_attributes(n)) for n in range(count))
        events = Event.objects.bulk_create(
            Event(
                id=id,
                batch_id=1,
                source_id=1,
                event_type=event_type,
                kind=1,
                occurred_at=NOW,
                properties=_properties(n),
            )
            for n, id in enumerate(uuid7.many(count))
        )
        self._drafts = [
            delivery.Draft(
                profile_id=profile.pk,
                cause_kind=CauseKind.JOURNEY_INSTANCE,
                cause_id=profile.pk,
                activity="welcome",
                visit=1,
                channel=Channel.EMAIL,
                origin_id=1,
                configuration_id=configuration.pk,
                variant_id=variant.pk,
                message_class=MessageClass.MARKETING,
                event_id=event.id,
            )
            for profile, event in zip(profiles, events, strict=True)
        ]

    def fill(self) -> None:
        """Empty the outbox and queue everything anew."""
        with harness.connect() as connection:
            harness.clear(connection, "message", "message_due")
        # No bell: a worker must not begin before the clock does.
        with mock.patch("ajo.lib.doorbell.ring"):
            for start in range(0, self.count, 2_000):
                delivery.enqueue(self._drafts[start : start + 2_000], NOW)
        with harness.connect() as connection:
            connection.execute("VACUUM ANALYZE message")
            connection.execute("VACUUM ANALYZE message_due")

    def check(self) -> None:
        """A rate of messages that were not sent is none."""
        if (sent := Message.objects.filter(state=Message.State.SENT).count()) != self.count:
            raise StartError(f"Only {sent} of {self.count} messages were sent.")


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mailbox process that this process and its children send to."""
    with tempfile.TemporaryDirectory(dir=os.environ["AJO_HOME"]) as folder, Mailbox(Path(folder)) as server:
        os.environ["AJO_MAILBOX_SMTP"] = settings.AJO_MAILBOX_SMTP = f"{HOST}:{server.smtp_port}"
        yield server
        close_providers()


def _attributes(number: int) -> dict[str, object]:
    return {
        "email": f"person{number}@example.com",
        "first_name": f"Ada {number % 100}",
        "last_name": "Löwenherz",
        "tier": "gold",
        "points": number,
        "since": "2019",
        "city": "Hafenstadt",
    }


def _properties(number: int) -> dict[str, object]:
    products = [
        {"name": f"Sweater {number % 7} in size {size}", "price": "49.90"}
        for size in ("XS", "S", "M", "L", "XL")
    ]
    return {"day": "2026-12-05", "park": "Harbour Park", "products": products}
