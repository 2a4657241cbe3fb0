"""What every answer of Django passes through: the content policy of its place, and the reader's time zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone


def _is_admin(request: HttpRequest) -> bool:
    return request.path.startswith(reverse("admin:index"))


class ContentPolicyMiddleware(CSPMiddleware):
    """The strict policy of public pages; inside the admin its own, which the scripts there need."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if _is_admin(request) and not report_only:
            parts.replace = {**settings.AJO_ADMIN_CONTENT_POLICY, **(parts.replace or {})}
        return parts


class TimeZoneMiddleware:
    """Pages of the admin and of operations show times in the zone of their reader. The API speaks UTC to everybody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user: Any = request.user
        is_page = _is_admin(request) or request.path.startswith(reverse("notices"))
        if not (is_page and user.is_authenticated):
            return self.get_response(request)
        with timezone.override(ZoneInfo(user.time_zone)):
            return self.get_response(request)
