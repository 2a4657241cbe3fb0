"""The rows of lookups: read many at once, import all or nothing.

Lock order of a change: the lookup → the audiences' own lock, shared → audience rows. Readers lock nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec
import psycopg
from psycopg.rows import tuple_row

from ajo.lib import sql
from profiles.audiences import services as audiences
from profiles.language import values
from profiles.lookups.columns import MAX_KEY, Row, RowProblem, check_row, types_of
from profiles.models import Lookup

Pair = tuple[str, str]
"""The key of a lookup and the key of a row in it."""
MAX_PROBLEMS = 100
"""So many are told; the others are counted."""

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

_READ = """
SELECT t.lookup, t.key, r.values::text
FROM unnest(%b::text[], %b::text[]) AS t(lookup, key)
JOIN lookup l ON l.key = t.lookup
JOIN lookup_row r ON r.lookup_id = l.id AND r.key = t.key
"""
_STAGE = "CREATE TEMPORARY TABLE lookup_import (key text, values jsonb) ON COMMIT DROP"
# Only rows that differ are written: a nightly import of the same table costs a read.
_PUT = """
WITH put AS (
    INSERT INTO lookup_row AS r (lookup_id, key, values)
    SELECT %(id)s, key, jsonb_strip_nulls(values) FROM lookup_import ORDER BY key
    ON CONFLICT (lookup_id, key) DO UPDATE SET values = {written} WHERE r.values <> {written}
    RETURNING xmax = 0 AS is_new)
SELECT count(*) FILTER (WHERE is_new) AS added, count(*) FILTER (WHERE NOT is_new) AS changed FROM put
"""
_REPLACED = "excluded.values"
# jsonb_strip_nulls has emptied `excluded` of the nulls that take a value away, so they are read again.
_MERGED = (
    """jsonb_strip_nulls(r.values || (SELECT i.values FROM lookup_import i WHERE i.key = excluded.key))"""
)
_DROP_OTHERS = """
DELETE FROM lookup_row r WHERE r.lookup_id = %(id)s AND NOT EXISTS (SELECT FROM lookup_import i WHERE i.key = r.key)
"""


class ImportRefused(Exception):
    """Rows were wrong, so nothing was imported. `problems` has the first hundred, `count` says how many there are."""

    def __init__(self, problems: list[RowProblem], count: int) -> None:
        self.problems = problems
        self.count = count
        super().__init__("\n".join(map(str, problems)))


class Imported(NamedTuple):
    """How many rows an import wrote. Those that were there with the same values are `rows` less the first two."""

    rows: int
    added: int
    changed: int
    removed: int


def read_rows(pairs: Iterable[Pair]) -> dict[Pair, Mapping[str, Any]]:
    """The values of those rows that are there, in one statement; numbers that are not whole are Decimal."""
    wanted = sorted(
        {pair for pair in pairs if len(pair[1]) <= MAX_KEY and all(map(values.is_storable, pair))}
    )
    if not wanted:
        return {}
    with sql.cursor(tuple_row) as cur:
        cur.execute(_READ, [[lookup for lookup, _ in wanted], [key for _, key in wanted]])
        return {(lookup, key): _decoder.decode(text) for lookup, key, text in cur}


def import_rows(
    lookup: Lookup, rows: Iterable[Row], *, mode: Literal["replace", "merge"], now: datetime
) -> Imported:
    """Write the rows in one transaction, whose length grows with them. Raises ImportRefused when one of them is wrong.

    With "replace" the lookup has exactly these rows afterwards; with "merge" the others stay, and of a row that is
    there the columns that are not given. Audiences whose rules read the lookup are evaluated anew if anything changed.
    """
    with sql.unit_of_work() as cur:
        _lock(cur, lookup)
        cur.execute(_STAGE)
        count = _stage(cur, lookup, rows)
        cur.execute(_PUT.format(written=_REPLACED if mode == "replace" else _MERGED), {"id": lookup.pk})
        added, changed = cur.fetchone() or (0, 0)
        removed = 0
        if mode == "replace":
            removed = cur.execute(_DROP_OTHERS, {"id": lookup.pk}).rowcount
        cur.execute("DROP TABLE lookup_import")
        if added or changed or removed:
            _note_change(lookup, now)
        return Imported(count, added, changed, removed)


def remove_rows(lookup: Lookup, keys: Collection[str], *, now: datetime) -> int:
    """Take rows out; returns how many were there."""
    with sql.unit_of_work() as cur:
        _lock(cur, lookup)
        removed = cur.execute(
            "DELETE FROM lookup_row WHERE lookup_id = %s AND key = ANY(%b::text[])", [lookup.pk, list(keys)]
        ).rowcount
        if removed:
            _note_change(lookup, now)
        return removed


def write_columns(lookup: Lookup, columns: list[dict[str, str]], *, now: datetime) -> None:
    """Declare the columns anew. A value that is not of its column's type any more is missing until it is imported
    again. Raises ValidationError when they are no columns."""
    Lookup._meta.get_field("columns").run_validators(columns)
    with sql.unit_of_work() as cur:
        _lock(cur, lookup)
        lookup.columns = columns
        lookup.save(update_fields=["columns"])
        _note_change(lookup, now)


def _lock(cur: psycopg.Cursor[Any], lookup: Lookup) -> None:
    cur.execute("SELECT FROM lookup WHERE id = %s FOR NO KEY UPDATE", [lookup.pk])
    lookup.refresh_from_db()


def _note_change(lookup: Lookup, now: datetime) -> None:
    lookup.changed_at = now
    lookup.save(update_fields=["changed_at"])
    audiences.evaluate_readers_of(lookup.key)


def _stage(cur: psycopg.Cursor[Any], lookup: Lookup, rows: Iterable[Row]) -> int:
    """Copy the rows, as they come, into the temporary table; returns how many they are."""
    problems = _Problems()
    count = 0
    with cur.copy("COPY lookup_import (key, values) FROM STDIN") as copy:
        for count, row in enumerate(_checked(lookup, rows, problems), start=1):  # noqa: B007
            copy.write_row(row)
    problems.raise_any()
    cur.execute("CREATE INDEX ON lookup_import (key)")
    cur.execute("ANALYZE lookup_import")
    return count


class _Problems:
    def __init__(self) -> None:
        self._first: list[RowProblem] = []
        self._count = 0

    def add(self, found: Iterable[RowProblem]) -> None:
        for problem in found:
            self._count += 1
            if len(self._first) < MAX_PROBLEMS:
                self._first.append(problem)

    def raise_any(self) -> None:
        if self._count:
            raise ImportRefused(self._first, self._count)


def _checked(lookup: Lookup, rows: Iterable[Row], problems: _Problems) -> Iterator[tuple[str, str]]:
    types = types_of(lookup.columns)
    lines: dict[str, int] = {}
    for row in rows:
        read, found = check_row(row, types)
        if not found and row.key in lines:
            found = [
                RowProblem(
                    row.line,
                    "",
                    f"The key {row.key!r} stands in line {lines[row.key]} already.",
                    "Take one of the two rows out.",
                )
            ]
        if found:
            problems.add(found)
        else:
            lines[row.key] = row.line
            yield row.key, _encoder.encode(read).decode()
