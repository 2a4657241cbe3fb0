from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ajo import health
from ajo.api.serializers import StatusSerializer
from ajo.version import VERSION


class StatusView(APIView):
    """Whether the product and each of its parts work. Needs no login, like `/healthz`."""

    authentication_classes: ClassVar[list[type[BaseAuthentication]]] = []
    permission_classes: ClassVar[list[type[BasePermission]]] = [AllowAny]

    @extend_schema(
        summary="Whether the product works",
        responses={200: StatusSerializer, 503: StatusSerializer},
        auth=[],
        tags=["status"],
    )
    def get(self, request: Request) -> Response:
        parts = health.check()
        is_ok = all(part.is_ok for part in parts)
        body = StatusSerializer({"is_ok": is_ok, "version": VERSION, "parts": parts}).data
        return Response(body, status.HTTP_200_OK if is_ok else status.HTTP_503_SERVICE_UNAVAILABLE)


@extend_schema(exclude=True)
class NothingView(APIView):
    """Every address that is none: the answer is a problem too, not a page."""

    authentication_classes: ClassVar[list[type[BaseAuthentication]]] = []
    permission_classes: ClassVar[list[type[BasePermission]]] = [AllowAny]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound
