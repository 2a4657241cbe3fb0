"""The percentage split: exact shares by chance, and the same way for the same person."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from journeys import graph, services
from journeys.activities.base import Place, Walk
from journeys.activities.split import Config, Split, slot_of
from journeys.canvas import boxes_json
from journeys.models import Journey, JourneyInstance, StepLog
from tests.factories import NOW, make_profile
from tests.journeys.helpers import box, entry_box, link, make_event, make_live, stream
from tests.support import count_statements

CROWD = 10_000


def split_box(box_id: str = "split", **shares: str | int) -> dict[str, Any]:
    return box(box_id, "split", paths=[{"id": path, "percent": share} for path, share in shares.items()])


def split_graph(**shares: str | int) -> dict[str, Any]:
    """Event → split → end, by every path."""
    links = [link("entry", "split"), *(link("split", "end", path) for path in shares)]
    return {"activities": [entry_box(), split_box(**shares), box("end", "end")], "links": links}


def place_of(journey: Journey, activity: str = "split", **shares: str | int) -> Place:
    serializer = Config(data=split_box(**shares)["config"])
    assert serializer.is_valid(), serializer.errors
    place = Place(journey.pk, 1, activity, serializer.validated_data, {})
    return Place(journey.pk, 1, activity, serializer.validated_data, {}, Split().prepare(place))


def ways(place: Place, profile_ids: Sequence[int] = range(1, CROWD + 1)) -> dict[int, str]:
    """Which path each profile takes."""
    walks = [Walk(instance_id, profile_id, 1) for instance_id, profile_id in enumerate(profile_ids)]
    outcome = Split().step(walks, place, NOW)
    assert outcome.count() == len(walks)
    return {walk.profile_id: port for port, moved in outcome.moved.items() for walk in moved}


@pytest.fixture
def journey() -> Journey:
    return services.create_journey(key="welcome-series", name="Welcome", user=None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "shares",
    [
        {"a": 50, "b": 50},
        {"a": 90, "b": 10},
        {"a": "33.33", "b": "33.33", "c": "33.34"},
        {"rare": "0.5", "common": "99.5"},
        {f"p{n}": 2 for n in range(50)},
    ],
    ids=lambda shares: "-".join(map(str, shares.values()))[:30],
)
def test_the_shares_are_exact_within_chance(journey: Journey, shares: dict[str, str | int]) -> None:
    counts = Counter(ways(place_of(journey, **shares)).values())

    chi_square = 0.0
    for path, share in shares.items():
        expected = CROWD * float(share) / 100
        deviation = math.sqrt(expected * (1 - float(share) / 100))
        assert abs(counts[path] - expected) < 4 * deviation, path
        chi_square += (counts[path] - expected) ** 2 / expected
    freedom = len(shares) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


def test_the_slots_are_even() -> None:
    counts = Counter(slot_of(profile_id, b"even") // 100 for profile_id in range(100_000))

    assert set(counts) == set(range(100))
    chi_square = sum((count - 1_000) ** 2 / 1_000 for count in counts.values())
    assert chi_square < 99 + 4 * math.sqrt(2 * 99)


def test_a_slot_is_the_same_in_every_process() -> None:
    """Written down: were it to change, people in running journeys would change their way."""
    assert [slot_of(profile_id, b"welcome-series/split") for profile_id in (1, 2, 3, 2**62)] == [
        1968,
        5121,
        1574,
        4462,
    ]


@pytest.mark.django_db
def test_the_smallest_share_has_exactly_one_slot(journey: Journey) -> None:
    prepared = place_of(journey, tiny="0.01", rest="99.99").prepared

    assert prepared.ends == [1, 10_000]
    place = place_of(journey, first="0.01", middle="99.98", last="0.01")
    assert place.prepared.ends == [1, 9_999, 10_000]
    assert set(ways(place, range(100_000)).values()) == {"first", "middle", "last"}


@pytest.mark.django_db
def test_changed_shares_move_only_those_between_the_old_and_the_new_border(journey: Journey) -> None:
    before = ways(place_of(journey, a=50, b=50))
    after = ways(place_of(journey, a=60, b=40))

    moved = [profile_id for profile_id in before if before[profile_id] != after[profile_id]]
    assert all(before[profile_id] == "b" for profile_id in moved)
    assert abs(len(moved) - 1_000) < 4 * math.sqrt(1_000 * 0.9)


@pytest.mark.django_db
def test_splits_choose_independently(journey: Journey) -> None:
    """Of two splits in a journey, and of the same one in another journey."""
    other = services.create_journey(key="farewell-series", name="Farewell", user=None)
    first = ways(place_of(journey, "one", a=50, b=50))
    for second in (place_of(journey, "two", a=50, b=50), place_of(other, "one", a=50, b=50)):
        pairs = Counter((first[profile_id], way) for profile_id, way in ways(second).items())
        assert len(pairs) == 4
        assert all(abs(count - 2_500) < 4 * math.sqrt(2_500 * 0.75) for count in pairs.values())


@pytest.mark.django_db
def test_a_person_goes_the_same_way_again_also_by_a_later_version() -> None:
    version = make_live(split_graph(a=50, b=50), re_entry="always")
    people = [make_profile() for _ in range(20)]
    for _ in range(2):
        stream(*[make_event(person.pk) for person in people])
    drawn = split_graph(a=50, b=50)
    services.save_draft(journey=version.journey, graph=drawn, re_entry="always", revision=None, user=None)
    services.publish_journey(journey=version.journey, user=None, now=NOW)
    stream(*[make_event(person.pk) for person in people])

    assert JourneyInstance.objects.count() == 60
    taken: dict[int, set[str]] = {}
    for profile_id, port in StepLog.objects.filter(activity="split").values_list(
        "instance__profile_id", "outcome"
    ):
        taken.setdefault(profile_id, set()).add(port)
    assert {len(ports) for ports in taken.values()} == {1}
    assert set().union(*taken.values()) == {"a", "b"}


@pytest.mark.django_db
def test_it_asks_the_database_nothing(journey: Journey) -> None:
    place = place_of(journey, a=50, b=50)

    with count_statements() as seen:
        ways(place)

    assert not seen


@pytest.mark.parametrize(
    ("paths", "field", "words"),
    [
        ([], "paths", "at least 2"),
        ([{"id": "a", "percent": 100}], "paths", "at least 2"),
        ([{"id": "a", "percent": 50}, {"id": "b", "percent": 51}], "paths", "add up to 101.00 percent"),
        ([{"id": "a", "percent": 50}, {"id": "b", "percent": "49.99"}], "paths", "add up to 99.99 percent"),
        ([{"id": "a", "percent": 50}, {"id": "a", "percent": 50}], "paths", "the key 'a'"),
        ([{"id": "a", "percent": 0}, {"id": "b", "percent": 100}], "paths.0.percent", "0.01"),
        ([{"id": "a", "percent": -1}, {"id": "b", "percent": 101}], "paths.0.percent", "0.01"),
        ([{"id": "a", "percent": "33.333"}, {"id": "b", "percent": 1}], "paths.0.percent", "decimal"),
        ([{"id": "a", "percent": "NaN"}, {"id": "b", "percent": 1}], "paths.0.percent", "number"),
        ([{"id": "A b", "percent": 50}, {"id": "b", "percent": 50}], "paths.0.id", "pattern"),
        ([{"percent": 50}, {"id": "b", "percent": 50}], "paths.0.id", "required"),
        ([1, 2], "paths.0", ""),
        ("a", "paths", "list"),
    ],
)
def test_shares_that_cannot_be_are_named(paths: Any, field: str, words: str) -> None:
    drawn = split_graph(a=50, b=50)
    drawn["activities"][1]["config"] = {"paths": paths}

    problems = [problem for problem in graph.problems(drawn) if problem.activity == "split"]

    assert problems
    assert problems[0].field.startswith(field)
    assert words in problems[0].message


def test_a_new_box_begins_with_two_halves() -> None:
    drawn = split_graph(a=50, b=50)
    drawn["activities"][1]["config"] = {}

    plan = graph.compiled(drawn)

    assert plan.boxes["split"].ports == ("a", "b")
    assert [path["percent"] for path in plan.boxes["split"].config["paths"]] == [Decimal(50), Decimal(50)]


def test_every_path_must_lead_somewhere() -> None:
    drawn = split_graph(a=50, b=30, c=20)
    drawn["links"] = [one for one in drawn["links"] if one["port"] != "c"]

    (problem,) = graph.problems(drawn)

    assert "exit 'c'" in problem.message


def test_its_words_for_the_canvas() -> None:
    paths = [{"id": "a", "label": "A", "percent": "33.30"}, {"id": "rest", "percent": "66.7"}]
    serializer = Config(data={"paths": paths})
    assert serializer.is_valid()
    assert Split().summary(serializer.validated_data) == "33.3 % A · 66.7 % rest"
    assert Split().port_label(serializer.validated_data, "rest") == "66.7 % rest"


@pytest.mark.parametrize("percent", ["", "x", None, [1], True])
def test_its_lines_stay_while_a_share_is_half_written(percent: Any) -> None:
    paths = [{"id": "a", "percent": percent}, {"id": "b"}]
    boxes = boxes_json({"activities": [{"id": "s", "kind": "split", "config": {"paths": paths}}]})
    assert [port["id"] for port in boxes["s"]["ports"]] == ["a", "b"]
