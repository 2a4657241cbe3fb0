"""What has become of the people of a journey, from counts that the engine keeps: no log, wait or walk is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypedDict

from ajo.lib import sql
from journeys.activities import registry
from journeys.models import JourneyVersion, StepLog

Word = StepLog.Word
_NOT_PASSED = {Word.WAITS_AGAIN, Word.LEFT_EARLY, Word.FAILED, Word.STOPPED, Word.MERGED}

_READ = """
SELECT activity, outcome, sum(n)::bigint AS n FROM (
    SELECT activity, outcome, n FROM step_count WHERE version_id = %(version_id)s
    UNION ALL SELECT activity, outcome, n FROM step_count_delta WHERE version_id = %(version_id)s
) AS counted GROUP BY activity, outcome ORDER BY activity, outcome
"""


class BoxCounts(TypedDict):
    waiting: int
    passed: int
    """How often somebody left it by an exit, or ended there as planned."""
    outcomes: Mapping[str, int]
    """Exit, or a StepLog.Word → how many steps said so."""


class Counts(TypedDict):
    version: int
    """The version's number."""
    entered: int
    active: int
    ended: int
    failed: int
    stopped: int
    merged: int
    boxes: Mapping[str, BoxCounts]


def counts(version: JourneyVersion) -> Counts:
    """How many people entered this version, walk in it and have left it, and what they did at each box.

    One statement, whose cost grows with boxes and days, not with people. Who is where follows from the map: whoever
    came to a box and has not left it waits there. Nobody walks in a draft: it has no boxes here.
    """
    outcomes: dict[str, dict[str, int]] = defaultdict(dict)
    with sql.cursor() as cur:
        cur.execute(_READ, {"version_id": version.pk})
        for activity, outcome, n in cur:
            outcomes[activity][outcome] = n
    is_draft = version.state == JourneyVersion.State.DRAFT
    graph: Mapping[str, Any] = {} if is_draft else version.graph
    kinds = {activity["id"]: activity["kind"] for activity in graph.get("activities", [])}
    box_ids = list(kinds)
    links = {(link["from"], link.get("port", "next")): link["to"] for link in graph.get("links", [])}
    arrived = dict.fromkeys(box_ids, 0)
    for (source, port), target in links.items():
        arrived[target] += outcomes[source].get(port, 0)
    departed = {box_id: _sum_without(outcomes[box_id], {Word.WAITS_AGAIN}) for box_id in box_ids}
    # People come to the entry, and to exits, by no link; by all but the exits they are new.
    linkless = set(box_ids) - set(links.values())
    entries = {box_id for box_id in linkless if not _is_exit(kinds[box_id])}
    entered = sum(departed[box_id] for box_id in entries)
    failed, stopped, merged = (
        sum(box.get(word, 0) for box in outcomes.values())
        for word in (Word.FAILED, Word.STOPPED, Word.MERGED)
    )
    ended = sum(
        n
        for source, box in outcomes.items()
        for outcome, n in box.items()
        if outcome == Word.ENDED or (outcome not in Word and (source, outcome) not in links)
    )
    return Counts(
        version=version.number,
        entered=entered,
        active=entered - ended - failed - stopped - merged,
        ended=ended,
        failed=failed,
        stopped=stopped,
        merged=merged,
        boxes={
            box_id: BoxCounts(
                waiting=0 if box_id in linkless else arrived[box_id] - departed[box_id],
                passed=_sum_without(outcomes[box_id], _NOT_PASSED),
                outcomes=outcomes[box_id],
            )
            for box_id in box_ids
        },
    )


def _is_exit(kind: str) -> bool:
    return kind in registry and registry.get(kind).is_exit


def _sum_without(outcomes: Mapping[str, int], words: set[Word]) -> int:
    return sum(n for outcome, n in outcomes.items() if outcome not in words)
