"""What others ask of audiences. Lock order: audiences' own lock → audience rows → profiles in id order → the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import transaction

from ajo.lib import sql
from profiles.audiences import rules
from profiles.audiences.evaluate import Delta, News, evaluate, react, read_active, tell, timed
from profiles.catalog import read_catalog
from profiles.language import print_tree
from profiles.models import Audience
from profiles.services import lock_profiles

LOCK = "hashtext('ajo audiences')"
"""Shared by each stream transaction from its beginning; whoever makes an audience active takes it alone."""
RANGE = 2_000
_LOCK_LIVING = """
SELECT id FROM profile WHERE id = ANY(%b::bigint[]) AND merged_into IS NULL ORDER BY id FOR NO KEY UPDATE
"""

_ENTER = """
INSERT INTO audience_membership (audience_id, profile_id, entered_at)
SELECT %(id)b, id, %(now)b FROM unnest(%(ids)b::bigint[]) AS t(id)
ON CONFLICT (audience_id, profile_id) DO NOTHING RETURNING profile_id
"""
_LEAVE = """
WITH departed AS (
    DELETE FROM audience_membership WHERE audience_id = %(id)b AND profile_id = ANY(%(ids)b::bigint[])
    RETURNING audience_id, profile_id, entered_at)
INSERT INTO audience_exit (audience_id, profile_id, entered_at, left_at)
SELECT audience_id, profile_id, entered_at, %(now)b FROM departed RETURNING profile_id
"""
_LEAVE_ALL = """
WITH departed AS (
    DELETE FROM audience_membership WHERE audience_id = %(id)b RETURNING audience_id, profile_id, entered_at)
