"""What the rooms above may ask of this one, and change in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from django.db import transaction

from ajo.lib import sql
from profiles.attributes import MAX_ATTRIBUTES, MAX_KEY_LENGTH, trait_time
from profiles.audiences import evaluate as audiences
from profiles.identity import Key, normalise
from profiles.models import Consent, Identity, IdentityNamespace, Profile

# Follows a chain of merges to its end; a merge that happens meanwhile is found by locking what comes out.
_LIVING = """
WITH RECURSIVE chain AS (
    SELECT id AS asked, id, merged_into FROM profile WHERE id = ANY(%b::bigint[])
    UNION ALL
    SELECT chain.asked, p.id, p.merged_into FROM chain JOIN profile p ON p.id = chain.merged_into)
SELECT asked, id FROM chain WHERE merged_into IS NULL
"""
_LOCK = "SELECT id FROM profile WHERE id = ANY(%b::bigint[]) AND merged_into IS NULL ORDER BY id FOR NO KEY UPDATE"
_SET_CONSENT = """
INSERT INTO consent AS c (profile_id, channel, state, changed_at, reason)
SELECT id, %b, %b, %b, %b FROM unnest(%b::bigint[]) AS t(id)
ON CONFLICT (profile_id, channel) DO UPDATE
SET state = excluded.state, changed_at = excluded.changed_at, reason = excluded.reason
WHERE c.changed_at <= excluded.changed_at
"""
# By the rules of attributes.Attributes.apply: not older than what is there, and no new name beyond the limits.
_UPDATE_ATTRIBUTES = """
WITH told AS (
    SELECT t.id, e.key, e.value, NOT p.attribute_times ? e.key AS is_new,
        (SELECT count(*) FROM jsonb_object_keys(p.attribute_times)) AS known
    FROM unnest(%b::bigint[], %b::text[]) AS t(id, news)
    JOIN profile p ON p.id = t.id
    CROSS JOIN LATERAL jsonb_each(t.news::jsonb) AS e(key, value)
    WHERE coalesce((p.attribute_times ->> e.key)::bigint, 0) <= %s AND length(e.key) BETWEEN 1 AND %s
), counted AS (
    SELECT *, known + count(*) FILTER (WHERE is_new) OVER (PARTITION BY id ORDER BY key) AS n FROM told
), kept AS (
    SELECT id, jsonb_object_agg(key, %s::bigint) AS times,
        coalesce(jsonb_object_agg(key, value) FILTER (WHERE value <> 'null'), '{}') AS given,
        coalesce(array_agg(key) FILTER (WHERE value = 'null'), '{}') AS gone
    FROM counted WHERE NOT is_new OR n <= %s GROUP BY id
)
UPDATE profile p
SET attributes = (p.attributes - kept.gone) || kept.given, attribute_times = p.attribute_times || kept.times
FROM kept WHERE p.id = kept.id
"""
_SHARE_AUDIENCES = "SELECT pg_advisory_xact_lock_shared(hashtext('ajo audiences'))"
_OWNERS = """
SELECT i.namespace_id, i.value, i.profile_id FROM unnest(%b::smallint[], %b::text[]) AS t(namespace_id, value)
JOIN identity i ON i.namespace_id = t.namespace_id AND i.value = t.value
"""
_MAKE = """
WITH newcomer AS MATERIALIZED (
    SELECT t.*, nextval(pg_get_serial_sequence('profile', 'id')) AS id
    FROM unnest(%b::smallint[], %b::text[], %b::text[]) AS t(namespace_id, value, attributes)
), made AS (
    INSERT INTO profile (id, attributes, attribute_times, created_at)
    SELECT id, attributes::jsonb, coalesce((
        SELECT jsonb_object_agg(key, %b::bigint) FROM jsonb_object_keys(attributes::jsonb) AS key), '{}'), %b
    FROM newcomer
), attached AS (
    INSERT INTO identity (namespace_id, value, profile_id)
    SELECT namespace_id, value, id FROM newcomer ORDER BY namespace_id, value
    ON CONFLICT (namespace_id, value) DO NOTHING RETURNING profile_id
)
SELECT n.id, a.profile_id IS NOT NULL AS is_known FROM newcomer n LEFT JOIN attached a ON a.profile_id = n.id
"""
_encoder = msgspec.json.Encoder(decimal_format="number")
_ROUNDS = 10


def living_profiles(profile_ids: Iterable[int]) -> dict[int, int]:
    """The profile that each of `profile_ids` is today: itself, or whom it was merged into. Unknown ids are left out."""
    with sql.cursor() as cur:
        cur.execute(_LIVING, [sorted(set(profile_ids))])
        return {row.asked: row.id for row in cur}


def lock_profiles(profile_ids: Iterable[int]) -> dict[int, int]:
    """Lock what `profile_ids` are today, in id order, until the end of the open transaction; see `living_profiles`."""
    wanted = set(profile_ids)
    for _ in range(_ROUNDS):
        living = living_profiles(wanted)
        targets = sorted(set(living.values()))
        savepoint = transaction.savepoint()
        with sql.cursor() as cur:
            cur.execute(_LOCK, [targets])
            if cur.rowcount == len(targets):
                transaction.savepoint_commit(savepoint)
                return living
        transaction.savepoint_rollback(savepoint)  # gives the locks back: the survivor's id may be lower
    raise psycopg.errors.SerializationFailure(
        f"The profiles were merged {_ROUNDS} times in a row. Try again."
    )


@transaction.atomic
def set_consent(
    *, profile_ids: Iterable[int], channel: int, state: Consent.State, reason: str, now: datetime
) -> None:
    """Note what these profiles allow on a channel as of `now`. An older statement never replaces a newer one."""
    living = sorted(set(lock_profiles(profile_ids).values()))
    with sql.cursor() as cur:
        cur.execute(_SET_CONSENT, [channel, int(state), now, reason[:200], living])


def update_attributes(
    updates: Mapping[int, Mapping[str, Any]], now: datetime, *, hops: Mapping[int, int] | None = None
) -> None:
    """Set attributes of many profiles as of `now`, in one statement: profile id → attribute → value, None to remove it.
    Then the audiences that ask for them. `hops`: how many of our own reactions led to it, by profile.

    Values are JSON values, with Decimal for numbers. What an event set later than `now` stays, and so does a profile
    that already has the most attributes it can hold. The caller holds the locks of the profiles.
    """
    if not updates:
        return
    at = trait_time(now)
    news = [_encoder.encode(attributes).decode() for attributes in updates.values()]
    with sql.cursor() as cur:
        cur.execute(_UPDATE_ATTRIBUTES, [list(updates), news, at, MAX_KEY_LENGTH, at, MAX_ATTRIBUTES])
        told: dict[str, set[int]] = defaultdict(set)
        for profile_id, news_of_one in updates.items():
            for key in news_of_one:
                told[key].add(profile_id)
        audiences.react(cur, audiences.News({id: (hops or {}).get(id, 0) for id in updates}, told), now)


def profiles_by_identity(namespace: int, values: Iterable[str]) -> dict[str, int]:
    """Profile ids by the values as given, which are normalised first. Unknown values are left out."""
    normalised = {value: known for value in values if (known := normalise(namespace, value))}
    rows = Identity.objects.filter(namespace_id=namespace, value__in=set(normalised.values()))
    owners = dict(rows.values_list("value", "profile_id"))
    return {value: owners[known] for value, known in normalised.items() if known in owners}


def owners(keys: Iterable[Key]) -> dict[Key, int]:
    """Profile ids by identities in their normalised form, of any kinds, in one statement. Unknown ones are left out."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    with sql.cursor() as cur:
        cur.execute(_OWNERS, [[namespace for namespace, _ in wanted], [value for _, value in wanted]])
        return {(row.namespace_id, row.value): row.profile_id for row in cur}


