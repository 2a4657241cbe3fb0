"""What stands in the public addresses of a message: its number, signed for one purpose.

A click link that is forwarded to a friend must not unsubscribe anybody, so leaving has a signature of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from ajo.lib.signing import Signer

_TRACKING, _LEAVING = "ajo.t", "ajo.u"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The parts of a message's public addresses. `token` is for opens and clicks, which the content has in place."""

    token: str
    unsubscribe_url: str

    @property
    def preferences_url(self) -> str:
        return f"{self.unsubscribe_url}/preferences"


def public_url() -> str:
    """Where the product is reached from outside, without a slash at the end."""
    return settings.AJO_PUBLIC_URL.rstrip("/")


def addresses(message_id: int) -> Addresses:
    """The public addresses of a message."""
    return Addresses(
        _signer(_TRACKING).sign(message_id), f"{public_url()}/u/{_signer(_LEAVING).sign(message_id)}"
    )


def tracked_message(token: str) -> int | None:
    """The message of an open or a click; None when the token is not one of ours for that."""
    return _signer(_TRACKING).read(token)


def leaving_message(token: str) -> int | None:
    """The message whose reader wants to leave; None when the token is not one of ours for that."""
    return _signer(_LEAVING).read(token)


def _signer(purpose: str) -> Signer:
    return _made(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _made(purpose: str, keys: tuple[str, ...]) -> Signer:
    return Signer(purpose, keys)
