from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.tracking.machines import BURST_WITHIN, Bursts, agent_class, machine_reason
from tests.factories import NOW

CASES = json.loads((Path(__file__).parent.parent / "cases" / "machines.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["is"])
def test_who_was_it(case: dict[str, Any]) -> None:
    sent_at = None if case["after"] is None else NOW
    reason = machine_reason(
        method=case.get("method", "GET"),
        headers={"HTTP_USER_AGENT": case["agent"], **case.get("headers", {})},
        at=NOW + timedelta(seconds=case["after"] or 0),
        sent_at=sent_at,
        is_open=not case.get("click", False),
    )
    assert (reason, agent_class(case["agent"])) == (case["reason"], case["class"])


def test_several_links_within_two_seconds_are_a_burst() -> None:
    bursts = Bursts()
    soon = NOW + BURST_WITHIN - timedelta(milliseconds=1)
    assert not bursts.is_burst(1, 0, NOW)
    assert bursts.is_burst(1, 1, soon)
    assert not bursts.is_burst(1, 2, soon + BURST_WITHIN)
    assert not bursts.is_burst(1, 2, soon + BURST_WITHIN), "the same link twice is an impatient person"
    assert not bursts.is_burst(2, 0, soon + BURST_WITHIN), "another message"


def test_the_memory_of_bursts_is_bounded() -> None:
    bursts = Bursts(size=2)
    for message_id in (1, 2, 3):
        assert not bursts.is_burst(message_id, 0, NOW)
    assert bursts.is_burst(3, 1, NOW)
    assert not bursts.is_burst(1, 1, NOW), "forgotten"
