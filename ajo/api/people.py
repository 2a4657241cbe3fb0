"""What only the wiring can answer about people: their timeline from all rooms, and a message as it is rendered."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.problems import Refused
from ajo.core.rest.serializers import Filters, IdField
from ajo.core.rest.views import View, not_found
from ajo.timeline import BadCursor, Kind, timeline
from ajo.timeline.gather import MOST, PAGE
from channels import delivery
from channels.liquid import ContentError
from channels.models import Message
from profiles.models import Profile


class TimelineFilters(Filters):
    kind = serializers.ChoiceField(
        [kind.value for kind in Kind], required=False, help_text="Only entries of this kind."
    )
    before = serializers.CharField(
        required=False, max_length=200, help_text="Only what is older: `next` of another page."
    )
    limit = serializers.IntegerField(required=False, default=PAGE, min_value=1, max_value=MOST)


class NoteSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    instance_id = IdField(allow_null=True)


class EntrySerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    kind = serializers.ChoiceField([kind.value for kind in Kind])
    at = serializers.DateTimeField()
    title = serializers.CharField()
    text = serializers.CharField(help_text="The reason in words; times are those of the person's clock.")
    icon = serializers.CharField(help_text="A name of Material Symbols.")
    tone = serializers.ChoiceField(["", "info", "success", "warning", "danger"])
    notes = NoteSerializer(many=True)
    profile_id = IdField(help_text="Whose it was then, before profiles were merged.")
    event_id = serializers.UUIDField(allow_null=True)
    instance_id = IdField(allow_null=True)
    journey_key = serializers.CharField(allow_null=True)
    message_id = IdField(allow_null=True)
    decision_id = serializers.UUIDField(allow_null=True)
    data = serializers.JSONField(allow_null=True, help_text="The event as it came.")


class TimelinePageSerializer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True, help_text="Goes into `before`; null at the end.")
    time_zone = serializers.CharField(help_text="The clock of the sentences.")
    merged_profile_ids = serializers.ListField(child=serializers.CharField())
    results = EntrySerializer(many=True)


class TimelineView(View):
    scopes = {"get": "profiles:read"}
    filters = {"get": TimelineFilters}

    @extend_schema(tags=["profiles"], operation_id="profiles_timeline", responses=TimelinePageSerializer)
    def get(self, request: Request, profile_id: int) -> Response:
        """What happened to a person, newest first, each entry with its reason in words."""
        kinds = {Kind(self.asked["kind"])} if "kind" in self.asked else None
        try:
            page = timeline(
                profile_id, before=self.asked.get("before"), limit=self.asked["limit"], kinds=kinds
            )
        except Profile.DoesNotExist:
            raise not_found(Profile, profile_id) from None
        except BadCursor as error:
            raise exceptions.ValidationError({"before": str(error)}) from None
        body = {
            "next": page.next,
            "time_zone": page.zone.key,
            "merged_profile_ids": [str(former) for former in page.former_ids],
            "results": page.entries,
        }
        return Response(TimelinePageSerializer(body).data)


class MessageSourceView(View):
    scopes = {"get": "messages:read"}

    @extend_schema(
        tags=["messages"],
        operation_id="messages_source",
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request, message_id: int) -> HttpResponse:
        """A message as its provider gets it: rendered again with what is known of the person now."""
        message = Message.objects.filter(pk=message_id).first()
        if message is None:
            raise not_found(Message, message_id)
        try:
            body = delivery.source(message.pk, message.sent_at or message.created_at)
        except ContentError as error:
            raise Refused(_("It cannot be rendered: %(reason)s") % {"reason": error}) from None
        return HttpResponse(body, content_type="text/plain; charset=utf-8")
