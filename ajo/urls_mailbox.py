"""The addresses below `/mailbox/`."""

from __future__ import annotations

from django.urls import path

from ajo import views_mailbox as views

urlpatterns = [
    path("", views.mailbox, name="mailbox"),
    path("messages.json", views.messages_json, name="mailbox-messages"),
    path("<int:number>/", views.mailbox, name="mailbox-message"),
    path("<int:number>.eml", views.source, name="mailbox-source"),
]