def ensure_profiles(wanted: Mapping[Key, Mapping[str, Any]], now: datetime) -> dict[Key, int]:
    """The owner of each identity; where there is none, a new profile with these attributes. Those of others stay.

    In the caller's transaction, before it locks any profile. The number of statements depends on nothing but whether
    somebody is new.
    """
    found = owners(wanted)
    missing = sorted(wanted.keys() - found.keys())
    if not missing:
        return found
    columns = [
        [namespace for namespace, _ in missing],
        [value for _, value in missing],
        [_encoder.encode(wanted[key]).decode() for key in missing],
    ]
    with sql.cursor() as cur:
        cur.execute(_SHARE_AUDIENCES)
        cur.execute(_MAKE, [*columns, trait_time(now), now])
        rows = cur.fetchall()
        # Somebody else made the same person in between: this statement waited for them, and the next one sees them.
        if surplus := [row.id for row in rows if not row.is_known]:
            cur.execute("DELETE FROM profile WHERE id = ANY(%b::bigint[])", [surplus])
        made = [row.id for row in rows if row.is_known]
        audiences.react(cur, audiences.News(dict.fromkeys(made, 0), renewed=made), now)
    return owners(wanted)


def owners_of(text: str) -> set[int]:
    """Ids of the profiles that own `text` as a whole identity of any kind: one index probe for each kind."""
    found: set[int] = set()
    for namespace in IdentityNamespace.objects.values_list("pk", flat=True):
        found.update(profiles_by_identity(namespace, [text]).values())
    return found


def profile_by_identity(namespace: int, value: str) -> Profile | None:
    """The profile that owns an identity, or None."""
    profile_id = profiles_by_identity(namespace, [value]).get(value)
    return None if profile_id is None else Profile.objects.filter(pk=profile_id).first()
