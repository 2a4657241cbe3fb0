"""Journeys in the administration: the page of a journey is its canvas; people's walks are looked at."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ajo.core.admin_mixins import Large, LookOnly
from channels.goal_forms import GoalForm
from channels.models import Content
from journeys import canvas, services
from journeys.models import Journey, JourneyInstance, JourneyVersion, ReEntry, StepLog
from journeys.querysets import with_last_change, with_state

State = JourneyVersion.State
_STATE_COLORS = {
    State.LIVE.label: "success",
    State.PAUSED.label: "warning",
    State.CLOSED.label: "info",
    State.STOPPED.label: "danger",
}


@admin.register(Journey)
class JourneyAdmin(ModelAdmin):
    """A short form makes a journey; everything else happens on the canvas, which speaks to the REST API."""

    list_display = ["name", "shown_state", "last_change", "created_by", "key"]
    list_select_related = ["created_by"]
    search_fields = ["name", "key"]
    fields = ["name", "key", "description"]
    prepopulated_fields = {"key": ["name"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Journey]:
        return with_last_change(with_state(super().get_queryset(request)))

    @display(description=_("State"), label=_STATE_COLORS)
    def shown_state(self, journey: Journey) -> str:
        return str(State(journey.state).label)  # type: ignore[attr-defined]

    @display(description=_("Last change"), ordering="last_change")
    def last_change(self, journey: Journey) -> Any:
        return journey.last_change  # type: ignore[attr-defined]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, forms.Textarea):
            field.widget.attrs["rows"] = 3
        return field

    def has_delete_permission(self, request: HttpRequest, obj: Journey | None = None) -> bool:
        return False  # people's walks and messages refer to it: stop it instead

    def save_model(self, request: HttpRequest, obj: Journey, form: forms.ModelForm, change: bool) -> None:
        user: Any = request.user
        made = services.create_journey(key=obj.key, name=obj.name, description=obj.description, user=user)
        obj.pk = made.pk

    def response_add(
        self, request: HttpRequest, obj: Journey, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:journeys_journey_change", args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        content = path(
            "content/<slug:key>/",
            self.admin_site.admin_view(self.edit_content),
            name="journeys_journey_content",
        )
        goal = path(
            "<int:pk>/goal/", self.admin_site.admin_view(self.goal_view), name="journeys_journey_goal"
        )
        return [content, goal, *super().get_urls()]

    def edit_content(self, request: HttpRequest, key: str) -> HttpResponse:
        """The page of a content: boxes know contents by their keys."""
        content = get_object_or_404(Content, key=key)
        return HttpResponseRedirect(reverse("admin:channels_content_change", args=[content.pk]))

    def goal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the messages of all versions should bring about; it can be set at any time."""
        journey = get_object_or_404(Journey.objects.select_related("goal__event_type"), pk=pk)
        if not self.has_view_permission(request, journey):
            raise PermissionDenied
        may_set = self.has_change_permission(request, journey)
        goal = GoalForm(journey.goal, request.POST if request.method == "POST" else None)
        if request.method == "POST":
            if not may_set:
                raise PermissionDenied
            user: Any = request.user
            if goal.save(lambda wanted: services.set_goal(journey=journey, wanted=wanted, user=user)):
                messages.success(request, _("The goal counts from now on."))
                return HttpResponseRedirect(reverse("admin:journeys_journey_goal", args=[journey.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": journey,
            "title": _("Goal of %(name)s") % {"name": journey.name},
            "goal": goal,
            "goal_url": request.path,
            "may_set_goal": may_set,
        }
        return TemplateResponse(request, "admin/journeys/journey/goal.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        journey = self.get_object(request, object_id)
        if journey is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, journey):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        get_token(request)  # the canvas reads the cookie, and no form on the page asks for it
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": journey,
            "title": journey.name,
            "boot": self._boot(request, journey),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/journeys/journey/canvas.html", context)

    def _boot(self, request: HttpRequest, journey: Journey) -> dict[str, Any]:
        """What the canvas must know before it asks the API."""
        user: Any = request.user
        return {
            "api": "/api/v1/",
            "key": journey.key,
            "kinds": canvas.kinds_json(),
            "categories": {key: str(label) for key, label in canvas.CATEGORIES.items()},
            "states": {value: str(label) for value, label in State.choices},
            "re_entries": [{"value": value, "label": str(label)} for value, label in ReEntry.choices],
            "may": {
                "change": self.has_change_permission(request, journey),
                "publish": user.has_perm("journeys.publish_journey"),
                "operate": user.has_perm("journeys.operate_journey"),
            },
            "links": {
                "add_content": reverse("admin:channels_content_add"),
                "edit_content": reverse("admin:journeys_journey_content", args=["__key__"]),
                "docs": reverse("docs-page", args=["journeys"]),
                "goal": reverse("admin:journeys_journey_goal", args=[journey.pk]),
                "report": (
                    reverse("report-journey", args=[journey.key])
                    if user.has_perm("channels.view_messagecount")
                    else ""
                ),
            },
        }


@admin.register(JourneyInstance)
class JourneyInstanceAdmin(LookOnly, Large, ModelAdmin):
    """One person's walk, with every step and its reason."""

    list_display = ["id", "profile", "version", "shown_state", "activity", "entered_at", "ended_at"]
    list_select_related = ["profile", "version__journey"]
    list_filter = ["state"]
    search_fields = ["=profile__id"]
    search_help_text = _("The number of a profile")
    fields = [
        "profile",
        "version",
        "entry_no",
        "shown_state",
        "activity",
        "visit",
        "entered_at",
        "ended_at",
        "steps",
    ]
    readonly_fields = fields

    @display(
        description=_("State"),
        label={
            JourneyInstance.State.ACTIVE.label: "info",
            JourneyInstance.State.ENDED.label: "success",
            JourneyInstance.State.FAILED.label: "danger",
        },
    )
    def shown_state(self, walk: JourneyInstance) -> str:
        return str(walk.get_state_display())

    @display(description=_("Steps"))
    def steps(self, walk: JourneyInstance) -> SafeString:
        rows = StepLog.objects.filter(instance_id=walk.pk).order_by("visit")
        lines = format_html_join(
            "",
            "<li><time>{}</time> <b>{}</b>: {} {}</li>",
            ((f"{step.at:%Y-%m-%d %H:%M:%S}", step.activity, step.outcome, step.detail) for step in rows),
        )
        return format_html("<ol>{}</ol>", lines)
