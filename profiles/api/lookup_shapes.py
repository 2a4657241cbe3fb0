"""The JSON shapes of lookups and code pools."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import Filters, IdField, Strict
from profiles.lookups.columns import MAX_COLUMNS, MAX_KEY, TYPES
from profiles.models import CodePool, Lookup, LookupRow

MODES = [("replace", "Exactly these rows"), ("merge", "These rows, and the others stay")]


class ColumnSerializer(Strict):
    name = serializers.CharField(
        max_length=60, help_text="Small letters, digits and _; begins with a letter."
    )
    type = serializers.ChoiceField([str(type_) for type_ in TYPES])


class LookupSerializer(serializers.Serializer[Lookup]):
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    key_label = serializers.CharField(allow_blank=True)
    columns = ColumnSerializer(many=True)
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(allow_null=True, help_text="When its rows last changed.")


class NewLookupSerializer(Strict):
    key = serializers.SlugField(max_length=60, help_text="Never changes.")
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(allow_blank=True, default="", max_length=10_000)
    key_label = serializers.CharField(
        allow_blank=True, default="", max_length=200, help_text="What the key of a row is, such as SKU."
    )
    columns = ColumnSerializer(many=True, max_length=MAX_COLUMNS)


class LookupChangeSerializer(Strict):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False, max_length=10_000)
    key_label = serializers.CharField(allow_blank=True, required=False, max_length=200)
    columns = ColumnSerializer(
        many=True,
        max_length=MAX_COLUMNS,
        required=False,
        help_text="A value that does not fit its column any more is missing until it is imported again.",
    )


class RowSerializer(serializers.Serializer[LookupRow]):
    key = serializers.CharField()
    values = serializers.DictField()


class GivenRowSerializer(Strict):
    key = serializers.CharField(max_length=MAX_KEY, trim_whitespace=False)
    values = serializers.DictField(help_text="By column: of its type, or a text of it; null is no value.")


class RowFilters(Filters):
    key = serializers.CharField(required=False, max_length=MAX_KEY, trim_whitespace=False)


class RowKeysSerializer(Strict):
    keys = serializers.ListField(
        child=serializers.CharField(max_length=MAX_KEY, trim_whitespace=False), min_length=1, max_length=1_000
    )


class RemovedSerializer(serializers.Serializer[Any]):
    removed = serializers.IntegerField()


class RowImportSerializer(Strict):
    """Give `rows`, or a `csv` whose first line names the columns, one of them key."""

    mode = serializers.ChoiceField(MODES)
    rows = GivenRowSerializer(many=True, required=False)
    csv = serializers.CharField(required=False, trim_whitespace=False)


class ImportedSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()


class PoolSerializer(serializers.Serializer[CodePool]):
    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    low_water = serializers.IntegerField(help_text="With fewer codes left it is shown as running low.")
    free = serializers.IntegerField()
    taken = serializers.IntegerField(source="taken_count")
    created_at = serializers.DateTimeField()


class NewPoolSerializer(Strict):
    key = serializers.SlugField(max_length=60, help_text="Never changes.")
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(allow_blank=True, default="", max_length=10_000)
    low_water = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=100)


class PoolChangeSerializer(Strict):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False, max_length=10_000)
    low_water = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)


class CodesSerializer(Strict):
    codes = serializers.ListField(child=serializers.CharField(max_length=500, allow_blank=True))


class AddedSerializer(serializers.Serializer[Any]):
    added = serializers.IntegerField()
    repeated = serializers.IntegerField(help_text="Those that were there already, or twice in the list.")


class CodeRemovalSerializer(Strict):
    codes = serializers.ListField(
        child=serializers.CharField(max_length=500), required=False, help_text="Left out: all that are free."
    )


class TakenCodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = IdField(source="taken_by")
    profile = IdField(source="profile_id")
    taken_at = serializers.DateTimeField()
