from __future__ import annotations

from rest_framework.routers import SimpleRouter

from profiles.api import views

router = SimpleRouter()
router.register("profiles", views.ProfileViewSet, basename="api-profile")
router.register("event-types", views.EventTypeViewSet, basename="api-event-type")
router.register("attributes", views.AttributeViewSet, basename="api-attribute")

urlpatterns = router.urls
