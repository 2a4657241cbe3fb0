"""What the command says about a story that does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from ajo.stories import closed_ride, judging, late_parcels, parking_lot
from ajo.stories.cast import Person, people
from ajo.stories.telling import some_of_each


def written(*profiles: str, state: str = "sent") -> list[dict[str, Any]]:
    return [
        {"id": f"m{number}", "profile": profile, "state": state, "reason": ""}
        for number, profile in enumerate(profiles)
    ]


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (["1", "2"], []),
        (["1", "2", "3"], []),  # time changed the answer for 3 meanwhile
        (["1"], ["1 profile did not get it and must: 2."]),
        (["1", "2", "2"], ["1 profile got it more than once: 2."]),
        (["1", "2", "4", "10"], ["2 profiles got it and must not: 4, 10."]),
    ],
)
def test_everybody_once_and_nobody_else(got: list[str], said: list[str]) -> None:
    assert judging.once_each("it", written(*got), must={"1", "2"}, may={"1", "2", "3"}) == said


def test_no_code_twice_and_no_apology_without() -> None:
    apologies = written("1", "2")
    taken = [{"code": "A", "message": "m0"}, {"code": "B", "message": "m1"}]
    assert judging.own_codes(apologies, taken) == []
    assert judging.own_codes(apologies, taken[:1]) == ["1 profile got an apology without a code: 2."]
    assert judging.own_codes(apologies, [{"code": "A", "message": f"m{n}"} for n in (0, 1)]) == [
        "The code A was given 2 times."
    ]


def test_what_went_wrong_is_told_and_what_was_withheld_is_not() -> None:
    assert judging.failed("The survey", written("1", state="withheld") + written("2")) == []
    assert judging.failed("The survey", written("3", state="failed")) == [
        "The survey to profile 3 is failed: "
    ]
    assert judging.settled(written("1", state="withheld"))
    assert not judging.settled(written("1", state="queued"))


def test_quantiles_are_of_the_nearest_rank() -> None:
    assert judging.quantiles([0.4, 0.1, 0.3, 0.2]) == (0.2, 0.4)
    assert judging.quantiles([float(n) for n in range(1, 101)]) == (50.0, 95.0)
    assert judging.quantiles([0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("story", [late_parcels, parking_lot, closed_ride])
@pytest.mark.parametrize("count", [6, 40])
def test_a_story_brings_as_many_people_as_it_is_asked_for_with_every_part(story: Any, count: int) -> None:
    cast = people("t", 1, story.parts(count))
    assert len(cast) == count
    assert len({person.user_id for person in cast}) == count
    assert len({person.part for person in cast}) == len({part for part, _, _ in story.parts(200)})
    assert people("t", 1, story.parts(count)) == cast
    assert not {person.user_id for person in cast} & {
        person.user_id for person in people("u", 1, story.parts(count))
    }


def test_some_of_each_part_are_told_of_by_name() -> None:
    cast = [Person(f"p{n}", f"P{n}", "Q", "many" if n else "one", "Gold", "M") for n in range(6)]
    lines = list(some_of_each([(person, "a push") for person in cast]))
    assert len(lines) == 5
    assert lines[0].split() == ["P0", "Q", "one", "a", "push"]
    assert lines[-1] == "  … and 2 more: many"
