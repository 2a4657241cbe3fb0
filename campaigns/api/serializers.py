from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ajo.core.rest.serializers import IdField, Strict, WordField
from campaigns.models import Campaign, CampaignRun
from campaigns.requests import MAX_RECIPIENTS
from channels.goal_forms import GoalSerializer, goal_json
from channels.models import ChannelConfiguration, Content, Message, MessageClass
from profiles.models import Audience

MAX_NUMBER = 2**31 - 1
MAX_EXCLUSIONS = 50
MAX_VALUES = 100
REQUEST_ID = r"[-a-zA-Z0-9_.:]{1,100}"


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": True,
        "description": 'When it runs: `{"kind": "now"}`, `{"kind": "at", "at": "2026-12-01T09:00", "zone": …}` or'
        ' `{"kind": "recurring", "every": "day", "time": "09:00", "zone": …}`; its problems say what is wrong.',
    }
)
class ScheduleField(serializers.DictField):
    """Any JSON object."""


class ProblemSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    message = serializers.CharField()

    class Meta:
        ref_name = "CampaignProblem"


class CampaignSerializer(serializers.Serializer[Campaign]):
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    kind = serializers.ChoiceField(Campaign.Kind.choices)
    state = serializers.ChoiceField(Campaign.State.choices)
    content = serializers.CharField(source="content.key", default=None, allow_null=True)
    configuration = serializers.CharField(source="configuration.key", default=None, allow_null=True)
    message_class = WordField(MessageClass)
    audience = serializers.CharField(source="audience.key", default=None, allow_null=True)
    exclusions = serializers.SerializerMethodField()
    schedule = ScheduleField()
    context = serializers.DictField(help_text="What the content reads as `context`; a call adds to it.")
    goal = serializers.SerializerMethodField()
    revision = serializers.IntegerField(help_text="Send it back when changing.")
    next_run_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    approved_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(GoalSerializer(allow_null=True))
    def get_goal(self, campaign: Campaign) -> dict[str, Any] | None:
        return goal_json(campaign.goal)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_exclusions(self, campaign: Campaign) -> list[str]:
        return sorted(audience.key for audience in campaign.exclusions.all())


class CampaignDetailSerializer(CampaignSerializer):
    problems = ProblemSerializer(many=True, help_text="What stands in the way of sending it.")


class _Parts(Strict):
    """What a draft consists of, by keys."""

    description = serializers.CharField(allow_blank=True, max_length=10_000, required=False)
    content = serializers.SlugRelatedField(
        slug_field="key", queryset=Content.objects.all(), allow_null=True, required=False
    )
    configuration = serializers.SlugRelatedField(
        slug_field="key", queryset=ChannelConfiguration.objects.all(), allow_null=True, required=False
    )
    message_class = WordField(MessageClass, required=False)
    audience = serializers.SlugRelatedField(
        slug_field="key", queryset=Audience.objects.all(), allow_null=True, required=False
    )
    exclusions = serializers.ListField(
        child=serializers.SlugRelatedField(slug_field="key", queryset=Audience.objects.all()),
        max_length=MAX_EXCLUSIONS,
        required=False,
    )
    schedule = ScheduleField(required=False)
    context = serializers.DictField(required=False)
    goal = GoalSerializer(
        allow_null=True, required=False, help_text="What people should do; it can be set at any time."
    )


class NewCampaignSerializer(_Parts):
    key = serializers.SlugField(max_length=60, help_text="Never changes.")
    name = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(Campaign.Kind.choices, default=Campaign.Kind.SCHEDULED)


class CampaignChangesSerializer(_Parts):
    name = serializers.CharField(max_length=200, required=False)
    revision = serializers.IntegerField(min_value=1, max_value=MAX_NUMBER, help_text="The one that was read.")


class CommentSerializer(Strict):
    comment = serializers.CharField(allow_blank=True, default="", max_length=1_000)


class WithheldSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    count = serializers.IntegerField()


class ReachSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField(help_text="In the audience and in no exclusion.")
    reached = serializers.IntegerField(help_text="Who would get a message now.")
    held = serializers.IntegerField(help_text="Of these, who would get it only after their quiet hours.")
    quiet_until = serializers.TimeField(
        allow_null=True,
        help_text="When the quiet hours are over by a person’s own clock; null when nobody is held.",
    )
    withheld = WithheldSerializer(many=True, help_text="Why the others would not, most first.")
    problem = serializers.CharField(allow_blank=True, help_text="Why nobody can be counted.")


class SchedulePreviewSerializer(Strict):
    schedule = ScheduleField()


class DatesSerializer(serializers.Serializer[Any]):
    dates = serializers.ListField(child=serializers.DateTimeField(), help_text="The next ten, at most.")
    problems = ProblemSerializer(many=True)


class CampaignRunSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(CampaignRun.State.choices)
    reason = serializers.CharField(allow_blank=True)
    due_at = serializers.DateTimeField()
    targeted = serializers.IntegerField(help_text="For how many people a message was written.")
    frozen_at = serializers.DateTimeField(allow_null=True, help_text="When all recipients were collected.")
    ended_at = serializers.DateTimeField(allow_null=True)
    messages = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="How many wait, and how many have each mark, such as sent.",
    )
    withheld = WithheldSerializer(many=True)


class RunsSerializer(serializers.Serializer[Any]):
    results = CampaignRunSerializer(many=True, help_text="The last hundred, newest first.")


class IdentityChoiceSerializer(Strict):
    namespace = serializers.CharField(max_length=60, help_text="Such as user_id.")
    value = serializers.CharField(max_length=255)


class RecipientSerializer(Strict):
    """A person, named in exactly one way."""

    profile_id = IdField(required=False)
    identity = IdentityChoiceSerializer(required=False)
    email = serializers.CharField(
        required=False, max_length=320, help_text="Who is not known by it yet becomes a profile."
    )
    phone = serializers.CharField(required=False, max_length=40, help_text="With + and the country.")
    attributes = serializers.DictField(
        required=False, help_text="Of a profile that is new; those of others stay."
    )
    context = serializers.DictField(required=False, help_text="Added to that of the request.")

    def validate_attributes(self, value: dict[str, Any]) -> dict[str, Any]:
        if len(value) > MAX_VALUES or not all(0 < len(key) <= 100 for key in value):
            raise serializers.ValidationError(
                _("Give at most %(max)d attributes, with names of 1 to 100 characters.") % {"max": MAX_VALUES}
            )
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"profile_id", "identity", "email", "phone"}) != 1:
            raise serializers.ValidationError(
                _("Name each recipient in exactly one way: profile_id, identity, email or phone.")
            )
        return attrs


class NewRequestSerializer(Strict):
    request_id = serializers.RegexField(
        rf"\A{REQUEST_ID}\Z", help_text="Made by you: the same request sent again is done once."
    )
    recipients = RecipientSerializer(many=True, min_length=1, max_length=MAX_RECIPIENTS)
    context = serializers.DictField(required=False, help_text="What the content reads as `context`.")


class RequestRecipientSerializer(serializers.Serializer[Any]):
    """In the order of the request."""

    is_accepted = serializers.BooleanField()
    reason = serializers.CharField(
        allow_blank=True, help_text="Why it was refused, or why its message was not sent."
    )
    profile = IdField(allow_null=True)
    message = IdField(allow_null=True)
    state = WordField(Message.State, allow_null=True, help_text="Of the message.")


class CampaignRequestSerializer(serializers.Serializer[Any]):
    id = IdField()
    request_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    recipients = RequestRecipientSerializer(many=True)
