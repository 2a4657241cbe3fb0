from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from ajo.core import acting
from ajo.core.models import ApiKey
from ajo.core.rest.pagination import KeysetPagination
from ajo.core.rest.serializers import Filters

SLUG = "[-a-zA-Z0-9_]{1,60}"
NUMBER = "[0-9]{1,18}"


class Door:
    """What all our API views do. Mix in before APIView or GenericViewSet."""

    scopes: ClassVar[Mapping[str, str]] = {}
    """Action, or method in small letters, → the scope that it needs (`ajo.core.scopes`)."""
    filters: ClassVar[Mapping[str, type[Filters]]] = {}
    """Action or method → the query that it takes; `self.asked` holds its values."""
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    asked: dict[str, Any]

    def deed(self) -> str:
        """The action, or the method of a view without actions."""
        method = self.request.method.lower()  # type: ignore[attr-defined]
        return getattr(self, "action", None) or ("get" if method == "head" else method)

    def required_scope(self) -> str:
        return self.scopes[self.deed()]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acting.request():
            return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if isinstance(request.auth, ApiKey):
            acting.by_api_key(request.auth.prefix)
        self.asked = self._asked(request)

    def person(self) -> Any:
        """Who acts, for services and the audit trail; None for an API key, which the audit trail finds by itself."""
        user = self.request.user  # type: ignore[attr-defined]
        return user if user.is_authenticated else None

    def _asked(self, request: Request) -> dict[str, Any]:
        """The query, validated. A misspelt filter must not look like one that finds everything."""
        if request.method not in self.allowed_methods:  # type: ignore[attr-defined]
            return {}
        # A plain dictionary: of a form, as DRF takes the query for, an empty value would count as left out.
        form = self.filters.get(self.deed(), Filters)(data=request.query_params.dict())
        paginator = getattr(self, "pagination_class", None)
        pages = {"limit", "cursor"} if paginator and self.deed() == "list" else set()
        known = form.fields.keys() | pages
        errors: dict[str, Any] = {}
        for name, value in request.query_params.items():
            if name not in known:
                said = _("There is no such parameter. Remove it; known ones: %(known)s.") % {
                    "known": ", ".join(sorted(known)) or _("none")
                }
                errors[name] = serializers.ErrorDetail(said, code="unknown")
            elif "\0" in value:
                errors[name] = _("This holds the character NUL. Remove it.")
        if errors:
            raise exceptions.ValidationError(errors)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def read(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The body as this shape; 400 naming each field that does not fit."""
        form = serializer(data=self.request.data)  # type: ignore[attr-defined]
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class View(Door, APIView):
    pass


class ViewSet(Door, GenericViewSet[Any]):
    """Lists by page, details by `lookup_field`. `order_by` is one unique field; a minus means newest first.

    Each action is written out with a docstring: its first line is the summary in the API's description.
    """

    order_by: ClassVar[str] = "-id"
    pagination_class = KeysetPagination
    lookup_value_regex = NUMBER

    def get_object(self) -> Any:
        """The row that the address names; 404 says what was not found."""
        value = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        row = self.get_queryset().filter(**{self.lookup_field: value}).first()
        if row is None:
            raise not_found(self.get_queryset().model, value)
        return row

    def page(
        self, rows: QuerySet[Any], serializer: type[serializers.Serializer[Any]] | None = None
    ) -> Response:
        """One page of `rows`."""
        found = self.paginate_queryset(rows)
        form = serializer or self.get_serializer_class()
        return self.get_paginated_response(form(found, many=True, context=self.get_serializer_context()).data)


def with_etag(request: Request, body: Any) -> Response:
    """`body`, or 304 without one when the caller has exactly this already (`If-None-Match`)."""
    response = Response(body)
    etag = quote_etag(hashlib.sha256(JSONRenderer().render(body)).hexdigest()[:32])
    answer = cast(Response, get_conditional_response(request._request, etag=etag, response=response))
    answer["ETag"] = etag
    return answer


def not_found(model: type[Model], value: object) -> exceptions.NotFound:
    return exceptions.NotFound(
        _("There is no %(noun)s %(value)s. Look it up in the list.")
        % {"noun": model._meta.verbose_name, "value": value}
    )
