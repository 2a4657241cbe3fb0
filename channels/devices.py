"""Devices: who has which, what a message does on them.

A push goes to every active device of its profile that the provider of its configuration reaches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from django.db import transaction

from ajo.core.models import AuditEvent
from ajo.lib import sql
from channels.models import Device, Message
from channels.providers import web_push
from profiles.consumers import StreamEvent

FCM, WEB_PUSH = "fcm", "web_push"
MAX_TOKEN = 4_000
_MAX_KEY = 200
MOST = 10
"""Devices of a profile that one message goes to, the newest first."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A device as it was told to us. `keys` are those of a Web Push subscription."""

    profile_id: int
    provider: str
    token: str
    seen_at: datetime
    platform: str = ""
    locale: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> bytes:
        return hashlib.blake2b(f"{self.provider}\n{self.token}".encode(), digest_size=16).digest()


class Reached(NamedTuple):
    """A device that a message is for. `address` is what its provider is given: the token, or a subscription's JSON."""

    message_id: int
    device_id: int
    token: str
    keys: str
    """As JSON."""

    @property
    def address(self) -> str:
        keys = json.loads(self.keys)
        return json.dumps({"endpoint": self.token, "keys": keys}) if keys else self.token


@dataclass(frozen=True, slots=True)
class Fate:
    """What one device's service said about a message."""

    message_id: int
    device_id: int
    state: int
    provider_id: str = ""
    reason: str = ""
    is_gone: bool = False


# An app tells its token with every event: what is known already is written once an hour.
_REGISTER = """
INSERT INTO device AS d (profile_id, provider, digest, token, keys, platform, locale, is_active, last_seen_at)
SELECT profile_id, provider, digest, token, keys::jsonb, platform, locale, true, seen_at
FROM unnest(%b::bigint[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[])
    AS t(profile_id, provider, digest, token, keys, platform, locale, seen_at)
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET profile_id = excluded.profile_id, token = excluded.token, keys = excluded.keys,
    platform = excluded.platform, locale = excluded.locale, is_active = true, last_seen_at = excluded.last_seen_at
WHERE d.last_seen_at <= excluded.last_seen_at AND (NOT d.is_active OR d.profile_id <> excluded.profile_id
    OR d.keys <> excluded.keys OR d.last_seen_at < excluded.last_seen_at - interval '1 hour')
"""
# A device whose service refused this message is not asked again; one that put it off is.
_REACH = """
SELECT w.message_id, d.id, d.token, d.keys::text
FROM unnest(%(message_ids)b::bigint[], %(profile_ids)b::bigint[], %(providers)b::text[])
    AS w(message_id, profile_id, provider)
CROSS JOIN LATERAL (
    SELECT * FROM device d WHERE d.profile_id = w.profile_id AND d.provider = w.provider AND d.is_active
    AND NOT EXISTS (SELECT FROM message_device m WHERE m.message_id = w.message_id AND m.device_id = d.id
        AND m.state <> %(queued)s)
    ORDER BY d.last_seen_at DESC, d.id LIMIT %(most)s
) d ORDER BY w.message_id, d.id
"""
_RECORD = """
INSERT INTO message_device AS m (message_id, device_id, state, provider_id, reason)
SELECT message_id, device_id, state, provider_id, left(reason, 300)
FROM unnest(%b::bigint[], %b::bigint[], %b::smallint[], %b::text[], %b::text[])
    AS t(message_id, device_id, state, provider_id, reason) ORDER BY message_id, device_id
ON CONFLICT (message_id, device_id) DO UPDATE SET state = excluded.state, provider_id = excluded.provider_id,
    reason = excluded.reason, at = now()
"""
# Who registered again since is there again.
_SWITCH_OFF = """
UPDATE device d SET is_active = false WHERE d.id IN (
    SELECT id FROM device WHERE id = ANY(%b::bigint[]) AND last_seen_at <= %s ORDER BY id FOR NO KEY UPDATE)
"""
_MOVE = """
UPDATE device d SET profile_id = pair.survivor
FROM unnest(%b::bigint[], %b::bigint[]) AS pair(loser, survivor) WHERE d.profile_id = pair.loser
"""


