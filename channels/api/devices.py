"""Devices over the API. Apps and pages need no API key: they tell their token with their events (`context.device`)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.serializers import Filters, IdField, Strict
from ajo.core.rest.views import ViewSet
from channels import devices
from channels.devices import FCM, WEB_PUSH, Registration
from channels.models import ChannelConfiguration, Device
from channels.providers import web_push
from channels.providers.base import ProviderError
from profiles import services as profile_services


class DeviceSerializer(serializers.Serializer[Device]):
    id = IdField()
    profile = IdField(source="profile_id")
    provider = serializers.CharField()
    token = serializers.CharField()
    platform = serializers.CharField(allow_blank=True)
    locale = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField(help_text="False when its service says that it is gone.")
    last_seen_at = serializers.DateTimeField()


class SubscriptionKeysSerializer(Strict):
    p256dh = serializers.CharField(max_length=200)
    auth = serializers.CharField(max_length=200)


class NewDeviceSerializer(Strict):
    profile = IdField()
    provider = serializers.ChoiceField(
        [(FCM, "Firebase"), (WEB_PUSH, "Web Push")], help_text="Which service reaches it."
    )
    token = serializers.CharField(
        max_length=devices.MAX_TOKEN,
        help_text="Firebase's token, or the endpoint of a browser's subscription.",
    )
    keys = SubscriptionKeysSerializer(
        required=False, help_text="Of a browser's subscription, and only of one."
    )
    platform = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)
    locale = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)


class DeviceFilters(Filters):
    profile = IdField(required=False)
    is_active = serializers.BooleanField(required=False)


class WebPushKeySerializer(serializers.Serializer[Any]):
    configuration = serializers.CharField()
    public_key = serializers.CharField(
        help_text="What the page gives to `pushManager.subscribe` as its applicationServerKey."
    )


class WebPushKeysSerializer(serializers.Serializer[Any]):
    keys = WebPushKeySerializer(many=True)


@extend_schema(tags=["devices"])
class DeviceViewSet(ViewSet):
    serializer_class = DeviceSerializer
    queryset = Device.objects.none()
    scopes = {
        **dict.fromkeys(["list", "retrieve", "web_push_keys"], "devices:read"),
        **dict.fromkeys(["create", "destroy"], "devices:write"),
    }
    filters = {"list": DeviceFilters}

    def get_queryset(self) -> QuerySet[Device]:
        return Device.objects.all()

    def list(self, request: Request) -> Response:
        """Devices that take pushes, newest first."""
        return self.page(self.get_queryset().filter(**self.asked))

    def retrieve(self, request: Request, pk: str) -> Response:
        """One device."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        request=NewDeviceSerializer,
        responses={201: DeviceSerializer},
        examples=[
            OpenApiExample(
                "A phone",
                {"profile": "1", "provider": "fcm", "token": "dEv1ceT0ken", "platform": "android"},
                request_only=True,
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Register a device; one that is known goes to this profile."""
        asked = self.read(NewDeviceSerializer)
        profile_id = asked.pop("profile")
        registration = Registration(profile_id, seen_at=timezone.now(), **asked)
        if problem := devices.problem(registration):
            raise ValidationError({"keys" if "keys" in problem else "token": [problem]})
        with transaction.atomic():
            living = profile_services.lock_profiles([profile_id]).get(profile_id)
            if living is None:
                raise ValidationError(
                    {
                        "profile": [
                            _("There is no profile %(id)s. Look it up in the list.") % {"id": profile_id}
                        ]
                    }
                )
            registration = Registration(living, seen_at=registration.seen_at, **asked)
            devices.register([registration])
        device = Device.objects.get(digest=registration.digest)
        return Response(self.get_serializer(device).data, HTTPStatus.CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Switch a device off: nothing is sent to it until it registers again."""
        devices.remove([self.get_object().pk], user=self.person())
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(responses=WebPushKeysSerializer, operation_id="devices_web_push_keys")
    @action(detail=False, url_path="web-push-keys")
    def web_push_keys(self, request: Request) -> Response:
        """The public keys that browsers subscribe with, one for each configuration of Web Push."""
        found = []
        for configuration in ChannelConfiguration.objects.filter(provider=WEB_PUSH, is_active=True):
            try:
                key = web_push.public_key(configuration.settings)
            except ProviderError:
                continue  # its private key is missing; sending says so
            found.append({"configuration": configuration.key, "public_key": key})
        return Response({"keys": found})
