"""Forms about the people who work with the product."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.models import Group
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.forms import UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from ajo.core import roles
from ajo.core.models import User


class RoleChoices(forms.ModelMultipleChoiceField):
    """Roles, each with a sentence; then the groups that administrators made."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            Group.objects.order_by("name"), widget=UnfoldAdminCheckboxSelectMultipleWidget, **kwargs
        )

    def label_from_instance(self, obj: Group) -> str | SafeString:
        role = roles.BY_KEY.get(obj.name)
        return format_html("<b>{}</b>: {}", role.label, role.summary) if role else obj.name


def _zones() -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in sorted(available_timezones())]


class _WithRoles:
    """A form of a user whose roles decide whether the administration is open to them."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}  # type: ignore[misc]
        user: User = self.instance  # type: ignore[attr-defined]
        user.is_superuser = cleaned.get("is_superuser", user.is_superuser)
        user.is_staff = user.is_superuser or roles.makes_staff(
            group.name for group in cleaned.get("groups") or ()
        )
        return cleaned


class NewUserForm(_WithRoles, UserCreationForm):
    groups = RoleChoices(label=_("Roles"), required=False)


class UserForm(_WithRoles, UserChangeForm):
    groups = RoleChoices(label=_("Roles"), required=False)
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=_zones, widget=UnfoldAdminSelectWidget)


class AccountForm(forms.ModelForm):
    """What everybody may change about themselves."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=_zones,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Times on the screens are shown in it."),
    )

    class Meta:
        model = User
        fields = ["first_name", "last_name", "email", "time_zone"]
        widgets = {
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
            "email": UnfoldAdminEmailInputWidget,
        }
