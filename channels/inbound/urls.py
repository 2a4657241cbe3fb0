"""The addresses that services call. The key is that of the channel configuration."""

from __future__ import annotations

from django.urls import path

from channels.inbound import anymail, twilio

urlpatterns = [
    path("twilio/<slug:key>/status", twilio.status, name="twilio-status"),
    path("twilio/<slug:key>/inbound", twilio.inbound, name="twilio-inbound"),
    path("anymail/<slug:key>/", anymail.events, name="anymail-events"),
]
