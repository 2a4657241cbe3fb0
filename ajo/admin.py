"""The administration of people who work with the product, their keys and the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework_api_key.admin import APIKeyModelAdmin
from rest_framework_api_key.models import APIKey
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from ajo import people  # noqa: F401  registers the page of a person
from ajo.core.models import ApiKey, AuditEvent, User
from ajo.core.scopes import SCOPES

admin.site.unregister(Group)
admin.site.unregister(APIKey)  # the package's own kind of key, which opens nothing here


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


class ApiKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=lambda: [(name, f"{name} – {scope.label}") for name, scope in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        error_messages={"required": _("Choose at least one: a key that may do nothing opens nothing.")},
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes", "expiry_date", "revoked"]


@admin.register(ApiKey)
class ApiKeyAdmin(APIKeyModelAdmin, ModelAdmin):
    """The key itself is shown once, in the message after it was made."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "created_by", "created", "expiry_date", "revoked")
    list_select_related = ["created_by"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any = None, change: bool = False) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)


@admin.register(AuditEvent)
class AuditEventAdmin(ModelAdmin):
    """Who did what: to be read, never written by hand."""

    list_display = ["at", "user", "action", "object_kind", "object_key"]
    list_select_related = ["user"]
    list_filter = ["action"]
    search_fields = ["object_key", "user__username"]
    ordering = ["-id"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False
