"""Pages of a list by the last row's key: rows that are added meanwhile neither repeat nor hide others."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

DEFAULT_LIMIT, MAX_LIMIT = 50, 200


class KeysetPagination(BasePagination):
    """`?limit=` and `?cursor=`, by `view.order_by`: one unique field, descending with a minus.

    The body: {next, previous, results}.
    """

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        order_by: str = view.order_by  # type: ignore[union-attr]
        self.name = order_by.lstrip("-")
        self.url = request.build_absolute_uri()
        limit = _limit(request.query_params.get("limit"))
        cursor = request.query_params.get("cursor")
        is_forward, position = _read(cursor, queryset.model, self.name) if cursor else (True, None)
        is_ascending = is_forward != order_by.startswith("-")
        rows = queryset.order_by(self.name if is_ascending else f"-{self.name}")
        if position is not None:
            rows = rows.filter(**{f"{self.name}__{'gt' if is_ascending else 'lt'}": position})
        found = list(rows[: limit + 1])
        has_more, self.page = len(found) > limit, found[:limit]
        if not is_forward:
            self.page.reverse()
        self.has_next = has_more if is_forward else True
        self.has_previous = position is not None if is_forward else has_more
        return self.page

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response(
            {
                "next": self._link(">", self.page[-1]) if self.has_next and self.page else None,
                "previous": self._link("<", self.page[0]) if self.has_previous and self.page else None,
                "results": data,
            }
        )

    def _link(self, direction: str, row: Model) -> str:
        position = f"{direction}{getattr(row, self.name)}"
        cursor = urlsafe_b64encode(position.encode()).decode().rstrip("=")
        return str(replace_query_param(remove_query_param(self.url, "cursor"), "cursor", cursor))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "description": "How many rows a page has.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "Where the page begins: follow `next` and `previous`, which hold it.",
                "schema": {"type": "string"},
            },
        ]


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_LIMIT
    if given.isascii() and given.isdigit() and len(given) < 10 and 1 <= int(given) <= MAX_LIMIT:
        return int(given)
    raise ValidationError(
        {"limit": _("A page has 1 to %(max)d rows. Give a number between them.") % {"max": MAX_LIMIT}}
    )


def _read(cursor: str, model: type[Model], name: str) -> tuple[bool, Any]:
    """(is it the way forward, the position) of a cursor that we wrote; ValidationError for any other."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        field = cast("Field[Any, Any]", model._meta.get_field(name))
        position = field.clean(text[1:], None)
        if text[0] not in "<>" or "\0" in text:
            raise ValueError(cursor)
    except (ValueError, IndexError, binascii.Error, DjangoValidationError):
        raise ValidationError(
            {"cursor": _("This cursor is not one of ours. Begin again without a cursor.")}
        ) from None
    return text[0] == ">", position
