from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils import timezone


class ProfilesConfig(AppConfig):
    name = "profiles"

    def ready(self) -> None:
        post_migrate.connect(make_partitions, sender=self)


def make_partitions(**_: Any) -> None:
    """A migrated database can take events at once, a test's as well as a new installation's."""
    from profiles.partitions import ensure_partitions

    ensure_partitions(timezone.now())
