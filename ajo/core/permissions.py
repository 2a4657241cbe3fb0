from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework_api_key.permissions import BaseHasAPIKey

from ajo.core.models import ApiKey

if TYPE_CHECKING:  # these modules import the default permissions, which stand here
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasApiKey(BaseHasAPIKey):
    """`Authorization: Api-Key …` with a key that is neither revoked nor expired."""

    model = ApiKey


class IsStaffOrHasApiKey(BasePermission):
    """The default of the REST API: a signed-in member of staff, or a valid API key."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        is_staff = bool(request.user and request.user.is_authenticated and request.user.is_staff)
        return is_staff or HasApiKey().has_permission(request, view)
