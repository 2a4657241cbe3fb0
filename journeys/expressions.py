"""Expressions in the boxes of a journey: what is wrong with one, and what they read of many walks at once.

An expression names attributes as `profile.…`, properties of the event that let the person in as `entry.…`, and of the
event at hand as `event.…`: the one that let the person in or ended the wait, until the next wait.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import tuple_row

from ajo.lib import sql
from journeys.activities.base import Finding, Walk
from profiles.language import (
    Catalog,
    Field,
    LanguageError,
    Node,
    Scope,
    Type,
    compile_rows,
    fields_of,
    parse,
)
from profiles.lookups.rows import read_rows

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[Any], float_hook=Decimal)


def find_problems(
    source: str, catalog: Catalog, *, expects: Type | None, field: str, where: str
) -> list[Finding]:
    """What is wrong with the text of an expression; `where` begins the sentence, such as “The path 'Gold'”."""
    if not source.strip():
        return [Finding(f"{where} has no expression, so it could never decide. Write one.", field)]
    try:
        tree = parse(source, catalog, expects=expects)
    except LanguageError as error:
        return [Finding(f"{where} cannot be used. {error}", field)]
    unknown = {one.name: None for one in fields_of(tree) if not _is_declared(one, catalog)}
    return [Finding(f"{where} reads {undeclared(name, catalog)}", field, True) for name in unknown]


def undeclared(name: str, catalog: Catalog) -> str:
    """The end of a sentence about an attribute that nobody has declared, with the remedy."""
    known = [field.name for field in catalog.definitions]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Declare it, or check its spelling."
    return f"the attribute {name!r}, which is not declared. {hint}"


def _is_declared(field: Field, catalog: Catalog) -> bool:
    return field.root != "profile" or Field("profile", (field.name,)) in catalog.definitions


class Sight(NamedTuple):
    """What the expressions of a box read of one walk: for each document a JSON list of the values of its fields, None
    where there is no such document. Walks that see the same are decided alike."""

    profile: str | None
    entry: str | None
    event: str | None


_made = partial(tuple.__new__, Sight)


class Reader:
    """Reads what some expressions name, for a whole batch: in at most two statements, and one for the lookups."""

    def __init__(self, trees: Sequence[Node], catalog: Catalog) -> None:
        self._gather = compile_rows(trees, catalog)
        fields = [field for tree in trees for field in fields_of(tree)]
        self._profile = _names(fields, "profile")
        self._entry = _names(fields, "entry")
        self._event = _names(fields, "event")

    def read(self, walks: Sequence[Walk]) -> list[Sight]:
        """One for each walk, in their order."""
        profiles: Sequence[str | None] = [None] * len(walks)
        entries = events = profiles
        if self._profile:
            found = self._profiles(walks)
            profiles = [found.get(walk.profile_id) for walk in walks]
        if self._entry:
            read = self._entries(walks)
            entries = [read.get(walk.entry_event_id) for walk in walks]
        if self._event:
            events = [_picked(walk.event.properties, self._event) if walk.event else None for walk in walks]
        return list(map(_made, zip(profiles, entries, events, strict=True)))

    def scopes(self, sights: Iterable[Sight], now: datetime) -> dict[Sight, Scope]:
        """What the expressions are evaluated in, for each of the different sights."""
        different = list(dict.fromkeys(sights))
        scopes = [
            Scope(
                now=now,
                profile=_document(self._profile, sight.profile) or {},
                event=_document(self._event, sight.event),
                entry=_document(self._entry, sight.entry),
            )
            for sight in different
        ]
        return dict(zip(different, self._gather(scopes, read_rows), strict=True))

    def _profiles(self, walks: Sequence[Walk]) -> dict[int, str]:
        profile_ids = ",".join(str(profile_id) for profile_id in {walk.profile_id for walk in walks})
        with sql.cursor(tuple_row) as cur:
            cur.execute(
                f"SELECT id, {_picking('attributes', self._profile)} FROM profile WHERE id = ANY(%s::bigint[])",
                [*self._profile, f"{{{profile_ids}}}"],
            )
            return dict(cur.fetchall())

    def _entries(self, walks: Sequence[Walk]) -> dict[UUID | None, str]:
        """By the event's id; those that are at hand are not read again."""
        found: dict[UUID | None, str] = {}
        missing = set()
        for walk in walks:
            if walk.event is not None and walk.event.id == walk.entry_event_id:
                found[walk.event.id] = _picked(walk.event.properties, self._entry)
            elif walk.entry_event_id is not None:
                missing.add(walk.entry_event_id)
        if missing:
            with sql.cursor() as cur:
                cur.execute(
                    f"SELECT id, {_picking('properties', self._entry)} FROM event WHERE id = ANY(%b::uuid[])",
                    [*self._entry, sorted(missing)],
                )
                found.update(cur.fetchall())
        return found


def _names(fields: Iterable[Field], root: str) -> list[str]:
    return sorted({field.name for field in fields if field.root == root})


def _picking(column: str, names: Sequence[str]) -> str:
    """SQL for the JSON list of some members of a document, as text; an array argument has no limit of 100."""
    members = ", ".join([f"{column} -> %s::text"] * len(names))
    return f"jsonb_build_array(VARIADIC ARRAY[{members}])::text AS picked"


def _picked(document: str, names: Sequence[str]) -> str:
    """The same of a JSON object in hand."""
    members: Mapping[str, msgspec.Raw] = _object_decoder.decode(document)
    texts = [bytes(members[name]).decode() if name in members else "null" for name in names]
    return f"[{','.join(texts)}]"


def _document(names: Sequence[str], text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(zip(names, _values(text, len(names)), strict=True))


def _values(text: str, count: int) -> list[Any]:
    """Numbers that are not whole as Decimal. Where one is nested deeper than Python reads, all are missing."""
    try:
        return _list_decoder.decode(text)
    except RecursionError:
        return [None] * count
    except msgspec.ValidationError:  # a whole number of thousands of digits
        found: list[Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        return found
