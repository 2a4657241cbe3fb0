from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys import graph
from journeys.graph import MAX_ACTIVITIES, InvalidGraph, Level
from tests.journeys.helpers import box, entry_box, line, link, waiting_graph, welcome_graph

CASES = json.loads((Path(__file__).parent.parent / "cases" / "graph_problems.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_problems_are_exactly_these(case: dict[str, Any]) -> None:
    found = graph.problems(case["graph"])

    assert len(found) == len(case["problems"]), found
    for expected in case["problems"]:
        level, activity, words, field = [*expected, ""][:4]
        assert [
            problem
            for problem in found
            if problem.level == level
            and activity in {problem.activity, "*"}
            and words in problem.message
            and problem.field == field
        ], (expected, found)


def test_a_loop_names_its_boxes_in_the_order_in_which_people_would_run() -> None:
    passes = [box(name, "test_pass") for name in ("a", "b", "c")]
    looping = line(entry_box(), *passes)
    looping["links"].append(link("c", "a"))

    (problem,) = graph.problems(looping)

    assert any(way in problem.message for way in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))


def test_every_loop_is_named() -> None:
    looping = line(entry_box(), *[box(name, "test_pass") for name in "abcd"])
    looping["activities"].append(box("fork", "test_parking", minutes=1))
    looping["links"] = [
        link("entry", "fork"), link("fork", "a"), link("fork", "c", "late"),
        link("a", "b"), link("b", "a"), link("c", "d"), link("d", "c"),
    ]  # fmt: skip

    assert len(graph.problems(looping)) == 2


def test_at_most_500_activities() -> None:
    boxes = [box(f"p{number}", "test_pass") for number in range(MAX_ACTIVITIES)]
    too_many = line(entry_box(), *boxes)

    (problem, *_) = graph.problems(too_many)

    assert "501 activities" in problem.message
    assert not graph.problems(line(entry_box(), *boxes[:-2], box("end", "end")))


def test_errors_come_before_warnings() -> None:
    found = graph.problems({"activities": [box("in", "event_entry", event="A", x=1)], "links": []})

    assert [problem.level for problem in found] == [Level.ERROR, Level.WARNING]


def test_a_plan_has_settings_with_their_defaults_and_links_by_port() -> None:
    plan = graph.compiled(welcome_graph())

    assert plan.entry == "entry"
    assert plan.boxes["hello"].config == {
        "content": "welcome",
        "configuration": "email",
        "message_class": "marketing",
    }
    assert plan.boxes["hello"].links == {"next": "end"}
    assert plan.content_keys() == {"welcome"}
    assert plan.entry_event() == "Signed Up"
    assert graph.compiled(waiting_graph(event="Bought")).event_names() == {"Signed Up", "Bought"}


def test_an_invalid_graph_does_not_compile() -> None:
    with pytest.raises(InvalidGraph, match="no entry") as raised:
        graph.compiled({})

    assert raised.value.problems == tuple(graph.problems({}))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["in", "a", "next", "end"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
kinds = st.sampled_from(["event_entry", "message", "end", "test_pass", "test_parking"]) | anything
activities = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from("abc") | anything,
        "kind": kinds,
        "config": st.just({"event": "A"}) | anything,
    },
)
links = st.fixed_dictionaries(
    {},
    optional={
        "from": st.sampled_from("abc") | anything,
        "port": st.just("next") | anything,
        "to": st.sampled_from("abc") | anything,
    },
)
graphs = st.fixed_dictionaries(
    {"activities": st.lists(activities, max_size=5), "links": st.lists(links, max_size=8)}
)


@given(anything | graphs)
def test_no_json_value_breaks_the_check(value: Any) -> None:
    found = graph.problems(value)

    if not any(problem.level is Level.ERROR for problem in found):
        plan = graph.compiled(value)
        assert all(target in plan.boxes for b in plan.boxes.values() for target in b.links.values())


def test_problems_call_a_box_by_its_name_on_the_map() -> None:
    drawn = line(box("in", "event_entry", event="A"), {**box("m", "message"), "label": "Say hello"})
    found = [problem for problem in graph.problems(drawn) if problem.activity == "m"]
    assert {problem.field for problem in found} == {"content", "configuration"}
    assert all(problem.message.startswith("'Say hello' cannot run") for problem in found)


@pytest.mark.parametrize("label", [1, None, ["x"], "x" * 81])
def test_a_name_on_the_map_is_a_short_text(label: Any) -> None:
    drawn = line({**box("in", "event_entry", event="A"), "label": label}, box("end", "end"))
    (problem,) = graph.problems(drawn)
    assert (problem.activity, problem.field) == ("in", "label")
