"""The judge: what was acknowledged, what the mailbox received, and at the end what the database says.

It shares no code with the product: the numbers of states are written out here, and a person is found by user id.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

QUEUED, SENDING, SENT, UNCERTAIN = 0, 1, 2, 9
STATES = {
    QUEUED: "queued", SENDING: "sending", SENT: "sent", 3: "delivered", 4: "bounced", 5: "complained",
    6: "withheld", 7: "failed", 8: "expired", UNCERTAIN: "uncertain", 10: "quarantined",
}  # fmt: skip
BATCH = 32
"""The most messages that one sender has under way, hence the most that one kill can leave uncertain."""
LEAST_SENT = 0.8

_UNFINISHED = {
    "ingest batches waiting": "SELECT count(*) FROM profiles_ingestbatch WHERE state = 0",
    "messages queued or sending": "SELECT count(*) FROM message WHERE state IN (0, 1)",
    "messages due": "SELECT count(*) FROM message_due",
    "journey waits": "SELECT count(*) FROM journey_wait",
    "runs under way": "SELECT count(*) FROM campaign_run WHERE state IN ('freezing', 'sending', 'paused')",
}


@dataclass
class Findings:
    """What was counted, and the broken rules: rule → the keys that break it."""

    counts: dict[str, int] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def judge(self, rule: str, keys: Iterable[Any]) -> None:
        found = sorted(map(str, keys))
        if found:
            self.broken[rule] = found

    @property
    def first_key(self) -> str:
        """One key to look for in the logs; empty when nothing is broken."""
        return next(iter(self.broken.values()))[0] if self.broken else ""

    def __str__(self) -> str:
        counted = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        rules = "".join(f"\n  {rule}: {len(keys)}, first {keys[0]}" for rule, keys in self.broken.items())
        return counted + rules


def unfinished(database_url: str) -> dict[str, int]:
    """What is still under way, by kind; empty when the product has come to rest. A database that is away counts too."""
    try:
        with psycopg.connect(database_url, connect_timeout=2) as connection:
            counts = {name: _one(connection, query) for name, query in _UNFINISHED.items()}
    except psycopg.OperationalError:
        return {"database away": 1}
    return {name: count for name, count in counts.items() if count}


def message_states(database_url: str) -> dict[str, int]:
    """How many messages are in each state."""
    with psycopg.connect(database_url, connect_timeout=2) as connection:
        rows = connection.execute("SELECT state, count(*) FROM message GROUP BY state").fetchall()
    return {STATES[state]: count for state, count in rows}


def check(
    database_url: str,
    acked_path: Path,
    sink: Sequence[Mapping[str, Any]],
    *,
    sender_kills: int,
    lost_answers: int = 0,
) -> Findings:
    """Judge a product that has come to rest. `sender_kills` bounds how many messages may be uncertain."""
    acked = [json.loads(line) for line in acked_path.read_text().splitlines()]
    keys = {key for line in acked for key in line["keys"]}
    people = {person for line in acked for person in line["people"]}
    findings = Findings()
    with psycopg.connect(database_url) as connection:
        _check_events(findings, connection, keys)
        _check_people(findings, connection, people)
        _check_messages(findings, connection, people, sink, BATCH * sender_kills + lost_answers)
        _check_steps(findings, connection)
        findings.judge(
            "after the drain nothing is under way",
            (name for name, query in _UNFINISHED.items() if _one(connection, query)),
        )
    return findings


def _check_events(findings: Findings, connection: psycopg.Connection[Any], keys: set[str]) -> None:
    stored = Counter(row[0] for row in connection.execute("SELECT properties ->> 'key' FROM event"))
    findings.counts |= {"events acked": len(keys), "events stored": stored.total()}
    findings.judge("an acknowledged event is stored", keys - set(stored))
    findings.judge("an event is stored once", (key for key, count in stored.items() if count > 1))
    findings.judge(
        "an event belongs to one profile, once",
        _column(
            connection,
            "SELECT e.properties ->> 'key' FROM event e LEFT JOIN profile_event p ON p.event_id = e.id"
            " GROUP BY e.id, 1 HAVING count(p.event_id) <> 1",
        ),
    )
    findings.judge(
        "the rollup counts what happened",
        _column(
            connection,
            "WITH counted AS (SELECT profile_id, event_type_id, (occurred_at AT TIME ZONE 'UTC')::date AS day,"
            "                        count(*) AS n FROM profile_event GROUP BY 1, 2, 3)"
            " SELECT format('profile %s, event type %s: %s in the rollup, %s happened',"
            "               profile_id, event_type_id, coalesce(d.n, 0), coalesce(c.n, 0))"
            " FROM counted c FULL JOIN profile_daily d USING (profile_id, event_type_id, day)"
            " WHERE d.n IS DISTINCT FROM c.n",
        ),
    )
    findings.judge(
        "no batch and no event is quarantined: all of them are good",
        _column(
            connection,
            "SELECT format('batch %s', id) FROM profiles_ingestbatch WHERE state = 2"
            " UNION ALL SELECT format('event %s: %s', event_id, error) FROM profiles_quarantinedevent",
        ),
    )


def _check_people(findings: Findings, connection: psycopg.Connection[Any], people: set[str]) -> None:
    rows = connection.execute(
        "SELECT i.value, p.attributes ->> 'email' IS NOT NULL,"
        "       (SELECT count(*) FROM journey_instance j WHERE j.profile_id = p.id),"
        "       (SELECT count(*) FROM message m WHERE m.profile_id = p.id)"
        " FROM identity i JOIN profile p ON p.id = i.profile_id WHERE i.namespace_id = 1 AND p.merged_into IS NULL"
    ).fetchall()
    known = {user_id: rest for user_id, *rest in rows}
    findings.counts["people"] = len(people)
    findings.judge("who signed up is known", people - set(known))
    findings.judge("their email is known", (person for person in people & set(known) if not known[person][0]))
    findings.judge(
        "one journey instance each", (person for person in people & set(known) if known[person][1] != 1)
    )
    findings.judge("one message each", (person for person in people & set(known) if known[person][2] != 1))
    findings.judge(
        "nobody else is written to", (user_id for user_id in set(known) - people if known[user_id][2])
    )


def _check_messages(
    findings: Findings,
    connection: psycopg.Connection[Any],
    people: set[str],
    sink: Sequence[Mapping[str, Any]],
    most_uncertain: int,
) -> None:
    rows = connection.execute(
        "SELECT m.id, m.state, m.reason, p.attributes ->> 'email' FROM message m JOIN profile p ON p.id = m.profile_id"
    ).fetchall()
    received = Counter(address for line in sink for address in line["rcpt"])
    headers = Counter(line["message_id"] for line in sink)
    by_state: defaultdict[int, set[str]] = defaultdict(set)
    for message_id, state, _, address in rows:
        by_state[state].add(address or f"message {message_id}")
    findings.counts |= {f"messages {STATES[state]}": len(found) for state, found in sorted(by_state.items())}
    findings.counts["in the mailbox"] = received.total()
    uncertain, sent = by_state[UNCERTAIN], set().union(*(by_state[state] for state in (SENT, 3, 4, 5)))
    findings.counts["uncertain and in the mailbox"] = len(uncertain & set(received))

    findings.judge("nobody receives the message twice", (to for to, count in received.items() if count > 1))
    findings.judge("no message id arrives twice", (header for header, count in headers.items() if count > 1))
    findings.judge("what is sent was received", sent - set(received))
    findings.judge("what was received is sent or uncertain", set(received) - sent - uncertain)
    findings.judge(
        "a message ends as sent or uncertain: nothing here gives a reason for another end",
        (
            f"{address or message_id}: {STATES[state]} {reason}"
            for message_id, state, reason, address in rows
            if state not in {SENT, 3, 4, 5, UNCERTAIN}
        ),
    )
    if len(uncertain) > most_uncertain:
        findings.judge(f"at most {most_uncertain} messages are uncertain ({BATCH} for each kill)", uncertain)
    if len(sent) < LEAST_SENT * len(people):
        findings.judge(f"at least {LEAST_SENT:.0%} of the messages are sent for certain", people)


def _check_steps(findings: Findings, connection: psycopg.Connection[Any]) -> None:
    """Each walk is a path of its version: it starts at an entry, follows links by their port and repeats no visit."""
    links: dict[int, dict[tuple[str, str], str]] = {}
    entries: dict[int, set[str]] = {}
    for version_id, graph in connection.execute("SELECT id, graph FROM journeys_journeyversion"):
        links[version_id] = {(link["from"], link["port"]): link["to"] for link in graph["links"]}
        entries[version_id] = {box["id"] for box in graph["activities"]} - set(links[version_id].values())
    walks: defaultdict[int, list[tuple[int, int, str, str]]] = defaultdict(list)
    for instance_id, *step in connection.execute(
        "SELECT instance_id, visit, version_id, activity, outcome FROM step_log ORDER BY instance_id, visit"
    ):
        walks[instance_id].append(tuple(step))
    findings.judge("every walk has left steps", _column(connection, _WALKS_WITHOUT_STEPS))
    findings.judge(
        "the steps of a walk are a path of its journey",
        (
            f"instance {instance_id}: {[(visit, activity, outcome) for visit, _, activity, outcome in steps]}"
            for instance_id, steps in walks.items()
            if not _is_path(steps, links, entries)
        ),
    )


_WALKS_WITHOUT_STEPS = (
    "SELECT j.id FROM journey_instance j WHERE NOT EXISTS (SELECT FROM step_log s WHERE s.instance_id = j.id)"
)


def _is_path(
    steps: Sequence[tuple[int, int, str, str]],
    links: Mapping[int, Mapping[tuple[str, str], str]],
    entries: Mapping[int, set[str]],
) -> bool:
    first_visit, version_id, first_activity, _ = steps[0]
    if first_activity not in entries[version_id]:
        return False
    if [step[0] for step in steps] != list(range(first_visit, first_visit + len(steps))):
        return False
    return all(
        links[version_id].get((activity, outcome)) == following
        for (_, _, activity, outcome), (_, _, following, _) in pairwise(steps)
    )


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


def _column(connection: psycopg.Connection[Any], query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query)]  # type: ignore[call-overload]
