from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.models import AuditEvent
from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.views import View, ViewSet, not_found
from channels import services
from channels.api import message_shapes as shapes
from channels.consent import note_consent
from channels.models import ChannelConfiguration, Message
from profiles.models import Channel, Profile

CHANNELS = {channel.name.lower(): channel for channel in Channel}


@extend_schema(tags=["messages"])
class MessageViewSet(ViewSet):
    serializer_class = shapes.MessageSerializer
    queryset = Message.objects.none()
    scopes = dict.fromkeys(["list", "retrieve"], "messages:read")
    filters = {"list": shapes.MessageFilters}

    def get_queryset(self) -> QuerySet[Any]:
        return Message.objects.annotate(
            content_key=F("variant__version__content__key"),
            content_version=F("variant__version__number"),
            treatment=F("variant__treatment"),
            locale=F("variant__locale"),
            configuration_key=F("configuration__key"),
        )

    def list(self, request: Request) -> Response:
        """Messages, newest first."""
        fields = {"profile": "profile_id", "after": "created_at__gt"}
        return self.page(
            self.get_queryset().filter(
                **{fields.get(name, name): value for name, value in self.asked.items()}
            )
        )

    def retrieve(self, request: Request, pk: str) -> Response:
        """One message: its state and the reason in words."""
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(tags=["messages"])
class ConfigurationViewSet(ViewSet):
    order_by = "key"
    serializer_class = shapes.ConfigurationSerializer
    queryset = ChannelConfiguration.objects.all()
    scopes = {"list": "catalogue:read"}
    filters = {"list": shapes.ConfigurationFilters}

    def list(self, request: Request) -> Response:
        """The ways to send: a provider with its sender, for one channel. Their secrets are not shown."""
        return self.page(self.get_queryset().filter(**self.asked))


class ConsentView(View):
    scopes = {"put": "profiles:write"}

    @extend_schema(
        tags=["profiles"],
        operation_id="profiles_consents_update",
        request=shapes.NewConsentSerializer,
        responses=shapes.SavedConsentSerializer,
        parameters=[OpenApiParameter("channel", str, OpenApiParameter.PATH, enum=list(CHANNELS))],
    )
    def put(self, request: Request, profile_id: int, channel: str) -> Response:
        """Note what a profile allows on a channel.

        Opting out withholds the marketing messages that wait; when it answers, none starts any more.
        """
        profile = Profile.objects.filter(pk=profile_id).first()
        if profile is None:
            raise not_found(Profile, profile_id)
        if channel not in CHANNELS:
            raise NotFound(
                _("There is no channel %(channel)s. The channels are: %(known)s.")
                % {"channel": channel, "known": ", ".join(CHANNELS)}
            )
        asked = self.read(shapes.NewConsentSerializer)
        is_settled = note_consent(
            profile=profile, channel=CHANNELS[channel], **asked, now=timezone.now(), user=self.person()
        )
        return Response(shapes.SavedConsentSerializer(asked | {"is_settled": is_settled}).data)


class SuppressionsView(View):
    scopes = {"post": "suppressions:write"}

    @extend_schema(
        tags=["messages"],
        operation_id="suppressions_create",
        request=shapes.SuppressionSerializer,
        responses={201: shapes.SuppressionSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Never send to this address again."""
        asked = self.read(shapes.SuppressionSerializer)
        try:
            row = services.suppress(**asked)
        except ValueError as error:
            raise ValidationError({"address": str(error)}) from None
        AuditEvent.record("add_suppression", row, user=self.person())
        return Response(shapes.SuppressionSerializer(row).data, HTTPStatus.CREATED)
