"""Who enters and who leaves: rules read as SQL over locked profiles, deltas written and told in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.utils import timezone

from ajo.lib import arrays
from profiles import own_events
from profiles.audiences import ENTERED, LEFT
from profiles.audiences.rules import Rule, compile_rule
from profiles.catalog import read_catalog
from profiles.language import Catalog, Columns, Tallies, change_to_sql, changes_with_time, condition_to_sql
from profiles.own_events import OwnEvent

AT_ONCE = 50
"""Audiences in one statement: each costs parameters, of which a statement has 65,535."""

COLUMNS = Columns("p.attributes", profile_id="p.id", history_ids="p.history_ids")
_ACTIVE = (
    "SELECT id, key, kind, rule, evaluated_at IS NOT NULL FROM audience WHERE state = 'active' ORDER BY id"
)
_TYPES = "SELECT id, name FROM profiles_eventtype WHERE id = ANY(%b::bigint[])"
# History keeps the profile that it was written with, so those who were merged into somebody are asked with them. For
# str.format, as what follows it is.
PEOPLE = """
WITH RECURSIVE lineage AS (
    SELECT merged_into AS id, id AS former_id FROM profile WHERE merged_into = ANY(%(profile_ids)b::bigint[])
    UNION ALL
    SELECT l.id, p.id FROM lineage l JOIN profile p ON p.merged_into = l.former_id),
former AS MATERIALIZED (SELECT id, array_agg(former_id) AS ids FROM lineage GROUP BY id),
person AS MATERIALIZED (
    SELECT p.id, p.attributes, p.id || coalesce(f.ids, '{{}}') AS history_ids
    FROM profile p LEFT JOIN former f ON f.id = p.id
    WHERE p.id = ANY(%(profile_ids)b::bigint[]) AND p.merged_into IS NULL)"""
# The profiles are locked by an earlier statement, so this one sees what their last holder wrote. Conditions stand in an
# array: as rows of VALUES each would be made ready to run anew for each profile.
# A moment to look again is written only when it is earlier than the one that is noted. One that has become too early
# costs a look that finds nothing, and then the next one is noted.
_DELTAS = (
    PEOPLE
    + """,
{tallies}
answered AS MATERIALIZED (
    SELECT p.id AS profile_id, ARRAY[{conditions}] AS answers, {recheck_at} AS recheck_at
    FROM person p {joined}),
asked AS MATERIALIZED (SELECT * FROM unnest(%(audience_ids)b::bigint[]) WITH ORDINALITY AS t(audience_id, n)),
inside AS MATERIALIZED (
    SELECT asked.audience_id, answered.profile_id FROM answered CROSS JOIN asked WHERE answered.answers[asked.n]),
member AS MATERIALIZED (
    SELECT audience_id, profile_id, entered_at, ctid AS place FROM audience_membership
    WHERE profile_id = ANY(%(profile_ids)b::bigint[]) AND audience_id = ANY(%(audience_ids)b::bigint[])),
changed AS MATERIALIZED (
    SELECT audience_id, profile_id, m.place IS NULL AS is_member, m.entered_at, m.place
    FROM inside i FULL JOIN member m USING (audience_id, profile_id)
    WHERE i.profile_id IS NULL OR m.profile_id IS NULL),
departed AS (
    DELETE FROM audience_membership WHERE ctid = ANY(ARRAY(SELECT place FROM changed WHERE NOT is_member))),
remembered AS (
    INSERT INTO audience_exit (audience_id, profile_id, entered_at, left_at)
    SELECT audience_id, profile_id, entered_at, %(now)b FROM changed WHERE NOT is_member),
arrived AS (
    INSERT INTO audience_membership (audience_id, profile_id, entered_at)
    SELECT audience_id, profile_id, %(now)b FROM changed WHERE is_member),
noted AS (
    INSERT INTO profile_recheck (profile_id, at)
    SELECT profile_id, recheck_at FROM answered n WHERE recheck_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM profile_recheck r WHERE r.profile_id = n.profile_id AND r.at <= n.recheck_at)
    ON CONFLICT (profile_id) DO UPDATE SET at = excluded.at)
