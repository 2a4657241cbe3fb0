"""The JSON shapes of messages, channel configurations, consent and suppressions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import Filters, IdField, Strict, WordField, words
from channels.models import CauseKind, Message, MessageClass, Suppression
from profiles.models import Channel, Consent

MESSAGE_STATES = words(Message.State)
CAUSE_KINDS = words(CauseKind)
MESSAGE_CLASSES = words(MessageClass)


class CauseSerializer(serializers.Serializer[Message]):
    """What made us write: of a journey the id is that of the walk (`instances/`)."""

    kind = WordField(CauseKind, source="cause_kind")
    id = IdField(source="cause_id")
    activity = serializers.CharField(allow_blank=True)
    visit = serializers.IntegerField()


class MessageSerializer(serializers.Serializer[Any]):
    id = IdField()
    profile = IdField(source="profile_id")
    channel = WordField(Channel)
    message_class = WordField(MessageClass)
    state = WordField(Message.State)
    reason = serializers.CharField(
        allow_blank=True, help_text="Why it was withheld, failed or waits, as a sentence."
    )
    cause = CauseSerializer(source="*")
    content = serializers.CharField(source="content_key", allow_null=True)
    content_version = serializers.IntegerField(allow_null=True)
    treatment = serializers.CharField(allow_null=True, allow_blank=True)
    locale = serializers.CharField(allow_null=True, allow_blank=True)
    configuration = serializers.CharField(source="configuration_key", allow_null=True)
    address = serializers.CharField(allow_blank=True)
    provider_id = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True, help_text="By a person, no machine.")
    clicked_at = serializers.DateTimeField(allow_null=True, help_text="By a person, no machine.")


class MessageFilters(Filters):
    profile = IdField(required=False)
    state = WordField(Message.State, required=False)
    channel = WordField(Channel, required=False)
    after = serializers.DateTimeField(required=False, help_text="Only those made after this moment.")


class ConfigurationSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    channel = WordField(Channel)
    provider = serializers.CharField()
    is_active = serializers.BooleanField()


class ConfigurationFilters(Filters):
    channel = WordField(Channel, required=False)


class NewConsentSerializer(Strict):
    state = WordField(Consent.State)
    reason = serializers.CharField(max_length=200, help_text="Where it was said, such as “Call of 3 May”.")


class SavedConsentSerializer(NewConsentSerializer):
    is_settled = serializers.BooleanField(
        help_text="False when a message that was being sent at that moment may still arrive."
    )


class SuppressionSerializer(Strict):
    channel = WordField(Channel)
    address = serializers.CharField(max_length=320)
    reason = serializers.ChoiceField(Suppression.Reason.choices, default=Suppression.Reason.MANUAL)
