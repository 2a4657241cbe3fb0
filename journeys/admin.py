"""Journeys in the administration: write and publish them; look at people's walks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from ajo.core.admin_mixins import Large, LookOnly
from journeys import services
from journeys.graph import Level
from journeys.models import Journey, JourneyInstance, JourneyVersion, ReEntry, StepLog
from journeys.querysets import with_state

State = JourneyVersion.State
_STATE_COLORS = {
    State.LIVE.label: "success",
    State.PAUSED.label: "warning",
    State.CLOSED.label: "info",
    State.STOPPED.label: "danger",
}
SHOWN_PROBLEMS = 20


class JourneyForm(forms.ModelForm):
    """The journey and its draft in one form. The hidden revision tells whether a colleague was quicker."""

    re_entry = forms.ChoiceField(
        choices=ReEntry.choices, label=_("Re-entry"), widget=UnfoldAdminSelectWidget, required=False
    )
    graph = forms.JSONField(
        label=_("Draft"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false", "class": "font-mono"}),
        help_text=_("The activities and links of the next version. Saving it publishes nothing."),
    )
    revision = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Journey
        fields = ["name", "key", "description"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            for name in ("re_entry", "graph", "revision"):
                del self.fields[name]
            return
        self.source = self.draft() or self.instance.versions.order_by("-number")[0]
        self.initial.update(graph=self.source.graph, re_entry=self.source.re_entry)
        if self.source.state == State.DRAFT:
            self.initial["revision"] = self.source.revision

    def draft(self) -> JourneyVersion | None:
        return self.instance.versions.filter(state=State.DRAFT).first()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance.pk and self.is_draft_changed():
            draft = self.draft()
            if (draft.revision if draft else None) != cleaned.get("revision"):
                raise forms.ValidationError(
                    _("Somebody else saved or published the draft in the meantime. Load the page again.")
                )
            if not isinstance(cleaned.get("graph"), dict):
                self.add_error("graph", _("A graph must be an object. Nothing was saved."))
        return cleaned

    def is_draft_changed(self) -> bool:
        return bool({"graph", "re_entry"} & set(self.changed_data))


class VersionInline(LookOnly, TabularInline):
    model = JourneyVersion
    fields = ["number", "shown_state", "re_entry", "published_at", "ended_at"]
    readonly_fields = fields
    ordering = ["-number"]
    extra = 0
    can_delete = False

    @display(description=_("State"), label=_STATE_COLORS)
    def shown_state(self, version: JourneyVersion) -> str:
        return str(version.get_state_display())


def _verb(
    label: Any, warning: Any, icon: str, variant: ActionVariant = ActionVariant.DEFAULT
) -> Callable[..., Any]:
    """A button that asks first; only its answer, a POST, does anything."""
    return action(
        description=label,
        icon=icon,
        variant=variant,
        permissions=["change"],
        dialog={"title": label, "description": warning, "form_class": None, "form_submit_text": label},
    )


@admin.register(Journey)
class JourneyAdmin(ModelAdmin):
    form = JourneyForm
    list_display = ["name", "key", "shown_state", "created_by", "created_at"]
    list_select_related = ["created_by"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}
    inlines = [VersionInline]
    actions_detail = ["publish", "pause", "resume", "close", "stop"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Journey]:
        return with_state(super().get_queryset(request))

    @display(description=_("State"), label=_STATE_COLORS)
    def shown_state(self, journey: Journey) -> str:
        return str(State(journey.state).label)  # type: ignore[attr-defined]

    def get_fields(self, request: HttpRequest, obj: Journey | None = None) -> list[str]:
        fields = ["name", "key", "description"]
        return [*fields, "re_entry", "graph", "revision"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Journey | None = None) -> list[str]:
        return ["key"] if obj else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Journey | None = None) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    def get_inlines(self, request: HttpRequest, obj: Journey | None) -> list[Any]:
        return self.inlines if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Journey | None = None) -> bool:
        return False  # people's walks and messages refer to it: stop it instead

    def save_model(self, request: HttpRequest, obj: Journey, form: JourneyForm, change: bool) -> None:
        user: Any = request.user
        if not change:
            made = services.create_journey(key=obj.key, name=obj.name, description=obj.description, user=user)
            obj.pk = made.pk
            return
        if {"name", "description"} & set(form.changed_data):
            services.describe_journey(journey=obj, name=obj.name, description=obj.description, user=user)
        if form.is_draft_changed():
            self._save_draft(request, obj, form)

    def _save_draft(self, request: HttpRequest, journey: Journey, form: JourneyForm) -> None:
        values, user = form.cleaned_data, request.user
        try:
            draft = services.save_draft(
                journey=journey,
                graph=values["graph"],
                re_entry=values["re_entry"] or form.source.re_entry,
                revision=values["revision"],
                user=user,  # type: ignore[arg-type]
            )
        except services.JourneyRefused as refused:
            messages.error(request, str(refused))
            return
        for problem in services.check_version(draft)[:SHOWN_PROBLEMS]:
            level = messages.WARNING if problem.level is Level.WARNING else messages.ERROR
            messages.add_message(request, level, problem.message)

    # --- verbs ---------------------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only what can be done with it now."""
        states = set(JourneyVersion.objects.filter(journey_id=object_id).values_list("state", flat=True))
        needs = {
            "publish": {State.DRAFT},
            "pause": {State.LIVE},
            "resume": {State.PAUSED},
            "close": {State.LIVE},
            "stop": {State.LIVE, State.PAUSED, State.CLOSED},
        }
        return [
            each
            for each in super().get_actions_detail(request, object_id)
            if needs[each.method.original_function_name] & states
        ]

    @_verb(
        _("Publish"),
        _("Freezes the draft and lets people in. People inside an older version walk on in it."),
        "rocket_launch",
        ActionVariant.PRIMARY,
    )
    def publish(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self._do(
            request, object_id, services.publish_journey, gettext("Published."), now=timezone.now()
        )

    @_verb(_("Pause"), _("Nobody enters, and people inside stand still until you resume."), "pause")
    def pause(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self._do(request, object_id, services.pause_journey, gettext("Paused."))

    @_verb(_("Resume"), _("People enter again, and waits that are over go on at once."), "play_arrow")
    def resume(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self._do(request, object_id, services.resume_journey, gettext("Resumed."))

    @_verb(_("Close"), _("Nobody enters any more; people inside walk on to the end."), "door_front")
    def close(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self._do(request, object_id, services.close_journey, gettext("Closed."))

    @_verb(
        _("Stop"),
        _("Takes everybody out and withholds what is queued. This cannot be undone."),
        "stop_circle",
        ActionVariant.DANGER,
    )
    def stop(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self._do(request, object_id, services.stop_journey, gettext("Stopped."), now=timezone.now())

    def _do(
        self, request: HttpRequest, object_id: str, verb: Callable[..., Any], done: str, **arguments: Any
    ) -> HttpResponse:
        journey = get_object_or_404(Journey, pk=object_id)
        try:
            verb(journey=journey, user=request.user, **arguments)
        except services.JourneyRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, done)
        url = reverse("admin:journeys_journey_change", args=[journey.pk])
        if (
            "HX-Request" in request.headers
        ):  # the dialog is sent by htmx, which would put a redirect's page into it
            return HttpResponse(headers={"HX-Redirect": url})
        return HttpResponseRedirect(url)


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
