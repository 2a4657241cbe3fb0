"""What the admin pages of all rooms share. Mix in before ModelAdmin or an inline."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator

from ajo.core.models import AuditEvent


class LookOnly:
    """Rows that the engine writes: nobody changes them by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Large:
    """A table whose rows are never counted: a count would read them all."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ["-id"]


class Audited:
    """Everything done here to an object is written to the audit trail, in the transaction of the change.

    Who, which object, and each changed field with its value before and after. Of `audit_secrets` only the fact.
    """

    audit_secrets: Collection[str] = ("password",)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Django asks for it after the object and its relations are saved, with both values at hand."""
        # The form for a new password has no instance, but a user.
        target = form.instance if hasattr(form, "instance") else form.user
        changes = changes_of(target, form, add)
        if add or changes:
            self.audit(request, "create" if add else "change", target, changes)
        return super().construct_change_message(request, form, formsets, add)  # type: ignore[misc]

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        with transaction.atomic():
            self._audit_deletion(request, obj)
            super().delete_model(request, obj)  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with transaction.atomic():
            for each in queryset:
                self._audit_deletion(request, each)
            super().delete_queryset(request, queryset)  # type: ignore[misc]

    def _audit_deletion(self, request: HttpRequest, obj: models.Model) -> None:
        fields = [field for field in obj._meta.fields if not field.primary_key]
        changes = {field.name: [_plain(field, getattr(obj, field.name)), None] for field in fields}
        self.audit(request, "delete", obj, changes)

    def audit(
        self, request: HttpRequest, verb: str, target: models.Model, changes: dict[str, list[Any]]
    ) -> None:
        """One line: `verb` with the model's name, and each field with its value before and after."""
        shown = {
            name: [HIDDEN, HIDDEN] if name in self.audit_secrets else values
            for name, values in changes.items()
        }
        action = f"{verb}_{target._meta.model_name}"
        AuditEvent.record(action, target, user=request.user, name=str(target), changes=shown)


def changes_of(target: models.Model, form: Any, add: bool = False) -> dict[str, list[Any]]:
    """What the saved form changed. Fields that the model does not have are left out: a password in clear is one."""
    fields = {field.name: field for field in (*target._meta.fields, *target._meta.many_to_many)}
    found = {}
    for name in form.changed_data:
        if field := fields.get(name):
            before = None if add else _plain(field, form.initial.get(name))
            after = _plain(field, form.cleaned_data.get(name))
            if before != after or name not in form.cleaned_data:
                found[name] = [before, after]
    return found


def _plain(field: models.Field[Any, Any], value: Any) -> Any:
    """As JSON holds it and a person reads it: choices by their labels, related objects by their names."""
    if field.many_to_many:
        return sorted(str(each) for each in value or ())
    if field.remote_field and value is not None and not isinstance(value, models.Model):
        value = field.remote_field.model._default_manager.filter(pk=value).first()
    if isinstance(value, models.Model):
        return str(value)
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))  # type: ignore[attr-defined]
    if isinstance(value, str):
        return f"{value[:_LONGEST]}…" if len(value) > _LONGEST else value or None
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))


HIDDEN = "•••"
_LONGEST = 500  # a trail, no archive of texts
