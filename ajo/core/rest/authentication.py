from __future__ import annotations

from typing import cast

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _
from rest_framework import authentication, exceptions
from rest_framework.request import Request
from rest_framework_api_key.permissions import KeyParser

from ajo.core.models import ApiKey


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Api-Key …`. The key is `request.auth` then, and `request.user` is nobody."""

    keyword = KeyParser.keyword

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        secret = KeyParser().get(request)
        if secret is None:
            return None
        if not (secret.isascii() and secret.isprintable()):
            raise _bad_key()
        try:
            key = ApiKey.objects.get_from_key(secret)
        except ApiKey.DoesNotExist:
            raise _bad_key() from None
        if key.has_expired:
            raise exceptions.AuthenticationFailed(
                _("This API key has expired. Ask an administrator for a new one."), code="key_expired"
            )
        return AnonymousUser(), cast(ApiKey, key)

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


def _bad_key() -> exceptions.AuthenticationFailed:
    return exceptions.AuthenticationFailed(
        _("This API key is unknown or was revoked. Check that it was copied whole, or ask for a new one."),
        code="bad_key",
    )


class SessionAuthentication(authentication.SessionAuthentication):
    """The login of the pages; what changes something needs the CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied:
            raise exceptions.PermissionDenied(
                _(
                    "The request has a login but no valid CSRF token. Send the cookie `csrftoken` as `X-CSRFToken`."
                ),
                code="csrf",
            ) from None
