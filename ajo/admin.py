"""The administration of people who work with the product, their keys and the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_celery_beat.models as beat
from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework_api_key.admin import APIKeyModelAdmin
from rest_framework_api_key.models import APIKey
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from ajo import people  # noqa: F401  registers the page of a person
from ajo.core import roles
from ajo.core.admin_mixins import Audited, LookOnly
from ajo.core.forms import NewUserForm, UserForm
from ajo.core.models import ApiKey, AuditEvent, User, audit_field
from ajo.core.scopes import SCOPES

admin.site.index_title = _("Home")
admin.site.unregister(Group)
admin.site.unregister(APIKey)  # the package's own kind of key, which opens nothing here
# The ticks of the engine are settings: a schedule that somebody switched off would be a product that stands still.
for schedule in (
    beat.PeriodicTask,
    beat.IntervalSchedule,
    beat.CrontabSchedule,
    beat.SolarSchedule,
    beat.ClockedSchedule,
):
    admin.site.unregister(schedule)


def _role_labels(names: Iterable[str]) -> str:
    return ", ".join(
        str(roles.BY_KEY[name].label) if name in roles.BY_KEY else name for name in sorted(names)
    )


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin, ModelAdmin):
    """Somebody's name and roles. Whether the administration is open to them follows from the roles."""

    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "shown_name", "email", "shown_roles", "is_active", "last_login"]
    list_filter = ["groups", "is_active"]
    list_filter_submit = False
    filter_horizontal = ()
    readonly_fields = ["shown_password", "last_login", "date_joined"]
    actions_detail = ["unlock"]
    add_fieldsets = [
        (None, {"fields": ["username", "first_name", "last_name", "email", "usable_password"]}),
        (_("Password"), {"fields": ["password1", "password2"]}),
        (_("What they may do"), {"fields": ["groups"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        rights = ["groups", "is_active"]
        if request.user.is_superuser:
            rights.append("is_superuser")
        return [
            (None, {"fields": ["username", "shown_password"]}),
            (_("Person"), {"fields": ["first_name", "last_name", "email", "time_zone"]}),
            (_("What they may do"), {"fields": rights}),
            (_("Dates"), {"fields": ["last_login", "date_joined"]}),
        ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """An administrator who could set a superuser's password would be one."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_superuser or request.user.is_superuser)

    def has_unlock_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request, User.objects.filter(pk=object_id).first())

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # the audit trail names them: switch them off instead

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():  # the password and its line in the audit trail
            return super().user_change_password(request, id, form_url)

    @display(description=_("Name"))
    def shown_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description=_("Password"))
    def shown_password(self, user: User) -> SafeString:
        url = reverse("admin:auth_user_password_change", args=[user.pk])
        return format_html('<a class="shell-link" href="{}">{}</a>', url, gettext("Set another password"))

    @display(description=_("Roles"))
    def shown_roles(self, user: User) -> str:
        if user.is_superuser:
            return gettext("Superuser")
        return _role_labels(group.name for group in user.groups.all())

    @action(
        description=_("Allow signing in again"),
        icon="lock_open",
        permissions=["unlock"],
        dialog={
            "title": _("Allow signing in again"),
            "description": _("Forgets the wrong passwords that were tried with this name."),
            "form_class": None,
            "form_submit_text": _("Allow"),
        },
    )
    def unlock(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        user = get_object_or_404(User, pk=object_id)
        with transaction.atomic():
            AxesProxyHandler.reset_attempts(username=user.get_username())
            self.audit(request, "unlock", user, {})
        messages.success(request, gettext("They can try to sign in again."))
        url = reverse("admin:core_user_change", args=[user.pk])
        if "HX-Request" in request.headers:  # the dialog would put a redirect's page into itself
            return HttpResponse(headers={"HX-Redirect": url})
        return redirect(url)


class PermissionChoices(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Permission) -> str:
        return f"{obj.content_type.name}: {obj.name}"


class GroupForm(forms.ModelForm):
    """A group that an administrator makes: any of the verbs that roles are made of."""

    permissions = PermissionChoices(
        Permission.objects.none(),
        label=_("May"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Group
        fields = ["name", "permissions"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            known = [name.split(".")[1] for role in roles.ROLES for name in role.permissions()]
            self.fields["permissions"].queryset = (  # type: ignore[attr-defined]
                Permission.objects.filter(codename__in=known)
                .select_related("content_type")
                .order_by("content_type__app_label", "content_type__model", "codename")
            )


@admin.register(Group)
class GroupAdmin(Audited, DjangoGroupAdmin, ModelAdmin):
    """Roles, to be looked at, and groups of an administrator's own."""

    form = GroupForm
    list_display = ["shown_name", "shown_summary"]
    fields = ["name", "permissions"]
    filter_horizontal = ()

    @display(description=_("Role"), ordering="name")
    def shown_name(self, group: Group) -> str:
        return _role_labels([group.name])

    @display(description=_("May"))
    def shown_summary(self, group: Group) -> str:
        role = roles.BY_KEY.get(group.name)
        return str(role.summary) if role else gettext("A group made here.")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """What a role may do is the same in every installation."""
        return super().has_change_permission(request, obj) and (obj is None or obj.name not in roles.BY_KEY)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.name not in roles.BY_KEY)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # it would take roles along
        return actions


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
class ApiKeyAdmin(Audited, APIKeyModelAdmin, ModelAdmin):
    """The key itself is shown once, in the message after it was made."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "created_by", "created", "expiry_date", "revoked")
    list_select_related = ["created_by"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any = None, change: bool = False) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """Only what its maker may do too: a key is no way to rights that one does not have."""
        form = super().get_form(request, obj, change=change, **kwargs)
        if field := form.base_fields.get("scopes"):
            allowed = _grantable(request)
            field.choices = [(name, f"{name} – {SCOPES[name].label}") for name in SCOPES if name in allowed]  # type: ignore[attr-defined]
        return form

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or set(obj.scopes) & set(SCOPES) <= _grantable(request))

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False  # revoke it instead, so that it stays known


def _grantable(request: HttpRequest) -> set[str]:
    """The scopes whose permissions the reader has."""
    return {name for name, scope in SCOPES.items() if request.user.has_perms(scope.permissions)}


# --- the audit trail -------------------------------------------------------------------------------------------


def _verb_in_words(verb: str) -> str:
    words = {
        "create": _("created"),
        "change": _("changed"),
        "delete": _("deleted"),
        "describe": _("described"),
        "save": _("saved"),
        "publish": _("published"),
        "pause": _("paused"),
        "resume": _("resumed"),
        "close": _("closed"),
        "stop": _("stopped"),
        "unlock": _("unlocked"),
    }
    return str(words.get(verb, verb))


def action_in_words(name: str) -> str:
    """`publish_journey` as “published a journey”: the words of the trail's column and of its filter."""
    if name == "sign_in":
        return gettext("signed in")
    if name == "lock_out":
        return gettext("locked out after too many wrong passwords")
    verb, _separator, noun = name.partition("_")
    return f"{_verb_in_words(verb)} {noun.replace('_', ' ')}"


class ActionFilter(admin.SimpleListFilter):
    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct()
        return [(name, action_in_words(name)) for name in names]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[AuditEvent]
    ) -> models.QuerySet[AuditEvent]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class KindFilter(admin.SimpleListFilter):
    title = _("object")
    parameter_name = "object_kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = AuditEvent.objects.order_by("object_kind").values_list("object_kind", flat=True).distinct()
        return [(kind, str(apps.get_model(kind)._meta.verbose_name)) for kind in kinds]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[AuditEvent]
    ) -> models.QuerySet[AuditEvent]:
        return queryset.filter(object_kind=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(LookOnly, ModelAdmin):
    """Who did what: to be read, never written by hand."""

    list_display = ["at", "user", "shown_action", "shown_object", "shown_changes"]
    list_select_related = ["user"]
    list_filter = [ActionFilter, KindFilter, ("user", admin.RelatedOnlyFieldListFilter), "at"]
    search_fields = ["object_key", "user__username", "data__name"]
    search_help_text = _("A user’s name, or the key or name of what was changed")
    ordering = ["-id"]
    fields = ["at", "user", "shown_action", "shown_object", "shown_changes", "shown_details"]
    readonly_fields = fields
    show_full_result_count = False
    list_per_page = 50

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.go_to_object)
        return [path("<int:pk>/object/", view, name="core_auditevent_object"), *super().get_urls()]

    def go_to_object(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page of what a line is about. Looked up on demand: a list of fifty lines would ask fifty times."""
        line = get_object_or_404(AuditEvent, pk=pk)
        if not self.has_view_permission(request, line):
            return HttpResponse(status=403)
        model = apps.get_model(line.object_kind)
        try:
            found = model._default_manager.get(**{audit_field(model): line.object_key})
            return redirect(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", found.pk)
        except (model.DoesNotExist, ValueError, NoReverseMatch):
            messages.warning(request, gettext("It is not there any more, or has no page."))
            return redirect("admin:core_auditevent_changelist")

    @display(description=_("Action"), ordering="action")
    def shown_action(self, line: AuditEvent) -> str:
        return action_in_words(line.action)

    @display(description=_("Object"))
    def shown_object(self, line: AuditEvent) -> SafeString | str:
        name = str(line.data.get("name") or line.object_key)
        if not line.object_key:
            return name
        url = reverse("admin:core_auditevent_object", args=[line.pk])
        return format_html('<a class="shell-link" href="{}">{}</a>', url, name)

    @display(description=_("Changes"))
    def shown_changes(self, line: AuditEvent) -> SafeString | str:
        """Each field with its value before and after."""
        rows = [
            (name.replace("_", " "), _shown(before), _shown(after))
            for name, (before, after) in line.data.get("changes", {}).items()
        ]
        return format_html_join("", '<div class="shell-change"><b>{}</b>: {} → {}</div>', rows) or "–"

    @display(description=_("Details"))
    def shown_details(self, line: AuditEvent) -> SafeString | str:
        rest = [
            (key, value) for key, value in line.data.items() if key not in {"name", "changes"} and value != {}
        ]
        return format_html_join("", '<div class="shell-change"><b>{}</b>: {}</div>', rest) or "–"


def _shown(value: Any) -> str:
    if value is None or value == []:
        return gettext("nothing")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
