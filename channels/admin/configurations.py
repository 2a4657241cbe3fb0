"""Senders."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from ajo.core.admin_mixins import Audited
from channels.models import ChannelConfiguration
from channels.providers import registry


class ChannelConfigurationForm(forms.ModelForm):
    class Meta:
        model = ChannelConfiguration
        fields = [
            "name",
            "key",
            "channel",
            "provider",
            "settings",
            "sender_name",
            "sender_address",
            "reply_to",
            "is_active",
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("provider") not in registry:
            return cleaned
        provider = registry.get(cleaned["provider"])
        if cleaned.get("channel") != provider.channel:
            self.add_error("channel", _("This provider serves another channel."))
        settings = provider.Settings(data=cleaned.get("settings") or {})
        if not settings.is_valid():
            for name, said in settings.errors.items():
                self.add_error("settings", f"{name}: {' '.join(map(str, said))}")
        return cleaned


@admin.register(ChannelConfiguration)
class ChannelConfigurationAdmin(Audited, ModelAdmin):
    audit_secrets = ["settings"]  # a provider's password may be among them
    form = ChannelConfigurationForm
    list_display = ["name", "key", "channel", "provider", "sender_address", "is_active"]
    list_filter = ["channel", "provider", "is_active"]
    search_fields = ["name", "key", "sender_address"]
    prepopulated_fields = {"key": ["name"]}

    def get_readonly_fields(self, request: HttpRequest, obj: ChannelConfiguration | None = None) -> list[str]:
        return ["key"] if obj else []

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: ChannelConfiguration | None = None
    ) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    def has_delete_permission(self, request: HttpRequest, obj: ChannelConfiguration | None = None) -> bool:
        return False  # messages refer to it: switch it off instead
