"""Pools of codes: each code is given once, and the same one again to whoever asks again.

Codes are given in the order of their numbers, so that the highest number taken says where to go on: no row is ever
updated. Takers of one pool wait for each other on its row; a transaction that takes from several pools takes from them
in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from psycopg.rows import tuple_row

from ajo.lib import sql
from profiles.language import values
from profiles.models import CodePool

MAX_CODE = 200
PIECE = 10_000
"""Codes in one statement of an import."""

_LOCK = "SELECT id FROM code_pool WHERE key = %s FOR NO KEY UPDATE"
# The pool is locked by an earlier statement, so this one sees what its last holder took.
_TAKE = """
WITH wanted AS MATERIALIZED (
    SELECT w.taken_by, w.profile_id, row_number() OVER (ORDER BY w.ord) AS place
    FROM unnest(%(taken_by)b::bigint[], %(profile_ids)b::bigint[]) WITH ORDINALITY AS w(taken_by, profile_id, ord)
    WHERE NOT EXISTS (SELECT FROM code_taken t WHERE t.pool_id = %(pool)s AND t.taken_by = w.taken_by)),
free AS MATERIALIZED (
    SELECT number, row_number() OVER (ORDER BY number) AS place FROM code
    WHERE pool_id = %(pool)s
        AND number > (SELECT coalesce(max(number), 0) FROM code_taken WHERE pool_id = %(pool)s)
    ORDER BY number LIMIT (SELECT count(*) FROM wanted))
INSERT INTO code_taken (pool_id, taken_by, number, profile_id, taken_at)
SELECT %(pool)s, w.taken_by, f.number, w.profile_id, %(now)b FROM wanted w JOIN free f USING (place)
"""
_READ = """
SELECT t.taken_by, c.code FROM code_taken t JOIN code c ON c.pool_id = t.pool_id AND c.number = t.number
WHERE t.pool_id = %(pool)s AND t.taken_by = ANY(%(taken_by)b::bigint[])
"""
_ADD = """
WITH new AS (
    SELECT t.code, min(t.ord) AS ord FROM unnest(%(codes)b::text[]) WITH ORDINALITY AS t(code, ord)
    WHERE NOT EXISTS (SELECT FROM code c WHERE c.pool_id = %(pool)s AND c.code = t.code)
    GROUP BY t.code)
INSERT INTO code (pool_id, number, code)
SELECT %(pool)s, last.number + row_number() OVER (ORDER BY ord), code
FROM new CROSS JOIN (SELECT coalesce(max(number), 0) AS number FROM code WHERE pool_id = %(pool)s) AS last
"""
_REMOVE = """
DELETE FROM code WHERE pool_id = %(pool)s
    AND number > (SELECT coalesce(max(number), 0) FROM code_taken WHERE pool_id = %(pool)s)
    AND (%(codes)b::text[] IS NULL OR code = ANY(%(codes)b::text[]))
"""
_COUNT = """
SELECT p.id,
    (SELECT count(*) FROM code_taken t WHERE t.pool_id = p.id) AS taken,
    (SELECT count(*) FROM code c WHERE c.pool_id = p.id
        AND c.number > (SELECT coalesce(max(number), 0) FROM code_taken t WHERE t.pool_id = p.id)) AS free
FROM unnest(%b::bigint[]) AS p(id)
"""


class UnusableCode(ValueError):
    """A code is empty, too long or cannot be stored, so none was added. The message is a sentence for people."""


class Added(NamedTuple):
    """What became of an import: codes that are new, and those that the pool or the import had already."""

    added: int
    repeated: int


class Stock(NamedTuple):
    """How many codes of a pool were given, and how many are left."""

    taken: int
    free: int


def take_codes(pool_key: str, wants: Sequence[tuple[int, int]], now: datetime) -> dict[int, str]:
    """A code for each (taken_by, profile_id), by its taken_by: the one that it has, else one that nobody has.

    In one transaction, which should be short, because other takers of the pool wait for its end. Who is missing in the
    answer got none: the pool is empty, or there is none with this key.
    """
    asked = dict(wants)
    if not asked:
        return {}
    with sql.unit_of_work() as cur:
        pool = cur.execute(_LOCK, [pool_key]).fetchone()
        if pool is None:
            return {}
        params = {
            "pool": pool.id,
            "taken_by": list(asked),
            "profile_ids": list(asked.values()),
            "now": now,
        }
        cur.execute(_TAKE, params)
        cur.execute(_READ, params)
        return {row.taken_by: row.code for row in cur}


def import_codes(pool: CodePool, codes: Iterable[str]) -> Added:
    """Add codes behind those that are there, all or none; a code that is there already is counted. Spaces around one
    and empty lines do not count. Raises UnusableCode."""
    added = seen = 0
    with sql.unit_of_work() as cur:
        cur.execute(_LOCK, [pool.key])
        for piece in _pieces(codes):
            seen += len(piece)
            added += cur.execute(_ADD, {"pool": pool.pk, "codes": piece}).rowcount
    return Added(added, seen - added)


def remove_free(pool: CodePool, codes: Iterable[str] | None = None) -> int:
    """Take these codes out, or all, as far as nobody was given them; returns how many. Raises UnusableCode."""
    wanted = None if codes is None else list(_usable(codes))
    with sql.unit_of_work() as cur:
        cur.execute(_LOCK, [pool.key])
        return cur.execute(_REMOVE, {"pool": pool.pk, "codes": wanted}).rowcount


def stock_of(pools: Iterable[CodePool]) -> dict[int, Stock]:
    """By the pools' ids, in one statement that counts rows: a million codes cost about a tenth of a second."""
    with sql.cursor(tuple_row) as cur:
        cur.execute(_COUNT, [[pool.pk for pool in pools]])
        return {pool_id: Stock(taken, free) for pool_id, taken, free in cur}


def _pieces(codes: Iterable[str]) -> Iterator[list[str]]:
    usable = _usable(codes)
    while piece := list(islice(usable, PIECE)):
        yield piece


def _usable(codes: Iterable[str]) -> Iterator[str]:
    for line, given in enumerate(codes, start=1):
        code = given.strip()
        if len(code) > MAX_CODE or not values.is_storable(code):
            raise UnusableCode(
                f"The code in line {line} is longer than {MAX_CODE} characters or holds one that cannot be stored."
                " Nothing was done: correct it and try again."
            )
        if code:
            yield code
