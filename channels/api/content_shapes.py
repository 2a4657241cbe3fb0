"""The JSON shapes of contents."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import IdField, Strict, WordField
from channels import services
from channels.models import Content, ContentVersion
from channels.rendering import AUTHORED
from channels.starting_points import STARTING_POINTS
from profiles.models import Channel

FINDING_LEVELS = ["error", "warning"]
CHECK_LEVELS = ["ok", "advice", "warning", "error"]
MAX_SOURCE = 200_000
"""Characters of one field. What can be rendered is less; the problems of a draft say so."""


class ContentVersionNoteSerializer(serializers.Serializer[ContentVersion]):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(ContentVersion.State.choices)
    published_at = serializers.DateTimeField(allow_null=True)


class ContentSerializer(serializers.Serializer[Content]):
    key = serializers.CharField()
    name = serializers.CharField()
    channel = WordField(Channel)
    versions = ContentVersionNoteSerializer(many=True, source="versions.all", help_text="Newest first.")
    created_at = serializers.DateTimeField()


class NewContentSerializer(Strict):
    key = serializers.SlugField(max_length=60, help_text="Never changes: journeys refer to it.")
    name = serializers.CharField(max_length=200)
    channel = serializers.ChoiceField(
        [(Channel(channel).name.lower(), str(Channel(channel).label)) for channel in AUTHORED],
        default="email",
    )
    starting_point = serializers.ChoiceField(
        [(point.key, point.label) for point in STARTING_POINTS.values()],
        default="blank",
        help_text="Of an email; the others begin empty.",
    )


class ContentNameSerializer(Strict):
    name = serializers.CharField(max_length=200)


def _source(help_text: str = "") -> serializers.CharField:
    return serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        max_length=MAX_SOURCE,
        help_text=help_text,
    )


class WordsSerializer(Strict):
    """Words in Liquid. Each channel reads the fields that it has: see the documentation of channels."""

    subject = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        max_length=500,
        help_text="Of a push: its title.",
    )
    preheader = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False, max_length=500
    )
    mjml = _source("When it is there, the HTML is made from it.")
    html = _source()
    text = _source("Of an email made from the HTML when it is empty; of a webhook its JSON.")
    image_url = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=2000, help_text="Of a push."
    )
    link_url = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=2000, help_text="Of a push."
    )
    columns = serializers.ListField(
        child=serializers.ListField(
            child=serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=2000),
            min_length=2,
            max_length=2,
        ),
        required=False,
        default=list,
        max_length=100,
        help_text="Pairs of a name and its Liquid: columns of direct mail, values that an app is given with a push.",
    )


class ContentVariantSerializer(WordsSerializer):
    treatment = serializers.SlugField(required=False, allow_blank=True, default="", max_length=60)
    locale = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)


class FindingSerializer(serializers.Serializer[Any]):
    level = serializers.ChoiceField(FINDING_LEVELS, help_text="Only errors stop publishing.")
    field = serializers.CharField(help_text="The field of the words that it is about.")
    line = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class CheckSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    level = serializers.ChoiceField(CHECK_LEVELS)
    message = serializers.CharField()
    field = serializers.CharField(allow_blank=True)
    line = serializers.IntegerField(allow_null=True)


class ContentVersionSerializer(ContentVersionNoteSerializer):
    variants = serializers.SerializerMethodField()

    def get_variants(self, version: ContentVersion) -> list[dict[str, Any]]:
        return [
            {field: getattr(variant, field) for field in services.AUTHORED_FIELDS}
            for variant in sorted(version.variants.all(), key=lambda each: (each.treatment, each.locale))
        ]


class ContentDraftSerializer(ContentVersionSerializer):
    revision = serializers.SerializerMethodField()
    problems = serializers.SerializerMethodField()

    def get_revision(self, version: ContentVersion) -> str | None:
        return services.revision_of(version) if version.state == ContentVersion.State.DRAFT else None

    def get_problems(self, version: ContentVersion) -> list[str]:
        return services.content_problems(version)


class SavedContentDraftSerializer(Strict):
    revision = serializers.CharField(
        allow_null=True, max_length=60, help_text="The one that was read; null when there was no draft."
    )
    variants = ContentVariantSerializer(many=True, allow_empty=False, max_length=50)

    def validate_variants(self, variants: list[dict[str, str]]) -> list[dict[str, str]]:
        names = [(variant["treatment"], variant["locale"]) for variant in variants]
        if len(set(names)) < len(names):
            raise serializers.ValidationError("Two variants have the same treatment and locale.")
        return variants


class _AsSomebody(Strict):
    profile = IdField(
        required=False, allow_null=True, default=None, help_text="As whom; null as nobody known."
    )
    event = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=200,
        help_text="Name of an event: its newest properties are used, this profile's own if there are any.",
    )


class PreviewRequestSerializer(_AsSomebody):
    words = WordsSerializer(help_text="As they stand in the editor; nothing is stored.")


class PartsSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    units = serializers.IntegerField(help_text="Characters, as the encoding counts them.")
    left = serializers.IntegerField(help_text="How many more fit into the last part.")
    encoding = serializers.CharField()
    foreign = serializers.CharField(
        allow_blank=True, help_text="The first character that makes it UCS-2, of which fewer fit."
    )


class PreviewSerializer(serializers.Serializer[Any]):
    is_rendered = serializers.BooleanField(help_text="Else the problems say why it could not be.")
    subject = serializers.CharField(allow_blank=True)
    preheader = serializers.CharField(allow_blank=True)
    html = serializers.CharField(allow_blank=True)
    text = serializers.CharField(allow_blank=True)
    image_url = serializers.CharField(allow_blank=True)
    link_url = serializers.CharField(allow_blank=True)
    columns = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_blank=True))
    )
    parts = PartsSerializer(allow_null=True, help_text="Of an SMS: what it is sent and paid in.")
    problems = FindingSerializer(many=True)
    checks = CheckSerializer(many=True)
    values = serializers.DictField(help_text="What the words found: profile, event, brand and so on.")


class ProofRequestSerializer(_AsSomebody):
    address = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=320,
        help_text="Email address or phone number. A push goes to the devices of the profile, a webhook to its system.",
    )
    configuration = serializers.SlugField(max_length=60, help_text="Key of the channel configuration.")
    treatment = serializers.SlugField(required=False, allow_blank=True, default="", max_length=60)
    locale = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)


class ProofSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField(help_text="A sentence.")
