"""Questions about a rule that change nothing: how many it would find, and why somebody is in it or not."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from django.db import OperationalError
from django.utils.translation import gettext

from ajo.lib import sql
from profiles.audiences.evaluate import COLUMNS, PEOPLE
from profiles.audiences.wording import Labels, in_words
from profiles.catalog import read_catalog
from profiles.language import Call, Field, Literal, Node, condition_to_sql, to_sql
from profiles.models import AttributeDefinition, Audience, Profile

MOST = 50_000
"""Profiles that an estimate looks at: all of them where there are not more, else a random choice."""
BUDGET = 0.8
"""Seconds that an estimate may take."""
FIRST_PIECE = 500
SHOWN = 10
_Z = 1.96  # of 20 estimates, 19 lie within the bounds

_PEOPLE = (
    PEOPLE
    + """
SELECT {columns} FROM person p
"""
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many profiles a rule would find now. `count` None: even a few took too long.

    When not exact, the true number lies between `at_least` and `at_most` in 19 of 20 cases.
    """

    count: int | None
    of: int | None
    is_exact: bool
    at_least: int
    at_most: int
    looked_at: int
    sample: Sequence[Profile]

    @property
    def share(self) -> float | None:
        """In percent of everybody."""
        return 100 * self.count / self.of if self.of and self.count is not None else None

    def in_words(self) -> str:
        """How sure it is, as a sentence."""
        if self.count is None:
            return gettext("Counting took too long, even for a few people. Give past events a shorter time.")
        if self.is_exact:
            return gettext("Everybody was looked at, so this is exact.")
        return gettext(
            "An estimate: %(n)s people chosen at random were looked at. The true number lies between"
            " %(low)s and %(high)s in 19 of 20 cases."
        ) % {"n": f"{self.looked_at:,}", "low": f"{self.at_least:,}", "high": f"{self.at_most:,}"}


def estimate(tree: Node, *, now: datetime, budget: float = BUDGET, most: int = MOST) -> Estimate:
    """Ask the rule of people in random order, until all were asked, `most` of them, or the time is over."""
    ends_at = time.monotonic() + budget
    condition = condition_to_sql(tree, read_catalog(knows_history=True), columns=COLUMNS, now=now)
    statement = _PEOPLE.format(columns=f"p.id, {condition.text} AS is_member")
    with sql.cursor() as cur:
        cur.execute("SELECT min(id), max(id) FROM profile")
        low, high = cur.fetchone() or (None, None)
    # Ids that nobody has are drawn too, and count as people who are not there: so no table is read to draw from.
    ids = range(low, high + 1) if low is not None and high is not None else range(0)
    span = len(ids)
    drawn = random.sample(ids, min(span, most))
    looked, living, members, piece = 0, 0, [], FIRST_PIECE
    while looked < len(drawn) and (left := ends_at - time.monotonic()) > 0:
        asked = drawn[looked : looked + piece]
        found = ask_within(left, statement, {**condition.params, "profile_ids": sorted(asked)})
        if found is None:
            break
        looked += len(asked)
        living += len(found)
        members += [row.id for row in found if row.is_member]
        piece *= 2
    return _estimated(looked, living, members, span)