SELECT audience_id, profile_id, is_member FROM changed ORDER BY audience_id, profile_id
"""
)


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
    """What happened to profiles that are locked: to whom, by attribute and by type of event.

    `hops` has all of them: how many of our own reactions led to what happened. The `lists`, by key, changed for all of
    them. Whoever is `renewed`, a new profile or one that another was merged into, is asked about everything.
    """

    hops: Mapping[int, int]
    attributes: Mapping[str, Collection[int]] = field(default_factory=dict)
    event_types: Mapping[int, Collection[int]] = field(default_factory=dict)
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
    doers: dict[str, Collection[int]] = {}
    if news.event_types:
        cur.execute(_TYPES, [sorted(news.event_types)])
        doers = {name: news.event_types[id] for id, name in cur.fetchall()}
    renewed = set(news.renewed)
    # Apart, since events are many and seldom change attributes: who only did something is not asked for the latter.
    touched = [
        _touched(audiences, lambda rule: rule.event_types, doers),
        _touched(audiences, lambda rule: rule.attributes, news.attributes),
        _touched(audiences, lambda rule: rule.audiences, dict.fromkeys(news.lists, news.hops.keys())),
    ]
    deltas = evaluate(cur, audiences, renewed, now)
    for asked, profile_ids in touched:
        deltas += evaluate(cur, asked, profile_ids - renewed, now)
    tell(audiences, deltas, now, news.hops)


def _touched(
    audiences: Iterable[ActiveAudience],
    reads: Callable[[Rule], Collection[str]],
    news: Mapping[str, Collection[int]],
) -> tuple[list[ActiveAudience], set[int]]:
    """The audiences that read something of which there is news, and whom it is about."""
    found, profile_ids = [], set[int]()
    for audience in audiences:
        if audience.rule is not None and (names := news.keys() & set(reads(audience.rule))):
            found.append(audience)
            profile_ids.update(*(news[name] for name in names))
    return found, profile_ids


def evaluate(
    cur: psycopg.Cursor[Any], audiences: Sequence[ActiveAudience], profile_ids: Iterable[int], now: datetime
) -> list[Delta]:
    """Make memberships true for these living profiles, and note when to look again. The caller holds their locks."""
    ids = sorted(profile_ids)
    rules = [(audience.id, audience.rule) for audience in audiences if audience.rule is not None]
    if not ids or not rules:
        return []
    catalog = read_catalog(knows_history=True)
    deltas: list[Delta] = []
    for first in range(0, len(rules), AT_ONCE):
        part = rules[first : first + AT_ONCE]
        text, params = _statement([rule for _, rule in part], catalog, now)
        audience_ids = [audience_id for audience_id, _ in part]
        cur.execute(
            text, {**params, "profile_ids": arrays.int8(ids), "audience_ids": audience_ids, "now": now}
        )
        deltas += map(Delta._make, cur.fetchall())
    return deltas


def timed(audiences: Iterable[ActiveAudience]) -> list[ActiveAudience]:
    """Those whose answers mere time can change."""
    catalog = read_catalog(knows_history=True)
    return [known for known in audiences if known.rule and changes_with_time(known.rule.tree, catalog)]


def _statement(rules: Iterable[Rule], catalog: Catalog, now: datetime) -> tuple[str, dict[str, Any]]:
    conditions, changes, params = [], [], {}
    tallies = Tallies(COLUMNS, now, "t_", clock=timezone.now())
    for index, rule in enumerate(rules):
        is_member = condition_to_sql(
            rule.tree, catalog, columns=COLUMNS, now=now, prefix=f"c{index}_", tallies=tallies
        )
        conditions.append(is_member.text)
        params.update(is_member.params)
        if changes_with_time(rule.tree, catalog):
            change = change_to_sql(
                rule.tree, catalog, columns=COLUMNS, now=now, prefix=f"m{index}_", tallies=tallies
            )
            changes.append(change.text)
            params.update(change.params)
    tallied = tallies.query("person")
    text = _DELTAS.format(
        conditions=", ".join(conditions),
        recheck_at=f"LEAST({', '.join(changes)})" if changes else "NULL::timestamptz",
        tallies=f"tallies AS MATERIALIZED ({tallied.text})," if tallied else "",
        joined="LEFT JOIN tallies t ON t.profile_id = p.id" if tallied else "",
    )
    return text, {**params, **(tallied.params if tallied else {})}


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
