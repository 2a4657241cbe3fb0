from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from rest_framework_api_key.models import AbstractAPIKey

from ajo.core import acting


def known_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(
            _("There is no time zone “%(name)s”. Choose one from the list."), params={"name": name}
        )


class User(AbstractUser):
    """Somebody who works with the product. People whom the brand reaches are profiles."""

    time_zone = models.CharField(
        _("time zone"),
        max_length=60,
        default="UTC",
        validators=[known_zone],
        help_text=_("Times on the screens are shown in it."),
    )


class ApiKey(AbstractAPIKey):
    """A key for the REST API: hashed, scoped, shown once. (Write keys of sources are public and ingest-only.)"""

    scopes = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, editable=False
    )

    AUDIT_KEY = "prefix"  # its primary key holds the hash

    class Meta:
        ordering = ("-created",)
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")


def audit_field(model: type[models.Model]) -> str:
    """The field that names an object of `model` in the audit trail: AUDIT_KEY, else the slug `key`, else the number."""
    fields = {field.name for field in model._meta.fields}
    return str(getattr(model, "AUDIT_KEY", "key" if "key" in fields else "pk"))


class AuditEvent(models.Model):
    """Who did what to which authored object. Written in the transaction of the change."""

    at = models.DateTimeField(db_default=Now())
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    action = models.CharField(max_length=60, help_text=_("A verb and a noun, such as publish_journey."))
    object_kind = models.CharField(max_length=60)
    object_key = models.CharField(max_length=200)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_kind", "object_key"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.action} {self.object_key}"

    @classmethod
    def record(cls, action: str, target: models.Model, *, user: Any = None, **data: Any) -> AuditEvent:
        """Write one line about `target`, which is named by its `audit_field`."""
        return cls.objects.create(
            action=action,
            user=user if getattr(user, "pk", None) else None,
            object_kind=target._meta.label_lower,
            object_key=str(getattr(target, audit_field(target._meta.model)))[:200],
            data=data | ({"api_key": prefix} if (prefix := acting.api_key()) else {}),
        )


class IdempotencyKey(models.Model):
    """The answer to a POST that acted, kept for a day: who repeats it gets the answer again and nothing is done.

    Key: (actor, key). Inserted first in the transaction of the action, with the answer before it commits. Met by: a
    request and its repeat, which waits for the first one's commit.
    """

    actor = models.CharField(max_length=60, help_text=_("The user or API key that asked."))
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField(max_length=32, help_text=_("Of method, path and body."))
    status = models.SmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "key"], name="idempotency_key")]

    def __str__(self) -> str:
        return f"{self.actor} {self.key}"


class Heartbeat(models.Model):
    """When a part of the runtime last showed that it works. Beat sends it, a worker writes it."""

    part = models.CharField(primary_key=True, max_length=30)
    beat_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.part
