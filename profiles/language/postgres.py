"""The SQL reading: steps → one PostgreSQL expression over a set of rows. It never raises at run time; missing is NULL.

Whatever a person wrote becomes a parameter. Only operators, the names of columns that the caller gives and constants of
this module become text. Each step writes its arguments once, or nested expressions would grow without bound; where an
argument is needed twice and is more than a field, it is bound to a column of a subselect.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ajo.lib.ids import uuid_floor
from profiles.language import values
from profiles.language.nodes import Field
from profiles.language.resolve import Constant, Convert, Found, Membership, Operation, Read, Step, Tally, Turn
from profiles.language.values import LOWER_LETTERS, UPPER_LETTERS, Type

_COLUMN = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?")
_PREFIX = re.compile(r"[a-z][a-z0-9_]*")
_CLOCKS_DIFFER = timedelta(days=1)
_FIRST_ID = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Columns:
    """The jsonb columns in which the documents stand, such as "p.attributes"; None where there is no such document.

    Who it is about, for past events and audiences: `profile_id`, a bigint, and `history_ids`, a bigint[] of it and all
    profiles that were merged into it, because events keep the profile that they were written with.
    """

    profile: str | None = None
    event: str | None = None
    entry: str | None = None
    offer: str | None = None
    context: str | None = None
    profile_id: str | None = None
    history_ids: str | None = None

    def __post_init__(self) -> None:
        documents = (self.profile, self.event, self.entry, self.offer, self.context)
        for column in (*documents, self.profile_id, self.history_ids):
            if column is not None and not _COLUMN.fullmatch(column):
                raise ValueError(
                    f"{column!r} is not the name of a column. Give alias.column in small letters."
                )


@dataclass(frozen=True, slots=True)
class Sql:
    """An expression in round brackets, the parameters it names and its type. Execute it with psycopg's %(name)s style.

    Types in PostgreSQL: text, numeric, boolean, timestamptz, interval; list, money and any are jsonb.
    """

    text: str
    params: dict[str, Any] = field(default_factory=dict)
    type: Type = Type.BOOLEAN


class Tallies:
    """The past events that the expressions of one statement count and add up, to be read once for all of them.

    Expressions that are given it name its columns, with the alias `t`. So query() stands in the statement as a table t
    that is joined by profile_id, and a profile may be missing there. Its own source of profiles is a table p that has
    `columns`; query() is asked for when all expressions are printed.

    `clock`: the time by which ids of events are made. Given it, the days are passed over on which no event can have
    been stored that counts.
    """

    def __init__(
        self, columns: Columns, now: datetime, prefix: str, *, clock: datetime | None = None
    ) -> None:
        self._events = _Printer(replace(columns, event="e.properties"), now, _checked_prefix(prefix))
        self._columns = columns
        self._now, self._clock = now, clock
        self._names: dict[Tally | Turn, str] = {}
        self._aggregates: list[str] = []
        self._windows: dict[str, list[timedelta | None]] = {}
        self._read: set[str] = set()

    def column(self, step: Tally | Turn) -> str:
        """Where the value stands, NULL for profiles that have none of the events."""
        if step not in self._names:
            self._names[step] = f"n{len(self._names)}"
            tally = step.tally if isinstance(step, Turn) else step
            self._windows.setdefault(tally.event_type, []).append(tally.window)
            if tally.where is not None or tally.value is not None:
                self._read.add(tally.event_type)
            is_of_type = f"w.n = {list(self._windows).index(tally.event_type)}"
            self._aggregates.append(f"{self._events.aggregate(step, is_of_type)} AS {self._names[step]}")
        return f"t.{self._names[step]}"

    def query(self, source: str) -> Sql | None:
        """The table of all columns for the profiles in the table or CTE `source`; None when there is no column."""
        if not self._names:
            return None
        events = self._events
        stored, read = self._stored("h.event_id"), self._stored("e.id")
        wanted = ", ".join(
            f"({n}, {events.event_type(name)}, {events.earliest(windows)}, {name in self._read})"
            for n, (name, windows) in enumerate(self._windows.items())
        )
        text = (
            f"SELECT {self._columns.profile_id} AS profile_id, {', '.join(self._aggregates)}"
            f" FROM (VALUES {wanted}) AS w(n, event_type_id, low, is_read) CROSS JOIN {source} p"
            " CROSS JOIN LATERAL (SELECT h.occurred_at, h.event_id FROM profile_event h"
            f" WHERE h.profile_id = ANY({self._columns.history_ids}) AND h.event_type_id = w.event_type_id"
            f" AND h.occurred_at >= w.low{stored} OFFSET 0) AS h"
            " LEFT JOIN LATERAL (SELECT e.properties FROM event e"
            f" WHERE w.is_read AND e.id = h.event_id{read} OFFSET 0) AS e ON TRUE"
            # The rollup first: one index probe, where the events have one in each partition. A scalar, because a
            # semi-join may read the whole rollup.
            f" WHERE (SELECT TRUE FROM profile_daily d WHERE d.profile_id = {self._columns.profile_id}"
            " AND d.event_type_id = w.event_type_id AND d.day >= (w.low AT TIME ZONE 'UTC')::date LIMIT 1)"
            f" GROUP BY {self._columns.profile_id}"
        )
        return Sql(text, events.params, Type.ANY)

    def _stored(self, event_id: str) -> str:
        """Which partitions: an event is stored when it happens, or later."""
        if self._clock is None:
            return ""
        text = f" AND {event_id} < {self._events.parameter(uuid_floor(self._clock + _CLOCKS_DIFFER), 'uuid')}"
        windows = [window for windows in self._windows.values() for window in windows]
        known = [window for window in windows if window is not None]
        if len(known) == len(windows):
            # Moments are moved about in tests, and clocks are set: whichever is earlier.
            low = min(self._now, self._clock) - max(known) - _CLOCKS_DIFFER
            first = uuid_floor(max(low, _FIRST_ID))
            text += f" AND {event_id} >= {self._events.parameter(first, 'uuid')}"
        return text


def printed(step: Step, columns: Columns, now: datetime, prefix: str, tallies: Tallies | None = None) -> Sql:
    """`prefix` begins the name of each parameter, so that several expressions fit into one statement."""
    printer = _Printer(columns, now, _checked_prefix(prefix), tallies)
    text = printer.print(step)
    if step.type is Type.DURATION:
        text = _interval(text)
    return Sql(text, printer.params, step.type)


def _checked_prefix(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"{prefix!r} cannot begin the name of a parameter. Use small letters and digits.")
    return prefix


def operations() -> frozenset[str]:
    """The operations that this reading implements."""
    return frozenset(_FORMS) | frozenset(_OPERATIONS)


_SQL_TYPES = {
    Type.TEXT: "text",
    Type.NUMBER: "numeric",
    Type.BOOLEAN: "boolean",
    Type.TIME: "timestamptz",
    Type.DURATION: "numeric",  # seconds: intervals have days and months, whose length depends on the time zone
    Type.LIST: "jsonb",
    Type.MONEY: "jsonb",
    Type.ANY: "jsonb",
    Type.NULL: "text",
}


def _between(text: str, low: str, high: str) -> str:
    """`text` where it lies strictly between the two; else NULL. LEAST and GREATEST pass over NULL, so it becomes
    `high`, which is taken away."""
    return f"NULLIF(NULLIF(GREATEST(LEAST({text}, {high}), {low}), {high}), {low})"


def _number(text: str) -> str:
    return _between(f"round({text}, {values.SCALE})", "-1e30", "1e30")


def _duration(text: str) -> str:
    limit = int(values.DURATION_LIMIT.total_seconds())
    return _between(text, f"-{limit}::numeric", f"{limit}::numeric")


def _time(text: str) -> str:
    return _between(
        text,
        f"timestamptz '{values.EARLIEST.isoformat()}'",
        f"timestamptz '{values.LATEST.isoformat()}'",
    )


def _interval(seconds: str) -> str:
    return f"(({seconds} * 1000000)::float8 * interval '1 microsecond')"


class _Printer:
    def __init__(self, columns: Columns, now: datetime, prefix: str, tallies: Tallies | None = None) -> None:
        self._columns = columns
        self._now = now
        self._prefix = prefix
        self._tallies = tallies
        self._numbers = itertools.count()
        self._names: dict[tuple[str, Any], str] = {}
        self.params: dict[str, Any] = {}

    def print(self, step: Step) -> str:
        match step:
            case Constant():
                return self._constant(step)
            case Read():
                return f"NULLIF({self._place(step.field)}, 'null'::jsonb)"
            case Convert():
                return self._converted(step)
            case Operation():
                return self._operation(step)
            case Tally():
                return self._tally(step)
            case Turn():
                return self._turn(step.tally)
            case Membership():
                return self._membership(step)
            case Found():
                return self._found(step)

    def parameter(self, value: Any, sql_type: str) -> str:
        """A placeholder; equal values share one."""
        key = (sql_type, value)
        if key not in self._names:
            self._names[key] = name = f"{self._prefix}{len(self._names)}"
            self.params[name] = list(value) if isinstance(value, tuple) else value
        return f"%({self._names[key]})s::{sql_type}"

    def now(self) -> str:
        return self.parameter(self._now, "timestamptz")

    def bound(self, write: Callable[..., str], *texts: str) -> str:
        """`write` over columns that hold `texts`, each evaluated once. OFFSET 0 keeps the planner from undoing it."""
        table = self.new_table()
        names = [f"c{index}" for index in range(len(texts))]
        selected = ", ".join(f"{text} AS {name}" for text, name in zip(texts, names, strict=True))
        inner = write(*(f"{table}.{name}" for name in names))
        return f"(SELECT {inner} FROM (SELECT {selected} OFFSET 0) AS {table})"

    def shared(self, write: Callable[..., str], steps: Sequence[Step], texts: Sequence[str]) -> str:
        """As bound(), but fields are written again: to read one twice costs less than a subselect.

        `write` must take a JSON null for missing, which it does if it asks for the type of the value.
        """
        places = [self._place(step.field) for step in steps if isinstance(step, Read)]
        return f"({write(*places)})" if len(places) == len(texts) else self.bound(write, *texts)

    def new_table(self) -> str:
        return f"{self._prefix}s{next(self._numbers)}"

    def _constant(self, step: Constant) -> str:
        sql_type, value = _SQL_TYPES[step.type], step.value
        if value is None:
            return f"NULL::{sql_type}"
        match step.type:
            case Type.BOOLEAN:
                return "TRUE" if value else "FALSE"
            case Type.DURATION:
                return self.parameter(_seconds(value), sql_type)
            case Type.LIST:  # names that the catalogue knows
                return self.parameter(tuple(sorted(value)), "text[]")
            case Type.MONEY:
                amount = values.write_decimal(value.amount)
                return self.parameter(
                    f'{{"amount": {amount}, "currency": {json.dumps(value.currency)}}}', sql_type
                )
            case _:
                return self.parameter(value, sql_type)

    def _place(self, place: Field) -> str:
        column = getattr(self._columns, place.root)
        if column is None:
            return "NULL::jsonb"
        text = column
        for name in place.path:
            if isinstance(name, int):
                # The arrow takes a single value for a list of one; strict does not, and its refusal is NULL.
                path = self.parameter(f"strict $[{name}]", "jsonpath")
                text = f"jsonb_path_query_first({text}, {path}, '{{}}', TRUE)"
            else:
                text = f"({text} -> {self.parameter(name, 'text')})"
        return text

    def _converted(self, step: Convert) -> str:
        return self.shared(_CONVERSIONS[step.type], (step.step,), [self.print(step.step)])

    def _operation(self, step: Operation) -> str:
        args = [self.print(arg) for arg in step.args]
        form = _FORMS.get(step.name)
        text = form(self, step, args) if form is not None else _OPERATIONS[step.name](*args)
        if step.type is Type.BOOLEAN and form is None:
            text = f"COALESCE({text}, FALSE)"
        return f"({text})"

    def _tally(self, tally: Tally) -> str:
        if self._columns.profile_id is None or self._columns.history_ids is None:
            return "NULL::numeric"
        if tally.value is None and tally.where is None and tally.window is None:
            return f"(SELECT COALESCE(sum(d.n), 0)::numeric FROM {self._days(tally)})"
        if self._tallies is not None:
            return f"COALESCE({self._tallies.column(tally)}, 0::numeric)"
        table = self.new_table()
        events = self._past_events(tally, table, also_future=False)
        if tally.value is None:
            counted = f"SELECT count(*)::numeric FROM {events}"
        else:
            # Added up outside: the sum of what names no column of the events would belong to the outer query.
            each = f"SELECT {self._of_event(tally.value, table)} AS v FROM {events} OFFSET 0"
            counted = f"SELECT {_number(f'COALESCE(sum({table}v.v), 0)')} FROM ({each}) AS {table}v"
        return f"(CASE WHEN EXISTS (SELECT FROM {self._days(tally)}) THEN ({counted}) ELSE 0::numeric END)"

    def _turn(self, tally: Tally) -> str:
        if tally.window is None or self._columns.profile_id is None or self._columns.history_ids is None:
            return "NULL::timestamptz"
        if self._tallies is not None:
            return self._tallies.column(Turn(tally))
        table = self.new_table()
        turn = self._turn_of(f"{table}.occurred_at", tally.window)
        events = self._past_events(tally, table, also_future=True)
        return (
            f"(CASE WHEN EXISTS (SELECT FROM {self._days(tally)})"
            f" THEN (SELECT min({turn}) FROM {events}) END)"
        )

    def _turn_of(self, moment: str, window: timedelta) -> str:
        """When the event at `moment` begins or ceases to count."""
        return f"CASE WHEN {moment} > {self.now()} THEN {moment} ELSE {moment} + {self._beyond(window)} END"

    def _beyond(self, window: timedelta) -> str:
        """How long after an event the window has left it."""
        return _interval(self.parameter(_seconds(window + values.INSTANT), "numeric"))

    def aggregate(self, step: Tally | Turn, is_of_type: str) -> str:
        """The value over the rows h of events, whose properties are those of the event at hand."""
        tally = step.tally if isinstance(step, Turn) else step
        conditions = [is_of_type]
        if tally.window is not None:
            conditions += self._recent("h", tally.window, also_future=isinstance(step, Turn))
        if tally.where is not None:
            conditions.append(self.print(tally.where))
        if isinstance(step, Turn) and tally.window is not None:
            # The window is added to the first moment alone, and not to that of every event.
            moments, now = "min(h.occurred_at) FILTER (WHERE " + " AND ".join(conditions), self.now()
            passed = f"{moments} AND h.occurred_at <= {now})"
            return f"LEAST({moments} AND h.occurred_at > {now}), {passed} + {self._beyond(tally.window)})"
        counted = f"FILTER (WHERE {' AND '.join(conditions)})"
        if tally.value is not None:
            return _number(f"COALESCE(sum({self.print(tally.value)}) {counted}, 0)")
        return f"(count(*) {counted})::numeric"

    def earliest(self, windows: Sequence[timedelta | None]) -> str:
        """The lowest time that lies in any of the windows."""
        known = [window for window in windows if window is not None]
        if len(known) < len(windows):
            return "timestamptz '-infinity'"
        return self.parameter(self._now - max(known), "timestamptz")

    def _recent(self, table: str, window: timedelta, *, also_future: bool) -> list[str]:
        """What is true of events in the window."""
        low = self.parameter(self._now - window, "timestamptz")
        conditions = [f"{table}.occurred_at >= {low}"]
        if not also_future:
            conditions.append(f"{table}.occurred_at <= {self.now()}")
        return conditions

    def _days(self, tally: Tally) -> str:
        """The rollup of the days that the window touches: one index probe, where the events have one in each
        partition. It stands on the living profile."""
        since = ""
        if tally.window is not None:
            low = self.parameter(self._now - tally.window, "timestamptz")
            since = f" AND d.day >= ({low} AT TIME ZONE 'UTC')::date"
        return (
            f"profile_daily d WHERE d.profile_id = {self._columns.profile_id}"
            f" AND d.event_type_id = {self.event_type(tally.event_type)}{since}"
        )

    def event_type(self, name: str) -> str:
        return f"(SELECT id FROM profiles_eventtype WHERE name = {self.parameter(name, 'text')})"

    def _past_events(self, tally: Tally, table: str, *, also_future: bool) -> str:
        """What the tally counts, FROM and WHERE. OFFSET 0 keeps it a probe of the key for each event of the person."""
        joined = ""
        if tally.where is not None or tally.value is not None:
            joined = (
                f" CROSS JOIN LATERAL (SELECT e.properties FROM event e WHERE e.id = {table}.event_id OFFSET 0)"
                f" AS {table}e"
            )
        conditions = [
            f"{table}.profile_id = ANY({self._columns.history_ids})",
            f"{table}.event_type_id = {self.event_type(tally.event_type)}",
        ]
        if tally.window is not None:
            conditions += self._recent(table, tally.window, also_future=also_future)
        if tally.where is not None:
            conditions.append(self._of_event(tally.where, table))
        return f"profile_event {table}{joined} WHERE {' AND '.join(conditions)}"

    def _of_event(self, step: Step, table: str) -> str:
        """`step`, in which the event is the past one."""
        outside = self._columns
        self._columns = replace(outside, event=f"{table}e.properties")
        text = self.print(step)
        self._columns = outside
        return text

    def _membership(self, step: Membership) -> str:
        if self._columns.profile_id is None:
            return "FALSE"
        key = self.parameter(step.audience, "text")
        return (
            f"EXISTS (SELECT FROM audience_membership m WHERE m.profile_id = {self._columns.profile_id}"
            f" AND m.audience_id = (SELECT id FROM audience WHERE key = {key} AND state = 'active'))"
        )

    def _found(self, step: Found) -> str:
        table, key = self.new_table(), self.print(step.key)
        lookup, column = self.parameter(step.lookup, "text"), self.parameter(step.column, "text")
        return (
            f"(SELECT NULLIF({table}.values -> {column}, 'null'::jsonb) FROM lookup_row {table}"
            f" WHERE {table}.lookup_id = (SELECT id FROM lookup WHERE key = {lookup}) AND {table}.key = {key})"
        )


def _seconds(value: timedelta) -> Decimal:
    return Decimal(value // timedelta(microseconds=1)).scaleb(-6)


def _json_text(text: str) -> str:
    return f"CASE jsonb_typeof({text}) WHEN 'string' THEN {text} #>> '{{}}' END"


def _json_number(text: str) -> str:
    return f"CASE jsonb_typeof({text}) WHEN 'number' THEN {_number(f'({text})::numeric')} END"


def _json_written(text: str) -> str:
    number = _number(f"({text})::numeric")
    return (
        f"CASE jsonb_typeof({text}) WHEN 'string' THEN {text} #>> '{{}}'"
        f" WHEN 'number' THEN trim_scale({number})::text END"
    )


def _json_boolean(text: str) -> str:
    return f"CASE jsonb_typeof({text}) WHEN 'boolean' THEN ({text})::boolean END"


def _json_list(text: str) -> str:
    return f"CASE jsonb_typeof({text}) WHEN 'array' THEN {text} END"


def _json_time(text: str) -> str:
    word = f"({text} #>> '{{}}')"
    # PostgreSQL rounds digits beyond microseconds; Python cuts them off.
    cut = f"regexp_replace({word}, '([.][0-9]{{6}})[0-9]+', '\\1')"
    moment = (
        f"CASE WHEN jsonb_typeof({text}) IS DISTINCT FROM 'string' THEN NULL"
        f" WHEN {word} ~ '{values.ZONED_TIME}' THEN {cut}::timestamptz"
        f" WHEN {word} ~ '{values.LOCAL_TIME}' THEN {cut}::timestamp AT TIME ZONE 'UTC' END"
    )
    return _time(moment)


def _json_money(text: str) -> str:
    """As {"amount": number, "currency": text}, so that equal amounts are equal jsonb."""
    amount, currency = f"({text} -> 'amount')", f"({text} -> 'currency')"
    word = f"({amount} #>> '{{}}')"
    read = _number(
        f"CASE jsonb_typeof{amount} WHEN 'number' THEN {amount}::numeric"
        f" WHEN 'string' THEN CASE WHEN {word} ~ '{values.DECIMAL_TEXT}' THEN {word}::numeric END END"
    )
    return (
        f"CASE WHEN jsonb_typeof{currency} = 'string' AND {currency} #>> '{{}}' ~ '{values.CURRENCY}'"
        f" THEN jsonb_set(jsonb_build_object('currency', {currency}), '{{amount}}', to_jsonb({read})) END"
    )


_CONVERSIONS: dict[Type, Callable[[str], str]] = {
    Type.TEXT: _json_text,
    Type.NUMBER: _json_number,
    Type.BOOLEAN: _json_boolean,
    Type.TIME: _json_time,
    Type.LIST: _json_list,
    Type.MONEY: _json_money,
}


def _json_comparable(text: str) -> str:
    """Scalars as jsonb that is equal when they are, numbers in their domain; NULL for objects and lists."""
    number = _number(f"({text})::numeric")
    return (
        f"CASE jsonb_typeof({text}) WHEN 'number' THEN to_jsonb({number})"
        f" WHEN 'string' THEN {text} WHEN 'boolean' THEN {text} END"
    )


def _infix(operator: str) -> Callable[[str, str], str]:
    return lambda a, b: f"{a} {operator} {b}"


def _infix_text(operator: str) -> Callable[[str, str], str]:
    return lambda a, b: f'{a} COLLATE "C" {operator} {b}'


Form = Callable[[_Printer, Operation, list[str]], str]


def _any_form(operator: str) -> Form:
    def compare(a: str, b: str) -> str:
        return f"({_json_comparable(a)}) {operator} ({_json_comparable(b)})"

    return lambda printer, step, args: f"COALESCE({printer.shared(compare, step.args, args)}, FALSE)"


def _money_form(operator: str) -> Form:
    def compare(a: str, b: str) -> str:
        return (
            f"{a} -> 'currency' = {b} -> 'currency'"
            f" AND ({a} -> 'amount')::numeric {operator} ({b} -> 'amount')::numeric"
        )

    return lambda printer, step, args: f"COALESCE({printer.bound(compare, *args)}, FALSE)"


def _money_sum_form(operator: str) -> Form:
    def calculate(a: str, b: str) -> str:
        amount = _number(f"({a} -> 'amount')::numeric {operator} ({b} -> 'amount')::numeric")
        return (
            f"CASE WHEN {a} -> 'currency' = {b} -> 'currency'"
            f" THEN jsonb_set({a}, '{{amount}}', to_jsonb({amount})) END"
        )

    return lambda printer, step, args: printer.bound(calculate, *args)


def _money_product(printer: _Printer, step: Operation, args: list[str]) -> str:
    def calculate(money: str, by: str) -> str:
        amount = _number(f"({money} -> 'amount')::numeric * {by}")
        return f"jsonb_set({money}, '{{amount}}', to_jsonb({amount}))"

    return printer.bound(calculate, *args)


def _known_zone(printer: _Printer, step: Operation, args: list[str]) -> str:
    """AT TIME ZONE raises for a name that it does not know, so the name is NULL before it comes there."""

    def known(zone: str) -> str:
        return f"CASE WHEN {zone} = ANY({args[1]}) THEN {zone} END"

    return printer.bound(known, args[0])


def _joined(separator: str) -> Form:
    return lambda printer, step, args: separator.join(args)


def _function(name: str) -> Form:
    return lambda printer, step, args: f"{name}({', '.join(args)})"


def _in_items(printer: _Printer, step: Operation, args: list[str]) -> str:
    type_ = step.args[0].type
    if type_ is Type.ANY:
        args = [
            printer.shared(_json_comparable, (arg,), [text])
            for arg, text in zip(step.args, args, strict=True)
        ]
    value, *items = args
    array = f"ARRAY[{', '.join(items)}]::{_SQL_TYPES[type_]}[]"
    return f"COALESCE(({value}){_collation(type_)} = ANY({array}), FALSE)"


def _in_list(printer: _Printer, step: Operation, args: list[str]) -> str:
    type_, (value, many) = step.args[0].type, args
    convert = _CONVERSIONS.get(type_, _json_comparable)
    if type_ is Type.ANY:
        value = printer.shared(_json_comparable, step.args[:1], [value])
    table = printer.new_table()
    elements = f"SELECT {convert(f'{table}.v')} FROM jsonb_array_elements({many}) AS {table}(v)"
    return f"COALESCE(({value}){_collation(type_)} = ANY(ARRAY({elements})), FALSE)"


def _collation(type_: Type) -> str:
    return ' COLLATE "C"' if type_ is Type.TEXT else ""


def _conditional(printer: _Printer, step: Operation, args: list[str]) -> str:
    return f"CASE WHEN {args[0]} THEN {args[1]} ELSE {args[2]} END"


def _within(printer: _Printer, step: Operation, args: list[str]) -> str:
    now = printer.now()

    def compare(moment: str, length: str) -> str:
        return f"{moment} <= {now} AND {_seconds_between(now, moment)} <= {length}"

    return f"COALESCE({printer.bound(compare, *args)}, FALSE)"


def _in_future(printer: _Printer, step: Operation, args: list[str]) -> str:
    now = printer.now()
    return printer.bound(lambda moment: f"CASE WHEN {moment} > {now} THEN {moment} END", args[0])


def _size_any(printer: _Printer, step: Operation, args: list[str]) -> str:
    def measure(text: str) -> str:
        return (
            f"CASE jsonb_typeof({text}) WHEN 'string' THEN char_length({text} #>> '{{}}')"
            f" WHEN 'array' THEN jsonb_array_length({text}) END::numeric"
        )

    return printer.shared(measure, step.args, args)


def _translated(source: str, target: str) -> Form:
    def form(printer: _Printer, step: Operation, args: list[str]) -> str:
        return (
            f"translate({args[0]}, {printer.parameter(source, 'text')}, {printer.parameter(target, 'text')})"
        )

    return form


def _seconds_between(a: str, b: str) -> str:
    return f"(extract(epoch FROM {a}) - extract(epoch FROM {b}))"


def _divided(a: str, b: str) -> str:
    """div() cuts exactly; half-up at the last kept decimal needs one digit more and no other."""
    shift = values.SCALE + 1
    return _number(f"(div({a} * 1e{shift}, NULLIF({b}, 0)) * 1e-{shift})")


def _part(name: str) -> Callable[[str], str]:
    return lambda moment: f"extract({name} FROM {moment} AT TIME ZONE 'UTC')"


def _local_part(name: str) -> Callable[[str, str], str]:
    first, last = (
        f"timestamp '{bound.replace(tzinfo=None).isoformat()}'" for bound in (values.EARLIEST, values.LATEST)
    )
    return lambda moment, zone: (
        f"extract({name} FROM {_between(f'{moment} AT TIME ZONE {zone}', first, last)})"
    )


_COMPARISONS = {"equal": "=", "unequal": "<>", "less": "<", "at_most": "<=", "more": ">", "at_least": ">="}

_FORMS: dict[str, Form] = {
    "and": _joined(" AND "),
    "or": _joined(" OR "),
    "not": lambda printer, step, args: f"NOT {args[0]}",
    "is_true": lambda printer, step, args: f"COALESCE({args[0]}, FALSE)",
    "has": lambda printer, step, args: f"{args[0]} IS NOT NULL",
    "coalesce": _function("COALESCE"),
    "conditional": _conditional,
    "in_items": _in_items,
    "in_list": _in_list,
    "now": lambda printer, step, args: printer.now(),
    "within": _within,
    "in_future": _in_future,
    "size_any": _size_any,
    "written_any": lambda printer, step, args: printer.shared(_json_written, step.args, args),
    "equal_any": _any_form("="),
    "unequal_any": _any_form("<>"),
    **{f"{word}_money": _money_form(sign) for word, sign in _COMPARISONS.items() if "equal" not in word},
    **{f"min_{type_}": _function("LEAST") for type_ in ("number", "time", "duration")},
    **{f"max_{type_}": _function("GREATEST") for type_ in ("number", "time", "duration")},
    "add_money": _money_sum_form("+"),
    "subtract_money": _money_sum_form("-"),
    "multiply_money": _money_product,
    "times_money": lambda printer, step, args: _money_product(printer, step, args[::-1]),
    "known_zone": _known_zone,
    "lower": _translated(UPPER_LETTERS, LOWER_LETTERS),
    "upper": _translated(LOWER_LETTERS, UPPER_LETTERS),
}
"""Operations that need the printer, or decide themselves what a missing argument means."""

_PARTS = {
    "year": "year",
    "month": "month",
    "day": "day",
    "weekday": "isodow",
    "hour": "hour",
    "minute": "minute",
}

_OPERATIONS: dict[str, Callable[..., str]] = {
    **{f"{word}_text": _infix_text(sign) for word, sign in _COMPARISONS.items()},
    **{
        f"{word}_{type_}": _infix(sign)
        for word, sign in _COMPARISONS.items()
        for type_ in ("number", "time", "duration")
    },
    **{
        f"{word}_{type_}": _infix(_COMPARISONS[word])
        for word in ("equal", "unequal")
        for type_ in ("boolean", "money")
    },
    "add_number": lambda a, b: _number(f"{a} + {b}"),
    "subtract_number": lambda a, b: _number(f"{a} - {b}"),
    "multiply": lambda a, b: _number(f"{a} * {b}"),
    "divide": _divided,
    "remainder": lambda a, b: _number(f"mod({a}, NULLIF({b}, 0))"),
    "negate_number": lambda a: f"- {a}",
    "join_text": lambda a, b: f"{a} || {b}",
    "join_texts": lambda *texts: " || ".join(texts),
    "written_number": lambda number: f"trim_scale({number})::text",
    "add_time": lambda moment, by: _time(f"{moment} + {_interval(by)}"),
    "subtract_time": lambda moment, by: _time(f"{moment} - {_interval(by)}"),
    "between_times": lambda a, b: _duration(_seconds_between(a, b)),
    "add_duration": lambda a, b: _duration(f"{a} + {b}"),
    "subtract_duration": lambda a, b: _duration(f"{a} - {b}"),
    "negate_duration": lambda a: f"- {a}",
    "size_text": lambda text: f"char_length({text})::numeric",
    "size_list": lambda many: f"jsonb_array_length({many})::numeric",
    **{name: _part(field) for name, field in _PARTS.items()},
    **{f"{name}_there": _local_part(field) for name, field in _PARTS.items()},
    "amount": lambda money: f"({money} -> 'amount')::numeric",
    "currency": lambda money: f"{money} ->> 'currency'",
    "contains": lambda text, part: f'strpos({text} COLLATE "C", {part}) > 0',
    "startsWith": lambda text, part: f'starts_with({text} COLLATE "C", {part})',
    # Reversed, each argument is written once.
    "endsWith": lambda text, part: f'starts_with(reverse({text}) COLLATE "C", reverse({part}))',
}
"""Operations of arguments that are all there: NULL in one makes NULL, which a condition turns into false."""
