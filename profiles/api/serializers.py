from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import Filters, IdField, WordField, words
from profiles.models import AttributeDefinition, Channel, Consent, EventType, Profile

CONSENT_STATES = words(Consent.State)
CHANNELS = words(Channel)


class IdentitySerializer(serializers.Serializer[Any]):
    namespace = serializers.CharField(source="namespace.key")
    value = serializers.CharField()


class ConsentSerializer(serializers.Serializer[Consent]):
    channel = WordField(Channel)
    state = WordField(Consent.State)
    reason = serializers.CharField(allow_blank=True)
    changed_at = serializers.DateTimeField()


class ProfileSerializer(serializers.Serializer[Profile]):
    id = IdField()
    name = serializers.CharField(source="__str__", help_text="What pages call this person.")
    attributes = serializers.DictField()
    identities = IdentitySerializer(many=True, source="identities.all")
    consents = ConsentSerializer(
        many=True, source="consents.all", help_text="Channels without one: nothing was said."
    )
    merged_into = IdField(allow_null=True, help_text="The profile that this one became part of.")
    created_at = serializers.DateTimeField()


class ProfileFilters(Filters):
    """Identities are given whole; several must belong to the same profile."""

    email = serializers.CharField(required=False, max_length=320)
    phone = serializers.CharField(required=False, max_length=40)
    user_id = serializers.CharField(required=False, max_length=255)
    q = serializers.CharField(required=False, max_length=320, help_text="Any whole identity, of any kind.")


class EventTypeSerializer(serializers.Serializer[EventType]):
    name = serializers.CharField()
    first_seen_at = serializers.DateTimeField()


class AttributeSerializer(serializers.Serializer[AttributeDefinition]):
    key = serializers.CharField()
    label = serializers.CharField()
    type = serializers.ChoiceField(AttributeDefinition.Type.choices)
    sensitivity = serializers.ChoiceField(AttributeDefinition.Sensitivity.choices)
    description = serializers.CharField(allow_blank=True)


class NameFilters(Filters):
    q = serializers.CharField(required=False, max_length=200, help_text="A part of the name.")
