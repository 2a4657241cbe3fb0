"""The statements of the outbox.

Locks: `message_due` first, with SKIP LOCKED, in a transaction of its own; then messages in id order, waiting. A message
that is fenced is left alone by everybody but the holder of its token, until its lease is over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.conf import settings

from ajo.lib import doorbell, sql
from channels.delivery import languages, tallies
from channels.models import CauseKind, Message, MessageClass, SendHold
from profiles.models import Channel, Consent

SUSPECT_AFTER = 3
"""Reservations without an outcome after which a message is taken alone: it may be what kills the process."""
QUARANTINED_AFTER = 6
HOLD_SECONDS = 30
"""How soon a held message is looked at again."""
ADDRESS_SECONDS = 30
"""How long a new message waits for an address: a client may tell who somebody is just after what they did."""

State = Message.State
_NOT_SENT = {State.QUEUED.value, State.FAILED.value}
_NAMES = {
    "queued": State.QUEUED.value,
    "sending": State.SENDING.value,
    "sent": State.SENT.value,
    "withheld": State.WITHHELD.value,
    "failed": State.FAILED.value,
    "expired": State.EXPIRED.value,
    "uncertain": State.UNCERTAIN.value,
    "quarantined": State.QUARANTINED.value,
    "opted_out": Consent.State.OPTED_OUT.value,
    "marketing": MessageClass.MARKETING.value,
    "journey": CauseKind.JOURNEY_INSTANCE.value,
    "campaign": CauseKind.CAMPAIGN_RUN.value,
    "api_request": CauseKind.API_REQUEST.value,
    "everything": SendHold.Scope.EVERYTHING.value,
    "a_channel": SendHold.Scope.CHANNEL.value,
    "a_configuration": SendHold.Scope.CONFIGURATION.value,
    "a_version": SendHold.Scope.JOURNEY_VERSION.value,
    "a_run": SendHold.Scope.CAMPAIGN_RUN.value,
    "a_triggered": SendHold.Scope.TRIGGERED_CAMPAIGN.value,
}

_DRAIN_TASKS = {
    Channel.EMAIL: "channels.tasks.drain_email",
    Channel.SMS: "channels.tasks.drain_sms",
    Channel.PUSH: "channels.tasks.drain_push",
    Channel.WEBHOOK: "channels.tasks.drain_webhook",
    Channel.DIRECT_MAIL: "channels.tasks.drain_direct_mail",
}

REASON_LOST = (
    "The worker died, or lost its connection, after it had begun to send. Whether it arrived is not known."
)
REASON_POISON = (
    "It was taken up again and again without an outcome: it seems to kill the process that sends it."
)
REASON_MERGED = "The profile was merged into another one."
REASON_NO_ADDRESS = "The profile has no usable address on this channel."
REASON_SUPPRESSED = "The address is suppressed."
REASON_OPTED_OUT = "The profile opted out of this channel."
REASON_QUIET = "It is quiet hours where the person is."
REASON_REPEATED = "The person, once two profiles, gets this message already."
Why = Message.Reason
REASON_CAPPED = "The contact policy allows a person %s marketing messages within %s days."
"""With the number and the days, as SQL's format() puts them in."""
_REASONS = {
    "code_merged": Why.MERGED.value,
    "code_no_address": Why.NO_ADDRESS.value,
    "code_suppressed": Why.SUPPRESSED.value,
    "code_opted_out": Why.OPTED_OUT.value,
    "code_content": Why.CONTENT.value,
    "code_capped": Why.FREQUENCY_CAP.value,
    "reason_merged": REASON_MERGED,
    "reason_no_address": REASON_NO_ADDRESS,
    "reason_suppressed": REASON_SUPPRESSED,
    "reason_opted_out": REASON_OPTED_OUT,
    "reason_capped": REASON_CAPPED,
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that somebody wants sent."""

    profile_id: int
    cause_kind: int
    cause_id: int
    activity: str
    visit: int
    channel: int
    origin_id: int
    configuration_id: int
    variant_id: int
    message_class: int
    event_id: UUID | None = None
    context: dict[str, Any] | None = None
    hops: int = 0
    due_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def key(self) -> tuple[int, int, int, str, int, int]:
        """Whoever asks twice with the same key gets one message."""
        return self.profile_id, self.cause_kind, self.cause_id, self.activity, self.visit, self.channel


class Reserved(NamedTuple):
    """A due row that is ours for AJO_SEND_RESERVATION_SECONDS. `now` is the moment at which it was found due."""

    message_id: int
    reservations: int
    now: datetime


class Loaded(NamedTuple):
    """A message with what its content may use, as JSON texts."""

    id: int
    profile_id: int
    state: int
    is_lease_over: bool | None
    lease_until: datetime | None
    configuration_id: int
    variant_id: int
    event_id: UUID | None
    context: str | None
    attempt: int
    created_at: datetime
    attributes: str | None
    is_held: bool
    message_class: int
    channel: int
    cause_kind: int
    cause_id: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that is ready to be fenced; with a `problem` it will fail instead."""

    id: int
    profile_id: int
    """For whom it was rendered."""
    address: str | None = None
    """As it will be sent to; None when the profile cannot be reached, empty on channels without addresses."""
    normal_address: str = ""
    """As suppressions are kept."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What to write for one fenced message. `delay` (seconds) is for those that are queued again."""

    id: int
    state: int
    reason: str = ""
    provider_id: str = ""
    delay: float = 0.0
    counts: bool = True
    """False when the attempt says nothing about the message: the service was not reached."""


# --- in ------------------------------------------------------------------------------------------------------

_ENQUEUE = f"""
WITH draft AS MATERIALIZED (
    SELECT * FROM unnest(%b::bigint[], %b::smallint[], %b::bigint[], %b::text[], %b::int[], %b::smallint[],
        %b::bigint[], %b::bigint[], %b::bigint[], %b::smallint[], %b::uuid[], %b::text[], %b::smallint[],
        %b::timestamptz[], %b::timestamptz[])
    AS t(profile_id, cause_kind, cause_id, activity, visit, channel, origin_id,
        configuration_id, variant_id, message_class, event_id, context, hops, due_at, expires_at)
), {languages.VARIANTS.format(which="IN (SELECT variant_id FROM draft)")}, made AS (
    INSERT INTO message (profile_id, cause_kind, cause_id, activity, visit, channel, origin_id,
        configuration_id, variant_id, message_class, event_id, context, hops, created_at, expires_at)
    SELECT profile_id, cause_kind, cause_id, activity, visit, channel, origin_id,
        configuration_id, {languages.CHOSEN.format(variant_id="draft.variant_id", profile_id="draft.profile_id")},
        message_class, event_id, context::jsonb, hops, %s, expires_at
    FROM draft ORDER BY profile_id, cause_kind, cause_id, activity, visit, channel
    ON CONFLICT (profile_id, cause_kind, cause_id, activity, visit, channel) DO NOTHING
    RETURNING id, profile_id, cause_kind, cause_id, activity, visit, channel
)
INSERT INTO message_due (message_id, lane, due_at)
SELECT made.id, made.channel, coalesce(draft.due_at, %s)
FROM made JOIN draft USING (profile_id, cause_kind, cause_id, activity, visit, channel)
"""


def enqueue(drafts: Sequence[Draft], now: datetime) -> int:
    """Put messages into the outbox, in the caller's transaction; returns how many are new.

    A draft whose key is already there is left out. The senders are woken on commit.
    """
    unique = sorted({draft.key: draft for draft in reversed(drafts)}.values(), key=lambda draft: draft.key)
    if not unique:
        return 0
    columns: list[list[Any]] = [
        [draft.profile_id for draft in unique],
        [draft.cause_kind for draft in unique],
        [draft.cause_id for draft in unique],
        [draft.activity for draft in unique],
        [draft.visit for draft in unique],
        [draft.channel for draft in unique],
        [draft.origin_id for draft in unique],
        [draft.configuration_id for draft in unique],
        [draft.variant_id for draft in unique],
        [draft.message_class for draft in unique],
        [draft.event_id for draft in unique],
        [None if draft.context is None else json.dumps(draft.context) for draft in unique],
        [draft.hops for draft in unique],
        [draft.due_at for draft in unique],
        [draft.expires_at for draft in unique],
    ]
    with sql.cursor() as cur:
        cur.execute(_ENQUEUE, [*columns, now, now])
        made = cur.rowcount
    if made:
        for channel in {draft.channel for draft in unique}:
            wake_senders(channel)
    return made


def wake_senders(channel: int) -> None:
    """Have a lane looked at once the open transaction is committed."""
    if task := _DRAIN_TASKS.get(Channel(channel)):
        doorbell.ring_on_commit(task)


# --- kept from going -----------------------------------------------------------------------------------------

_WITHHOLD = """
, gone AS (DELETE FROM message_due d WHERE d.message_id = ANY(ARRAY(SELECT id FROM locked)))
UPDATE message m SET state = %(withheld)s, reason = %(reason)s, reason_code = %(code)s
FROM locked WHERE m.id = locked.id AND m.state = %(queued)s
"""
_LOCK_QUEUED = """
WITH locked AS MATERIALIZED (
    SELECT m.id FROM message m
    WHERE m.profile_id = ANY(%(profile_ids)b::bigint[]) AND m.state = %(queued)s
        AND (%(channel)s::int IS NULL OR m.channel = %(channel)s)
        AND (%(message_class)s::int IS NULL OR m.message_class = %(message_class)s)
        AND (%(cause_kind)s::int IS NULL OR m.cause_kind = %(cause_kind)s)
        AND (%(cause_ids)b::bigint[] IS NULL OR m.cause_id = ANY(%(cause_ids)b::bigint[]))
    ORDER BY m.id FOR UPDATE
)
"""
_LOCK_ORIGIN = """
WITH locked AS MATERIALIZED (
    SELECT m.id FROM message_due d JOIN message m ON m.id = d.message_id
    WHERE m.state = %(queued)s AND m.cause_kind = %(cause_kind)s AND m.origin_id = %(origin_id)s
    ORDER BY m.id FOR UPDATE OF m
)
"""


def withhold_queued(
    profile_ids: Sequence[int],
    *,
    reason: str,
    code: Message.Reason,
    channel: int | None = None,
    message_class: int | None = None,
    cause_kind: int | None = None,
    cause_ids: Sequence[int] | None = None,
) -> int:
    """Withhold what is queued for these profiles, narrowed by what is given; returns how many.

    Waits for fences in flight: when it returns and is committed, nothing of it can start to be sent any more. What was
    already being sent is not touched.
    """
    parameters = _NAMES | {
        "profile_ids": sorted(set(profile_ids)),
        "reason": reason,
        "code": code.value,
        "channel": channel,
        "message_class": message_class,
        "cause_kind": cause_kind,
        "cause_ids": None if cause_ids is None else list(cause_ids),
    }
    with sql.cursor() as cur:
        cur.execute(_LOCK_QUEUED + _WITHHOLD, parameters)
        return cur.rowcount


def withhold_origin(*, cause_kind: int, origin_id: int, reason: str) -> int:
    """Withhold everything that one author (a journey version, a campaign run) still has queued; returns how many."""
    parameters = _NAMES | {
        "cause_kind": cause_kind,
        "origin_id": origin_id,
        "reason": reason,
        "code": Why.STOPPED.value,
    }
    with sql.cursor() as cur:
        cur.execute(_LOCK_ORIGIN + _WITHHOLD, parameters)
        return cur.rowcount


# A statement of its own, so that the next one sees what was committed while it waited for a fence.
_LOCK_MERGED = """
SELECT m.id FROM message m WHERE m.profile_id = ANY(%b::bigint[]) AND m.state = %s ORDER BY m.id FOR UPDATE
"""
# The survivor may have the same message already (a campaign that had both), or two losers bring it.
_MOVE_MERGED = """
WITH pair AS MATERIALIZED (SELECT * FROM unnest(%(losers)b::bigint[], %(survivors)b::bigint[]) AS t(loser, survivor)
), queued AS MATERIALIZED (
    SELECT m.id, pair.survivor, row_number() OVER (
            PARTITION BY pair.survivor, m.cause_kind, m.cause_id, m.activity, m.visit, m.channel ORDER BY m.id) > 1
        OR EXISTS (SELECT FROM message o WHERE o.profile_id = pair.survivor AND o.cause_kind = m.cause_kind
            AND o.cause_id = m.cause_id AND o.activity = m.activity AND o.visit = m.visit AND o.channel = m.channel)
        AS is_repeat
    FROM message m JOIN pair ON pair.loser = m.profile_id WHERE m.id = ANY(%(ids)b::bigint[])
), gone AS (DELETE FROM message_due d USING queued q WHERE d.message_id = q.id AND q.is_repeat)
UPDATE message m SET
    profile_id = CASE WHEN q.is_repeat THEN m.profile_id ELSE q.survivor END,
    state = CASE WHEN q.is_repeat THEN %(withheld)s ELSE m.state END,
    reason = CASE WHEN q.is_repeat THEN %(reason)s ELSE m.reason END,
    reason_code = CASE WHEN q.is_repeat THEN %(code)s ELSE m.reason_code END
FROM queued q WHERE m.id = q.id
"""


def move_merged(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: datetime) -> None:
    """The merge hook: what is queued for a profile follows it into its survivor, whom nobody writes to twice.

    Consent is asked by the fence, of the survivor. What was sent, or is being sent, keeps its profile.
    """
    cur.execute(_LOCK_MERGED, [[loser for loser, _ in pairs], State.QUEUED.value])
    if ids := [row[0] for row in cur.fetchall()]:
        parameters = {
            "losers": [loser for loser, _ in pairs],
            "survivors": [survivor for _, survivor in pairs],
            "ids": ids,
            "withheld": State.WITHHELD.value,
            "reason": REASON_REPEATED,
            "code": Why.REPEATED.value,
        }
        cur.execute(_MOVE_MERGED, parameters)
    tallies.move_tallies(cur, pairs)


# --- out -----------------------------------------------------------------------------------------------------

# A suspect leaves alone: its neighbours are let go again with the end of the statement's transaction.
_RESERVE = """
WITH picked AS MATERIALIZED (
    SELECT d.ctid AS place, d.reservations, d.due_at FROM message_due d
    WHERE d.lane = %(lane)s AND d.due_at <= coalesce(%(now)s::timestamptz, now())
    ORDER BY d.due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), suspect AS MATERIALIZED (
    SELECT place FROM picked WHERE reservations >= %(suspect_after)s ORDER BY due_at LIMIT 1
), chosen AS (
    SELECT place FROM picked WHERE NOT EXISTS (SELECT FROM suspect) UNION ALL SELECT place FROM suspect
)
UPDATE message_due d
SET due_at = clock_timestamp() + %(reservation)s * interval '1 second', reservations = d.reservations + 1
WHERE d.ctid = ANY(ARRAY(SELECT place FROM chosen))
RETURNING d.message_id, d.reservations, coalesce(%(now)s::timestamptz, now()) AS now
"""
_IS_HELD = """EXISTS (SELECT FROM send_hold h WHERE h.scope = %(everything)s
    OR (h.scope = %(a_channel)s AND h.ref = m.channel)
    OR (h.scope = %(a_configuration)s AND h.ref = m.configuration_id)
    OR (h.scope = %(a_version)s AND m.cause_kind = %(journey)s AND h.ref = m.origin_id)
    OR (h.scope = %(a_run)s AND m.cause_kind = %(campaign)s AND h.ref = m.origin_id)
    OR (h.scope = %(a_triggered)s AND m.cause_kind = %(api_request)s AND h.ref = m.origin_id))"""
_LOAD = f"""
SELECT m.id, m.profile_id, m.state, m.lease_until <= clock_timestamp() AS is_lease_over, m.lease_until,
    m.configuration_id, m.variant_id, m.event_id, m.context::text AS context, m.attempt, m.created_at,
    p.attributes::text AS attributes, {_IS_HELD} AS is_held, m.message_class, m.channel, m.cause_kind, m.cause_id
FROM message m LEFT JOIN profile p ON p.id = m.profile_id
WHERE m.id = ANY(%(ids)b::bigint[]) ORDER BY m.id
"""
# What the fence refuses and how the frequency cap counts. `channels.reach` foresees it with the same words of SQL: `c`
# and `s` are the consent and the suppression of the person, `limits` the policy that stands for the channel.
REFUSED = """WHEN {address} IS NULL THEN 'no_address'
        WHEN s.address IS NOT NULL THEN 'suppressed'
        WHEN c.state = %(opted_out)s AND {message_class} = %(marketing)s THEN 'opted_out'"""
LIMITS = """LEFT JOIN LATERAL (
        SELECT o.channel AS scope, o.most, o.days FROM contact_policy o
        WHERE o.channel IN ({channel}, 0) AND {message_class} = %(marketing)s ORDER BY o.channel DESC LIMIT 1
    ) limits ON limits.most IS NOT NULL"""
COUNTS = "k.at > {at} - limits.days * interval '1 day'"
# Consent, suppression, holds and the frequency cap are asked in the statement that commits to the call. It waits for
# the rows: with SKIP LOCKED it would pass over messages that a neighbour's reservation touches at that moment.
_FENCE = f"""
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)b::bigint[], %(profile_ids)b::bigint[], %(addresses)b::text[],
        %(normal_addresses)b::text[], %(problems)b::text[])
    AS t(id, profile_id, address, normal_address, problem)
), locked AS MATERIALIZED (
    SELECT m.id, m.profile_id, m.created_at, w.address, w.problem, limits.scope, limits.most, limits.days, CASE
        WHEN m.expires_at <= %(now)s THEN 'expired'
        WHEN m.profile_id <> w.profile_id THEN 'moved'
        WHEN {_IS_HELD} THEN 'held'
        WHEN p.id IS NULL OR p.merged_into IS NOT NULL THEN 'merged'
        WHEN w.address IS NULL AND m.created_at > %(now)s - %(patience)s * interval '1 second' THEN 'early'
        {REFUSED.format(address="w.address", message_class="m.message_class")}
        WHEN w.problem <> '' THEN 'failed'
        ELSE 'sending' END AS outcome
    FROM message m JOIN wanted w ON w.id = m.id LEFT JOIN profile p ON p.id = m.profile_id
    LEFT JOIN consent c ON c.profile_id = m.profile_id AND c.channel = m.channel
    LEFT JOIN suppression s ON s.channel = m.channel AND s.address = w.normal_address
    {LIMITS.format(channel="m.channel", message_class="m.message_class")}
    WHERE m.id = ANY(%(ids)b::bigint[]) AND m.state = %(queued)s
    ORDER BY m.id FOR UPDATE OF m
), asked AS (
    SELECT profile_id, scope, most, array_agg(id ORDER BY id) AS ids
    FROM locked WHERE outcome = 'sending' AND most IS NOT NULL GROUP BY 1, 2, 3
), tally AS (
    INSERT INTO contact_tally AS t (profile_id, scope, message_ids, times)
    SELECT profile_id, scope, ids[:most], array_fill(%(now)s::timestamptz, ARRAY[least(most, cardinality(ids))])
    FROM asked ORDER BY profile_id, scope
    ON CONFLICT (profile_id, scope) DO UPDATE SET (message_ids, times) = (
        WITH limits AS (SELECT most, days FROM contact_policy WHERE channel = excluded.scope
        ), kept AS (
            SELECT k.id, k.at FROM unnest(t.message_ids, t.times) AS k(id, at), limits
            WHERE {COUNTS.format(at="%(now)s")}
        ), counted AS (
            SELECT id, at FROM kept UNION ALL
            SELECT n.id, %(now)s FROM unnest(excluded.message_ids) WITH ORDINALITY AS n(id, nth), limits
            WHERE n.nth <= limits.most - (SELECT count(*) FROM kept)
        )
        SELECT coalesce(array_agg(id ORDER BY at, id), '{{}}'), coalesce(array_agg(at ORDER BY at, id), '{{}}')
        FROM counted)
    RETURNING message_ids
), granted AS (
    SELECT unnest(message_ids) AS id FROM tally
), decided AS MATERIALIZED (
    SELECT l.*, CASE WHEN l.outcome = 'sending' AND l.most IS NOT NULL AND g.id IS NULL THEN 'capped'
        ELSE l.outcome END AS verdict
    FROM locked l LEFT JOIN granted g ON g.id = l.id
), fenced AS (
    UPDATE message m SET
        state = CASE l.verdict WHEN 'sending' THEN %(sending)s WHEN 'expired' THEN %(expired)s
            WHEN 'failed' THEN %(failed)s ELSE %(withheld)s END,
        reason = CASE l.verdict WHEN 'merged' THEN %(reason_merged)s WHEN 'no_address' THEN %(reason_no_address)s
            WHEN 'suppressed' THEN %(reason_suppressed)s WHEN 'opted_out' THEN %(reason_opted_out)s
            WHEN 'capped' THEN format(%(reason_capped)s::text, l.most, l.days)
            WHEN 'failed' THEN left(l.problem, 300) ELSE '' END,
        reason_code = CASE l.verdict WHEN 'merged' THEN %(code_merged)s WHEN 'no_address' THEN %(code_no_address)s
            WHEN 'suppressed' THEN %(code_suppressed)s WHEN 'opted_out' THEN %(code_opted_out)s
            WHEN 'capped' THEN %(code_capped)s
            WHEN 'failed' THEN %(code_content)s ELSE '' END,
        address = coalesce(l.address, ''), token = %(token)s, attempt = m.attempt + (l.verdict = 'sending')::int,
        lease_until = CASE l.verdict WHEN 'sending' THEN clock_timestamp() + %(lease)s * interval '1 second' END
    FROM decided l WHERE m.id = l.id AND l.verdict NOT IN ('held', 'moved', 'early')
    RETURNING m.id, m.state
), gone AS (
    DELETE FROM message_due d USING fenced f WHERE d.message_id = f.id AND f.state <> %(sending)s
), held AS (
    UPDATE message_due d SET reservations = 0,
        due_at = CASE l.verdict WHEN 'held' THEN %(now)s + %(hold)s * interval '1 second'
            WHEN 'early' THEN l.created_at + %(patience)s * interval '1 second' ELSE %(now)s END
    FROM decided l WHERE d.message_id = l.id AND l.verdict IN ('held', 'moved', 'early')
)
SELECT id FROM fenced WHERE state = %(sending)s
"""
# What the service reported before its answer was recorded counts: it knows better.
_RECORD = """
WITH result AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)b::bigint[], %(states)b::smallint[], %(reasons)b::text[], %(provider_ids)b::text[],
        %(delays)b::float8[], %(counts)b::boolean[])
    AS t(id, state, reason, provider_id, delay, counts)
), locked AS MATERIALIZED (
    SELECT m.id, m.feedback FROM message m
    WHERE m.id = ANY(%(ids)b::bigint[]) AND m.state = %(sending)s AND m.token = %(token)s
    ORDER BY m.id FOR UPDATE
), outcome AS MATERIALIZED (
    SELECT r.*, l.feedback, l.feedback > 0 AND r.state IN (%(sent)s, %(uncertain)s) AS is_reported
    FROM locked l JOIN result r USING (id)
), written AS (
    UPDATE message m SET state = CASE WHEN r.is_reported THEN r.feedback ELSE r.state END,
        reason = CASE WHEN r.is_reported THEN m.reason ELSE left(r.reason, 300) END,
        reason_code = CASE WHEN r.state = %(failed)s AND NOT r.is_reported THEN %(code_refused)s ELSE '' END,
        provider_id = r.provider_id, token = NULL, lease_until = NULL,
        sent_at = CASE WHEN r.is_reported OR r.state = %(sent)s THEN clock_timestamp() END,
        attempt = m.attempt - (NOT r.counts)::int
    FROM outcome r WHERE m.id = r.id
    RETURNING m.id, m.profile_id, m.state, r.delay
), gone AS (
    DELETE FROM message_due d USING written w WHERE d.message_id = w.id AND w.state <> %(queued)s
), again AS (
    UPDATE message_due d SET due_at = %(now)s + w.delay * interval '1 second', reservations = 0
    FROM written w WHERE d.message_id = w.id AND w.state = %(queued)s
)
SELECT id, profile_id, state FROM written
"""
_RECOVER = """
WITH locked AS MATERIALIZED (
    SELECT m.id FROM message m
    WHERE m.id = ANY(%(ids)b::bigint[]) AND m.state = %(sending)s AND m.lease_until <= clock_timestamp()
    ORDER BY m.id FOR UPDATE
), written AS (
    UPDATE message m SET token = NULL, lease_until = NULL,
        state = CASE WHEN m.feedback > 0 THEN m.feedback
            WHEN m.id = ANY(%(repeatable_ids)b::bigint[]) THEN %(queued)s ELSE %(uncertain)s END,
        reason = CASE WHEN m.feedback > 0 THEN m.reason
            WHEN m.id = ANY(%(repeatable_ids)b::bigint[]) THEN '' ELSE %(reason_lost)s END
    FROM locked WHERE m.id = locked.id
    RETURNING m.id, m.profile_id, m.state
), gone AS (
    DELETE FROM message_due d USING written w WHERE d.message_id = w.id AND w.state <> %(queued)s
), again AS (
    UPDATE message_due d SET due_at = %(now)s FROM written w WHERE d.message_id = w.id AND w.state = %(queued)s
)
SELECT id, profile_id, state FROM written
"""
_QUARANTINE = """
WITH locked AS MATERIALIZED (
    SELECT m.id FROM message m WHERE m.id = ANY(%(ids)b::bigint[]) AND m.state = %(queued)s ORDER BY m.id FOR UPDATE
), gone AS (DELETE FROM message_due d WHERE d.message_id = ANY(ARRAY(SELECT id FROM locked)))
UPDATE message m SET state = %(quarantined)s, reason = %(reason_poison)s FROM locked WHERE m.id = locked.id
"""
_POSTPONE = """
UPDATE message_due d
SET due_at = %(now)s + (%(at_least)s + random() * %(spread)s) * interval '1 second', reservations = 0
WHERE d.message_id = ANY(%(ids)b::bigint[])
"""


def reserve(lane: int, *, now: datetime | None, limit: int) -> list[Reserved]:
    """Take due rows of a lane, so that no other sender picks them. Without `now`, by the database's clock."""
    parameters = {
        "lane": lane,
        "now": now,
        "limit": limit,
        "suspect_after": SUSPECT_AFTER,
        "reservation": settings.AJO_SEND_RESERVATION_SECONDS,
    }
    with sql.cursor() as cur:
        cur.execute(_RESERVE, parameters)
        return [Reserved(*row) for row in cur]


def load(message_ids: Sequence[int]) -> list[Loaded]:
    """The messages with their profiles' attributes, in id order."""
    with sql.cursor() as cur:
        cur.execute(_LOAD, _NAMES | {"ids": list(message_ids)})
        return [Loaded(*row) for row in cur]


def fence(candidates: Sequence[Candidate], now: datetime) -> tuple[int, set[int]]:
    """Commit to sending a micro-batch: returns the token and the ids that may be sent now.

    The others were withheld, expired, failed by their problem, put off by a hold or for an address, rendered for a
    profile that was merged meanwhile (they come again at once), or belong to another sender by now.
    """
    token = secrets.randbits(62)
    parameters = (
        _NAMES
        | _REASONS
        | {
            "ids": [each.id for each in candidates],
            "profile_ids": [each.profile_id for each in candidates],
            "addresses": [each.address for each in candidates],
            "normal_addresses": [each.normal_address for each in candidates],
            "problems": [each.problem for each in candidates],
            "token": token,
            "now": now,
            "lease": settings.AJO_SEND_LEASE_SECONDS,
            "hold": HOLD_SECONDS,
            "patience": ADDRESS_SECONDS,
        }
    )
    with sql.cursor() as cur:
        cur.execute(_FENCE, parameters)
        return token, {row.id for row in cur}


def record(results: Sequence[Result], token: int, now: datetime) -> int:
    """Write the outcomes of a micro-batch; returns how many still were ours to write."""
    parameters = _NAMES | {
        "ids": [each.id for each in results],
        "states": [each.state for each in results],
        "reasons": [each.reason for each in results],
        "provider_ids": [each.provider_id for each in results],
        "delays": [each.delay for each in results],
        "counts": [each.counts for each in results],
        "code_refused": Why.REFUSED.value,
        "token": token,
        "now": now,
    }
    if all(each.state not in _NOT_SENT for each in results):
        with sql.cursor() as cur:
            cur.execute(_RECORD, parameters)
            return len(cur.fetchall())
    with sql.unit_of_work() as cur:
        return _write(cur, _RECORD, parameters)


def _write(cur: psycopg.Cursor[Any], statement: str, parameters: Mapping[str, Any]) -> int:
    """Write outcomes; what was not sent gives its place under the frequency cap back."""
    cur.execute(statement, parameters)
    written = cur.fetchall()
    if places := {row.id: row.profile_id for row in written if row.state in _NOT_SENT}:
        tallies.give_back(cur, places)
    return len(written)


def suppress(stopped: Mapping[tuple[int, str], str]) -> None:
    """Never send to these addresses again: (channel, address as suppressions keep it) → the reason. What is suppressed
    already keeps its own."""
    rows = sorted(stopped.items())
    columns: list[list[Any]] = [
        [channel for (channel, _address), _reason in rows],
        [address for (_channel, address), _reason in rows],
        [reason for _key, reason in rows],
    ]
    with sql.cursor() as cur:
        cur.execute(
            "INSERT INTO suppression (channel, address, reason)"
            " SELECT * FROM unnest(%b::smallint[], %b::text[], %b::text[]) ON CONFLICT DO NOTHING",
            columns,
        )


def recover(message_ids: Sequence[int], now: datetime, *, repeatable_ids: Collection[int] = ()) -> int:
    """Turn what was being sent when its lease ran out into uncertain; returns how many.

    Only `repeatable_ids`, whose provider would drop a repeat, are queued again.
    """
    parameters = _NAMES | {
        "ids": list(message_ids),
        "repeatable_ids": list(repeatable_ids),
        "reason_lost": REASON_LOST,
        "now": now,
    }
    with sql.unit_of_work() as cur:
        return _write(cur, _RECOVER, parameters)


_PUT_OFF = """
WITH asked AS MATERIALIZED (SELECT * FROM unnest(%(ids)b::bigint[], %(until)b::timestamptz[]) AS t(id, until)
), locked AS MATERIALIZED (
    SELECT m.id, least(asked.until, m.expires_at) AS due_at FROM message m JOIN asked USING (id)
    WHERE m.state = %(queued)s AND (m.expires_at IS NULL OR m.expires_at > %(now)s) ORDER BY m.id FOR UPDATE OF m
), later AS (
    UPDATE message_due d SET due_at = l.due_at, reservations = 0 FROM locked l WHERE d.message_id = l.id
)
UPDATE message m SET reason = %(reason)s, reason_code = %(code)s FROM locked l WHERE m.id = l.id
RETURNING m.id
"""


def put_off_quietly(until: Mapping[int, datetime], now: datetime) -> set[int]:
    """Leave messages (id → when quiet hours are over) in the queue until then, or until they expire if that is sooner.

    Returns the ids of those; what has expired already is not among them.
    """
    parameters = _NAMES | {
        "ids": list(until),
        "until": list(until.values()),
        "now": now,
        "reason": REASON_QUIET,
        "code": Why.QUIET_HOURS.value,
    }
    with sql.cursor() as cur:
        cur.execute(_PUT_OFF, parameters)
        return {row.id for row in cur}


def quarantine(message_ids: Sequence[int]) -> int:
    """Take messages out that seem to kill their process; returns how many."""
    with sql.cursor() as cur:
        cur.execute(_QUARANTINE, _NAMES | {"ids": list(message_ids), "reason_poison": REASON_POISON})
        return cur.rowcount


def postpone(message_ids: Sequence[int], now: datetime, *, at_least: float, spread: float = 0.0) -> None:
    """Look at these again `at_least` seconds after now, each up to `spread` seconds later."""
    with sql.cursor() as cur:
        cur.execute(_POSTPONE, {"ids": list(message_ids), "now": now, "at_least": at_least, "spread": spread})


def await_leases(message_ids: Sequence[int]) -> None:
    """Look at messages that another worker is sending when its lease is over."""
    with sql.cursor() as cur:
        cur.execute(
            "UPDATE message_due d SET due_at = m.lease_until FROM message m"
            " WHERE d.message_id = ANY(%b::bigint[]) AND m.id = d.message_id AND m.state = %s",
            [list(message_ids), State.SENDING.value],
        )


def forget(message_ids: Sequence[int]) -> None:
    """Delete the due rows of messages that are final or gone."""
    with sql.cursor() as cur:
        cur.execute("DELETE FROM message_due WHERE message_id = ANY(%b::bigint[])", [list(message_ids)])


def is_sending(profile_id: int, channel: int, message_class: int) -> bool:
    """Whether a call for this profile may be on its way. A sender whose lease is over makes none any more."""
    with sql.cursor() as cur:
        cur.execute(
            "SELECT EXISTS (SELECT FROM message WHERE profile_id = %s AND channel = %s AND message_class = %s"
            " AND state = %s AND lease_until > clock_timestamp())",
            [profile_id, channel, message_class, State.SENDING.value],
        )
        return bool(cur.fetchone()[0])  # type: ignore[index]
