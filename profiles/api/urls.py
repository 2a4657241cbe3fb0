from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from ajo.core.rest.views import SLUG
from profiles.api import audiences, lookups, views
from profiles.api.business_events import BusinessEventViewSet

router = SimpleRouter()
router.register("profiles", views.ProfileViewSet, basename="api-profile")
router.register("event-types", views.EventTypeViewSet, basename="api-event-type")
router.register("attributes", views.AttributeViewSet, basename="api-attribute")
router.register("business-events", BusinessEventViewSet, basename="api-business-event")
router.register(f"audiences/(?P<key>{SLUG})/members", audiences.MemberViewSet, basename="api-audience-member")
router.register("audiences", audiences.AudienceViewSet, basename="api-audience")
router.register("lookups", lookups.LookupViewSet, basename="api-lookup")
router.register(f"code-pools/(?P<key>{SLUG})/taken", lookups.TakenCodeViewSet, basename="api-taken-code")
router.register("code-pools", lookups.PoolViewSet, basename="api-code-pool")

rows = lookups.LookupRowViewSet
urlpatterns = [
    path("lookups/<slug:key>/rows/", rows.as_view({"get": "list", "put": "write"}), name="api-lookup-rows"),
    path("lookups/<slug:key>/rows/remove/", rows.as_view({"post": "remove"}), name="api-lookup-rows-remove"),
    path("lookups/<slug:key>/rows/import/", rows.as_view({"post": "import_rows"}), name="api-lookup-import"),
    *router.urls,
]
