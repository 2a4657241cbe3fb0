"""Everything that operations may open."""

from __future__ import annotations

from django.urls import path

from ajo.notices import views

urlpatterns = [
    path("", views.index, name="notices"),
    path("prepared/<slug:key>/", views.compose, name="notice-compose"),
    path("prepared/<slug:key>/check/", views.check, name="notice-check"),
    path("sent/<int:pk>/", views.sending, name="notice-sending"),
    path("sent/<int:pk>/progress/", views.progress, name="notice-progress"),
    path("sent/<int:pk>/stop/", views.stop, name="notice-stop"),
    path("sent/<int:pk>/all-clear/", views.all_clear, name="notice-all-clear"),
    path("journeys/<slug:key>/", views.live, name="notice-live"),
    path("journeys/<slug:key>/now/", views.live_now, name="notice-live-now"),
]
