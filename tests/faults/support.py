"""What the fault tests share: coming to rest, plans, and a failure that explains itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from tests.faults import checker
from tests.faults.checker import Findings
from tests.faults.lab import LEASE_SECONDS, Lab, Planned
from tests.faults.load import Attempt, Load, Post

DRAIN_SECONDS = 40
SENDER_FAULTS = ("sender", "postgres", "valkey")
"""Whose faults can interrupt a send."""


def load_on(lab: Lab, posts: Sequence[Post], rate: float) -> Load:
    return Load(lab.url, lab.write_key, lab.acked_path, posts, rate)


def settle(lab: Lab) -> tuple[float, Findings]:
    """Wait until nothing is under way and judge; how long the wait was, in seconds, and the findings."""
    try:
        # A process that sleeps over its lease may still hold what it has claimed.
        lab.until(lambda: not lab.frozen, 2 * LEASE_SECONDS, "the last frozen process is awake")
        drained = lab.until(
            lambda: not checker.unfinished(lab.database_url), DRAIN_SECONDS, "the work is done"
        )
    except TimeoutError:
        drained = float("inf")  # the checker names what is left
    kills = lab.kills(*SENDER_FAULTS)
    return drained, checker.check(lab.database_url, lab.acked_path, lab.sink(), sender_kills=kills)


def explain(lab: Lab, findings: Findings) -> str:
    """Everything that is needed to find out why: seed, broken rules, the first key's lines, the ends of the logs."""
    key = findings.first_key.partition(":")[0]
    return (
        f"Seed {lab.seed}: {findings}\n\nLines about {key}:{lab.lines_about(key)}"
        f"\n\nThe ends of the logs:{lab.tails()}\n\nAll logs are kept in {lab.keep()}"
    )


def spread(rng: random.Random, seconds: float, faults: Sequence[tuple[str, str]]) -> list[Planned]:
    """These faults evenly over the time, each somewhere in its slice."""
    slice_seconds = seconds / len(faults)
    return [
        Planned((number + rng.random()) * slice_seconds, target, how)
        for number, (target, how) in enumerate(faults)
    ]


def answers(attempts: Sequence[Attempt]) -> str:
    """How often each status was answered; 0 is no answer at all."""
    counts = Counter(attempt.status for attempt in attempts)
    return ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))


def faults_by_target(lab: Lab) -> str:
    counts = Counter(f"{fault.target} {fault.how}" for fault in lab.faults)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
