"""The harness has to be seen to fail: the same storm over a product with a bug in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.faults.lab import Lab
from tests.faults.support import CHAOS, describe_storm, lab_home, send_through_storm, settle

pytestmark = [pytest.mark.faults, pytest.mark.long]


@pytest.fixture
def buggy_lab(seed: int) -> Iterator[Lab]:
    """A product that queues again what may have been sent (see `planted`)."""
    with Lab(lab_home("buggy-lab"), seed, sender_options=["--include", "tests.faults.planted"]) as lab:
        yield lab


def test_the_planted_bug_is_found(buggy_lab: Lab, say: Callable[[str], None]) -> None:
    """Seen with seed 670193: 600 sends, 10 faults at the sender, 50 people who received their email twice."""
    rng = random.Random(f"planted {buggy_lab.seed}")

    storm = send_through_storm(buggy_lab, rng, people=600, seconds=20, chaos=CHAOS)
    drained, findings = settle(buggy_lab)

    say(describe_storm(buggy_lab, storm, drained))
    say(str(findings))
    assert "nobody receives the message twice" in findings.broken
