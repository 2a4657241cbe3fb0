"""The condition: the first true way, by what is known of the person when they come to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from channels.models import Message
from journeys import graph, services
from journeys.activities.base import Finding, Place, Walk
from journeys.activities.condition import Condition, Config
from journeys.graph import Level
from journeys.models import JourneyInstance, StepLog
from profiles.consumers import StreamEvent
from profiles.models import AttributeDefinition, Event, Profile
from tests.factories import NOW, as_json, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_event,
    make_journey,
    make_live,
    message_box,
    stream,
    tick,
)
from tests.profiles.lookups.tables import make_lookup
from tests.support import count_statements

Attribute = AttributeDefinition.Type
GOLD = 'profile.tier == "gold"'


def condition_box(box_id: str = "check", **expressions: str) -> dict[str, Any]:
    paths = [
        {"id": path, "label": path.title(), "expression": expression}
        for path, expression in expressions.items()
    ]
    return box(box_id, "condition", paths=paths)


def condition_graph(*before: dict[str, Any], **expressions: str) -> dict[str, Any]:
    """Event → the boxes before it → condition → end, by every path."""
    drawn = line(entry_box(), *before, condition_box(**expressions), box("end", "end"))
    drawn["links"][-1]["port"] = "else"
    drawn["links"] += [link("check", "end", path) for path in expressions]
    return drawn


def declare(**types: str) -> None:
    AttributeDefinition.objects.bulk_create(
        AttributeDefinition(key=key, label=key.title(), type=type_) for key, type_ in types.items()
    )


def ways(box_id: str = "check") -> dict[int, str]:
    """Profile id → the exit that the person took."""
    return dict(StepLog.objects.filter(activity=box_id).values_list("instance__profile_id", "outcome"))


def way(expression: str, attributes: dict[str, Any], **properties: Any) -> str:
    """The exit that a person with these attributes takes by an event with these properties."""
    make_live(condition_graph(yes=expression))
    person = make_profile(**attributes)
    stream(make_event(person.pk, **properties))
    return ways()[person.pk]


@pytest.mark.django_db
def test_rows_of_lookups_are_read_for_everybody_at_once() -> None:
    make_lookup("stock", {"on_hand": "number"}, S={"on_hand": 0}, M={"on_hand": 3})
    expression = 'lookup("stock", concat(entry.kind, profile.size), "on_hand") > 0'
    make_live(condition_graph(yes=expression))
    people = [make_profile(size=size).pk for size in ("S", "M", "L", "M")]
    with count_statements() as seen:
        stream(*(make_event(person, kind="") for person in people))
    assert list(ways().values()) == ["else", "yes", "else", "yes"]
    assert sum("lookup_row" in statement for statement in seen) == 1


def keep(*events: StreamEvent) -> None:
    """Store them, as ingest does."""
    for event in events:
        Event.objects.create(
            id=event.id, batch_id=1, source_id=1, event_type_id=event.event_type_id, kind=1,
            occurred_at=NOW, user_id="x", properties=event.decoded(),
        )  # fmt: skip


def found(**expressions: str) -> list[Finding]:
    serializer = Config(data=condition_box(**expressions)["config"])
    assert serializer.is_valid(), serializer.errors
    return list(Condition().problems(serializer.validated_data))


@pytest.mark.django_db
def test_each_person_goes_the_first_way_that_is_true() -> None:
    make_live(condition_graph(gold=GOLD, adult="profile.age >= 18", vip="profile.vip"))
    people = {
        make_profile(tier="gold", age=70, vip=True).pk: "gold",
        make_profile(tier="silver", age=18).pk: "adult",
        make_profile(tier="Gold", age=17, vip=True).pk: "vip",
        make_profile(age="18").pk: "else",
        make_profile().pk: "else",
    }

    stream(*map(make_event, people))

    assert ways() == people
    assert JourneyInstance.objects.filter(state=JourneyInstance.State.ENDED).count() == 5


@pytest.mark.django_db
def test_the_step_log_says_which_way_and_why() -> None:
    make_live(condition_graph(gold="  profile.tier   ==  'gold' "))
    ada, bob = make_profile(tier="gold"), make_profile()

    stream(make_event(ada.pk), make_event(bob.pk))

    reasons = dict(StepLog.objects.filter(activity="check").values_list("instance__profile_id", "detail"))
    assert reasons == {ada.pk: 'Gold: profile.tier == "gold" was true.', bob.pk: "No condition was true."}


@pytest.mark.django_db
def test_what_changed_during_the_wait_counts() -> None:
    """Event → a week → condition → message: by then one has become gold, and one no longer is."""
    make_cast_of_message()
    drawn = line(
        entry_box(),
        box("rest", "wait", until="duration", amount=1, unit="weeks"),
        condition_box(gold=GOLD),
        box("end", "end"),
    )
    drawn["activities"].insert(3, message_box())
    drawn["links"][-1] = link("check", "end", "else")
    drawn["links"] += [link("check", "hello", "gold"), link("hello", "end")]
    make_live(drawn)
    rising, falling, steady = (make_profile(tier=tier) for tier in ("silver", "gold", "gold"))
    stream(*(make_event(person.pk) for person in (rising, falling, steady)))
    Profile.objects.filter(pk=rising.pk).update(attributes={"tier": "gold"})
    Profile.objects.filter(pk=falling.pk).update(attributes={"tier": "silver"})

    assert tick(NOW + timedelta(days=7) - timedelta(microseconds=1)) == 0
    assert tick(NOW + timedelta(days=7)) == 3

    assert ways() == {rising.pk: "gold", falling.pk: "else", steady.pk: "gold"}
    assert set(Message.objects.values_list("profile_id", flat=True)) == {rising.pk, steady.pk}


@pytest.mark.django_db
def test_a_condition_on_the_time_goes_by_the_time_of_the_journey() -> None:
    make_live(
        condition_graph(
            box("rest", "wait", until="duration", amount=30, unit="days"),
            late="now() >= profile.joined + duration('30d')",
        )
    )
    declare(joined=Attribute.TIME)
    ada, bob = make_profile(joined="2026-11-21T12:00:00Z"), make_profile(joined="2026-11-21T12:00:00.000001Z")
    stream(make_event(ada.pk), make_event(bob.pk))
    tick(NOW + timedelta(days=30))
    assert ways() == {ada.pk: "late", bob.pk: "else"}


@pytest.mark.django_db
def test_the_event_that_let_them_in_is_entry_and_event() -> None:
    assert way("entry.total == event.total && entry.total == 19.99", {}, total=19.99) == "yes"


@pytest.mark.django_db
def test_after_a_clock_there_is_an_entry_event_but_no_event_at_hand() -> None:
    rest = box("rest", "wait", until="duration", amount=1, unit="days")
    make_live(condition_graph(rest, event="has(event.plan)", entry='entry.plan == "pro"'))
    person = make_profile()
    event = make_event(person.pk, plan="pro")
    keep(event)
    stream(event)
    tick(NOW + timedelta(days=1))
    assert ways() == {person.pk: "entry"}


@pytest.mark.django_db
def test_the_event_that_ended_the_wait_is_at_hand_until_the_next_wait() -> None:
    drawn = line(
        entry_box(),
        box("order", "wait_for_event", event="Order Completed", timeout_amount=3),
        condition_box("first", big="event.total > 100 && entry.total == 5"),
        box("rest", "wait", until="duration", amount=1, unit="days"),
        condition_box("second", big="has(event.total)"),
        box("end", "end"),
    )
    for one in drawn["links"]:
        one["port"] = {"order": "event", "first": "else", "second": "else"}.get(one["from"], "next")
    drawn["links"] += [
        link("order", "end", "timeout"),
        link("first", "rest", "big"),
        link("second", "end", "big"),
    ]
    make_live(drawn)
    ada, bob = make_profile(), make_profile()
    entries = [make_event(person.pk, total=5) for person in (ada, bob)]
    keep(*entries)
    stream(*entries)
    stream(
        make_event(ada.pk, "Order Completed", total=100.01), make_event(bob.pk, "Order Completed", total=100)
    )
    assert ways("first") == {ada.pk: "big", bob.pk: "else"}
    tick(NOW + timedelta(days=1))
    assert ways("second") == {ada.pk: "else", bob.pk: "else"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("expression", "attributes", "port"),
    [
        ("profile.a + profile.b == 0.3", {"a": 0.1, "b": 0.2}, "yes"),
        ("profile.big > 1", {"big": 10**29}, "yes"),
        ("entry.total == 12345678901234567.89", {}, "yes"),
        ("entry.total == 12345678901234567.88", {}, "else"),
        ("profile.address.city == 'Oslo'", {"address": {"city": "Oslo"}}, "yes"),
        ("profile.address.city == 'Oslo'", {"address": "Oslo"}, "else"),
        ("profile['first name'] == 'A'", {"first name": "A"}, "yes"),
        ('"new" in profile.tags', {"tags": ["old", "new"]}, "yes"),
        ("1 / profile.zero > 0", {"zero": 0}, "else"),
        ("true", {}, "yes"),
    ],
)
def test_values_are_read_exactly(expression: str, attributes: dict[str, Any], port: str) -> None:
    make_live(condition_graph(yes=expression))
    person = make_profile(**attributes)
    event = make_event(person.pk)
    stream(event._replace(properties='{"total": 12345678901234567.89}'))
    assert ways() == {person.pk: port}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    ["1" + "0" * 5_000, "[" * 3_000 + "]" * 3_000],
    ids=["a number of 5001 digits", "3000 lists in each other"],
)
def test_values_that_are_too_much_for_python_fail_nobody(value: str) -> None:
    make_live(condition_graph(large="profile.large > 0", yes="has(profile.tier)"))
    ada, bob = make_profile(), make_profile(tier="gold")
    with connection.cursor() as cur:
        cur.execute("UPDATE profile SET attributes = %s WHERE id = %s", [f'{{"large": {value}}}', ada.pk])
    stream(make_event(ada.pk), make_event(bob.pk))
    assert ways() == {ada.pk: "else", bob.pk: "yes"}


@pytest.mark.django_db
def test_declared_types_decide() -> None:
    declare(member_since=Attribute.TIME)
    assert (
        way('profile.member_since < date("2026-03-01")', {"member_since": "2026-02-29"}) == "else"
    )  # no such day


@pytest.mark.django_db
def test_a_declaration_that_changed_since_stops_nobody() -> None:
    declare(score=Attribute.NUMBER)
    version = make_live(condition_graph(high="profile.score > 5"))
    AttributeDefinition.objects.update(type=Attribute.TEXT)
    version.refresh_from_db()
    assert services.check_version(version)[0].field == "paths.0.expression"

    person = make_profile(score=7)
    stream(make_event(person.pk))

    assert ways() == {person.pk: "else"}


@pytest.mark.django_db
@pytest.mark.parametrize("crowd", [1, 50])
def test_the_number_of_statements_does_not_depend_on_the_people(crowd: int) -> None:
    declare(tier=Attribute.TEXT)
    serializer = Config(data=condition_box(gold=GOLD, big="entry.total > 10 && event.x == 1")["config"])
    assert serializer.is_valid()
    place = Place(1, 1, "check", serializer.validated_data, {})
    place = Place(1, 1, "check", serializer.validated_data, {}, Condition().prepare(place))
    walks = [Walk(n, make_profile(tier=f"t{n}").pk, 1, entry_event_id=make_event(1).id) for n in range(crowd)]

    with count_statements() as seen:
        outcome = Condition().step(walks, place, NOW)

    assert outcome.count() == crowd
    assert len(seen) == 2, seen


@pytest.mark.django_db
def test_nothing_is_read_that_no_condition_names() -> None:
    serializer = Config(data=condition_box(late="now() > date('2020-01-01')")["config"])
    assert serializer.is_valid()
    place = Place(1, 1, "check", serializer.validated_data, {})
    place = Place(1, 1, "check", serializer.validated_data, {}, Condition().prepare(place))

    with count_statements() as seen:
        outcome = Condition().step([Walk(1, 1, 1)], place, NOW)

    assert set(outcome.moved) == {"late"}
    assert not seen


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has no expression"),
        ("profile.tier = 'gold'", "Line 1, column 14: '=' is not expected here. Write == to compare."),
        ("profile.score > 'a'", "Line 1, column 15"),
        ("profile.score", "Compare it with a value."),
        ("profile.score.contains('a')", "does not work on number, text"),
        ("profle.score > 1", "Did you mean profile?"),
    ],
)
def test_an_expression_that_is_wrong_is_named_with_its_place_and_remedy(expression: str, words: str) -> None:
    declare(score=Attribute.NUMBER)

    (finding,) = found(fine="profile.score > 1", wrong=expression)

    assert finding.field == "paths.1.expression"
    assert not finding.is_warning
    assert finding.message.startswith("The condition of the path 'Wrong' ")
    assert words in finding.message


@pytest.mark.django_db
def test_a_wrong_condition_keeps_the_journey_from_being_published() -> None:
    journey = make_journey(condition_graph(yes="profile.age >"))
    with pytest.raises(services.JourneyRefused) as refused:
        services.publish_journey(journey=journey, user=None, now=NOW)
    (problem,) = refused.value.problems
    assert (problem.level, problem.activity, problem.field) == (Level.ERROR, "check", "paths.0.expression")


@pytest.mark.django_db
def test_an_undeclared_attribute_is_a_warning() -> None:
    declare(tier=Attribute.TEXT)
    (finding,) = found(one='profile.teir == "gold"', two="profile.tier == 'x' && entry.a == event.b")
    assert finding == Finding(
        "The condition of the path 'One' reads the attribute 'teir', which is not declared. Did you mean 'tier'?",
        "paths.0.expression",
        is_warning=True,
    )
    assert not found(ours="has(profile.email) && profile.time_zone == 'Europe/Berlin'")
    make_live(condition_graph(one='profile.teir == "gold"'))


@pytest.mark.django_db
def test_conditions_are_checked_beside_the_other_problems_of_the_graph() -> None:
    drawn = condition_graph(yes="profile.age >")
    drawn["links"].pop()
    problems = services.check_graph(drawn)
    assert [problem.level for problem in problems] == [Level.ERROR] * len(problems)
    assert {problem.field for problem in problems} == {"", "paths.0.expression"}


@pytest.mark.parametrize(
    ("paths", "field", "words"),
    [
        ([], "paths", "at least 1"),
        ([{"id": "else", "expression": "true"}], "paths", "Choose another key"),
        ([{"id": "a"}, {"id": "a"}], "paths", "the key 'a'"),
        ([{"id": "A"}], "paths.0.id", "pattern"),
        ([{"id": "a", "expression": "x" * 10_001}], "paths.0.expression", "10000"),
        ([{"id": "a", "expression": "'\0'"}], "paths.0.expression", "ull"),
    ],
)
def test_paths_that_cannot_be_are_named(paths: Any, field: str, words: str) -> None:
    drawn = condition_graph(yes="true")
    drawn["activities"][1]["config"] = {"paths": paths}

    problems = [problem for problem in graph.problems(drawn) if problem.activity == "check"]

    assert problems[0].field.startswith(field)
    assert words in problems[0].message


def test_its_words_for_the_canvas() -> None:
    config = Config(data={"paths": [{"id": "gold", "label": "Gold members"}, {"id": "b"}]})
    assert config.is_valid()
    settings = config.validated_data
    assert list(Condition().ports(settings)) == ["gold", "b", "else"]
    assert [Condition().port_label(settings, port) for port in ("gold", "b", "else")] == [
        "Gold members",
        "b",
        "Else",
    ]
    assert Condition().summary(settings) == "Gold members · b · Else"


def test_a_new_box_has_exits_at_once() -> None:
    config = Config(data={})
    assert config.is_valid()
    assert list(Condition().ports(config.validated_data)) == ["yes", "else"]
    assert as_json(Config(config.validated_data).data)
