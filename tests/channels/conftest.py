from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from channels import delivery
from channels.delivery import sender
from channels.models import CauseKind, ChannelConfiguration, MessageClass, Variant
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from profiles.models import Channel, Profile
from tests import factories
from tests.mailbox import HOST, TOKEN, Mailbox


def accepted(outgoing: Outgoing) -> Receipt:
    return Receipt(outgoing.message_id, Verdict.ACCEPTED, "ok")


class FakeService:
    """Stands behind the SMTP provider: keeps what it was given and answers as the test says."""

    def __init__(self) -> None:
        self.batches: list[list[Outgoing]] = []
        self.answer: Callable[[Outgoing], Receipt | None] = accepted
        self.before_answer: Callable[[], None] = lambda: None

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        self.batches.append(list(batch))
        self.before_answer()
        return [receipt for each in batch if (receipt := self.answer(each)) is not None]

    @property
    def calls(self) -> list[Outgoing]:
        return [each for batch in self.batches for each in batch]

    @property
    def addresses(self) -> list[str]:
        return [each.address for each in self.calls]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    fake = FakeService()
    monkeypatch.setattr(SmtpProvider, "send", lambda self, batch: fake.send(batch))
    return fake


@pytest.fixture
def mailbox(tmp_path: Path, settings: Any) -> Iterator[Mailbox]:
    """The real mailbox process, to which configurations without a host send."""
    with Mailbox(tmp_path) as server:
        settings.AJO_MAILBOX_SMTP = f"{HOST}:{server.smtp_port}"
        settings.AJO_MAILBOX_URL, settings.AJO_MAILBOX_TOKEN = server.url, TOKEN
        yield server
        sender.close_providers()


@pytest.fixture
def configuration(db: None) -> ChannelConfiguration:
    return factories.make_configuration()


@pytest.fixture
def variant(db: None) -> Variant:
    return factories.make_variant()


@pytest.fixture
def make_draft(configuration: ChannelConfiguration, variant: Variant) -> Callable[..., delivery.Draft]:
    """A draft to a profile; its cause is the profile's number unless said otherwise."""

    def make(profile: Profile, **fields: Any) -> delivery.Draft:
        defaults: dict[str, Any] = {
            "profile_id": profile.pk,
            "cause_kind": CauseKind.JOURNEY_INSTANCE,
            "cause_id": profile.pk,
            "activity": "welcome",
            "visit": 1,
            "channel": Channel.EMAIL,
            "origin_id": 1,
            "configuration_id": configuration.pk,
            "variant_id": variant.pk,
            "message_class": MessageClass.MARKETING,
        }
        return delivery.Draft(**(defaults | fields))

    return make


@pytest.fixture
def queue(make_draft: Callable[..., delivery.Draft]) -> Callable[..., None]:
    """Queue one message to each of the profiles."""

    def enqueue(*profiles: Profile, **fields: Any) -> None:
        delivery.enqueue([make_draft(profile, **fields) for profile in profiles], factories.NOW)

    return enqueue
