"""Who enters and who leaves: rules read as SQL over locked profiles, deltas written and told in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.conf import settings

from profiles import own_events
from profiles.audiences import ENTERED, LEFT
from profiles.audiences.rules import Rule, compile_rule
from profiles.catalog import read_catalog
from profiles.language import Catalog, Columns, change_to_sql, changes_with_time, condition_to_sql
from profiles.own_events import OwnEvent

AT_ONCE = 50
"""Audiences in one statement: each costs parameters, of which a statement has 65,535."""

_COLUMNS = Columns("p.attributes", profile_id="p.id", history_ids="p.history_ids")
_ACTIVE = (
    "SELECT id, key, kind, rule, evaluated_at IS NOT NULL FROM audience WHERE state = 'active' ORDER BY id"
)
_TYPES = "SELECT name FROM profiles_eventtype WHERE id = ANY(%b::bigint[])"
# The profiles are locked by an earlier statement, so this one sees what their last holder wrote.
_DELTAS = """
WITH RECURSIVE lineage AS (
    SELECT merged_into AS id, id AS former_id FROM profile WHERE merged_into = ANY(%(profile_ids)b::bigint[])
    UNION ALL
    SELECT l.id, p.id FROM lineage l JOIN profile p ON p.merged_into = l.former_id),
former AS MATERIALIZED (SELECT id, array_agg(former_id) AS ids FROM lineage GROUP BY id),
person AS MATERIALIZED (
    SELECT p.id, p.attributes, p.id || coalesce(f.ids, '{{}}') AS history_ids
    FROM profile p LEFT JOIN former f ON f.id = p.id
    WHERE p.id = ANY(%(profile_ids)b::bigint[]) AND p.merged_into IS NULL),
evaluated AS MATERIALIZED (
    SELECT v.audience_id, p.id AS profile_id, v.is_member, v.recheck_at
    FROM person p CROSS JOIN LATERAL (VALUES {rules}) AS v(audience_id, is_member, recheck_at)),
departed AS (
    DELETE FROM audience_membership m USING evaluated e
    WHERE m.audience_id = e.audience_id AND m.profile_id = e.profile_id AND NOT e.is_member
    RETURNING m.audience_id, m.profile_id, m.entered_at),
remembered AS (
    INSERT INTO audience_exit (audience_id, profile_id, entered_at, left_at)
    SELECT audience_id, profile_id, entered_at, %(now)b FROM departed),
arrived AS (
    INSERT INTO audience_membership (audience_id, profile_id, entered_at)
    SELECT audience_id, profile_id, %(now)b FROM evaluated WHERE is_member
    ON CONFLICT (audience_id, profile_id) DO NOTHING RETURNING audience_id, profile_id),
settled AS (
    DELETE FROM audience_recheck r USING evaluated e
    WHERE r.audience_id = e.audience_id AND r.profile_id = e.profile_id AND e.recheck_at IS NULL
        AND e.audience_id = ANY(%(timed)b::bigint[])),
noted AS (
    INSERT INTO audience_recheck AS r (audience_id, profile_id, at)
    SELECT audience_id, profile_id, recheck_at FROM evaluated WHERE recheck_at IS NOT NULL
    ON CONFLICT (audience_id, profile_id) DO UPDATE SET at = excluded.at WHERE r.at <> excluded.at)
