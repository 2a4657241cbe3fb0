from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ajo.core.rest.serializers import Filters, IdField, Strict, WordField, words
from channels.goal_forms import GoalSerializer, goal_json
from journeys.graph import Level
from journeys.models import Journey, JourneyInstance, JourneyVersion, ReEntry

MAX_NUMBER = 2**31 - 1
INSTANCE_STATES = words(JourneyInstance.State)


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": True,
        "description": "The map: `activities`, each with `id`, `kind` and `config`, and `links`, each `from` a box by"
        " its exit `port` `to` another box. A draft may hold whatever is half drawn; its problems say what is wrong.",
    }
)
class GraphField(serializers.DictField):
    """Any JSON object."""


class ActivityPortSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    label = serializers.CharField(allow_blank=True)
    is_optional = serializers.BooleanField(help_text="It may stay unconnected: who leaves by it ends there.")


class ActivityKindSerializer(serializers.Serializer[Any]):
    """A kind of activity, as the canvas offers it."""

    kind = serializers.CharField()
    label = serializers.CharField()
    category = serializers.CharField()
    icon = serializers.CharField()
    help = serializers.CharField(allow_blank=True)
    is_entry = serializers.BooleanField()
    is_exit = serializers.BooleanField()
    fields = serializers.ListField(  # type: ignore[assignment]
        child=serializers.DictField(), help_text="The form of its settings: name, label, help, type, limits."
    )
    defaults = serializers.DictField(help_text="The settings of a new one.")
    ports = ActivityPortSerializer(many=True, help_text="The exits of a new one.")


class BoxSerializer(serializers.Serializer[Any]):
    ports = ActivityPortSerializer(many=True)
    summary = serializers.CharField(allow_blank=True, help_text="What it does, in a few words.")


class GraphProblemSerializer(serializers.Serializer[Any]):
    level = serializers.ChoiceField(
        [level.value for level in Level], help_text="Only errors stop publishing."
    )
    activity = serializers.CharField(allow_blank=True, help_text="Id of the box; empty for the whole.")
    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class CheckedGraphSerializer(serializers.Serializer[Any]):
    """What is wrong with a graph, and its boxes as they are drawn."""

    problems = GraphProblemSerializer(many=True)
    boxes = serializers.DictField(child=BoxSerializer(), help_text="By id of the box.")


class JourneyVersionSerializer(serializers.Serializer[JourneyVersion]):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(JourneyVersion.State.choices)
    re_entry = serializers.ChoiceField(ReEntry.choices)
    published_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class JourneyVersionDetailSerializer(JourneyVersionSerializer):
    graph = GraphField()
    boxes = serializers.DictField(child=BoxSerializer(), help_text="By id of the box.")


class JourneyDraftSerializer(CheckedGraphSerializer):
    number = serializers.IntegerField()
    revision = serializers.IntegerField(
        allow_null=True, help_text="Send it back when saving; null when there is no draft yet."
    )
    graph = GraphField()
    re_entry = serializers.ChoiceField(ReEntry.choices)


class JourneyDraftNoteSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    revision = serializers.IntegerField()


class JourneySerializer(serializers.Serializer[Journey]):
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(
        JourneyVersion.State.choices, help_text="Of its newest published version; draft before there is one."
    )
    versions = JourneyVersionSerializer(many=True, source="versions.all", help_text="Newest first.")
    draft = serializers.SerializerMethodField()
    goal = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(JourneyDraftNoteSerializer(allow_null=True))
    def get_draft(self, journey: Journey) -> dict[str, int] | None:
        drafts = [
            version for version in journey.versions.all() if version.state == JourneyVersion.State.DRAFT
        ]
        return {"number": drafts[0].number, "revision": drafts[0].revision} if drafts else None

    @extend_schema_field(GoalSerializer(allow_null=True))
    def get_goal(self, journey: Journey) -> dict[str, Any] | None:
        return goal_json(journey.goal)


class NewJourneySerializer(Strict):
    key = serializers.SlugField(max_length=60, help_text="Never changes.")
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(allow_blank=True, default="", max_length=10_000)


class JourneyWordsSerializer(Strict):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, max_length=10_000, required=False)
    goal = GoalSerializer(
        allow_null=True,
        required=False,
        help_text="What people should do after its messages, in all versions.",
    )


class SavedJourneyDraftSerializer(Strict):
    graph = GraphField()
    re_entry = serializers.ChoiceField(ReEntry.choices)
    revision = serializers.IntegerField(
        allow_null=True, min_value=1, max_value=MAX_NUMBER, help_text="The one that was read."
    )


class GraphSerializer(Strict):
    graph = GraphField()


class CountsFilters(Filters):
    version = serializers.IntegerField(
        min_value=1,
        max_value=MAX_NUMBER,
        required=False,
        help_text="Its number; without it the newest published one.",
    )


class BoxCountsSerializer(serializers.Serializer[Any]):
    waiting = serializers.IntegerField(help_text="Who stands here now.")
    passed = serializers.IntegerField(help_text="How often somebody left it, or ended there as planned.")
    outcomes = serializers.DictField(
        child=serializers.IntegerField(), help_text="Steps by the exit, or by why people stayed or ended."
    )


class JourneyCountsSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    entered = serializers.IntegerField()
    active = serializers.IntegerField()
    ended = serializers.IntegerField()
    failed = serializers.IntegerField()
    stopped = serializers.IntegerField()
    merged = serializers.IntegerField()
    boxes = serializers.DictField(child=BoxCountsSerializer(), help_text="By id of the box.")


class InstanceFilters(Filters):
    profile = IdField(required=False)
    journey = serializers.SlugField(max_length=60, required=False, help_text="Its key.")
    state = WordField(JourneyInstance.State, required=False)


class InstanceSerializer(serializers.Serializer[Any]):
    id = IdField()
    journey = serializers.CharField(source="journey_key")
    version = serializers.IntegerField(source="version_number")
    profile = IdField(source="profile_id")
    entry_no = serializers.IntegerField(help_text="The person's n-th walk through this journey.")
    state = WordField(JourneyInstance.State)
    activity = serializers.CharField(help_text="Where it stands or ended.")
    entered_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class StepSerializer(serializers.Serializer[Any]):
    visit = serializers.IntegerField()
    activity = serializers.CharField()
    outcome = serializers.CharField(help_text="The exit, or why the walk stood or ended.")
    detail = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class WaitSerializer(serializers.Serializer[Any]):
    due_at = serializers.DateTimeField(allow_null=True)
    event = serializers.CharField(allow_null=True, help_text="The event that ends the wait.")


class InstanceDetailSerializer(InstanceSerializer):
    wait = WaitSerializer(allow_null=True, help_text="What it waits for.")
    steps = StepSerializer(many=True, help_text="Oldest first, at most 1000.")
