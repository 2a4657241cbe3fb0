from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission

from ajo.core.models import ApiKey
from ajo.core.scopes import SCOPES

if TYPE_CHECKING:  # these modules import the default permissions, which stand here
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """The default of the REST API: a key with the scope of the call, or a member of staff with its permissions.

    A view that names no scope for a call is closed to everybody.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.method not in view.allowed_methods:
            return True  # nothing is done: the answer is 405
        scope: str = view.required_scope()
        if isinstance(request.auth, ApiKey):
            if scope in request.auth.scopes:
                return True
            raise PermissionDenied(
                _("This API key lacks the scope %(scope)s. Use another key, or have an administrator add it.")
                % {"scope": scope},
                code="missing_scope",
            )
        if not request.user.is_authenticated:
            return False
        if request.user.is_staff and request.user.has_perms(SCOPES[scope].permissions):
            return True
        raise PermissionDenied(
            _("Your role does not allow this; it needs: %(what)s. Ask an administrator.")
            % {"what": SCOPES[scope].label},
            code="missing_permission",
        )