def register(registrations: Sequence[Registration]) -> int:
    """Write devices in one statement; returns how many are new or newer than what was known of them."""
    newest: dict[bytes, Registration] = {}
    for each in sorted(registrations, key=lambda each: each.seen_at):
        newest[each.digest] = each
    if not newest:
        return 0
    rows = list(newest.items())
    columns: list[list[Any]] = [
        [row.profile_id for _, row in rows],
        [row.provider for _, row in rows],
        [digest for digest, _ in rows],
        [row.token for _, row in rows],
        [json.dumps(row.keys) for _, row in rows],
        [row.platform[:40] for _, row in rows],
        [row.locale[:20] for _, row in rows],
        [row.seen_at for _, row in rows],
    ]
    with sql.cursor() as cur:
        cur.execute(_REGISTER, columns)
        return cur.rowcount


class _Device(msgspec.Struct):
    """Segment's `context.device`; `keys` are those of a browser's subscription."""

    token: str
    type: str = ""
    keys: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Device)


def consume(events: Sequence[StreamEvent], now: datetime) -> None:
    """Register the devices that apps and pages tell of with their events. What is no device is passed over."""
    told = []
    for event in events:
        if event.device is None:
            continue
        try:
            device = _decoder.decode(event.device)
        except msgspec.ValidationError:
            continue
        provider = WEB_PUSH if device.type == WEB_PUSH else FCM
        registration = Registration(
            event.profile_id,
            provider,
            device.token,
            event.occurred_at,
            platform="web" if provider == WEB_PUSH else device.type.lower(),
            keys=device.keys,
        )
        if not problem(registration):
            told.append(registration)
    register(told)


def problem(device: Registration) -> str:
    """Why a device cannot be reached, as a sentence; empty when it can."""
    if not device.token or len(device.token) > MAX_TOKEN or "\0" in device.token:
        return f"A token has 1 to {MAX_TOKEN} characters."
    if device.provider == WEB_PUSH:
        if set(device.keys) != {"p256dh", "auth"} or max(map(len, device.keys.values())) > _MAX_KEY:
            return "A browser's subscription has the keys p256dh and auth."
        return web_push.endpoint_problem(device.token)
    return "Only browsers have keys. Leave them out." if device.keys else ""


def reach(wanted: Sequence[tuple[int, int, str]]) -> dict[int, list[Reached]]:
    """The devices of each message, from (message, profile, kind of provider), in one statement."""
    message_ids, profile_ids, providers = (list(column) for column in zip(*wanted, strict=True))
    parameters = {
        "message_ids": message_ids,
        "profile_ids": profile_ids,
        "providers": providers,
        "queued": Message.State.QUEUED.value,
        "most": MOST,
    }
    found: dict[int, list[Reached]] = {}
    with sql.cursor() as cur:
        cur.execute(_REACH, parameters)
        for row in cur:
            found.setdefault(row.message_id, []).append(Reached(*row))
    return found


def record(fates: Sequence[Fate], now: datetime) -> None:
    """Note what became of messages on devices, and switch off those that are gone. In two statements at most."""
    columns: list[list[Any]] = [
        [each.message_id for each in fates],
        [each.device_id for each in fates],
        [each.state for each in fates],
        [each.provider_id for each in fates],
        [each.reason for each in fates],
    ]
    gone = [each.device_id for each in fates if each.is_gone]
    with sql.cursor() as cur:
        cur.execute(_RECORD, columns)
        if gone:
            cur.execute(_SWITCH_OFF, [gone, now])


@transaction.atomic
def remove(device_ids: Sequence[int], *, user: Any = None) -> int:
    """Send nothing to these devices until they register again; returns how many were switched off, each audited."""
    rows = list(Device.objects.filter(pk__in=device_ids, is_active=True).order_by("pk").select_for_update())
    Device.objects.filter(pk__in=[row.pk for row in rows]).update(is_active=False)
    for row in rows:
        AuditEvent.record("remove_device", row, user=user, profile=row.profile_id)
    return len(rows)


def move_merged(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: datetime) -> None:
    """The merge hook: devices follow their profile into its survivor."""
    cur.execute(_MOVE, [[loser for loser, _ in pairs], [survivor for _, survivor in pairs]])
