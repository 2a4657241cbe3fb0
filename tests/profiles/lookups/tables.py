"""Lookups and pools as tests want them."""

from __future__ import annotations

from typing import Any

from profiles.lookups.codes import import_codes
from profiles.lookups.columns import Row
from profiles.lookups.rows import import_rows
from profiles.models import CodePool, Lookup
from tests.factories import NOW

PRODUCTS = {
    "title": "text",
    "price": "money",
    "on_hand": "number",
    "is_new": "boolean",
    "back_at": "time",
    "tags": "list",
}


def make_lookup(key: str = "products", columns: dict[str, str] | None = None, /, **rows: Any) -> Lookup:
    """A lookup with these rows; a - in a row's key is written as _ here."""
    types = PRODUCTS if columns is None else columns
    lookup = Lookup.objects.create(
        key=key,
        name=key.title(),
        columns=[{"name": name, "type": type_} for name, type_ in types.items()],
    )
    put(lookup, {name.replace("_", "-"): values for name, values in rows.items()})
    return lookup


def put(lookup: Lookup, rows: dict[str, dict[str, Any]], mode: Any = "merge") -> Any:
    given = [Row(line, key, values) for line, (key, values) in enumerate(rows.items(), start=2)]
    return import_rows(lookup, given, mode=mode, now=NOW)


def make_pool(key: str = "sorry", *codes: str) -> CodePool:
    pool = CodePool.objects.create(key=key, name=key.title())
    import_codes(pool, codes)
    return pool
