from __future__ import annotations

from rest_framework.routers import SimpleRouter

from profiles.api import views
from profiles.api.business_events import BusinessEventViewSet

router = SimpleRouter()
router.register("profiles", views.ProfileViewSet, basename="api-profile")
router.register("event-types", views.EventTypeViewSet, basename="api-event-type")
router.register("attributes", views.AttributeViewSet, basename="api-attribute")
router.register("business-events", BusinessEventViewSet, basename="api-business-event")

urlpatterns = router.urls
