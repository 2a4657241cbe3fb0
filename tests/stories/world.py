"""The demo and its engine by a clock that only the test moves: events as the door leaves them, the REST API, pages."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from ajo.demo import seeding
from campaigns import runs
from campaigns import services as campaigns
from channels import delivery, shown_offers
from channels.models import Message
from channels.providers.base import Outgoing, Receipt, Verdict
from profiles.audiences import services as audiences
from profiles.models import Audience, Channel, Identity, IdentityNamespace, Source
from profiles.stream import take_batch
from tests.api.support import with_secret
from tests.factories import NOW
from tests.journeys.helpers import tick
from tests.profiles.store import Call, identify, store, track

LANES = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


@dataclass
class World:
    demo: seeding.Installation
    now: datetime = NOW
    taken: list[Outgoing] = field(default_factory=list)
    """What the services of the brand were given, in order."""

    @property
    def api(self) -> APIClient:
        return with_secret(self.demo.api_key)

    @property
    def operations(self) -> Client:
        client = Client()
        given = {"username": self.demo.operations_login, "password": self.demo.operations_password}
        assert client.post(reverse("admin:login"), given).status_code == 302
        return client

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        """Stands in the place of every provider: takes everything."""
        self.taken += batch
        return [Receipt(each.message_id, Verdict.ACCEPTED, "ok", device_id=each.device_id) for each in batch]

    def happens(self, *calls: Call) -> None:
        store(*calls, source_id=Source.objects.get(key="app").pk, received_at=self.now)
        self.settle()

    def settle(self) -> None:
        work(self.now)

    def pass_time(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        self.settle()

    def joins(self, name: str, **traits: Any) -> int:
        """Somebody with an email and the app on a phone; the id of their profile."""
        traits = {"email": f"{name}@example.com", "first_name": name.title(), **traits}
        device = {"device": {"type": "ios", "token": f"phone-of-{name}"}}
        self.happens(identify(name, traits, context=device, at=self.now))
        return Identity.objects.get(namespace_id=IdentityNamespace.USER_ID, value=name).profile_id

    def does(self, name: str, event: str, **properties: Any) -> None:
        self.happens(track(name, event, properties=properties, at=self.now))

    def opts_out(self, profile_id: int, channel: str) -> None:
        answer = self.api.put(
            f"/api/v1/profiles/{profile_id}/consents/{channel}/",
            {"state": "opted_out", "reason": "Call"},
            format="json",
        )
        assert answer.status_code == 200, answer.content

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.api.post(f"/api/v1{path}", body, format="json")
        assert answer.status_code in (200, 201), answer.content
        return dict(answer.json())

    def forget(self) -> None:
        """What the demo itself has caused so far is not looked at."""
        self.settle()
        self.taken.clear()

    def addresses(self) -> list[str]:
        return [each.address for each in self.taken]


def work(now: datetime) -> None:
    """Every worker does what is due now, until nothing is."""
    while (
        take_batch(now=now)
        or audiences.evaluate_due(now=now)
        or audiences.evaluate_range(now=now)
        or tick(now)
        or runs.start_due_runs(now)
        or runs.freeze_next(now)
        or any(delivery.take_batch(lane, now=now) for lane in LANES)
        or shown_offers.settle(now)
    ):
        pass
    campaigns.settle(now)


def members(audience: str) -> set[int]:
    return set(Audience.objects.get(key=audience).memberships.values_list("profile_id", flat=True))


def messages(profile_ids: Iterable[int], content: str) -> list[Message]:
    """Those with these words, in the order of the people."""
    found = Message.objects.filter(profile_id__in=profile_ids, variant__version__content__key=content)
    return list(found.order_by("profile_id", "pk"))


def mail(outgoing: Outgoing) -> tuple[str, str, str]:
    """Subject, text and HTML of an email."""
    parsed = email.message_from_bytes(outgoing.body, policy=email.policy.default)
    bodies = {
        part.get_content_type(): part.get_content() for part in parsed.walk() if not part.is_multipart()
    }
    return str(parsed["Subject"]), bodies["text/plain"], bodies["text/html"]


def push(outgoing: Outgoing) -> dict[str, Any]:
    return dict(json.loads(outgoing.body))
