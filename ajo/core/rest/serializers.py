"""The shapes of bodies: nothing is guessed, nothing unknown is passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Choices
from django.utils.encoding import force_str
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_PLAIN: list[tuple[type[serializers.Field[Any, Any, Any, Any]], type, Any]] = [
    (serializers.BooleanField, bool, "true or false"),
    (serializers.IntegerField, int, "a whole number"),
    (serializers.CharField, str, "a text"),
]


class Strict(serializers.Serializer[Any]):
    """A JSON object whose values have their own type (`"1"` is no number), without fields that we do not know."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": [_("This must be an object.")]}, code="invalid"
            )
        writable = {field.field_name: field for field in self._writable_fields}
        errors: dict[str, Any] = {
            str(name): serializers.ErrorDetail(
                _("There is no such field. Remove it; known ones: %(known)s.")
                % {"known": ", ".join(writable)},
                code="unknown",
            )
            for name in data
            if name not in writable
        }
        for name, field in writable.items():
            if name in data and (sentence := _wrong_type(field, data[name])):
                errors[name] = serializers.ErrorDetail(sentence, code="wrong_type")
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


def _wrong_type(field: Any, value: Any) -> str:
    if value is None:
        return ""  # the field itself knows whether it may be missing
    for cls, type_, words in _PLAIN:
        if isinstance(field, cls):
            fits = isinstance(value, type_) and (type_ is bool or not isinstance(value, bool))
            return "" if fits else _("This must be %(what)s.") % {"what": words}
    return ""


class Filters(serializers.Serializer[Any]):
    """The query of a list. All are texts there; what is not one of these is refused, for it would filter nothing."""


def words(choices: type[Choices]) -> list[tuple[str, str]]:
    """(word, label) of each of `choices`, as `WordField` speaks of them."""
    return [(member.name.lower(), force_str(member.label)) for member in choices]


class WordField(serializers.ChoiceField):
    """A number of the database as its word: `Message.State.QUEUED` is "queued"."""

    def __init__(self, choices: type[Choices], **kwargs: Any) -> None:
        self.numbers = {member.name.lower(): member.value for member in choices}
        self.names = {value: word for word, value in self.numbers.items()}
        super().__init__(words(choices), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return self.numbers[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> str:
        return self.names[value]


@extend_schema_field({"type": "string", "pattern": "^[0-9]+$"})
class IdField(serializers.CharField):
    """A number of the database as text: JavaScript would round the large ones."""

    def to_representation(self, value: Any) -> str:
        return str(value)

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not (text.isascii() and text.isdigit() and int(text[:19]) < 2**63 and len(text) < 20):
            raise serializers.ValidationError(_("This is no id. An id is a whole number."), code="invalid")
        return int(text)


class ProblemErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(
        allow_blank=True, help_text="Dotted, from the body's root; empty for the whole."
    )
    code = serializers.CharField()
    message = serializers.CharField(help_text="A sentence.")


class ProblemSerializer(serializers.Serializer[Any]):
    """Why nothing was done (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="One word for programs, such as stale_revision.")
    detail = serializers.CharField(help_text="What happened and the remedy, for people.")
    errors = ProblemErrorSerializer(many=True)
