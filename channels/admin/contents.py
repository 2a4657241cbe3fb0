"""Content and its versions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from ajo.core.admin_mixins import LookOnly
from channels import services
from channels.models import Content, ContentVersion, Variant

SHOWN_PROBLEMS = 20
_VERSION_COLORS = {
    ContentVersion.State.DRAFT.label: "info",
    ContentVersion.State.PUBLISHED.label: "success",
}


class VersionInline(LookOnly, TabularInline):
    model = ContentVersion
    fields = ["number", "shown_state", "published_at"]
    readonly_fields = fields
    ordering = ["-number"]
    extra = 0
    show_change_link = True

    @display(description=_("State"), label=_VERSION_COLORS)
    def shown_state(self, version: ContentVersion) -> str:
        return str(version.get_state_display())


@admin.register(Content)
class ContentAdmin(ModelAdmin):
    """A content and its versions. Its words are edited in the draft, a version of its own."""

    list_display = ["name", "key", "channel", "created_at"]
    list_filter = ["channel"]
    search_fields = ["name", "key"]
    fields = ["name", "key", "channel"]
    prepopulated_fields = {"key": ["name"]}
    inlines = [VersionInline]
    actions_detail = ["edit_draft", "publish"]

    def get_readonly_fields(self, request: HttpRequest, obj: Content | None = None) -> list[str]:
        return ["key", "channel"] if obj else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Content | None = None) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    def get_inlines(self, request: HttpRequest, obj: Content | None) -> list[Any]:
        return self.inlines if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Content | None = None) -> bool:
        return False  # journeys and messages refer to it

    @action(
        description=_("Edit the draft"),
        icon="edit",
        permissions=["change"],
        dialog={
            "title": _("Edit the draft"),
            "description": _("Without a draft, a new one begins with the words of the newest version."),
            "form_class": None,
            "form_submit_text": _("Edit"),
        },
    )
    def edit_draft(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        draft = services.open_draft(content=get_object_or_404(Content, pk=object_id), user=request.user)
        return _go_to(request, reverse("admin:channels_contentversion_change", args=[draft.pk]))

    @action(
        description=_("Publish"),
        icon="rocket_launch",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": _("Publish"),
            "description": _("Freezes the draft. Journeys that are published from now on use it."),
            "form_class": None,
            "form_submit_text": _("Publish"),
        },
    )
    def publish(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        content = get_object_or_404(Content, pk=object_id)
        try:
            services.publish_content(content=content, now=timezone.now(), user=request.user)
        except services.ContentRefused as refused:
            for problem in refused.problems[:SHOWN_PROBLEMS]:
                messages.error(request, problem)
        else:
            messages.success(request, gettext("Published."))
        return _go_to(request, reverse("admin:channels_content_change", args=[content.pk]))


def _go_to(request: HttpRequest, url: str) -> HttpResponse:
    """The answer of a dialog: htmx would put a redirect's page into it."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


class VariantInline(StackedInline):
    model = Variant
    fields = [("treatment", "locale"), "subject", "preheader", "html", "text"]
    extra = 0

    def _may_edit(self, request: HttpRequest, obj: ContentVersion | None) -> bool:
        return obj is not None and obj.state == ContentVersion.State.DRAFT

    def has_add_permission(self, request: HttpRequest, obj: ContentVersion | None = None) -> bool:
        return super().has_add_permission(request, obj) and self._may_edit(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: ContentVersion | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ContentVersion | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_edit(request, obj)


@admin.register(ContentVersion)
class ContentVersionAdmin(ModelAdmin):
    """One edition with its words: a draft can be edited, a published one only looked at."""

    list_display = ["content", "number", "shown_state", "published_at"]
    list_filter = ["state"]
    list_select_related = ["content"]
    search_fields = ["content__name", "content__key"]
    fields = ["content", "number", "shown_state", "published_at"]
    readonly_fields = fields
    inlines = [VariantInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ContentVersion | None = None) -> bool:
        return False

    @display(description=_("State"), label=_VERSION_COLORS)
    def shown_state(self, version: ContentVersion) -> str:
        return str(version.get_state_display())

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for problem in services.content_problems(form.instance)[:SHOWN_PROBLEMS]:
            messages.warning(request, problem)
