from __future__ import annotations

import pytest
from pytest_django import Settings

from ajo.checks import broker_scheme, lease_outlasts_providers
from channels.providers import registry


@pytest.mark.parametrize("url", ["valkey://127.0.0.1:6379/0", "unix:///tmp/x.sock"])
def test_a_broker_address_that_celery_misreads_is_an_error(settings: Settings, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    assert [message.id for message in broker_scheme()] == ["ajo.E001"]


def test_a_redis_address_is_fine(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:6379/0"
    assert broker_scheme() == []


def test_a_lease_shorter_than_three_calls_is_warned_of(settings: Settings) -> None:
    slowest = max(provider.timeout for provider in registry)
    settings.AJO_SEND_LEASE_SECONDS = int(3 * slowest) - 1
    assert {message.id for message in lease_outlasts_providers()} == {"ajo.W002"}
    settings.AJO_SEND_LEASE_SECONDS = int(3 * slowest) + 1
    assert lease_outlasts_providers() == []
