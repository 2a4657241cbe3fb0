from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from journeys.api import views

router = SimpleRouter()
router.register("journeys", views.JourneyViewSet, basename="api-journey")
router.register("instances", views.InstanceViewSet, basename="api-instance")

urlpatterns = [path("activities/", views.ActivitiesView.as_view(), name="api-activities"), *router.urls]
