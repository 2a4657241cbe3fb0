"""Signing in: whose address counts for the lock, and the lines of the audit trail."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from ajo.core.models import AuditEvent, User


def client_address(request: HttpRequest) -> str:
    """Who calls: the neighbour, or whom a trusted proxy names, in its last entry: the others are the caller's words."""
    if settings.AJO_TRUST_PROXY and (forwarded := request.headers.get("X-Forwarded-For")):
        return forwarded.rsplit(",", 1)[-1].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def record_sign_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    AuditEvent.record("sign_in", user, user=user, name=str(user), address=client_address(request))


def record_lockout(sender: Any, request: HttpRequest, username: str, ip_address: str, **_: Any) -> None:
    """A line without a person: nobody has proved to be the one whose name was tried."""
    AuditEvent.objects.create(
        action="lock_out",
        object_kind=User._meta.label_lower,
        object_key="",
        data={"name": username, "address": ip_address},
    )
