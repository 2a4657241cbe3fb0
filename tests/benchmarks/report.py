"""A journey's report from the kept counts, against the same numbers counted over a million messages.

The outbox holds the messages of twenty journeys over thirty days. Both are read in one process on one connection, and
must agree.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

from ajo.lib import sql
from channels import counting, reports
from channels.models import CauseKind, MessageMark
from tests.benchmarks import harness

MESSAGES = 1_000_000
JOURNEYS = 20
READS = 20
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_FILL = """
INSERT INTO message (profile_id, cause_kind, cause_id, activity, visit, channel, origin_id, configuration_id,
    variant_id, message_class, state, reason_code, created_at, sent_at, opened_at, clicked_at)
SELECT n, 1, n, 'mail ' || n %% 5, 1, 1 + n %% 3, 1 + n %% %(journeys)s, 1, 1, 1, s.state,
    CASE WHEN s.state = 6 THEN 'opted_out' ELSE '' END, s.at, CASE WHEN s.state < 6 THEN s.at END,
    CASE WHEN s.state < 4 AND n %% 7 < 3 THEN s.at END, CASE WHEN s.state < 4 AND n %% 11 = 0 THEN s.at END
FROM generate_series(%(first)s::bigint, %(last)s) AS n, LATERAL (
    SELECT (ARRAY[2, 2, 2, 3, 3, 3, 3, 4, 6, 2])[1 + n %% 10] AS state,
        %(now)s::timestamptz - n %% 30 * interval '1 day' AS at) AS s
"""
_RAW = """
SELECT activity, channel, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS targeted,
    count(*) FILTER (WHERE state IN (2, 3, 4, 5)) AS sent, count(*) FILTER (WHERE state IN (3, 5)) AS delivered,
    count(*) FILTER (WHERE state = 6) AS withheld, count(opened_at) AS opened, count(clicked_at) AS clicked
FROM message WHERE cause_kind = 1 AND origin_id = 7 GROUP BY 1, 2, 3
"""
Days = dict[tuple[date, str], int]


def run(rounds: int) -> dict[str, Any]:
    with harness.connect() as connection:
        harness.clear(connection, "message", "message_due", "message_count", "message_count_delta")
        for first in range(1, MESSAGES, 100_000):
            parameters = {"journeys": JOURNEYS, "first": first, "last": first + 99_999, "now": NOW}
            connection.execute(_FILL, parameters)
        while counting.fold_message_counts():
            pass
        connection.execute("VACUUM ANALYZE message")
        connection.execute("VACUUM ANALYZE message_count")
    if _kept() != _scanned():
        raise AssertionError("The report does not say what a count over the messages says.")
    rates, floors = [], []
    for _ in range(rounds):
        floors.append(_rate(_scanned, 2))
        rates.append(_rate(_kept, READS))
    return harness.result(
        "report",
        unit="reports/s",
        rates=rates,
        floors=floors,
        floor_is=f"the same numbers counted over {MESSAGES} messages",
    )


def _rate(read: Callable[[], Days], times: int) -> float:
    began_at = time.perf_counter()
    for _ in range(times):
        read()
    return times / (time.perf_counter() - began_at)


def _kept() -> Days:
    days = reports.report(CauseKind.JOURNEY_INSTANCE, [7]).days
    marks = ("targeted", "sent", "delivered", "withheld", "opened", "clicked")
    return _summed(
        (day, name, numbers[MessageMark[name.upper()]]) for day, numbers in days.items() for name in marks
    )


def _scanned() -> Days:
    with sql.cursor() as cur:
        cur.execute(_RAW)
        return _summed(
            (row.day, name, getattr(row, name))
            for row in cur
            for name in ("targeted", "sent", "delivered", "withheld", "opened", "clicked")
        )


def _summed(rows: Iterable[tuple[date, str, int]]) -> Days:
    """By day and name; what has no time of its own is kept on the day of the filling."""
    found: Counter[tuple[date, str]] = Counter()
    for day, name, n in rows:
        found[NOW.date() if name in {"delivered", "withheld"} else day, name] += n
    return {key: n for key, n in found.items() if n}
