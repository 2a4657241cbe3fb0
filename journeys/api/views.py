from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import F, Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import NUMBER, SLUG, View, ViewSet, with_etag
from channels.goal_forms import errors_of, wanted_of
from channels.goals import GoalRefused
from journeys import canvas, reports, services
from journeys.api import serializers as shapes
from journeys.models import Journey, JourneyInstance, JourneyVersion, JourneyWait, StepLog
from journeys.querysets import with_state

SHOWN_STEPS = 1000
_GRAPH = {
    "activities": [
        {"id": "signed-up", "kind": "event_entry", "config": {"event": "Signed Up"}},
        {"id": "done", "kind": "end", "config": {}},
    ],
    "links": [{"from": "signed-up", "port": "next", "to": "done"}],
}


class ActivitiesView(View):
    scopes = {"get": "catalogue:read"}

    @extend_schema(
        responses=shapes.ActivityKindSerializer(many=True), tags=["journeys"], operation_id="activities_list"
    )
    def get(self, request: Request) -> Response:
        """Every kind of activity, with the form of its settings."""
        return Response(canvas.kinds_json())


@extend_schema(tags=["journeys"])
class JourneyViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.JourneySerializer
    queryset = Journey.objects.none()
    scopes = {
        **dict.fromkeys(["list", "retrieve", "draft", "version", "validate", "counts"], "journeys:read"),
        **dict.fromkeys(["create", "partial_update", "save_draft"], "journeys:write"),
        **dict.fromkeys(["pause", "resume", "close", "stop"], "journeys:operate"),
        "publish": "journeys:publish",
    }
    filters = {"counts": shapes.CountsFilters}

    def get_queryset(self) -> QuerySet[Journey]:
        versions = JourneyVersion.objects.order_by("-number").defer("graph", "pins")
        journeys = Journey.objects.select_related("goal__event_type")
        return with_state(journeys).prefetch_related(Prefetch("versions", queryset=versions))

    def list(self, request: Request) -> Response:
        """All journeys, by key."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=shapes.NewJourneySerializer,
        responses={201: shapes.JourneySerializer},
        examples=[
            OpenApiExample("A journey", {"key": "welcome", "name": "Welcome"}, request_only=True),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new journey with an empty draft."""
        asked = self.read(shapes.NewJourneySerializer)
        try:
            journey = services.create_journey(**asked, user=self.person())
        except services.JourneyRefused as refused:
            raise Refused(
                str(refused), errors=[{"field": "key", "code": "taken", "message": str(refused)}]
            ) from None
        return self._journey(journey, HTTPStatus.CREATED)

    def retrieve(self, request: Request, key: str) -> Response:
        """One journey and its versions."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.JourneyWordsSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Another name, description or goal."""
        journey = self.get_object()
        asked = self.read(shapes.JourneyWordsSerializer)
        with refusals(), transaction.atomic():
            if "goal" in asked:
                goal = wanted_of(asked.pop("goal"))
                services.set_goal(journey=journey, wanted=goal, user=self.person())
            if asked:
                words = {"name": journey.name, "description": journey.description} | asked
                services.describe_journey(journey=journey, user=self.person(), **words)
        return self._journey(journey)

    @extend_schema(responses=shapes.JourneyDraftSerializer)
    @action(detail=True)
    def draft(self, request: Request, key: str) -> Response:
        """The draft with its problems; without a draft the newest version, to begin the next one from."""
        newest = self.get_object().versions.latest("number")  # a draft is always the newest
        return Response(_draft_json(newest))

    @extend_schema(
        request=shapes.SavedJourneyDraftSerializer,
        responses=shapes.JourneyDraftSerializer,
        examples=[
            OpenApiExample(
                "A draft", {"graph": _GRAPH, "re_entry": "never", "revision": 1}, request_only=True
            ),
        ],
    )
    @draft.mapping.put
    def save_draft(self, request: Request, key: str) -> Response:
        """Save the draft, which may have problems. 409 `stale_revision` when somebody was quicker."""
        journey = self.get_object()
        asked = self.read(shapes.SavedJourneyDraftSerializer)
        with refusals():
            draft = services.save_draft(journey=journey, user=self.person(), **asked)
        return Response(_draft_json(draft))

    @extend_schema(
        responses=shapes.JourneyVersionDetailSerializer,
        parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)],
    )
    @action(detail=True, url_path=f"versions/(?P<number>{NUMBER})")
    def version(self, request: Request, key: str, number: str) -> Response:
        """One version with its graph."""
        found = self.get_object().versions.filter(number=number).first()
        if found is None:
            raise _no_version(number)
        return Response(
            shapes.JourneyVersionSerializer(found).data
            | {"graph": found.graph, "boxes": canvas.boxes_json(found.graph)}
        )

    @extend_schema(
        request=shapes.GraphSerializer,
        responses=shapes.CheckedGraphSerializer,
        examples=[OpenApiExample("A graph", {"graph": _GRAPH}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, key: str) -> Response:
        """What is wrong with a graph. Stores nothing."""
        self.get_object()
        graph = self.read(shapes.GraphSerializer)["graph"]
        return Response(_checked_json(JourneyVersion(graph=graph)))

    @extend_schema(responses={200: shapes.JourneyCountsSerializer, 304: None})
    @action(detail=True)
    def counts(self, request: Request, key: str) -> Response:
        """How many people entered a version, where they stand and how they left.

        Answers with an ETag: ask again with `If-None-Match`, and 304 says that nothing changed.
        """
        versions = self.get_object().versions.order_by("-number")
        wanted = self.asked.get("version")
        published = versions.exclude(state=JourneyVersion.State.DRAFT)
        version = versions.filter(number=wanted).first() if wanted else published.first() or versions.first()
        if version is None:
            raise _no_version(wanted)
        return with_etag(request, reports.counts(version))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def publish(self, request: Request, key: str) -> Response:
        """Freeze the draft and let people in."""
        return self._move(services.publish_journey, now=timezone.now())

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def pause(self, request: Request, key: str) -> Response:
        """Nobody enters, people inside stand still."""
        return self._move(services.pause_journey)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def resume(self, request: Request, key: str) -> Response:
        """People enter and walk again."""
        return self._move(services.resume_journey)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def close(self, request: Request, key: str) -> Response:
        """Nobody enters any more, people inside walk on."""
        return self._move(services.close_journey)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, key: str) -> Response:
        """Take everybody out of all versions, and withhold what is still queued."""
        journey, now = self.get_object(), timezone.now()
        with refusals():
            versions = services.begin_stop(journey=journey, user=self.person())
        for version in versions:
            transaction.on_commit(partial(services.finish_stop, version=version, now=now))
        return self._journey(journey)

    def _move(self, verb: Callable[..., Any], **more: Any) -> Response:
        journey = self.get_object()
        with refusals():
            verb(journey=journey, user=self.person(), **more)
        return self._journey(journey)

    def _journey(self, journey: Journey, status: int = HTTPStatus.OK) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=journey.pk)).data, status)


