from __future__ import annotations

from django.apps import AppConfig

from ajo.celery import app as celery_app  # noqa: F401  shared tasks need an application in every process


class AjoConfig(AppConfig):
    name = "ajo"
    verbose_name = "Journey optimizer"

    def ready(self) -> None:
        from ajo import checks  # noqa: F401  registers the system checks