INSERT INTO audience_exit (audience_id, profile_id, entered_at, left_at)
SELECT audience_id, profile_id, entered_at, clock_timestamp() FROM departed
"""


class Refused(Exception):
    """The audience cannot become what was asked. The message is a sentence for people."""


def write_rule(audience: Audience, text: str) -> None:
    """Give the audience a rule. Raises LanguageError. An active one is evaluated anew, and as with a new one the
    changes that come from it are no events."""
    written = print_tree(rules.parse_rule(text, read_catalog(knows_history=True)))
    with transaction.atomic():
        _locked(audience)
        if audience.state == Audience.State.ACTIVE:
            _check_circle(audience.key, written)
            audience.evaluated_through, audience.evaluated_at = 0, None
            _evaluate_again(audience.key)
        audience.rule = written
        audience.save(update_fields=["rule", "evaluated_through", "evaluated_at"])


def activate(audience: Audience) -> None:
    """From now on the rule is kept true: at once for everybody to whom something happens, for all others as soon as
    `evaluate_range` came to them. Raises Refused, or LanguageError when rules name each other in a circle."""
    with transaction.atomic():
        _locked(audience)
        if audience.kind != Audience.Kind.RULE or not audience.rule:
            raise Refused(f"{audience.key} has no rule. Write its rule first.")
        if audience.state == Audience.State.ACTIVE:
            return
        _check_circle(audience.key, audience.rule)
        audience.state, audience.evaluated_through, audience.evaluated_at = Audience.State.ACTIVE, 0, None
        audience.save(update_fields=["state", "evaluated_through", "evaluated_at"])
        _evaluate_again(audience.key)


def archive(audience: Audience) -> None:
    """Nobody is in it any more, which is no event."""
    with transaction.atomic(), sql.cursor() as cur:
        _locked(audience)
        audience.state = Audience.State.ARCHIVED
        audience.evaluated_through = audience.evaluated_at = None
        audience.save(update_fields=["state", "evaluated_through", "evaluated_at"])
        _evaluate_again(audience.key)
        cur.execute(_LEAVE_ALL, {"id": audience.pk})


def hold_stream() -> None:
    """Wait until no stream transaction is under way, and hold new ones up until the end of the caller's transaction.

    What the caller commits is known to every merge of profiles that it has not seen.
    """
    with sql.cursor() as cur:
        cur.execute(f"SELECT pg_advisory_xact_lock({LOCK})")


def _locked(audience: Audience) -> None:
    """The audience, for the only one who changes audiences now."""
    hold_stream()
    audience.refresh_from_db(from_queryset=Audience.objects.select_for_update())


def _check_circle(key: str, text: str) -> None:
    texts = {**_active_rules(), key: text}
    for other in texts:
        rules.compile_rule(other, texts)


def _active_rules() -> dict[str, str]:
    found = Audience.objects.filter(kind=Audience.Kind.RULE, state=Audience.State.ACTIVE)
    return dict(found.values_list("key", "rule"))


def _evaluate_again(key: str) -> None:
    """Have everybody looked at again for the audiences that name this one, themselves or through others."""
    texts, waiting, affected = _active_rules(), {key}, set[str]()
    while waiting:
        named = waiting.pop()
        waiting |= (
            {other for other, text in texts.items() if rules.names_audience(text, named)} - affected - {key}
        )
        affected |= waiting
    Audience.objects.filter(key__in=affected).update(evaluated_through=0)


def evaluate_readers_of(lookup: str) -> None:
    """Have everybody looked at again for the audiences whose rules read the lookup; who enters or leaves is told.

    For the transaction that changed the lookup. An activation that it does not see yet ends first, and a later one
    waits for its end.
    """
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute(f"SELECT pg_advisory_xact_lock_shared({LOCK})")
        readers = [known.id for known in read_active(cur) if known.rule and lookup in known.rule.lookups]
        cur.execute(
            "SELECT FROM audience WHERE id = ANY(%b::bigint[]) ORDER BY id FOR NO KEY UPDATE", [readers]
        )
        Audience.objects.filter(pk__in=readers).update(evaluated_through=0)


def evaluate_all() -> None:
    """Have everybody looked at for every rule that is active."""
    Audience.objects.filter(kind=Audience.Kind.RULE, state=Audience.State.ACTIVE).update(evaluated_through=0)


def evaluate_range(limit: int = RANGE, *, now: datetime | None = None) -> int:
    """One piece of the full evaluations that are under way: the next profiles for all audiences that are as far behind.

    One transaction; returns how many profiles it looked at, 0 when nothing is left to do.
    """
    with sql.unit_of_work() as cur:
        cur.execute(
            "SELECT id, evaluated_through FROM audience WHERE state = 'active' AND evaluated_through IS NOT NULL"
            " ORDER BY evaluated_through, id FOR NO KEY UPDATE SKIP LOCKED"
        )
        rows = cur.fetchall()
        behind = {row.id for row in rows if row.evaluated_through == rows[0].evaluated_through}
        if not behind:
            return 0
        now = now or sql.database_now(cur)
        cur.execute(
            "SELECT id FROM profile WHERE id > %s ORDER BY id LIMIT %s", [rows[0].evaluated_through, limit]
        )
        found = [row.id for row in cur]
        if not found:
            Audience.objects.filter(pk__in=behind).update(evaluated_through=None, evaluated_at=now)
            return 0 if len(behind) == len(rows) else 1
        cur.execute(_LOCK_LIVING, [found])
        living = [row.id for row in cur]
        audiences = [audience for audience in read_active(cur) if audience.id in behind]
        deltas = evaluate(cur, audiences, living, now)
        tell(audiences, deltas, now, {})
        Audience.objects.filter(pk__in=behind).update(evaluated_through=found[-1])
        return len(found)


def evaluate_due(limit: int = RANGE, *, now: datetime | None = None) -> int:
    """Look again at those for whom time alone may have changed an answer; returns how many. Profiles in work elsewhere
    are left for the next call."""
    with sql.unit_of_work() as cur:
        now = now or sql.database_now(cur)
        cur.execute(
            "SELECT r.profile_id FROM profile_recheck r"
            " JOIN profile p ON p.id = r.profile_id AND p.merged_into IS NULL"
            " WHERE r.at <= %s ORDER BY r.at LIMIT %s",
            [now, limit],
        )
        due = sorted(row.profile_id for row in cur)
        if not due:
            return 0
        cur.execute(f"{_LOCK_LIVING} SKIP LOCKED", [due])
        held = [row.id for row in cur]
        cur.execute("DELETE FROM profile_recheck WHERE profile_id = ANY(%b::bigint[])", [held])
        audiences = timed(read_active(cur))
        tell(audiences, evaluate(cur, audiences, held, now), now, {})
        return len(held)


def replace_list(audience: Audience, profile_ids: Iterable[int], *, now: datetime) -> None:
    """From now on exactly these profiles are in the list. The first time it is no event that somebody enters.

    Written in pieces: when it fails on the way, the same call again makes it whole.
    """
    if audience.kind != Audience.Kind.LIST:
        raise Refused(
            f"{audience.key} has a rule, so nobody can be put into it. Make an audience that is a list."
        )
    wanted = set(profile_ids)
    if audience.state != Audience.State.ACTIVE:
        with transaction.atomic():
            _locked(audience)
            audience.state = Audience.State.ACTIVE
            audience.save(update_fields=["state"])
    kept: set[int] = set()
    for piece in _pieces(wanted):
        kept |= _change_list(audience, piece, is_member=True, now=now)
    there = set(audience.memberships.values_list("profile_id", flat=True))
    for piece in _pieces(there - kept):
        _change_list(audience, piece, is_member=False, now=now)
    if audience.evaluated_at is None:
        audience.evaluated_at = now
        audience.save(update_fields=["evaluated_at"])


def _pieces(profile_ids: Iterable[int]) -> Iterator[list[int]]:
    ids = sorted(profile_ids)
    return (ids[first : first + RANGE] for first in range(0, len(ids), RANGE))


def _change_list(
    audience: Audience, profile_ids: Iterable[int], *, is_member: bool, now: datetime
) -> set[int]:
    """Put these profiles, or whom they were merged into, in or out; returns who they are."""
    with sql.unit_of_work() as cur:
        living = set(lock_profiles(profile_ids).values())
        cur.execute(_ENTER if is_member else _LEAVE, {"id": audience.pk, "ids": sorted(living), "now": now})
        deltas = [Delta(audience.pk, row.profile_id, is_member) for row in cur]
        tell([known for known in read_active(cur) if known.id == audience.pk], deltas, now, {})
        react(cur, News(dict.fromkeys((d.profile_id for d in deltas), 0), lists={audience.key}), now)
    return living
