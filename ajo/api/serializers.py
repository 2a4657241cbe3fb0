from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.health import Part


class PartSerializer(serializers.Serializer[Part]):
    """One part of the product and, when it does not work, why."""

    name = serializers.CharField(help_text="Such as database, broker or sender.")
    is_ok = serializers.BooleanField()
    problem = serializers.CharField(
        allow_blank=True, help_text="A sentence with the remedy; empty when it works."
    )


class StatusSerializer(serializers.Serializer[dict[str, Any]]):
    """Whether everything works, and each part for itself."""

    is_ok = serializers.BooleanField()
    version = serializers.CharField()
    parts = PartSerializer(many=True)
