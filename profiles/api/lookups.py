"""Lookups and code pools under `/api/v1/lookups/` and `/api/v1/code-pools/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError as ColumnsWrong
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import SLUG, ViewSet, not_found
from profiles.api import lookup_shapes as shapes
from profiles.lookups import authoring
from profiles.lookups.codes import UnusableCode, stock_of
from profiles.lookups.columns import FileProblem, Row, read_csv, types_of
from profiles.lookups.rows import ImportRefused
from profiles.models import Code, CodePool, Lookup, LookupRow, TakenCode

_COLUMNS = [{"name": "price", "type": "money"}, {"name": "on_hand", "type": "number"}]
_KEY = OpenApiParameter("key", str, OpenApiParameter.PATH)


@extend_schema(tags=["lookups"])
class LookupViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.LookupSerializer
    queryset = Lookup.objects.all()
    scopes = {
        **dict.fromkeys(["list", "retrieve"], "lookups:read"),
        **dict.fromkeys(["create", "partial_update", "destroy"], "lookups:write"),
    }

    def list(self, request: Request) -> Response:
        """All lookups, by key."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=shapes.NewLookupSerializer,
        responses={201: shapes.LookupSerializer},
        examples=[
            OpenApiExample(
                "Products", {"key": "products", "name": "Products", "columns": _COLUMNS}, request_only=True
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new lookup without rows."""
        asked = self.read(shapes.NewLookupSerializer)
        with refusals():
            lookup = authoring.create_lookup(user=self.person(), **_plain(asked))
        lookup.refresh_from_db()
        return Response(self.get_serializer(lookup).data, HTTPStatus.CREATED)

    def retrieve(self, request: Request, key: str) -> Response:
        """One lookup and its columns."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.LookupChangeSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Other words or columns."""
        lookup = self.get_object()
        asked = _plain(self.read(shapes.LookupChangeSerializer))
        columns = asked.pop("columns", None)
        with refusals():
            if columns is not None:
                authoring.write_columns(
                    lookup=lookup, columns=columns, now=timezone.now(), user=self.person()
                )
            authoring.describe(thing=lookup, user=self.person(), **asked)
        return Response(self.get_serializer(lookup).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, key: str) -> Response:
        """Delete a lookup with all its rows. 409 while a rule, a content, a journey or an offer reads it."""
        with refusals():
            authoring.delete_lookup(lookup=self.get_object(), user=self.person())
        return Response(status=HTTPStatus.NO_CONTENT)


@extend_schema(tags=["lookups"], parameters=[_KEY])
class LookupRowViewSet(ViewSet):
    order_by = "key"
    serializer_class = shapes.RowSerializer
    queryset = LookupRow.objects.none()
    scopes = {
        "list": "lookups:read",
        **dict.fromkeys(["write", "remove", "import_rows"], "lookups:write"),
    }
    filters = {"list": shapes.RowFilters}

    @extend_schema(operation_id="lookups_rows_list")
    def list(self, request: Request, key: str) -> Response:
        """The rows of a lookup by their keys, or the one with `key`."""
        return self.page(self._lookup(key).rows.filter(**self.asked))

    @extend_schema(
        operation_id="lookups_rows_put", request=shapes.GivenRowSerializer, responses=shapes.RowSerializer
    )
    def write(self, request: Request, key: str) -> Response:
        """Write one row. Columns that are left out keep their values."""
        lookup, asked = self._lookup(key), self.read(shapes.GivenRowSerializer)
        row = Row(1, asked["key"], asked["values"])
        with refusals():
            authoring.import_rows(
                lookup=lookup, given=[row], mode="merge", now=timezone.now(), user=self.person()
            )
        return Response(self.get_serializer(lookup.rows.get(key=asked["key"])).data)

    @extend_schema(
        operation_id="lookups_rows_remove",
        request=shapes.RowKeysSerializer,
        responses=shapes.RemovedSerializer,
    )
    @idempotent
    def remove(self, request: Request, key: str) -> Response:
        """Take rows out by their keys."""
        lookup, asked = self._lookup(key), self.read(shapes.RowKeysSerializer)
        with refusals():
            removed = authoring.remove_rows(
                lookup=lookup, keys=asked["keys"], now=timezone.now(), user=self.person()
            )
        return Response({"removed": removed})

    @extend_schema(
        operation_id="lookups_rows_import",
        request=shapes.RowImportSerializer,
        responses=shapes.ImportedSerializer,
    )
    @idempotent
    def import_rows(self, request: Request, key: str) -> Response:
        """Write many rows, all or none: each row that is wrong is told by its line."""
        lookup, asked = self._lookup(key), self.read(shapes.RowImportSerializer)
        if ("rows" in asked) == ("csv" in asked):
            raise ValidationError({"rows": _("Give either rows or csv.")})
        given: Iterable[Row] = (
            read_csv(asked["csv"].splitlines(keepends=True), types_of(lookup.columns))
            if "csv" in asked
            else (Row(line, row["key"], row["values"]) for line, row in enumerate(asked["rows"], start=1))
        )
        with refusals("csv" if "csv" in asked else "rows"):
            done = authoring.import_rows(
                lookup=lookup, given=given, mode=asked["mode"], now=timezone.now(), user=self.person()
            )
        return Response(done._asdict())

    def _lookup(self, key: str) -> Lookup:
        lookup = Lookup.objects.filter(key=key).first()
        if lookup is None:
            raise not_found(Lookup, key)
        return lookup


@extend_schema(tags=["lookups"])
class PoolViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.PoolSerializer
    queryset = CodePool.objects.all()
    scopes = {
        **dict.fromkeys(["list", "retrieve"], "lookups:read"),
        **dict.fromkeys(["create", "partial_update", "import_codes", "remove_codes"], "lookups:write"),
    }

    def list(self, request: Request) -> Response:
        """All code pools, by key."""
        found = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(_counted(found), many=True).data)

    @extend_schema(request=shapes.NewPoolSerializer, responses={201: shapes.PoolSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """A new pool without codes."""
        asked = self.read(shapes.NewPoolSerializer)
        with refusals():
            pool = authoring.create_pool(user=self.person(), **asked)
        pool.refresh_from_db()
        return self._pool(pool, HTTPStatus.CREATED)

    def retrieve(self, request: Request, key: str) -> Response:
        """One pool with how many codes were given and how many are left."""
        return self._pool(self.get_object())

    @extend_schema(request=shapes.PoolChangeSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Other words, or another low water."""
        pool = self.get_object()
        authoring.describe(thing=pool, user=self.person(), **self.read(shapes.PoolChangeSerializer))
        return self._pool(pool)

    @extend_schema(request=shapes.CodesSerializer, responses=shapes.AddedSerializer)
    @action(detail=True, methods=["post"], url_path="import")
    @idempotent
    def import_codes(self, request: Request, key: str) -> Response:
        """Add codes behind those that are there. One that is there already is counted and not added again."""
        pool, asked = self.get_object(), self.read(shapes.CodesSerializer)
        with refusals("codes"):
            done = authoring.import_codes(pool=pool, given=asked["codes"], user=self.person())
        return Response(done._asdict())

    @extend_schema(request=shapes.CodeRemovalSerializer, responses=shapes.RemovedSerializer)
    @action(detail=True, methods=["post"], url_path="remove")
    @idempotent
    def remove_codes(self, request: Request, key: str) -> Response:
        """Take codes out that nobody was given. Those that were given stay, and are not counted."""
        pool, asked = self.get_object(), self.read(shapes.CodeRemovalSerializer)
        with refusals("codes"):
            removed = authoring.remove_codes(pool=pool, given=asked.get("codes"), user=self.person())
        return Response({"removed": removed})

    def _pool(self, pool: CodePool, status: int = HTTPStatus.OK) -> Response:
        return Response(self.get_serializer(_counted([pool])[0]).data, status)


@extend_schema(tags=["lookups"], parameters=[_KEY])
class TakenCodeViewSet(ViewSet):
    order_by = "-taken_by"
    serializer_class = shapes.TakenCodeSerializer
    queryset = TakenCode.objects.none()
    scopes = {"list": "lookups:read"}

    @extend_schema(operation_id="code_pools_taken_list")
    def list(self, request: Request, key: str) -> Response:
        """Which code was given to whom, the newest messages first."""
        pool = CodePool.objects.filter(key=key).first()
        if pool is None:
            raise not_found(CodePool, key)
        return self.page(with_codes(pool.taken.all()))


def with_codes(taken: QuerySet[TakenCode]) -> QuerySet[TakenCode]:
    """Each with its `code`."""
    found = Code.objects.filter(pool_id=OuterRef("pool_id"), number=OuterRef("number"))
    return taken.annotate(code=Subquery(found.values("code")))


def _counted(pools: Any) -> list[Any]:
    stock = stock_of(pools)
    for pool in pools:
        pool.free, pool.taken_count = stock[pool.pk].free, stock[pool.pk].taken
    return list(pools)


@contextmanager
def refusals(field: str = "values") -> Iterator[None]:
    """What the room refuses, as the API says it."""
    try:
        yield
    except ImportRefused as refused:
        raise ValidationError({field: [str(problem) for problem in refused.problems]}) from None
    except (FileProblem, UnusableCode) as error:
        raise ValidationError({field: str(error)}) from None
    except ColumnsWrong as error:
        raise ValidationError({"columns": error.messages}) from None
    except authoring.KeyTaken as refused:
        errors = [{"field": "key", "code": "taken", "message": str(refused)}]
        raise Refused(str(refused), errors=errors) from None
    except authoring.Refused as refused:
        raise Refused(str(refused)) from None


def _plain(asked: dict[str, Any]) -> dict[str, Any]:
    """With columns as plain dictionaries, as they are stored."""
    return asked | ({"columns": [dict(column) for column in asked["columns"]]} if "columns" in asked else {})
