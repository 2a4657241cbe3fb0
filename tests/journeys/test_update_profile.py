"""Updating the profile: what is written, who sees it, and what cannot be published."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from journeys import graph
from journeys.activities.base import Finding, Place, Walk
from journeys.activities.update_profile import Config, UpdateProfile
from journeys.models import StepLog
from profiles.attributes import trait_time
from profiles.models import AttributeDefinition, Profile
from tests.factories import NOW, make_profile
from tests.journeys.helpers import box, entry_box, line, link, make_event, make_live, stream, tick
from tests.profiles.lookups.tables import make_lookup
from tests.support import count_statements

Attribute = AttributeDefinition.Type
GOLD = {"attribute": "tier", "how": "set", "value": "gold"}
ONE_MORE = {"attribute": "points", "how": "add", "amount": 1}


def declare(sensitivity: str = "personal", **types: str) -> None:
    AttributeDefinition.objects.bulk_create(
        AttributeDefinition(key=key, label=key.title(), type=type_, sensitivity=sensitivity)
        for key, type_ in types.items()
    )


def update_box(*changes: dict[str, Any], box_id: str = "update") -> dict[str, Any]:
    return box(box_id, "update_profile", changes=list(changes))


def run(*changes: dict[str, Any], attributes: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """The attributes of a person (without the email) whom an event brings to these changes."""
    make_live(line(entry_box(), update_box(*changes), box("end", "end")))
    person = make_profile(**attributes)
    stream(make_event(person.pk, **properties))
    return attributes_of(person)


def attributes_of(person: Profile) -> dict[str, Any]:
    person.refresh_from_db()
    return {key: value for key, value in person.attributes.items() if key != "email"}


def details() -> list[str]:
    return list(StepLog.objects.filter(activity="update").order_by("pk").values_list("detail", flat=True))


def found(*changes: dict[str, Any]) -> list[Finding]:
    serializer = Config(data={"changes": list(changes)})
    assert serializer.is_valid(), serializer.errors
    return list(UpdateProfile().problems(serializer.validated_data))


def prepared(*changes: dict[str, Any]) -> Place:
    serializer = Config(data={"changes": list(changes)})
    assert serializer.is_valid(), serializer.errors
    place = Place(1, 1, "update", serializer.validated_data, {})
    return Place(1, 1, "update", serializer.validated_data, {}, UpdateProfile().prepare(place))


@pytest.mark.django_db
def test_values_are_written_as_they_were_declared() -> None:
    declare(score=Attribute.NUMBER, vip=Attribute.BOOLEAN, since=Attribute.TIME, credit=Attribute.MONEY)
    changes = [
        GOLD,
        {"attribute": "score", "value": "12.50"},
        {"attribute": "vip", "value": "true"},
        {"attribute": "since", "value": "2026-12-24T18:00+01:00"},
        {"attribute": "credit", "value": "7.5 EUR"},
        {"attribute": "old", "how": "remove"},
        {"attribute": "never", "how": "remove"},
    ]
    assert run(*changes, attributes={"old": 1, "kept": [1]}) == {
        "kept": [1],
        "tier": "gold",
        "score": 12.5,
        "vip": True,
        "since": "2026-12-24T17:00:00Z",
        "credit": {"amount": "7.5", "currency": "EUR"},
    }


@pytest.mark.django_db
def test_an_expression_reads_the_person_and_the_event_and_cents_stay_cents() -> None:
    declare(spent=Attribute.NUMBER)
    change = {
        "attribute": "spent",
        "how": "expression",
        "expression": "coalesce(profile.spent, 0) + event.total",
    }
    make_live(line(entry_box(), update_box(change), box("end", "end")), re_entry="always")
    person = make_profile()
    for _ in range(3):
        stream(make_event(person.pk, total=0.1))
    with connection.cursor() as cur:
        cur.execute("SELECT attributes->>'spent' FROM profile")
        assert cur.fetchone() == ("0.3",)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("event.missing", 1),  # missing changes nothing
        ("1 / 0", 1),
        ("event.text", 1),  # not what was declared
        ("event.total", 5),
        ("size(event.list)", 2),
    ],
)
def test_a_result_that_is_missing_or_of_another_type_changes_nothing(expression: str, expected: int) -> None:
    declare(n=Attribute.NUMBER)
    change = {"attribute": "n", "how": "expression", "expression": expression}
    after = run(change, attributes={"n": 1}, text="x", total=5, list=[1, 2])
    assert after == {"n": expected}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before", "amount", "after"),
    [({}, 5, 5), ({"points": 7}, "-2.5", 4.5), ({"points": "many"}, 1, 1), ({"points": None}, 1, 1)],
)
def test_numbers_are_added(before: dict[str, Any], amount: Any, after: Any) -> None:
    assert run({**ONE_MORE, "amount": amount}, attributes=before) == {"points": after}


@pytest.mark.django_db
def test_changes_see_those_above_them() -> None:
    double = {"attribute": "double", "how": "expression", "expression": "profile.points * 2"}
    gone = {"attribute": "points", "how": "remove"}
    after = {"attribute": "after", "how": "expression", "expression": "has(profile.points)"}
    assert run(ONE_MORE, ONE_MORE, double, gone, after, attributes={"points": 1}) == {
        "double": 6,
        "after": False,
    }


@pytest.mark.django_db
def test_a_condition_that_follows_sees_the_change() -> None:
    paths = [{"id": "rich", "expression": 'profile.points >= 10 && profile.tier == "gold"'}]
    drawn = line(
        entry_box(),
        update_box({**ONE_MORE, "amount": 5}, GOLD),
        box("check", "condition", paths=paths),
        box("end", "end"),
    )
    drawn["links"][-1]["port"] = "else"
    drawn["links"].append(link("check", "end", "rich"))
    make_live(drawn)
    ada, bob = make_profile(points=5), make_profile(points=4)

    stream(make_event(ada.pk), make_event(bob.pk))

    ways = dict(StepLog.objects.filter(activity="check").values_list("instance__profile_id", "outcome"))
    assert ways == {ada.pk: "rich", bob.pk: "else"}


@pytest.mark.django_db
def test_two_walks_of_one_person_in_one_batch_both_count() -> None:
    """On the same box, and on two boxes of two journeys."""
    wait = box("rest", "wait", until="duration", amount=1, unit="days")
    for _ in range(2):
        make_live(line(entry_box(), wait, update_box(ONE_MORE), box("end", "end")), re_entry="always")
    ada, bob = make_profile(), make_profile(points=10)
    stream(*[make_event(ada.pk) for _ in range(3)], make_event(bob.pk))

    assert tick(NOW + timedelta(days=1)) == 8

    assert attributes_of(ada) == {"points": 6}
    assert attributes_of(bob) == {"points": 12}
    assert ada.attribute_times == {"points": trait_time(NOW + timedelta(days=1))}


@pytest.mark.django_db
def test_the_step_log_says_what_was_written_but_nothing_sensitive() -> None:
    declare("sensitive", diagnosis=Attribute.TEXT)
    run(
        GOLD,
        {"attribute": "diagnosis", "value": "secret"},
        ONE_MORE,
        {"attribute": "old", "how": "remove"},
        {"attribute": "x", "how": "expression", "expression": "event.none"},
        attributes={},
    )
    assert details() == ['tier is "gold"; diagnosis is set; points is 1; old was removed; x stays as it is.']


@pytest.mark.django_db
@pytest.mark.parametrize("crowd", [1, 50])
def test_the_number_of_statements_does_not_depend_on_the_people(crowd: int) -> None:
    walks = [Walk(n, make_profile().pk, 1) for n in range(crowd)]

    reading, writing = prepared(GOLD, ONE_MORE), prepared(GOLD)

    with count_statements() as seen:
        outcome = UpdateProfile().step(walks, reading, NOW)
    assert len(outcome.updates) == crowd
    assert len(seen) == 1, seen

    with count_statements() as seen:
        UpdateProfile().step(walks, writing, NOW)
    assert not seen


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"attribute": "score", "value": "12,5"}, "value", "'12,5' is not a number. Write digits"),
        ({"attribute": "score", "value": ""}, "value", "is not a number"),
        ({"attribute": "vip", "value": "yes"}, "value", "Write true or false."),
        ({"attribute": "since", "value": "2026-02-29"}, "value", "is not a time"),
        ({"attribute": "credit", "value": "12.50"}, "value", "12.50 EUR"),
        ({"attribute": "tags", "value": "a"}, "value", "A list cannot be written here."),
        ({"attribute": "tags", "how": "add"}, "how", "declared as list"),
        ({"attribute": "score", "how": "expression", "expression": "'a'"}, "expression", "text"),
        ({"attribute": "score", "how": "expression", "expression": ""}, "expression", "has no expression"),
        (
            {"attribute": "score", "how": "expression", "expression": "1 +"},
            "expression",
            "Line 1, column 4",
        ),
        (
            {"attribute": "x", "how": "expression", "expression": 'duration("1d")'},
            "expression",
            "an attribute can hold",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_named(change: dict[str, Any], field: str, words: str) -> None:
    declare(
        score=Attribute.NUMBER, vip=Attribute.BOOLEAN, since=Attribute.TIME, credit=Attribute.MONEY, tags=Attribute.LIST
    )  # fmt: skip
    first, *_ = found(change)
    assert not first.is_warning
    assert first.field == f"changes.0.{field}"
    assert words in first.message


@pytest.mark.django_db
def test_writing_an_undeclared_attribute_is_a_warning() -> None:
    declare(tier=Attribute.TEXT)
    assert not found(GOLD)
    assert found({**GOLD, "attribute": "teir"}) == [
        Finding(
            "The change of 'teir' writes the attribute 'teir', which is not declared. Did you mean 'tier'?",
            "changes.0.attribute",
            is_warning=True,
        )
    ]
    assert not found({"attribute": "teir", "how": "remove"})


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ([], "changes", "at least 1"),
        ([{"attribute": "email"}], "changes.0.attribute", "Send an identify call."),
        ([{"attribute": "phone", "how": "remove"}], "changes.0.attribute", "Send an identify call."),
        ([{"attribute": ""}], "changes.0.attribute", "blank"),
        ([{"attribute": "x" * 101}], "changes.0.attribute", "100"),
        ([{"attribute": "a\0b"}], "changes.0.attribute", "ull"),
        ([{"attribute": "a", "how": "add", "amount": "NaN"}], "changes.0.amount", "number"),
    ],
)
def test_changes_that_cannot_be_are_named(changes: Any, field: str, words: str) -> None:
    drawn = line(entry_box(), box("update", "update_profile", changes=changes), box("end", "end"))
    problems = [problem for problem in graph.problems(drawn) if problem.activity == "update"]
    assert problems[0].field.startswith(field)
    assert words in problems[0].message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([GOLD], 'tier = "gold"'),
        ([{**ONE_MORE, "amount": "2.50"}, GOLD], "points + 2.5 and 1 more"),
        ([{"attribute": "x", "how": "remove"}], "remove x"),
        ([{"attribute": "x", "how": "expression", "expression": "event.a"}], "x = event.a"),
    ],
)
def test_its_words_for_the_canvas(changes: list[dict[str, Any]], words: str) -> None:
    serializer = Config(data={"changes": changes})
    assert serializer.is_valid(), serializer.errors
    assert UpdateProfile().summary(serializer.validated_data) == words


@pytest.mark.django_db
def test_a_value_is_looked_up_by_what_the_box_does_not_change() -> None:
    make_lookup("products", {"title": "text"}, A1={"title": "Sweater"})
    looked_up = {
        "attribute": "last",
        "how": "expression",
        "expression": 'lookup("products", profile.sku, "title")',
    }
    assert run(looked_up, attributes={"sku": "A1"}) == {"sku": "A1", "last": "Sweater"}
    declare(sku="text", last="text")
    assert found(looked_up) == []
    changed = {"attribute": "sku", "how": "set", "value": "A2"}
    assert found(changed, looked_up) == [
        Finding(
            "The change of 'last' looks something up by 'sku', which this box changes too. Do it in a box of its own.",
            "changes.1.expression",
        )
    ]
