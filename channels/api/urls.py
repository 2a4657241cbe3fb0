from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from channels.api import contents, devices, messages

router = SimpleRouter()
router.register("contents", contents.ContentViewSet, basename="api-content")
router.register("messages", messages.MessageViewSet, basename="api-message")
router.register("devices", devices.DeviceViewSet, basename="api-device")
router.register("configurations", messages.ConfigurationViewSet, basename="api-configuration")

urlpatterns = [
    path(
        "profiles/<int:profile_id>/consents/<slug:channel>/",
        messages.ConsentView.as_view(),
        name="api-profile-consent",
    ),
    path("suppressions/", messages.SuppressionsView.as_view(), name="api-suppressions"),
    *router.urls,
]
