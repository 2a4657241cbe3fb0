"""The callers of the API: keys with scopes, people with permissions."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from ajo.core.models import ApiKey, User
from ajo.core.scopes import SCOPES


def make_key(*scopes: str, **fields: Any) -> tuple[ApiKey, str]:
    """A key and its secret; with every scope unless some are named."""
    key, secret = ApiKey.objects.create_key(name="test", scopes=list(scopes or SCOPES), **fields)
    return key, secret  # type: ignore[return-value]


def client_with(*scopes: str, **fields: Any) -> APIClient:
    return with_secret(make_key(*scopes, **fields)[1])


def with_secret(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {secret}")
    return client


def make_person(*permissions: str, is_staff: bool = True) -> User:
    """Somebody who signed in, with permissions such as `journeys.view_journey`."""
    user = User.objects.create_user(f"person-{User.objects.count()}", is_staff=is_staff)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def signed_in(user: User, **fields: Any) -> APIClient:
    client = APIClient(**fields)
    client.force_login(user)
    return client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after asserting that it is one, in the one shape that all of them have."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert body.keys() == {"type", "title", "status", "code", "detail", "errors"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"].endswith((".", "?")), body["detail"]
    return body
