from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.views import ViewSet
from profiles.business_events import report
from profiles.ingest.decode import MAX_NAME_LENGTH, OWN_NAME
from profiles.models import BusinessEvent


class NewBusinessEventSerializer(serializers.Serializer[Any]):
    event = serializers.CharField(max_length=MAX_NAME_LENGTH, help_text="Its name, such as Ride Closed.")
    properties = serializers.DictField(default=dict)
    timestamp = serializers.DateTimeField(
        required=False, source="occurred_at", help_text="When it happened; without it, now."
    )
    message_id = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="What is reported twice with the same counts once.",
    )

    def validate_event(self, name: str) -> str:
        if name.startswith(OWN_NAME):
            raise serializers.ValidationError(
                _("Names that begin with $ are for events of the product itself. Choose another name.")
            )
        return name


class BusinessEventSerializer(serializers.Serializer[BusinessEvent]):
    id = serializers.CharField()
    event = serializers.CharField(source="event_type.name")
    message_id = serializers.CharField()
    timestamp = serializers.DateTimeField(source="occurred_at")
    received_at = serializers.DateTimeField()


@extend_schema(tags=["business events"])
class BusinessEventViewSet(ViewSet):
    serializer_class = BusinessEventSerializer
    queryset = BusinessEvent.objects.select_related("event_type")
    scopes = {"list": "catalogue:read", "create": "business-events:write"}

    def list(self, request: Request) -> Response:
        """What happened in the business, newest first."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=NewBusinessEventSerializer,
        responses={201: BusinessEventSerializer, 200: BusinessEventSerializer},
        examples=[
            OpenApiExample(
                "A ride closes",
                {"event": "Ride Closed", "properties": {"ride": "Log Flume"}},
                request_only=True,
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Report an event that is about no single person; live journeys that it opens let their audiences in."""
        asked = self.read(NewBusinessEventSerializer)
        event, is_new = report(name=asked.pop("event"), now=timezone.now(), **asked)
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        return Response(self.get_serializer(event).data, status=status)
