"""What a profile did and which audiences it is in: both readings agree, and nothing changes before it is said to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from ajo.lib import sql
from ajo.lib.ids import uuid7
from profiles.language import (
    Call,
    Catalog,
    Columns,
    Field,
    FieldDefinition,
    LanguageError,
    Literal,
    Node,
    PastEvent,
    Scope,
    Tallies,
    Type,
    change_to_sql,
    check,
    check_moments,
    compile_change,
    compile_condition,
    compile_python,
    condition_to_sql,
    from_json,
    parse,
    print_tree,
    to_json,
    to_sql,
)
from profiles.language.parser import parse_syntax
from profiles.models import Audience, EventType
from tests.profiles.language import strategies
from tests.profiles.language.strategies import NOW
from tests.profiles.language.test_agreement import _EXAMPLES, comparable, encoded

pytestmark = pytest.mark.django_db

CATALOG = Catalog(strategies.CATALOG.definitions.values(), knows_history=True)
COLUMNS = Columns("p.attributes", profile_id="p.id", history_ids="p.history_ids")
NAMES = ["Bought", "Viewed", "Never"]
AUDIENCES = ["vip", "gone"]
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)

_windows = st.sampled_from([timedelta(), INSTANT, DAY, 7 * DAY, 99_999 * DAY, -DAY])
_names = st.sampled_from(NAMES).map(lambda name: Literal(Type.TEXT, name))
_properties = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.sampled_from([Decimal("0.1"), Decimal(7), Decimal("1e29"), Decimal("9" * 30), "7", True, None]),
)
_moments = st.sampled_from(
    [NOW + step for step in (timedelta(), -INSTANT, INSTANT, -DAY, -DAY - INSTANT, DAY, -7 * DAY, -90 * DAY)]
)
_past_events = st.builds(PastEvent, st.sampled_from(NAMES[:2]), _moments, _properties)
_times = st.sampled_from(
    ["2026-11-21T12:30:15.25Z", "2026-11-20T12:30:15.25Z", "2026-11-22", "0001-01-01T00:00+14:00", "9999-12-31", "x"]
)  # fmt: skip
scopes = st.builds(
    Scope,
    st.just(NOW),
    st.fixed_dictionaries({"seen": _times, "age": st.sampled_from([Decimal(3), "3", None])}),
    history=st.lists(_past_events, max_size=6),
    audiences=st.frozensets(st.sampled_from(AUDIENCES)),
)

_a_or_b = st.sampled_from(["event.a", "event.b", "profile.age"]).map(lambda text: parse_syntax(text).tree)
_where = st.one_of(
    st.builds(
        lambda name, left, right: Call(name, (left, right)),
        st.sampled_from(["==", "!=", "<", ">="]),
        _a_or_b,
        _a_or_b | st.sampled_from([Decimal(7), Decimal("0.1")]).map(lambda n: Literal(Type.NUMBER, n)),
    ),
    _a_or_b.map(lambda field: Call("has", (field,))),
    st.sampled_from(['count("Viewed") > 1', 'inAudience("vip")', "true", "event.c"]).map(
        lambda text: parse_syntax(text).tree
    ),
)


@st.composite
def _tallies(draw: st.DrawFn) -> Node:
    args: list[Node] = [draw(_names)]
    is_sum = draw(st.booleans())
    if is_sum:
        args.append(draw(_a_or_b | st.just(Literal(Type.NUMBER, Decimal("2.5")))))
    if draw(st.booleans()):
        args.append(Literal(Type.DURATION, draw(_windows)))
    if draw(st.booleans()):
        args.append(draw(_where))
    return Call("sum" if is_sum else "count", tuple(args))


_members = st.sampled_from([*AUDIENCES, "unheard of"]).map(
    lambda key: Call("inAudience", (Literal(Type.TEXT, key),))
)
_of_time = st.sampled_from(
    [
        "profile.seen < now()",
        "now() <= profile.seen",
        "profile.seen == now()",
        'profile.seen >= now() - duration("1d")',
        'now() + duration("1d") != profile.seen',
        'within(profile.seen, duration("1d"))',
        'within(profile.seen, duration("-1d"))',
    ]
).map(lambda text: parse(text, CATALOG))
_compared = st.builds(
    lambda name, tally, number: Call(name, (tally, Literal(Type.NUMBER, number))),
    st.sampled_from(["==", "<", ">=", "-", "+"]),
    _tallies(),
    st.sampled_from([Decimal(0), Decimal(1), Decimal(2), Decimal("7.1")]),
)
_rules = st.recursive(
    _tallies() | _compared | _members | _of_time,
    lambda inner: st.builds(
        lambda name, left, right: Call(name, (left, right)), st.sampled_from(["&&", "||", "=="]), inner, inner
    ),
    max_leaves=4,
)


@contextmanager
def stored(scopes: list[Scope]) -> Iterator[list[int]]:
    """Profiles that did what the scopes say, half of it as somebody who was merged into them; gone afterwards."""
    types = {name: EventType.objects.get_or_create(name=name)[0].pk for name in NAMES[:2]}
    audiences = {key: Audience.objects.get_or_create(key=key, state="active")[0].pk for key in AUDIENCES}
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute("SELECT nextval('profile_id_seq') AS id FROM generate_series(1, %s)", [2 * len(scopes)])
        numbers = [row.id for row in cur]
        people, former = numbers[: len(scopes)], numbers[len(scopes) :]
        cur.execute(
            "INSERT INTO profile (id, attributes) SELECT n, a FROM unnest(%b::bigint[], %b::jsonb[]) t(n, a)",
            [people, [encoded(scope.profile) for scope in scopes]],
        )
        cur.execute(
            "INSERT INTO profile (id, merged_into) SELECT * FROM unnest(%b::bigint[], %b::bigint[])",
            [former, people],
        )
        events = [
            (person, (person, before)[index % 2], event)
            for person, before, scope in zip(people, former, scopes, strict=True)
            for index, event in enumerate(scope.history or ())
        ]
        ids = uuid7.many(len(events))
        cur.executemany(
            "INSERT INTO event (id, batch_id, source_id, event_type_id, kind, occurred_at, properties)"
            " VALUES (%s, 1, 1, %s, 1, %s, %s::jsonb)",
            [
                (id, types[event.name], event.occurred_at, encoded(event.properties))
                for id, (_, _, event) in zip(ids, events, strict=True)
            ],
        )
        cur.executemany(
            "INSERT INTO profile_event (profile_id, event_type_id, occurred_at, event_id) VALUES (%s, %s, %s, %s)",
            [
                (doer, types[event.name], event.occurred_at, id)
                for id, (_, doer, event) in zip(ids, events, strict=True)
            ],
        )
        cur.executemany(
            "INSERT INTO profile_daily (profile_id, event_type_id, day, n) VALUES (%s, %s, %s, 1)"
            " ON CONFLICT (profile_id, event_type_id, day) DO UPDATE SET n = profile_daily.n + 1",
            [(person, types[event.name], event.occurred_at.date()) for person, _, event in events],
        )
        cur.executemany(
            "INSERT INTO audience_membership (audience_id, profile_id, entered_at) VALUES (%s, %s, %s)",
            [
                (audiences[key], person, NOW)
                for person, scope in zip(people, scopes, strict=True)
                for key in scope.audiences or ()
            ],
        )
        yield people
        transaction.set_rollback(True)


def by_postgres(trees: list[Node], scopes: list[Scope], *, are_shared: bool = False) -> list[list[Any]]:
    """For each scope the value of each tree, its truth, and its next moment where that can be told. `are_shared`: the
    last two read the past events from one table."""
    expressions = []
    tallies = Tallies(COLUMNS, NOW, "t_", clock=datetime.now(UTC)) if are_shared else None
    for index, tree in enumerate(trees):
        at: dict[str, Any] = {"columns": COLUMNS, "now": NOW}
        expressions.append(to_sql(tree, CATALOG, **at, prefix=f"v{index}_"))
        at |= {"tallies": tallies}
        expressions.append(condition_to_sql(tree, CATALOG, **at, prefix=f"c{index}_"))
        if not check_moments(tree, CATALOG):
            expressions.append(change_to_sql(tree, CATALOG, **at, prefix=f"m{index}_"))
    params = {name: value for found in expressions for name, value in found.params.items()}
    tallied = tallies.query("person") if tallies is not None else None
    joined = ""
    if tallied is not None:
        params |= tallied.params
        joined = f" LEFT JOIN ({tallied.text}) AS t ON t.profile_id = p.id"
    with stored(scopes) as people, sql.cursor(row_factory=lambda _: tuple) as cur:
        cur.execute(
            "WITH person AS (SELECT id, attributes,"
            " id || ARRAY(SELECT b.id FROM profile b WHERE b.merged_into = a.id) AS history_ids"
            " FROM profile a WHERE id = ANY(%(people)s))"
            f" SELECT {', '.join(found.text for found in expressions)} FROM person p{joined} ORDER BY p.id",
            {**params, "people": people},
        )
        return [[comparable(value) for value in row] for row in cur.fetchall()]


def by_python(trees: list[Node], scopes: list[Scope]) -> list[list[Any]]:
    runs = []
    for tree in trees:
        runs += [compile_python(tree, CATALOG), compile_condition(tree, CATALOG)]
        if not check_moments(tree, CATALOG):
            runs.append(compile_change(tree, CATALOG))
    return [[comparable(run(scope)) for run in runs] for scope in scopes]


@_EXAMPLES
@given(st.lists(_rules, min_size=1, max_size=8), st.lists(scopes, min_size=1, max_size=5))
def test_both_readings_of_the_past_agree(trees: list[Node], scopes: list[Scope]) -> None:
    assert by_postgres(trees, scopes) == by_python(trees, scopes)
    assert by_postgres(trees, scopes, are_shared=True) == by_python(trees, scopes)


@_EXAMPLES
@given(_rules)
def test_text_and_json_lead_back_to_the_tree(tree: Node) -> None:
    assert parse_syntax(print_tree(tree)).tree == tree == from_json(to_json(tree))


@_EXAMPLES
@given(
    _rules.filter(lambda tree: not check_moments(tree, CATALOG)),
    scopes,
    st.timedeltas(timedelta(), timedelta(days=10)),
)
def test_time_alone_changes_nothing_before_the_next_moment(
    tree: Node, scope: Scope, later: timedelta
) -> None:
    run, change = compile_python(tree, CATALOG), compile_change(tree, CATALOG)(scope)
    last = NOW + later if change is None else min(NOW + later, change - INSTANT)
    assert last >= NOW
    for moment in {last, NOW + later if change is None else change - INSTANT}:
        assert run(replace(scope, now=moment)) == run(scope)


def past(name: str, ago: timedelta, **properties: Any) -> PastEvent:
    return PastEvent(name, NOW - ago, properties)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('count("Bought")', 4),
        ('count("Never")', 0),
        ('count("Bought", duration("7d"))', 2),
        ('count("Bought", duration("7d"), event.a > 1)', 1),
        ('count("Bought", event.a > 1)', 2),
        ('sum("Bought", event.a)', 8),
        ('sum("Bought", event.a, duration("7d"))', 6),
        ('sum("Bought", event.a, duration("7d"), event.a > 1)', 5),
        ('sum("Bought", profile.age, duration("7d"))', 6),
        ('sum("Viewed", event.a)', 0),
        ('count("Bought", duration("7d")) >= 2 && inAudience("vip") && !inAudience("gone")', True),
    ],
)
def test_exact_values(text: str, value: Any) -> None:
    history = [
        past("Bought", 7 * DAY, a=5),
        past("Bought", timedelta(), a=1),
        past("Bought", 7 * DAY + INSTANT, a=2),
        past("Bought", -INSTANT),
        past("Viewed", DAY, a="5"),
    ]
    scope = Scope(NOW, {"age": 3}, history=history, audiences=frozenset({"vip"}))
    tree = parse(text, CATALOG)
    assert comparable(compile_python(tree, CATALOG)(scope)) == comparable(value)
    assert by_postgres([tree], [scope])[0][0] == comparable(value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ('count("Bought") > 1', None),
        ("profile.age > 18", None),
        # The older of two events that count leaves the window first, an instant after its last moment in it.
        ('count("Bought", duration("7d")) > 1', NOW + 2 * DAY + INSTANT),
        ('count("Bought", duration("7d"), event.a == 1) > 1', NOW + 6 * DAY + INSTANT),
        ('sum("Bought", event.a, duration("1h")) > 1', NOW + 2 * INSTANT),
        ("profile.seen < now()", NOW + DAY),
        ('within(profile.seen, duration("2d"))', NOW + DAY),
        ('profile.seen > now() + duration("20h")', NOW + timedelta(hours=4)),
    ],
)
def test_exact_moments(text: str, moment: datetime | None) -> None:
    history = [
        past("Bought", 5 * DAY, a=2),
        past("Bought", DAY, a=1),
        past("Bought", 8 * DAY, a=1),
        *([past("Bought", -2 * INSTANT)] if "1h" in text else []),
    ]
    scope = Scope(NOW, {"seen": (NOW + DAY).isoformat()}, history=history)
    tree = parse(text, CATALOG)
    assert compile_change(tree, CATALOG)(scope) == moment
    for are_shared in (False, True):
        assert by_postgres([tree], [scope], are_shared=are_shared)[0][2] == comparable(moment)


def test_the_declared_type_of_the_event_at_hand_says_nothing_about_past_ones() -> None:
    catalog = Catalog([FieldDefinition(Field("event", ("a",)), Type.TEXT)], knows_history=True)
    scope = Scope(NOW, event={"a": "x"}, history=[past("Bought", DAY, a=5)])
    tree = parse('event.a == "x" && count("Bought", event.a == 5) == 1', catalog)
    assert compile_condition(tree, catalog)(scope)


def test_without_history_everything_about_it_is_missing() -> None:
    for text in ('count("Bought") >= 0', 'sum("Bought", event.a) >= 0', 'inAudience("vip")'):
        tree = parse(text, CATALOG)
        assert not compile_condition(tree, CATALOG)(Scope(NOW))
        found = condition_to_sql(tree, CATALOG, columns=Columns(), now=NOW)
        with sql.cursor() as cur:
            cur.execute(f"SELECT {found.text} AS found", found.params)
            assert cur.fetchone() == (False,)
        assert [error.problem for error in check(tree)] == ["Past events and audiences are not known here."]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("count(profile.a)", "count wants the name of events"),
        ('count("Bought", true, duration("1d"))', "count wants the name of events"),
        ('count("Bought", 7)', "A number stands where a condition is wanted"),
        ('sum("Bought", "x")', "A text cannot be added up"),
        ('sum("Bought", event.a, duration("1d"), 1)', "A number stands where a condition is wanted"),
        ("inAudience(profile.a)", "wants the key of an audience"),
        ('count("Bought", 1 == "a")', "== does not work on"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LanguageError, match=problem) as caught:
        parse(text, CATALOG)
    assert caught.value.position is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hour(now()) == 8", "It cannot be told"),
        ("profile.seen < (profile.seen > now() ? profile.seen : now())", "It cannot be told"),
        ('count("Bought", duration("7d"), within(event.a, duration("1d"))) > 1', "inside count or sum"),
        ('count("Bought", count("Bought", duration("1d")) > 1) > 1', "inside count or sum"),
    ],
)
def test_what_time_changes_at_moments_nobody_can_tell(text: str, problem: str) -> None:
    (error,) = check_moments(parse(text, CATALOG), CATALOG)
    assert problem in error.problem
