"""The pages to leave by. Opens and clicks are answered before Django, see `wsgi`."""

from __future__ import annotations

from django.urls import path

from channels.tracking import views

urlpatterns = [
    path("<str:token>", views.unsubscribe, name="unsubscribe"),
    path("<str:token>/preferences", views.preferences, name="preferences"),
]