SELECT audience_id, profile_id, TRUE AS is_member FROM arrived
UNION ALL SELECT audience_id, profile_id, FALSE FROM departed
ORDER BY audience_id, profile_id
"""


class Delta(NamedTuple):
    """Somebody entered an audience, or left it."""

    audience_id: int
    profile_id: int
    is_member: bool


@dataclass(frozen=True, slots=True)
class ActiveAudience:
    """An audience that is kept true. `is_told`: its changes are events, because everybody was looked at once."""

    id: int
    key: str
    rule: Rule | None
    is_told: bool


@dataclass(frozen=True, slots=True)
class News:
    """What happened to profiles that are locked: attributes and events by name or type, and lists by key.

    `hops` has all of them: how many of our own reactions led to what happened. Whoever is `renewed`, a new profile or
    one that another was merged into, is asked about everything.
    """

    hops: Mapping[int, int]
    attributes: Collection[str] = ()
    event_type_ids: Collection[int] = ()
    lists: Collection[str] = ()
    renewed: Collection[int] = ()


def read_active(cur: psycopg.Cursor[Any]) -> Sequence[ActiveAudience]:
    """The active audiences, rules and lists, by id."""
    cur.execute(_ACTIVE)
    return _compiled(tuple(tuple(row) for row in cur.fetchall()))


@functools.lru_cache(maxsize=8)
def _compiled(rows: tuple[tuple[int, str, str, str, bool], ...]) -> tuple[ActiveAudience, ...]:
    texts = {key: rule for _, key, kind, rule, _ in rows if kind == "rule"}
    return tuple(
        ActiveAudience(id, key, compile_rule(key, texts) if kind == "rule" else None, is_told)
        for id, key, kind, _, is_told in rows
    )


def react(cur: psycopg.Cursor[Any], news: News, now: datetime) -> None:
    """Evaluate the audiences that the news can change. The number of statements does not depend on how much it is."""
    audiences = [audience for audience in read_active(cur) if audience.rule is not None]
    if not audiences or not news.hops:
        return
    names: set[str] = set()
    if news.event_type_ids:
        cur.execute(_TYPES, [sorted(news.event_type_ids)])
        names = {row[0] for row in cur.fetchall()}
    touched = [
        audience
        for audience in audiences
        if audience.rule is not None
        and not (
            audience.rule.attributes.isdisjoint(news.attributes)
            and audience.rule.event_types.isdisjoint(names)
            and audience.rule.audiences.isdisjoint(news.lists)
        )
    ]
    renewed = set(news.renewed)
    deltas = evaluate(cur, audiences, renewed, now)
    deltas += evaluate(cur, touched, news.hops.keys() - renewed, now)
    tell(audiences, deltas, now, news.hops)


def evaluate(
    cur: psycopg.Cursor[Any],
    audiences: Sequence[ActiveAudience],
    profile_ids: Iterable[int],
    now: datetime,
    *,
    is_thorough: bool = False,
) -> list[Delta]:
    """Make memberships true for these profiles, and note when to look again. The caller holds the profiles' locks.

    `is_thorough`: forget also the notes of rules that time does not change any more, which costs a probe for each.
    """
    ids = sorted(profile_ids)
    rules = [(audience.id, audience.rule) for audience in audiences if audience.rule is not None]
    if not ids or not rules:
        return []
    catalog = read_catalog(knows_history=True)
    deltas: list[Delta] = []
    for first in range(0, len(rules), AT_ONCE):
        part = rules[first : first + AT_ONCE]
        text, params = _statement(part, catalog, now)
        if is_thorough:
            params["timed"] = [audience_id for audience_id, _ in part]
        cur.execute(text, {**params, "profile_ids": ids, "now": now})
        deltas += map(Delta._make, cur.fetchall())
    return deltas


def _statement(
    rules: Iterable[tuple[int, Rule]], catalog: Catalog, now: datetime
) -> tuple[str, dict[str, Any]]:
    written, params, timed = [], {}, []
    for index, (audience_id, rule) in enumerate(rules):
        is_member = condition_to_sql(rule.tree, catalog, columns=_COLUMNS, now=now, prefix=f"c{index}_")
        change = "NULL::timestamptz"
        if changes_with_time(rule.tree, catalog):
            found = change_to_sql(rule.tree, catalog, columns=_COLUMNS, now=now, prefix=f"m{index}_")
            change = found.text
            params.update(found.params)
            timed.append(audience_id)
        params.update(is_member.params)
        params[f"a{index}"] = audience_id
        written.append(f"(%(a{index})s::bigint, {is_member.text}, {change})")
    return _DELTAS.format(rules=", ".join(written)), {**params, "timed": timed}


def tell(
    audiences: Iterable[ActiveAudience],
    deltas: Iterable[Delta],
    now: datetime,
    hops: Mapping[int, int],
) -> None:
    """Write the deltas as events of the profiles. Who is not in `hops` was moved by no reaction of ours. Beyond the
    limit nothing is told, so that no circle turns for ever."""
    told = {audience.id: audience.key for audience in audiences if audience.is_told}
    own_events.record(
        [
            OwnEvent(
                delta.profile_id,
                ENTERED if delta.is_member else LEFT,
                {"audience": told[delta.audience_id]},
                now,
                hops.get(delta.profile_id, 0),
            )
            for delta in deltas
            if delta.audience_id in told and hops.get(delta.profile_id, 0) <= settings.AJO_MAX_HOPS
        ]
    )
