from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from campaigns.api import views

router = SimpleRouter()
router.register("campaigns", views.CampaignViewSet, basename="api-campaign")

urlpatterns = [
    path("schedules/preview/", views.SchedulePreviewView.as_view(), name="api-schedule-preview"),
    *router.urls,
]
