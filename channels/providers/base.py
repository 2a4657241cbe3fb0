"""What a channel provider is: it receives rendered messages and says, for each, what the service did with it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rest_framework import serializers


class Verdict(enum.Enum):
    ACCEPTED = "accepted"  # the service took it
    REFUSED = "refused"  # it surely did not, and never will
    DEFERRED = "deferred"  # it surely did not, but may later
    UNKNOWN = "unknown"  # nobody can tell: the answer was lost


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A rendered message. `address` and `body` are what the provider's channel speaks:

    - email: an email address; MIME bytes with CRLF
    - SMS: a number in E.164; the text in UTF-8
    - push: one device (an FCM token, or the JSON of a Web Push subscription); the JSON
      `{"title", "body", "image_url", "link_url", "data": {}}`, texts empty where there is none
    - webhook: "" (the settings have the URL); the JSON document that the content renders to
    - direct mail: the postal address in one line; a JSON list of [column, value] pairs

    A message that goes to several devices is several of these, told apart by `device_id`; 0 on other channels.
    """

    message_id: int
    address: str
    sender: str
    body: bytes
    idempotency_key: str
    device_id: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message (on one device). `detail` is the service's own word, kept for people."""

    message_id: int
    verdict: Verdict
    provider_id: str = ""
    detail: str = ""
    retry_after: float | None = None
    """Seconds, when the service named them."""
    device_id: int = 0
    is_device_gone: bool = False
    """The service says that this device will never be reached again."""
    suppression: str = ""
    """Why nothing may be sent to this address any more, as the service says; a `Suppression.Reason`."""


class ProviderError(Exception):
    """The service took nothing of the whole batch, surely. `permanent` means that trying again cannot help."""

    def __init__(self, message: str, *, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class Provider:
    """One configured sender. Instances are kept per process and may keep connections open."""

    kind: ClassVar[str]
    label: ClassVar[Any]
    channel: ClassVar[int]
    icon: ClassVar[str] = "send"
    help: ClassVar[Any] = ""
    Settings: ClassVar[type[serializers.Serializer[Any]]]
    """Validates ChannelConfiguration.settings; gives the API schema and the form."""
    idempotency_window: float = 0.0
    """Seconds for which the service drops a repeat with the same key; 0 when it does not. Settings may say it."""
    timeout: ClassVar[float] = 20.0
    """The longest that send() may take, in seconds. The lease must be at least three times as long."""

    key: str = ""
    """The key of its configuration, for the addresses that the service calls back; set by who made the provider."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        """One receipt for each message, in any order. Raise ProviderError only when surely none was accepted."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of connections."""
