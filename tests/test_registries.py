"""The same questions to every kind of every registry. Whoever adds a kind is asked by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils.encoding import force_str
from rest_framework import serializers

from ajo.documentation import folder
from ajo.lib.rest import Described, describe
from channels.providers import registry as providers
from journeys.activities import registry as activities
from profiles.models import Channel

SETTINGS = {"journey activity": "Config", "channel provider": "Settings"}
KINDS = [(registry, cls) for registry in (activities, providers) for cls in registry]
WIDGETS = {"", "content", "configuration", "event", "audience", "attribute", "expression", "json", "textarea"}
KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
every_kind = pytest.mark.parametrize(("registry", "cls"), KINDS, ids=[cls.kind for _, cls in KINDS])
every_activity = pytest.mark.parametrize("cls", list(activities), ids=lambda cls: cls.kind)

EXAMPLES: dict[type[serializers.Field], Any] = {
    serializers.SlugField: "example",
    serializers.URLField: "https://example.com/hook",
    serializers.CharField: "Example",
    serializers.IntegerField: 1,
    serializers.FloatField: 1.5,
    serializers.BooleanField: True,
    serializers.ListField: [],
    serializers.DictField: {},
}


def settings_of(registry: Any, cls: Any) -> type[serializers.Serializer[Any]]:
    return getattr(cls, SETTINGS[registry.name])


def example(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """What a person could fill in: every required field with the plainest value of its type."""
    values = {}
    for name, field in serializer.fields.items():
        if not field.required:
            continue
        if isinstance(field, serializers.ChoiceField):
            values[name] = next(iter(field.choices))
        elif isinstance(field, serializers.Serializer):
            values[name] = example(field)
        elif isinstance(field, serializers.ListSerializer):
            values[name] = [example(field.child)]
        else:
            values[name] = next(EXAMPLES[base] for base in type(field).__mro__ if base in EXAMPLES)
    return values


def validated(serializer_class: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    serializer = serializer_class(data=data)
    assert serializer.is_valid(), serializer.errors
    return dict(serializer.validated_data)


def headings() -> dict[str, str]:
    """Heading → page, of the documentation."""
    found = {}
    for page in folder().glob("*.md"):
        for line in page.read_text().splitlines():
            if match := re.match(r"#+\s+(.+?)\s*$", line):
                found[match.group(1)] = page.name
    return found


def test_the_registries_are_filled() -> None:
    assert {"event_entry", "message", "end"} <= {cls.kind for cls in activities}
    assert "smtp" in {cls.kind for cls in providers}


@every_kind
def test_its_kind_is_a_key_and_names_its_file(registry: Any, cls: Any) -> None:
    assert KEY.match(cls.kind)
    assert Path(__import__(cls.__module__, fromlist=["x"]).__file__).stem == cls.kind


@every_kind
def test_it_is_found_by_its_kind_and_offered_by_its_label(registry: Any, cls: Any) -> None:
    assert registry.get(cls.kind) is cls
    assert (cls.kind, force_str(cls.label)) in registry.choices()
    labels = [force_str(other.label) for other in registry]
    assert labels.count(force_str(cls.label)) == 1


@every_kind
def test_its_words_are_for_people(registry: Any, cls: Any) -> None:
    label, help_text = force_str(cls.label), force_str(cls.help)
    assert label[0].isupper()
    assert not label.endswith(".")
    assert help_text.endswith(".")
    assert len(help_text.split()) >= 4
    assert cls.__doc__


@every_kind
def test_its_icon_is_the_name_of_a_symbol(registry: Any, cls: Any) -> None:
    assert KEY.match(cls.icon)


@every_kind
def test_its_settings_survive_a_round_trip(registry: Any, cls: Any) -> None:
    """Stored as JSON, shown in a form and stored again they are the same."""
    serializer_class = settings_of(registry, cls)
    once = validated(serializer_class, example(serializer_class()))
    shown = json.loads(json.dumps(serializer_class(once).data))
    assert validated(serializer_class, shown) == once


@every_kind
def test_every_setting_has_a_label_and_a_default_that_it_accepts(registry: Any, cls: Any) -> None:
    serializer_class = settings_of(registry, cls)
    for name, field in serializer_class().fields.items():
        assert KEY.match(name)
        assert force_str(field.label)
        if field.default is not serializers.empty:
            field.run_validation(field.default() if callable(field.default) else field.default)


@every_kind
@pytest.mark.parametrize("data", [{}, [], None, "x", 7, {"x": "\x00"}])
def test_nonsense_is_refused_and_breaks_nothing(registry: Any, cls: Any, data: Any) -> None:
    serializer = settings_of(registry, cls)(data=data)
    serializer.is_valid()
    assert serializer.errors is not None


@every_kind
def test_a_missing_setting_is_named(registry: Any, cls: Any) -> None:
    serializer_class = settings_of(registry, cls)
    required = [name for name, field in serializer_class().fields.items() if field.required]
    serializer = serializer_class(data={})
    assert serializer.is_valid() == (not required)
    assert sorted(serializer.errors) == sorted(required)


@every_kind
def test_the_documentation_has_a_heading_for_it(registry: Any, cls: Any) -> None:
    assert force_str(cls.label) in headings(), (
        f"Describe {cls.label} in templates/docs under a heading of its own."
    )


@every_activity
def test_its_exits_are_keys_that_do_not_change(cls: Any) -> None:
    config = validated(cls.Config, example(cls.Config()))
    ports = list(cls().ports(config))
    assert ports == list(cls().ports(config)) == list(dict.fromkeys(ports))
    assert all(KEY.match(port) for port in ports)
    assert cls.optional_ports <= set(ports)


@every_activity
def test_it_has_words_for_the_canvas(cls: Any) -> None:
    config = validated(cls.Config, example(cls.Config()))
    ports = cls().ports(config)
    labels = [force_str(cls().port_label(config, port)) for port in ports]
    assert len(set(labels)) == len(labels), "Two lines that leave the box look alike."
    assert all(labels) or len(labels) == 1
    assert len(force_str(cls().summary(config))) < 100


def every_field(described: list[Described]) -> Iterator[tuple[Described, list[Described]]]:
    """Each field with those that stand beside it in the form, nested ones too."""
    for field in described:
        yield field, described
        yield from every_field(field.get("fields", []))


@every_kind
def test_its_form_asks_with_known_widgets_and_hides_by_fields_that_exist(registry: Any, cls: Any) -> None:
    for field, beside in every_field(describe(settings_of(registry, cls))):
        assert field["widget"] in WIDGETS
        for name, values in (field["shown_when"] or {}).items():
            (asked,) = [other for other in beside if other["name"] == name]
            assert set(values) <= {choice["value"] for choice in asked["choices"]}


@every_activity
def test_an_entry_names_one_event(cls: Any) -> None:
    config = validated(cls.Config, example(cls.Config()))
    if cls.is_entry:
        assert len(cls().event_names(config)) == 1


@pytest.mark.parametrize("cls", list(providers), ids=lambda cls: cls.kind)
def test_a_provider_speaks_one_channel_and_comes_to_an_end(cls: Any) -> None:
    assert cls.channel in Channel
    assert 0 < cls.timeout <= 60
    assert cls.idempotency_window >= 0
