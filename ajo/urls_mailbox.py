"""The addresses below `/mailbox/`."""

from __future__ import annotations

from django.urls import path

from ajo import views_mailbox as views
from ajo import views_phones

urlpatterns = [
    path("", views.mailbox, name="mailbox"),
    path("messages.json", views.messages_json, name="mailbox-messages"),
    path("<int:number>/", views.mailbox, name="mailbox-message"),
    path("phones/", views_phones.phones, name="mailbox-phones"),
    path("phones.json", views_phones.phones_json, name="mailbox-phones-json"),
    path("phones/<int:number>/reply/", views_phones.reply, name="mailbox-reply"),
    path("<int:number>.eml", views.source, name="mailbox-source"),
]
