"""People in the administration: look at profiles, edit sources, see what was put aside."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Large, LookOnly
from ajo.lib.ids import uuid_floor
from profiles.identity import normalise
from profiles.models import (
    AttributeDefinition,
    Event,
    EventType,
    Identity,
    IdentityNamespace,
    Profile,
    ProfileEvent,
    QuarantinedEvent,
    Source,
)

SHOWN_EVENTS = 50
SHOWN_DAYS = 30
"""Of a person's history: each day is a partition to look into."""
EXCERPT = 300


@admin.register(Profile)
class ProfileAdmin(LookOnly, Large, ModelAdmin):
    list_display = ["shown_name", "shown_email", "merged_into", "created_at"]
    list_display_links = ["shown_name"]
    search_fields = ["id"]  # asks for the search box; what is searched stands in get_search_results
    search_help_text = _("The whole email, phone number, user id or anonymous id")
    fields = [
        "shown_name",
        "created_at",
        "merged_into",
        "identities",
        "attributes_as_json",
        "consents",
        "recent_events",
    ]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """Profiles that own the identity as it was typed: one index probe for each kind, never a scan of all people."""
        if not search_term.strip():
            return queryset, False
        found: set[int] = set()
        for namespace in IdentityNamespace.objects.all():
            if value := normalise(namespace.pk, search_term):
                owners = Identity.objects.filter(namespace=namespace, value=value)
                found.update(owners.values_list("profile_id", flat=True))
        return queryset.filter(pk__in=found), False

    @display(description=_("Name"))
    def shown_name(self, profile: Profile) -> str:
        return str(profile)

    @display(description=_("Email"))
    def shown_email(self, profile: Profile) -> str:
        return str(profile.attributes.get("email") or "")

    @display(description=_("Identities"))
    def identities(self, profile: Profile) -> str:
        rows = profile.identities.select_related("namespace").order_by("namespace_id", "value")
        return _list((str(row.namespace), row.value) for row in rows)

    @display(description=_("Attributes"))
    def attributes_as_json(self, profile: Profile) -> SafeString:
        return format_html(
            "<pre>{}</pre>", json.dumps(profile.attributes, indent=2, ensure_ascii=False, sort_keys=True)
        )

    @display(description=_("Consent"))
    def consents(self, profile: Profile) -> str:
        rows = profile.consents.order_by("channel")
        return _list(
            (row.get_channel_display(), f"{row.get_state_display()} {row.reason}".strip()) for row in rows
        )

    @display(description=_("Events of the last 30 days"))
    def recent_events(self, profile: Profile) -> str:
        since = uuid_floor(timezone.now() - timedelta(days=SHOWN_DAYS))
        rows = list(
            ProfileEvent.objects.filter(profile=profile, event_id__gte=since)
            .select_related("event_type")
            .order_by("-occurred_at")[:SHOWN_EVENTS]
        )
        properties = dict(
            Event.objects.filter(pk__in=[row.event_id for row in rows]).values_list("id", "properties")
        )
        return _list(
            (
                f"{row.occurred_at:%Y-%m-%d %H:%M:%S} {row.event_type}",
                json.dumps(properties.get(row.event_id), ensure_ascii=False)[:EXCERPT],
            )
            for row in rows
        )


def _list(lines: Iterable[tuple[str, str]]) -> str:
    """(term, text) pairs as a list, or the word for nothing."""
    items = format_html_join("", "<li><b>{}</b> {}</li>", lines)
    return format_html("<ul>{}</ul>", items) if items else gettext("None")


@admin.register(Source)
class SourceAdmin(ModelAdmin):
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
class AttributeDefinitionAdmin(ModelAdmin):
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
