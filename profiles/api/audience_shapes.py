"""The JSON shapes of audiences."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import Filters, IdField, Strict
from profiles.models import Audience, Membership

MAX_RULE = 65_536


class AudienceSerializer(serializers.Serializer[Audience]):
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    kind = serializers.ChoiceField(Audience.Kind.choices)
    state = serializers.ChoiceField(Audience.State.choices)
    rule = serializers.CharField(allow_blank=True, help_text="In the language of rules; a list has none.")
    members = serializers.IntegerField(source="size", help_text="How many profiles are in it now.")
    evaluated_at = serializers.DateTimeField(
        allow_null=True, help_text="When everybody was last looked at; null before the first time is over."
    )
    is_being_evaluated = serializers.SerializerMethodField(
        help_text="Whether everybody is being looked at now."
    )
    created_at = serializers.DateTimeField()

    def get_is_being_evaluated(self, audience: Audience) -> bool:
        return audience.evaluated_through is not None


class AudienceFilters(Filters):
    kind = serializers.ChoiceField(Audience.Kind.choices, required=False)
    state = serializers.ChoiceField(Audience.State.choices, required=False)


class NewAudienceSerializer(Strict):
    key = serializers.SlugField(max_length=60, help_text="Never changes.")
    name = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(Audience.Kind.choices, default=Audience.Kind.RULE)
    description = serializers.CharField(allow_blank=True, default="", max_length=10_000)
    rule = serializers.CharField(allow_blank=True, default="", max_length=MAX_RULE, trim_whitespace=False)


class AudienceChangeSerializer(Strict):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False, max_length=10_000)
    rule = serializers.CharField(
        required=False,
        max_length=MAX_RULE,
        trim_whitespace=False,
        help_text="Everybody is looked at again. Who enters or leaves by it is told as no event.",
    )


class RuleSerializer(Strict):
    rule = serializers.CharField(allow_blank=True, max_length=MAX_RULE, trim_whitespace=False)


class RuleProblemSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="What is wrong and the remedy.")
    token = serializers.CharField(allow_blank=True)
    offset = serializers.IntegerField(allow_null=True, help_text="In characters from 0; null for the whole.")
    line = serializers.IntegerField(allow_null=True)
    column = serializers.IntegerField(allow_null=True)


class PersonSerializer(serializers.Serializer[Any]):
    id = IdField()
    name = serializers.CharField()
    email = serializers.CharField(allow_blank=True)


class EstimateSerializer(serializers.Serializer[Any]):
    """How many profiles a rule would find now."""

    problems = RuleProblemSerializer(many=True, help_text="Empty when the rule can be used.")
    count = serializers.IntegerField(
        allow_null=True, help_text="Null when the rule has problems or counting took too long."
    )
    of = serializers.IntegerField(allow_null=True, help_text="How many profiles there are.")
    is_exact = serializers.BooleanField(help_text="Otherwise it was estimated from a random choice.")
    at_least = serializers.IntegerField(help_text="The true number lies between both in 19 of 20 cases.")
    at_most = serializers.IntegerField()
    note = serializers.CharField(allow_blank=True, help_text="How sure it is, as a sentence.")
    sample = PersonSerializer(many=True, help_text="At most ten of them.")


class MemberSerializer(serializers.Serializer[Membership]):
    profile = IdField(source="profile_id")
    name = serializers.CharField(source="profile.__str__")
    entered_at = serializers.DateTimeField()


class UploadSerializer(Strict):
    """Give `values`, or a `csv` whose `column` holds them: left out, the one that is called like the namespace."""

    namespace = serializers.SlugField(
        max_length=60,
        help_text="What the values are: email, phone, user_id, anonymous_id or one of your own.",
    )
    values = serializers.ListField(
        child=serializers.CharField(max_length=500, allow_blank=True), required=False
    )
    csv = serializers.CharField(required=False, trim_whitespace=False)
    column = serializers.CharField(required=False, max_length=200)
    create_missing = serializers.BooleanField(
        default=False, help_text="Make a profile for each identity that nobody has."
    )


class UnmatchedSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    value = serializers.CharField(allow_blank=True)
    reason = serializers.CharField()


class UploadedSerializer(serializers.Serializer[Any]):
    lines = serializers.IntegerField()
    people = serializers.IntegerField(help_text="How many are in the audience now.")
    made = serializers.IntegerField(help_text="How many profiles were made.")
    unmatched = UnmatchedSerializer(many=True, help_text="Those who stand for nobody; the first thousand.")
    unmatched_count = serializers.IntegerField()
