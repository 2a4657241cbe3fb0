"""Puts people and what they did into the tables, as the stream step would have left them, by COPY and by sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from ajo.demo.history import Happening
from ajo.demo.people import Person, reason_for
from ajo.lib.ids import uuid7
from profiles.models import EventKind, IdentityNamespace, IngestBatch
from profiles.rollup import amount

# Exact: money is written with its cents, as a JSON number.
_encode = msgspec.json.Encoder(decimal_format="number").encode

_STAGING = """
CREATE TEMPORARY TABLE demo_event (
    id uuid, batch_id bigint, source_id int, event_type_id bigint, occurred_at timestamptz, profile_id bigint,
    user_id text, properties jsonb, amount numeric
) ON COMMIT DROP
"""


def make_staging(cur: psycopg.Cursor[Any]) -> None:
    """Once in the transaction, before the first `write_history`."""
    cur.execute(_STAGING)


def write_people(cur: psycopg.Cursor[Any], people: Sequence[Person]) -> list[int]:
    """Profiles, identities and consents of people who are in no table yet; their profile ids in the same order."""
    cur.execute(
        "SELECT nextval(pg_get_serial_sequence('profile', 'id')) AS id FROM generate_series(1, %s)",
        [len(people)],
    )
    ids = sorted(row.id for row in cur)
    with cur.copy("COPY profile (id, attributes, attribute_times, created_at) FROM STDIN") as copy:
        for profile_id, person in zip(ids, people, strict=True):
            at = int(person.created_at.timestamp() * 1000)
            times = dict.fromkeys(person.attributes, at)
            copy.write_row(
                (profile_id, _encode(person.attributes).decode(), _encode(times).decode(), person.created_at)
            )
    identities = sorted(
        (namespace, value, profile_id, person.created_at)
        for profile_id, person in zip(ids, people, strict=True)
        for namespace, value in identifiers_of(person)
    )
    with cur.copy("COPY identity (namespace_id, value, profile_id, created_at) FROM STDIN") as copy:
        for identity in identities:
            copy.write_row(identity)
    with cur.copy("COPY consent (profile_id, channel, state, changed_at, reason) FROM STDIN") as copy:
        for profile_id, person in zip(ids, people, strict=True):
            for channel, state in person.consents.items():
                copy.write_row((profile_id, int(channel), int(state), person.created_at, reason_for(state)))
    return ids


def identifiers_of(person: Person) -> list[tuple[int, str]]:
    """(namespace, normalised value) of all that a person is known by."""
    found = {
        IdentityNamespace.USER_ID: person.user_id,
        IdentityNamespace.ANONYMOUS_ID: person.anonymous_id,
        IdentityNamespace.EMAIL: person.email,
        IdentityNamespace.PHONE: person.phone,
    }
    return [(namespace, value) for namespace, value in found.items() if value]


def write_history(
    cur: psycopg.Cursor[Any],
    happenings: Sequence[tuple[int, Person, Happening]],
    *,
    source_ids: dict[str, int],
    event_type_ids: dict[str, int],
    now: datetime,
) -> None:
    """Events of (profile id, person, what happened): the log, who did it and the daily rollup, as one done batch.

    The people's earlier rollups must not be there yet, so all that somebody did goes into one call. The ids are those
    of this import, so that they fall into today's partition whenever the events happened.
    """
    if not happenings:
        return
    ordered = sorted(happenings, key=lambda row: row[2].occurred_at)
    ids = uuid7.many(len(ordered))
    cur.execute(
        "INSERT INTO profiles_ingestbatch (source_id, n, first_id, last_id, received_at, state)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        [source_ids["server"], len(ids), ids[0], ids[-1], now, IngestBatch.State.DONE],
    )
    batch = cur.fetchone()
    assert batch is not None
    cur.execute("TRUNCATE demo_event")
    with cur.copy("COPY demo_event FROM STDIN") as copy:
        for event_id, (profile_id, person, event) in zip(ids, ordered, strict=True):
            properties = _encode(event.properties).decode()
            copy.write_row(
                (
                    event_id,
                    batch.id,
                    source_ids[event.source],
                    event_type_ids[event.name],
                    event.occurred_at,
                    profile_id,
                    person.user_id,
                    properties,
                    amount(properties),
                )
            )
    cur.execute(
        "INSERT INTO event (id, batch_id, source_id, event_type_id, kind, occurred_at, user_id, properties)"
        " SELECT id, batch_id, source_id, event_type_id, %s, occurred_at, user_id, properties FROM demo_event",
        [EventKind.TRACK],
    )
    cur.execute(
        "INSERT INTO profile_event (profile_id, event_type_id, occurred_at, event_id)"
        " SELECT profile_id, event_type_id, occurred_at, id FROM demo_event"
    )
    cur.execute(
        "INSERT INTO profile_daily (profile_id, event_type_id, day, n, total)"
        " SELECT profile_id, event_type_id, (occurred_at AT TIME ZONE 'UTC')::date, count(*), sum(amount)"
        " FROM demo_event GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
