from __future__ import annotations

from rest_framework.routers import SimpleRouter

from ajo.core.rest.views import SLUG
from profiles.api import audiences, views
from profiles.api.business_events import BusinessEventViewSet

router = SimpleRouter()
router.register("profiles", views.ProfileViewSet, basename="api-profile")
router.register("event-types", views.EventTypeViewSet, basename="api-event-type")
router.register("attributes", views.AttributeViewSet, basename="api-attribute")
router.register("business-events", BusinessEventViewSet, basename="api-business-event")
router.register(f"audiences/(?P<key>{SLUG})/members", audiences.MemberViewSet, basename="api-audience-member")
router.register("audiences", audiences.AudienceViewSet, basename="api-audience")

urlpatterns = router.urls
