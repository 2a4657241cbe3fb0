"""What the types of settings cannot say: wrong combinations, each with its remedy. `manage.py check` prints them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from channels.providers import registry


@register(Tags.compatibility)
def broker_scheme(**_: Any) -> list[CheckMessage]:
    """Celery's Redis transport knows no other spelling; `unix://` even dials localhost without a word."""
    scheme = urlsplit(settings.CELERY_BROKER_URL).scheme
    if scheme in {"valkey", "valkeys", "unix", "redis+unix"}:
        return [
            Error(
                f"BROKER_URL begins with {scheme}://, which Celery does not understand.",
                hint="Write redis://host:port/0 for Valkey too, or redis+socket:///path for a socket.",
                id="ajo.E001",
            )
        ]
    return []


@register(Tags.compatibility)
def lease_outlasts_providers(**_: Any) -> list[CheckMessage]:
    """A lease that ends during a call would call a message uncertain that is merely slow."""
    return [
        Warning(
            f"AJO_SEND_LEASE_SECONDS is {settings.AJO_SEND_LEASE_SECONDS}, but the provider {provider.kind!r} may take"
            f" {provider.timeout:g} s for one call.",
            hint=f"Set AJO_SEND_LEASE_SECONDS to at least {3 * provider.timeout:g}.",
            id="ajo.W002",
        )
        for provider in registry
        if 3 * provider.timeout > settings.AJO_SEND_LEASE_SECONDS
    ]
