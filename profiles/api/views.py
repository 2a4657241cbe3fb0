from __future__ import annotations

from typing import ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.views import ViewSet
from profiles import services
from profiles.api import serializers as shapes
from profiles.models import AttributeDefinition, EventType, IdentityNamespace, Profile


@extend_schema(tags=["profiles"])
class ProfileViewSet(ViewSet):
    serializer_class = shapes.ProfileSerializer
    queryset = Profile.objects.none()
    scopes = dict.fromkeys(["list", "retrieve"], "profiles:read")
    filters = {"list": shapes.ProfileFilters}
    namespaces: ClassVar[dict[str, int]] = {
        "email": IdentityNamespace.EMAIL,
        "phone": IdentityNamespace.PHONE,
        "user_id": IdentityNamespace.USER_ID,
    }

    def get_queryset(self) -> QuerySet[Profile]:
        return Profile.objects.prefetch_related("identities__namespace", "consents")

    def list(self, request: Request) -> Response:
        """Profiles, newest first, or the one with an identity."""
        rows = self.get_queryset().living()  # type: ignore[attr-defined]
        for name, value in self.asked.items():
            if name == "q":
                rows = rows.filter(pk__in=services.owners_of(value))
            else:
                owners = services.profiles_by_identity(self.namespaces[name], [value])
                rows = rows.filter(pk__in=owners.values())
        return self.page(rows)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One profile: attributes, identities, consents."""
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(tags=["profiles"])
class EventTypeViewSet(ViewSet):
    order_by = "name"
    serializer_class = shapes.EventTypeSerializer
    queryset = EventType.objects.all()
    scopes = {"list": "catalogue:read"}
    filters = {"list": shapes.NameFilters}

    def list(self, request: Request) -> Response:
        """The names of events that have come in, or that a journey listens to."""
        return self.page(self.get_queryset().filter(name__icontains=self.asked.get("q", "")))


@extend_schema(tags=["profiles"])
class AttributeViewSet(ViewSet):
    order_by = "key"
    serializer_class = shapes.AttributeSerializer
    queryset = AttributeDefinition.objects.all()
    scopes = {"list": "catalogue:read"}
    filters = {"list": shapes.NameFilters}

    def list(self, request: Request) -> Response:
        """The attributes of profiles that are declared."""
        part = self.asked.get("q", "")
        return self.page(self.get_queryset().filter(Q(key__icontains=part) | Q(label__icontains=part)))
