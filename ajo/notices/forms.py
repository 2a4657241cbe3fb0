"""The form of a notice, made from the fields that its author asked for; and who may sign in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _
from unfold.forms import AuthenticationForm

SEND_NOTICE = "campaigns.send_notice"
MAX_LENGTH = 200
"""Of a text whose author gave no limit."""


class SignInForm(AuthenticationForm):
    """The one page to sign in lets those in who are staff, and those who may send notices."""

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        if not user.has_perm(SEND_NOTICE):  # type: ignore[attr-defined]
            super().confirm_login_allowed(user)


class NoticeForm(forms.Form):
    """What somebody fills in. `values` is what the content reads as `context`: JSON, times as "17:30"."""

    def __init__(self, fields: Sequence[Mapping[str, Any]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "notice", "use_required_attribute": True, **kwargs})
        for described in fields:
            self.fields[described["name"]] = _field(described)

    @property
    def values(self) -> dict[str, Any]:
        return {
            name: _as_json(value)
            for name, value in self.cleaned_data.items()
            if value is not None and value != ""
        }


class ConfirmForm(forms.Form):
    """The id of one preview: sent twice, it is one sending."""

    form_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)


def _field(described: Mapping[str, Any]) -> forms.Field:
    label = described.get("label") or described["name"]
    common: dict[str, Any] = {
        "label": label,
        "required": bool(described.get("required")),
        "help_text": described.get("help") or "",
        "error_messages": {"required": _("Fill in “%(field)s”: the message needs it.") % {"field": label}},
    }
    match described.get("kind"):
        case "choice":
            choices = [(choice, choice) for choice in described.get("choices") or ()]
            common["error_messages"]["invalid_choice"] = _("Choose one of the list for “%(field)s”.") % {
                "field": label
            }
            return forms.ChoiceField(choices=[("", _("Choose …")), *choices], **common)
        case "time":
            common["error_messages"]["invalid"] = _("Give “%(field)s” as a time of day, such as 17:30.") % {
                "field": label
            }
            return forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"), **common)
        case "number":
            common["error_messages"]["invalid"] = _("Give “%(field)s” as a number, such as 15.") % {
                "field": label
            }
            return forms.DecimalField(max_digits=12, **common)
        case _:
            max_length = described.get("max_length") or MAX_LENGTH
            return forms.CharField(max_length=max_length, **common)


def _as_json(value: Any) -> Any:
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
