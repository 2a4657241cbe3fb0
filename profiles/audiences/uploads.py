"""Lists that somebody gives: the people behind identities, line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import transaction
from django.utils.translation import gettext as _

from ajo.lib import sql
from profiles.audiences import evaluate, services
from profiles.identity import EMAIL, PHONE, normalise
from profiles.models import Audience, Identity
from profiles.services import update_attributes

MOST_LINES = 200_000
PIECE = 2_000
_ATTRIBUTES = {EMAIL: "email", PHONE: "phone"}
_ROUNDS = 10

_MAKE = "INSERT INTO profile (created_at) SELECT %b FROM generate_series(1, %b) RETURNING id"
_ATTACH = """
INSERT INTO identity (namespace_id, value, profile_id)
SELECT %s, value, id FROM unnest(%b::text[], %b::bigint[]) AS t(value, id)
ON CONFLICT (namespace_id, value) DO NOTHING
"""


class Unreadable(ValueError):
    """The text is no list. The message is a sentence for people."""


class Line(NamedTuple):
    """One identity as it was given."""

    number: int
    value: str


class Unmatched(NamedTuple):
    """A line that stands for nobody, and why."""

    line: int
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of a list: how many lines it had, how many people are in the audience now, how many profiles were
    made for it, and the lines that stand for nobody."""

    lines: int
    people: int
    made: int
    unmatched: Sequence[Unmatched]


def read_csv(text: str, column: str) -> list[Line]:
    """The cells of a column, which is named in the first line; empty ones are left out. Of a text with a single column
    the first line may be an identity itself. Raises Unreadable."""
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), delimiter=_delimiter(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            raise Unreadable(_("The list is empty. Give a line for each person."))
        if column in header:
            place, lines = header.index(column), []
        elif len(header) == 1:
            place, lines = 0, [Line(1, header[0])]
        else:
            raise Unreadable(
                _("No column is named “%(column)s”. The first line names: %(names)s.")
                % {"column": column, "names": ", ".join(header)[:500]}
            )
        for cells in reader:
            if len(cells) > place and cells[place].strip():
                lines.append(Line(reader.line_num, cells[place].strip()))
    except csv.Error as error:
        raise Unreadable(
            _(
                "Line %(line)d cannot be read as CSV: %(error)s. Put texts that hold commas or quotes in quotes."
            )
            % {"line": reader.line_num, "error": error}
        ) from error
    return lines


def upload(
    audience: Audience, namespace: int, lines: Sequence[Line], *, makes_missing: bool = False, now: datetime
) -> Uploaded:
    """From now on exactly the people of these lines are in the list. With `makes_missing` there is a profile
    afterwards for each identity that can be one. Raises Unreadable, and Refused when the audience has a rule."""
    if len(lines) > MOST_LINES:
        raise Unreadable(
            _("The list has %(n)s lines. Give at most %(most)s at once.")
            % {"n": f"{len(lines):,}", "most": f"{MOST_LINES:,}"}
        )
    if audience.kind != Audience.Kind.LIST:
        raise services.Refused(
            _("%(key)s has a rule, so nobody can be put into it. Make an audience that is a list.")
            % {"key": audience.key}
        )
    written = {line: normalise(namespace, line.value) for line in lines}
    values = {value for value in written.values() if value is not None}
    owners = _owners(namespace, values)
    made = 0
    if makes_missing:
        for piece in _pieces(sorted(values - owners.keys())):
            made += _make(namespace, piece, now)
        owners = _owners(namespace, values)
    people = {owners[value] for value in values if value in owners}
    services.replace_list(audience, people, now=now)
    unmatched = [
        Unmatched(
            line.number,
            line.value,
            _("Nobody has this identity.") if value else _("This is no such identity."),
        )
        for line, value in written.items()
        if value is None or value not in owners
    ]
    return Uploaded(len(lines), len(people), made, unmatched)


def _owners(namespace: int, values: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for piece in _pieces(sorted(values)):
        rows = Identity.objects.filter(namespace_id=namespace, value__in=piece)
        found.update(rows.values_list("value", "profile_id"))
    return found


def _pieces(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[first : first + PIECE] for first in range(0, len(values), PIECE))


def _make(namespace: int, values: Sequence[str], now: datetime) -> int:
    """Profiles for identities in order that nobody had; returns how many. When somebody else makes one of them
    meanwhile, it is looked at again who is missing."""
    for _round in range(_ROUNDS):
        with transaction.atomic(), sql.cursor() as cur:
            known = _owners(namespace, values)
            missing = [value for value in values if value not in known]
            if _made(cur, namespace, missing, now):
                return len(missing)
            transaction.set_rollback(True)
    raise psycopg.errors.SerializationFailure(
        f"Others made the same people {_ROUNDS} times in a row. Try again."
    )


def _made(cur: psycopg.Cursor[Any], namespace: int, values: Sequence[str], now: datetime) -> bool:
    """Whether all of them are new and have a profile now."""
    # As in a stream transaction: no audience becomes active between the profile and what is asked about it.
    cur.execute(f"SELECT pg_advisory_xact_lock_shared({services.LOCK})")
    cur.execute(_MAKE, [now, len(values)])
    ids = [row.id for row in cur]
    cur.execute(_ATTACH, [namespace, list(values), ids])
    if cur.rowcount < len(values):
        return False
    if attribute := _ATTRIBUTES.get(namespace):
        update_attributes({id: {attribute: value} for id, value in zip(ids, values, strict=True)}, now)
    evaluate.react(cur, evaluate.News(dict.fromkeys(ids, 0), renewed=ids), now)
    return True


def _delimiter(text: str) -> str:
    """The one of comma, semicolon and tab that the first line has most of: tables write any of them."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)
