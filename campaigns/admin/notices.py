"""Preparing notices: the words, who gets them, and the form that operations will fill in."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from ajo.core.admin_mixins import Audited
from campaigns import runs
from campaigns.models import Notice
from channels import readiness
from channels.models import ChannelConfiguration, Content, MessageClass
from profiles.models import Audience

MAX_FIELDS = 20
MAX_LENGTH = 500
KINDS = (
    ("text", gettext_lazy("Text")),
    ("choice", gettext_lazy("Choice from a list")),
    ("time", gettext_lazy("Time of day")),
    ("number", gettext_lazy("Number")),
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z", re.ASCII)


class FieldForm(forms.Form):
    """One thing that operations fill in. A row without a label is none."""

    label = forms.CharField(
        label=gettext_lazy("Label"),
        max_length=60,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("What operations read, such as “Which ride?”."),
    )
    name = forms.CharField(
        label=gettext_lazy("Name in the words"),
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy(
            "The words use it as {{ context.name }}. Left empty, it is made from the label."
        ),
    )
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=KINDS, widget=UnfoldAdminSelectWidget)
    choices = forms.CharField(
        label=gettext_lazy("Choices, one on each line"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    max_length = forms.IntegerField(
        label=gettext_lazy("Longest text"),
        required=False,
        min_value=1,
        max_value=MAX_LENGTH,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    help = forms.CharField(
        label=gettext_lazy("Help below the field"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    required = forms.BooleanField(
        label=gettext_lazy("Must be filled in"), required=False, initial=True, widget=UnfoldBooleanWidget
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("label"):
            if any(cleaned.get(name) for name in ("name", "choices", "help")):
                self.add_error("label", _("Write what operations read beside this field."))
            return cleaned
        name = cleaned.get("name") or slugify(cleaned["label"]).replace("-", "_")[:40]
        if name and not _NAME.match(name):
            self.add_error(
                "name", _("Use small letters, digits and _, beginning with a letter, such as ride_name.")
            )
        cleaned["name"] = name
        lines = [line.strip() for line in cleaned.get("choices", "").splitlines()]
        cleaned["choices"] = list(dict.fromkeys(filter(None, lines)))
        if cleaned.get("kind") == "choice" and len(cleaned["choices"]) < 2:
            self.add_error("choices", _("Write at least two choices, one on each line."))
        return cleaned


class _FieldForms(forms.BaseFormSet):  # type: ignore[type-arg]
    """The rows, in their order; an empty one is none."""

    def clean(self) -> None:
        names = [row["name"] for row in self._kept()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise forms.ValidationError(
                _("Two fields have the name %(name)s. Give one of them another.") % {"name": min(twice)}
            )

    def _kept(self) -> list[dict[str, Any]]:
        rows = [form.cleaned_data for form in self.forms if form not in self.deleted_forms]
        return [row for row in rows if row.get("label")]

    @property
    def described(self) -> list[dict[str, Any]]:
        """As `Notice.fields` holds them."""
        return [_described(row) for row in self._kept()]


def _described(row: dict[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in ("name", "label", "kind", "required")}
    if row["kind"] == "choice":
        found["choices"] = row["choices"]
    if row["kind"] == "text" and row["max_length"]:
        found["max_length"] = row["max_length"]
    if row["help"]:
        found["help"] = row["help"]
    return found


FieldForms = forms.formset_factory(
    FieldForm, formset=_FieldForms, extra=1, max_num=MAX_FIELDS, validate_max=True, can_delete=True
)


class NoticeForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no arguments when it runs
    """A notice with `rows`, the form that it asks operations to fill in."""

    class Meta:
        model = Notice
        fields = (
            "name",
            "key",
            "description",
            "configuration",
            "content",
            "all_clear_content",
            "audience",
            "exclusions",
            "message_class",
            "is_ready",
        )
        labels = {
            "configuration": gettext_lazy("Send with"),
            "all_clear_content": gettext_lazy("Content of the all-clear"),
            "message_class": gettext_lazy("Class"),
            "audience": gettext_lazy("To"),
            "exclusions": gettext_lazy("But not to"),
            "is_ready": gettext_lazy("Ready"),
        }
        help_texts = {
            "all_clear_content": gettext_lazy("Without one no all-clear can be given."),
            "message_class": gettext_lazy(
                "Transactional goes out whatever the consent; marketing asks for it."
            ),
        }
        widgets = {"exclusions": UnfoldAdminCheckboxSelectMultipleWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["fields"] = self.instance.fields
        self.rows = FieldForms(
            self.data if self.is_bound else None,
            prefix="field",
            initial=[
                {**field, "choices": "\n".join(field.get("choices", ()))} for field in self.instance.fields
            ],
        )

    @property
    def changed_data(self) -> list[str]:
        return [*super().changed_data, *(["fields"] if self.rows.has_changed() else [])]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.rows.is_valid():
            self.instance.fields = cleaned["fields"] = self.rows.described  # type: ignore[attr-defined]
        else:
            self.add_error(None, _("The fields that operations fill in need a change: see below."))
        if cleaned.get("is_ready"):
            self._check_readiness(cleaned)
        return cleaned

    def _check_readiness(self, cleaned: dict[str, Any]) -> None:
        """What would keep it from being sent is said now, not to operations in their hurry."""
        content, configuration = cleaned.get("content"), cleaned.get("configuration")
        for name in ("content", "all_clear_content"):
            if cleaned.get(name) and configuration:
                found = readiness.obstacles(
                    content=cleaned[name].key,
                    configuration=configuration.key,
                    message_class=cleaned.get("message_class", MessageClass.TRANSACTIONAL),
                )
                for obstacle in found:
                    self.add_error(name, obstacle.message)
        audiences = [cleaned.get("audience"), *(cleaned.get("exclusions") or ())]
        if content and (problem := runs.unusable_audience(audiences)):
            self.add_error("audience", problem)


@admin.register(Notice)
class NoticeAdmin(Audited, ModelAdmin):
    form = NoticeForm
    list_display = ["name", "shown_channel", "audience", "is_ready", "shown_fields", "shown_page"]
    list_select_related = ["audience", "configuration"]
    list_filter = ["is_ready"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}
    fieldsets = [
        (None, {"fields": ["name", "key", "description"]}),
        (
            gettext_lazy("What is sent"),
            {"fields": ["configuration", "content", "all_clear_content", "message_class"]},
        ),
        (gettext_lazy("Who gets it"), {"fields": ["audience", "exclusions"]}),
        (gettext_lazy("For operations"), {"fields": ["is_ready"]}),
    ]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Notice | None = None) -> dict[str, Any]:
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Notice | None = None) -> list[str]:
        return ["key"] if obj else []

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "description":
            field.widget.attrs["rows"] = 2
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "configuration":
            kwargs["queryset"] = ChannelConfiguration.objects.filter(is_active=True)
        if db_field.name in {"content", "all_clear_content"}:
            kwargs["queryset"] = Content.objects.order_by("name")
        if db_field.name == "audience":
            kwargs["queryset"] = Audience.objects.exclude(state=Audience.State.ARCHIVED)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return False  # what was sent refers to it: let it not be ready instead

    @display(description=gettext_lazy("Channel"))
    def shown_channel(self, notice: Notice) -> str:
        return str(notice.configuration.get_channel_display())

    @display(description=gettext_lazy("Fields"))
    def shown_fields(self, notice: Notice) -> str:
        return ", ".join(field["label"] for field in notice.fields) or "–"

    @display(description=gettext_lazy("Page"))
    def shown_page(self, notice: Notice) -> SafeString | str:
        if not notice.is_ready:
            return "–"
        url = reverse("notice-compose", args=[notice.key])
        return format_html('<a class="shell-link" href="{}">{}</a>', url, _("Open"))
