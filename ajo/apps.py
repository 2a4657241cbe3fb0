from __future__ import annotations

from django.apps import AppConfig

from ajo.celery import app as celery_app  # noqa: F401  shared tasks need an application in every process


class AjoConfig(AppConfig):
    name = "ajo"
    verbose_name = "Journey optimizer"

    def ready(self) -> None:
        from axes.signals import user_locked_out
        from django.contrib.auth.signals import user_logged_in
        from django.db.models.signals import post_migrate

        from ajo import checks  # noqa: F401  registers the system checks
        from ajo.core import roles, sign_in

        post_migrate.connect(roles.sync_roles, dispatch_uid="ajo.roles")
        user_logged_in.connect(sign_in.record_sign_in, dispatch_uid="ajo.sign_in")
        user_locked_out.connect(sign_in.record_lockout, dispatch_uid="ajo.lockout")
