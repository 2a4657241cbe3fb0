"""People in the administration: look at profiles, edit sources, see what was put aside."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Audited, Large, LookOnly
from profiles.identity import normalise
from profiles.models import (
    AttributeDefinition,
    EventType,
    Identity,
    IdentityNamespace,
    Profile,
    QuarantinedEvent,
    Source,
)


@admin.register(Profile)
class ProfileAdmin(LookOnly, Large, ModelAdmin):
    """People are found here. The page of one of them tells of all rooms, so the wiring makes it."""

    list_display = ["shown_name", "shown_email", "merged_into", "created_at"]
    list_display_links = ["shown_name"]
    search_fields = ["id"]  # asks for the search box; what is searched stands in get_search_results
    search_help_text = _("The whole email, phone number, user id or anonymous id, or the number of a profile")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """Profiles that own the identity as it was typed: one index probe for each kind, never a scan of all people."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = {int(term)} if term.isdecimal() and len(term) < 19 else set()
        for namespace in IdentityNamespace.objects.all():
            if value := normalise(namespace.pk, term):
                owners = Identity.objects.filter(namespace=namespace, value=value)
                found.update(owners.values_list("profile_id", flat=True))
        return queryset.filter(pk__in=found), False

    @display(description=_("Name"))
    def shown_name(self, profile: Profile) -> str:
        return str(profile)

    @display(description=_("Email"))
    def shown_email(self, profile: Profile) -> str:
        return str(profile.attributes.get("email") or "")


@admin.register(Source)
class SourceAdmin(Audited, ModelAdmin):
    list_display = ["name", "key", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}
    fields = ["name", "key", "is_active", "write_key", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> list[str]:
        return ["key", "write_key", "created_at"] if obj else ["write_key", "created_at"]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Source | None = None) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    def has_delete_permission(self, request: HttpRequest, obj: Source | None = None) -> bool:
        return False  # its events refer to it: switch it off instead


@admin.register(AttributeDefinition)
class AttributeDefinitionAdmin(Audited, ModelAdmin):
    list_display = ["label", "key", "type", "sensitivity"]
    list_filter = ["type", "sensitivity"]
    search_fields = ["label", "key"]


@admin.register(EventType)
class EventTypeAdmin(LookOnly, ModelAdmin):
    list_display = ["name", "first_seen_at"]
    search_fields = ["name"]


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(LookOnly, Large, ModelAdmin):
    list_display = ["at", "consumer", "error", "event_id"]
    list_filter = ["consumer"]
    search_fields = ["=event_id", "=batch_id"]
    search_help_text = _("The number of an event or of a batch")
