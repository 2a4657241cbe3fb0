"""Exits that their author adds, removes and names: what the settings of every kind that has such are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class PathConfig(serializers.Serializer[Any]):
    """One way out. A kind adds the fields that decide who takes it."""

    id = serializers.RegexField(
        r"\A[a-z][a-z0-9_]*\Z",
        max_length=60,
        label=_("Key"),
        help_text=_("The name of the exit: small letters, digits and underscores."),
    )
    label = serializers.CharField(
        max_length=60, default="", allow_blank=True, label=_("Name"), help_text=_("What the canvas shows.")
    )


def check_ids(paths: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValidationError when two paths have the same key."""
    ids = [path["id"] for path in paths]
    if twice := {path_id for path_id in ids if ids.count(path_id) > 1}:
        raise serializers.ValidationError(
            gettext("Two paths have the key %(key)s. Give each path a key of its own.")
            % {"key": repr(min(twice))}
        )