def ask_within(seconds: float, statement: str, params: dict[str, Any]) -> list[Any] | None:
    """The rows, or None when they do not come in this time."""
    try:
        with sql.unit_of_work() as cur:
            cur.execute(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
            cur.execute(statement, params)
            found = cur.fetchall()
            cur.execute("SET LOCAL statement_timeout = DEFAULT")  # the caller's transaction may go on
            return found
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            return None
        raise


def _estimated(looked: int, living: int, members: list[int], span: int) -> Estimate:
    profiles = Profile.objects.in_bulk(sorted(members)[:SHOWN])
    sample = list(profiles.values())
    if looked == span:
        n = len(members)
        return Estimate(n, living, True, n, n, living, sample)
    if not looked:
        return Estimate(None, None, False, 0, 0, 0, sample)
    low, high = _wilson(len(members), looked)
    return Estimate(
        round(span * len(members) / looked),
        round(span * living / looked),
        False,
        max(len(members), math.floor(span * low)),
        math.ceil(span * high),
        living,
        sample,
    )


def _wilson(hits: int, n: int) -> tuple[float, float]:
    """The bounds of a share of which `hits` of `n` were seen; unlike the plain ones they hold for few hits too."""
    share, z = hits / n, _Z**2
    middle = (share + z / (2 * n)) / (1 + z / n)
    reach = _Z / (1 + z / n) * math.sqrt(share * (1 - share) / n + z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


# --- why -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition of a rule for one person. `match` is "all", "any" or "none" of the `parts`, or "" for a single
    condition, whose `value` is what was found, None for nothing."""

    said: str
    is_true: bool
    match: str = ""
    value: Any = None
    has_value: bool = False
    parts: Sequence[Finding] = ()


def explain(tree: Node, profile_id: int, *, now: datetime) -> Finding | None:
    """Each condition with its value for this person: three statements. None when there is no such person today."""
    catalog = read_catalog(knows_history=True)
    leaves = list(_leaves(tree))
    lines, params = [], {}
    for index, leaf in enumerate(leaves):
        is_true = condition_to_sql(leaf, catalog, columns=COLUMNS, now=now, prefix=f"c{index}_")
        params.update(is_true.params)
        shown = "NULL::text"
        if (subject := _subject(leaf)) is not None:
            value = to_sql(subject, catalog, columns=COLUMNS, now=now, prefix=f"v{index}_")
            shown = f"to_jsonb({value.text})::text"
            params.update(value.params)
        lines.append(f"({index}, {is_true.text}, {shown})")
    asked = f"{_PEOPLE.format(columns='v.*')} CROSS JOIN LATERAL (VALUES {', '.join(lines)}) AS v(i, is_true, value)"
    with sql.cursor() as cur:
        cur.execute(f"{asked} ORDER BY v.i", {**params, "profile_ids": [profile_id]})
        rows = cur.fetchall()
    if not rows:
        return None
    labels = read_labels()
    return _told(
        tree,
        iter(
            [
                Finding(
                    in_words(leaf, labels),
                    row.is_true,
                    value=_decoded(row.value),
                    has_value=_subject(leaf) is not None,
                )
                for leaf, row in zip(leaves, rows, strict=True)
            ]
        ),
    )


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text, parse_float=Decimal)


def _parts(node: Node) -> tuple[str, tuple[Node, ...]] | None:
    """How a group matches and what it is made of; None for a single condition."""
    match node:
        case Call(name="&&", args=args):
            return "all", args
        case Call(name="||", args=args):
            return "any", args
        case Call(name="!", args=(Call(name="||", args=args),)):
            return "none", args
        case Call(name="!", args=(Call(name="&&"),) as args):
            return "none", args
    return None


def _leaves(node: Node) -> Iterator[Node]:
    group = _parts(node)
    if group is None:
        yield node
    else:
        for part in group[1]:
            yield from _leaves(part)


def _told(node: Node, found: Iterator[Finding]) -> Finding:
    """The answer of a group, from the answers of its conditions, in order."""
    group = _parts(node)
    if group is None:
        return next(found)
    match, nodes = group
    parts = [_told(part, found) for part in nodes]
    truths = [part.is_true for part in parts]
    is_true = {"all": all(truths), "any": any(truths), "none": not any(truths)}[match]
    return Finding("", is_true, match, parts=parts)


def _subject(node: Node) -> Node | None:
    """What a condition asks about, whose value explains its answer."""
    match node:
        case Call(name="!", args=(inner,)):
            return _subject(inner)
        case Call(name="inAudience"):
            return None
        case Call(name="in", args=(Literal(), field)):
            return field
        case Call(name="lookup") | Field():
            return node
        case Call(args=(first, *_)) if isinstance(first, Field | Call):
            return first
    return None


def read_labels() -> Labels:
    """Two statements."""
    return Labels(
        dict(AttributeDefinition.objects.values_list("key", "label")),
        dict(Audience.objects.values_list("key", "name")),
    )
