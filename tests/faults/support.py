"""What the fault tests share: coming to rest, plans, and a failure that explains itself."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.checker import Findings
from tests.faults.lab import LEASE_SECONDS, Fault, Lab, Planned, plan_storm
from tests.faults.load import Attempt, Load, Post, sign_ups, with_repeats

DRAIN_SECONDS = 75
"""A message that was found held just before the resume is looked at again within a minute."""
# Random kills alone rarely hit the few milliseconds that matter.
CHAOS = "after_reserve:0.03:kill,after_fence:0.02:kill,after_send:0.05:kill"
SENDER_FAULTS = ("sender", "postgres", "valkey")
"""Whose faults can interrupt a send."""


def lab_home(name: str) -> Path:
    """A folder of the session, which removes it at its end."""
    return Path(os.environ["AJO_HOME"]).with_name(name)


def load_on(lab: Lab, posts: Sequence[Post], rate: float) -> Load:
    return Load(lab.url, lab.write_key, lab.acked_path, posts, rate)


@dataclass(frozen=True)
class Storm:
    """What a storm over the senders was."""

    faults: Sequence[Fault]
    chaos_deaths: int
    attempts: Sequence[Attempt]
    refused: Sequence[str]

    @property
    def worker_kills(self) -> int:
        return sum(fault.target in {"sender", "engine"} for fault in self.faults) + self.chaos_deaths


def send_through_storm(
    lab: Lab, rng: random.Random, *, people: int, seconds: float, chaos: str, must: Sequence[Planned] = ()
) -> Storm:
    """Let people sign up evenly while workers die; everybody is acknowledged when it returns."""
    before = len(lab.faults)
    deaths_before = len(lab.chaos_deaths("sender"))
    choices = {
        ("sender", "child"): 50,
        ("sender", "whole"): 6,
        ("sender", "freeze"): 8,
        ("engine", "child"): 20,
        ("engine", "whole"): 3,
    }
    plan = plan_storm(rng, seconds, every=(0.5, 1.3), choices=choices, fixed=must)
    lab.arm("sender", chaos)
    with load_on(
        lab, with_repeats(rng, list(sign_ups("sends", people))), rate=1.1 * people / seconds
    ) as load:
        lab.storm(plan)
        lab.until(lambda: load.is_done, 60, "every post is acknowledged")
    chaos_deaths = len(lab.chaos_deaths("sender")) - deaths_before
    lab.arm("sender", "")
    return Storm(lab.faults[before:], chaos_deaths, load.attempts, load.refused)


def describe_storm(lab: Lab, storm: Storm, drained: float) -> str:
    return (
        f"seed {lab.seed}, faults {faults_by_target(storm.faults)}, deaths at chaos points {storm.chaos_deaths},"
        f" answers {answers(storm.attempts)}, drained in {drained:.1f} s"
    )


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


def judge(lab: Lab, findings: Findings) -> None:
    """Fail on a broken rule with all that is needed to find out why: seed, rules, the first key's lines, the logs."""
    if findings.broken:
        key = findings.first_key.partition(":")[0]
        pytest.fail(
            f"Seed {lab.seed}: {findings}\n\nLines about {key}:{lab.lines_about(key)}"
            f"\n\nThe ends of the logs:{lab.tails()}\n\nAll logs are kept in {lab.keep()}",
            pytrace=False,
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


def faults_by_target(faults: Sequence[Fault]) -> str:
    counts = Counter(f"{fault.target} {fault.how}" for fault in faults)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
