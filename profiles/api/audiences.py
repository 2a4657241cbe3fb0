"""Audiences under `/api/v1/audiences/`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import at_most_once, idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import SLUG, ViewSet, not_found
from profiles.api import audience_shapes as shapes
from profiles.audiences import authoring, probe, services, uploads
from profiles.language import LanguageError
from profiles.models import Audience, IdentityNamespace, Membership

MOST_UNMATCHED = 1_000
_RULE = 'profile.country == "DE" && count("Order Completed", duration("7d")) >= 1'


@extend_schema(tags=["audiences"])
class AudienceViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.AudienceSerializer
    queryset = Audience.objects.none()
    scopes = {
        **dict.fromkeys(["list", "retrieve", "estimate"], "audiences:read"),
        **dict.fromkeys(
            ["create", "partial_update", "activate", "archive", "evaluate", "upload"], "audiences:write"
        ),
    }
    filters = {"list": shapes.AudienceFilters}

    def get_queryset(self) -> QuerySet[Audience]:
        return authoring.with_size(Audience.objects.all())

    def list(self, request: Request) -> Response:
        """All audiences, by key."""
        return self.page(self.get_queryset().filter(**self.asked))

    @extend_schema(
        request=shapes.NewAudienceSerializer,
        responses={201: shapes.AudienceSerializer},
        examples=[
            OpenApiExample(
                "A rule", {"key": "buyers", "name": "Last week’s buyers", "rule": _RULE}, request_only=True
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new audience: a draft in which nobody is yet."""
        asked = self.read(shapes.NewAudienceSerializer)
        with refusals():
            audience = authoring.create(**asked, user=self.person())
        return self._audience(audience, HTTPStatus.CREATED)

    def retrieve(self, request: Request, key: str) -> Response:
        """One audience."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.AudienceChangeSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Another name, description or rule."""
        audience = self.get_object()
        asked = self.read(shapes.AudienceChangeSerializer)
        rule = asked.pop("rule", None)
        with refusals():
            if rule is not None:
                authoring.write_rule(audience=audience, text=rule, user=self.person())
            words = {"name": audience.name, "description": audience.description} | asked
            authoring.describe(audience=audience, user=self.person(), **words)
        return self._audience(audience)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def activate(self, request: Request, key: str) -> Response:
        """Keep the rule true from now on. Everybody is looked at once; who enters by that is told as no event."""
        audience = self.get_object()
        with refusals():
            authoring.activate(audience=audience, user=self.person())
        return self._audience(audience)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def archive(self, request: Request, key: str) -> Response:
        """Let everybody go and keep the rule. Nobody's leaving is an event."""
        audience = self.get_object()
        with refusals():
            authoring.archive(audience=audience, user=self.person())
        return self._audience(audience)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def evaluate(self, request: Request, key: str) -> Response:
        """Look at everybody again, in the background."""
        audience = self.get_object()
        with refusals():
            authoring.evaluate(audience=audience, user=self.person())
        return self._audience(audience)

    @extend_schema(
        request=shapes.RuleSerializer,
        responses=shapes.EstimateSerializer,
        examples=[OpenApiExample("A rule", {"rule": _RULE}, request_only=True)],
    )
    @action(detail=False, methods=["post"])
    def estimate(self, request: Request) -> Response:
        """How many profiles a rule would find, within a second. Stores nothing."""
        asked = self.read(shapes.RuleSerializer)
        try:
            tree = authoring.read_rule(asked["rule"])
        except LanguageError as error:
            body = {"problems": [problem_json(error)], "count": None, "of": None, "is_exact": False}
            return Response(body | {"at_least": 0, "at_most": 0, "note": "", "sample": []})
        return Response({"problems": [], **estimate_json(probe.estimate(tree, now=timezone.now()))})

    @extend_schema(request=shapes.UploadSerializer, responses=shapes.UploadedSerializer)
    @action(detail=True, methods=["post"])
    @at_most_once
    def upload(self, request: Request, key: str) -> Response:
        """Put exactly these people into a list. A line that stands for nobody is told and makes nobody.

        At most 200,000 lines at once, and no more than a body holds (2.5 MB).
        """
        audience = self.get_object()
        asked = self.read(shapes.UploadSerializer)
        namespace = IdentityNamespace.objects.filter(key=asked["namespace"]).first()
        if namespace is None:
            known = ", ".join(IdentityNamespace.objects.values_list("key", flat=True))
            raise ValidationError(
                {"namespace": _("There is no such namespace. Use one of %(known)s.") % {"known": known}}
            )
        with refusals():
            done = authoring.upload(
                audience=audience,
                namespace=namespace,
                lines=_lines(asked),
                makes_missing=asked["create_missing"],
                now=timezone.now(),
                user=self.person(),
            )
        return Response(
            {
                "lines": done.lines,
                "people": done.people,
                "made": done.made,
                "unmatched": [each._asdict() for each in done.unmatched[:MOST_UNMATCHED]],
                "unmatched_count": len(done.unmatched),
            }
        )

    def _audience(self, audience: Audience, status: int = HTTPStatus.OK) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=audience.pk)).data, status)


@extend_schema(tags=["audiences"], parameters=[OpenApiParameter("key", str, OpenApiParameter.PATH)])
class MemberViewSet(ViewSet):
    order_by = "profile_id"
    serializer_class = shapes.MemberSerializer
    queryset = Membership.objects.none()
    scopes = {"list": "audiences:read"}

    @extend_schema(operation_id="audiences_members_list")
    def list(self, request: Request, key: str) -> Response:
        """Who is in an audience, by the ids of the profiles."""
        audience = Audience.objects.filter(key=key).first()
        if audience is None:
            raise not_found(Audience, key)
        return self.page(audience.memberships.select_related("profile"))


@contextmanager
def refusals() -> Iterator[None]:
    """What the room refuses, as the API says it."""
    try:
        yield
    except LanguageError as error:
        raise ValidationError({"rule": str(error)}) from None
    except uploads.Unreadable as error:
        raise ValidationError({"csv": str(error)}) from None
    except authoring.KeyTaken as refused:
        errors = [{"field": "key", "code": "taken", "message": str(refused)}]
        raise Refused(str(refused), errors=errors) from None
    except services.Refused as refused:
        raise Refused(str(refused)) from None


def problem_json(error: LanguageError) -> dict[str, Any]:
    place = error.position
    return {
        "message": f"{error.problem} {error.remedy}",
        "token": error.token,
        "offset": place.offset if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def estimate_json(found: probe.Estimate) -> dict[str, Any]:
    return {
        "count": found.count,
        "of": found.of,
        "is_exact": found.is_exact,
        "at_least": found.at_least,
        "at_most": found.at_most,
        "note": found.in_words(),
        "sample": [
            {"id": str(person.pk), "name": str(person), "email": str(person.attributes.get("email") or "")}
            for person in found.sample
        ],
    }


def _lines(asked: dict[str, Any]) -> list[uploads.Line]:
    if ("values" in asked) == ("csv" in asked):
        raise ValidationError({"values": _("Give either values or csv.")})
    if "csv" in asked:
        return uploads.read_csv(asked["csv"], asked.get("column", asked["namespace"]))
    return [uploads.Line(number, value) for number, value in enumerate(asked["values"], start=1)]
