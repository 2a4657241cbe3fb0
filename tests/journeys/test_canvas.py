"""What the canvas is told: pure JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from journeys import canvas, graph
from journeys.activities import registry
from journeys.activities.split import Split
from tests.journeys.helpers import box, entry_box, line


def test_every_kind_is_plain_json_with_all_that_a_form_needs() -> None:
    kinds = json.loads(json.dumps(canvas.kinds_json()))

    assert {kind["kind"] for kind in kinds} == {cls.kind for cls in registry}
    for kind in kinds:
        assert all(kind[name] for name in ("label", "category", "icon"))
        assert {field["name"] for field in kind["fields"]} >= set(kind["defaults"])


def test_a_kind_whose_settings_are_missing_still_says_its_exits() -> None:
    kinds = {kind["kind"]: kind for kind in canvas.kinds_json()}

    assert [port["id"] for port in kinds["message"]["ports"]] == ["next"]
    assert [port["id"] for port in kinds["split"]["ports"]] == ["a", "b"]
    assert kinds["end"]["ports"] == []
    entries = {kind for kind, each in kinds.items() if each["is_entry"]}
    assert entries == {"event_entry", "audience_entry", "business_entry"}
    assert {kind for kind, each in kinds.items() if each["is_exit"]} == {"exit_on_event", "exit_on_audience"}


def test_boxes_say_exits_and_words() -> None:
    drawn = line(entry_box("Signed Up"), box("pause", "wait", until="duration", amount=3), box("end", "end"))

    boxes = canvas.boxes_json(drawn)

    assert list(boxes) == ["entry", "pause", "end"]
    assert boxes["entry"]["ports"] == [{"id": "next", "label": "", "is_optional": False}]
    assert boxes["end"] == {"ports": [], "summary": ""}


def test_a_split_whose_shares_do_not_add_up_yet_keeps_its_lines() -> None:
    paths = [{"id": "a", "percent": 50}, {"id": "b", "percent": 20}, {"id": "c", "percent": 10}]

    found = canvas.box_json(Split(), {"paths": paths})

    assert ([port["id"] for port in found["ports"]], found["summary"]) == (["a", "b", "c"], "")


@pytest.mark.parametrize(
    "config",
    [
        {"paths": None},
        {"paths": [None]},
        {"paths": [{}]},
        {"paths": "ab"},
        {"paths": [{"id": 3}, {"id": ""}]},
        {"paths": 7},
    ],
)
def test_nonsense_has_no_exits(config: Mapping[str, Any]) -> None:
    assert canvas.box_json(Split(), config) == {"ports": [], "summary": ""}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"activities": None},
        {"activities": [None, {}, {"id": 1, "kind": "end"}, {"id": "a", "kind": "nothing"}]},
        {"activities": [{"id": "a", "kind": ["end"]}]},
    ],
)
def test_what_is_no_graph_has_no_boxes(value: Any) -> None:
    assert canvas.boxes_json(value) == {}


def test_problems_are_listed_with_their_place() -> None:
    found = canvas.problems_json(graph.problems(line(box("entry", "event_entry"), box("end", "end"))))

    assert [(each["level"], each["activity"], each["field"]) for each in found] == [
        ("error", "entry", "event")
    ]
    assert "cannot run with its setting 'event'" in found[0]["message"]


def test_an_exit_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def ports(self: Split, config: Mapping[str, Any]) -> Sequence[str]:
        return ("a", "a", "b")

    monkeypatch.setattr(Split, "ports", ports)

    assert [port["id"] for port in canvas.box_json(Split(), {})["ports"]] == ["a", "b"]
