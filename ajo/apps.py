from __future__ import annotations

from django.apps import AppConfig


class AjoConfig(AppConfig):
    name = "ajo"
    verbose_name = "Journey optimizer"

    def ready(self) -> None:
        from ajo import checks  # noqa: F401  registers the system checks