@extend_schema(tags=["journeys"])
class InstanceViewSet(ViewSet):
    serializer_class = shapes.InstanceSerializer
    queryset = JourneyInstance.objects.none()
    scopes = dict.fromkeys(["list", "retrieve"], "journeys:read")
    filters = {"list": shapes.InstanceFilters}

    def get_queryset(self) -> QuerySet[Any]:
        return JourneyInstance.objects.annotate(
            journey_key=F("journey__key"), version_number=F("version__number")
        )

    def list(self, request: Request) -> Response:
        """Walks of people through journeys, newest first."""
        fields = {"profile": "profile_id", "journey": "journey__key", "state": "state"}
        wanted = {fields[name]: value for name, value in self.asked.items()}
        return self.page(self.get_queryset().filter(**wanted))

    @extend_schema(responses=shapes.InstanceDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One walk: what it waits for, and each step with its reason."""
        instance = self.get_object()
        wait = JourneyWait.objects.filter(instance_id=instance.pk)
        instance.wait = wait.annotate(event=F("event_type__name")).values("due_at", "event").first()
        instance.steps = StepLog.objects.filter(instance_id=instance.pk).order_by("visit")[:SHOWN_STEPS]
        return Response(shapes.InstanceDetailSerializer(instance).data)


def _no_version(number: object) -> NotFound:
    return NotFound(_("There is no version %(number)s of this journey.") % {"number": number})


@contextmanager
def refusals() -> Iterator[None]:
    """What the services refuse, as a problem that names the box and the setting."""
    try:
        yield
    except GoalRefused as refused:
        raise Refused(str(refused), errors=errors_of(refused)) from None
    except services.JourneyRefused as refused:
        errors = [
            {
                "field": ".".join(filter(None, ["activities", problem.activity, problem.field])),
                "code": problem.level.value,
                "message": problem.message,
            }
            for problem in refused.problems
        ]
        is_stale = isinstance(refused, services.StaleRevision)
        raise Refused(str(refused), code="stale_revision" if is_stale else "refused", errors=errors) from None


def _draft_json(version: JourneyVersion) -> dict[str, Any]:
    is_draft = version.state == JourneyVersion.State.DRAFT
    return {
        "number": version.number,
        "revision": version.revision if is_draft else None,
        "graph": version.graph,
        "re_entry": version.re_entry,
        **_checked_json(version),
    }


def _checked_json(version: JourneyVersion) -> dict[str, Any]:
    return {
        "problems": canvas.problems_json(services.check_version(version)),
        "boxes": canvas.boxes_json(version.graph),
    }
