"""Kill whatever runs, under load: nothing acknowledged is lost and nobody receives a message twice."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from tests.faults import checker
from tests.faults.lab import Lab, Planned
from tests.faults.load import browsing, mixed, sign_ups, with_repeats
from tests.faults.support import (
    CHAOS,
    answers,
    describe_storm,
    faults_by_target,
    judge,
    load_on,
    send_through_storm,
    settle,
    spread,
)

pytestmark = pytest.mark.faults

Say = Callable[[str], None]


def test_ingest_survives_kills(lab: Lab, say: Say) -> None:
    """Web, database, broker and workers are killed while events come in, a tenth of them twice."""
    rng = random.Random(f"ingest {lab.seed}")
    posts = mixed(rng, sign_ups("ingest", 250), browsing("ingest", rng, posts=420, people=200, batch=25))
    plan = [
        *spread(rng, 30, [("web", "whole"), ("web", "child"), ("web", "whole"), ("web", "child")]),
        *spread(rng, 30, [("postgres", "whole"), ("postgres", "whole")]),
        *spread(rng, 30, [("valkey", "whole"), ("valkey", "whole")]),
        *spread(
            rng, 30, [("engine", "child"), ("engine", "whole"), ("engine", "child"), ("sender", "child")]
        ),
    ]
    with load_on(lab, with_repeats(rng, posts), rate=22) as load:
        lab.storm(plan)
        lab.until(lambda: load.is_done, 60, "every post is acknowledged")
    drained, findings = settle(lab)

    say(
        f"seed {lab.seed}, faults {faults_by_target(lab.faults)}, answers {answers(load.attempts)},"
        f" drained in {drained:.1f} s"
    )
    say(str(findings))
    assert not load.refused, load.refused[0]
    assert findings.counts["events acked"] >= 5_000
    judge(lab, findings)


def test_broker_outage(lab: Lab, say: Say) -> None:
    """No broker for 15 seconds: every post is still answered 200, and afterwards work goes on by itself."""
    rng = random.Random(f"outage {lab.seed}")
    before = checker.message_states(lab.database_url)
    posts = mixed(rng, sign_ups("outage", 200), browsing("outage", rng, posts=300, people=100, batch=10))
    with load_on(lab, with_repeats(rng, posts), rate=25) as load:
        lab.rest(3)
        lab.take_down("valkey")
        lab.rest(15)
        lab.bring_back("valkey")
        resumed = lab.until(
            lambda: checker.message_states(lab.database_url).get("sent", 0) > before.get("sent", 0) + 120,
            40,
            "sending goes on",
        )
        lab.until(lambda: load.is_done, 60, "every post is acknowledged")
    drained, findings = settle(lab)

    seconds = [attempt.seconds for attempt in load.attempts]
    p99 = statistics.quantiles(seconds, n=100)[98] * 1000
    say(
        f"seed {lab.seed}, {len(seconds)} posts, answers {answers(load.attempts)}, p99 {p99:.0f} ms,"
        f" sending again after {resumed:.1f} s, drained in {drained:.1f} s"
    )
    assert {attempt.status for attempt in load.attempts} == {200}
    judge(lab, findings)
    assert checker.message_states(lab.database_url).get("sent", 0) == before.get("sent", 0) + 200, (
        "An outage of the broker costs time, never a message."
    )


def test_sends_survive_kills(lab: Lab, say: Say) -> None:
    """1,500 emails while senders die at the worst moments; the mailbox does not recognise a repeat."""
    rng = random.Random(f"sends {lab.seed}")
    must = [Planned(15, "valkey", "whole"), Planned(25, "postgres", "whole"), Planned(35, "valkey", "whole")]

    storm = send_through_storm(lab, rng, people=1_500, seconds=48, chaos=CHAOS, must=must)
    drained, findings = settle(lab)

    say(describe_storm(lab, storm, drained))
    say(str(findings))
    assert storm.worker_kills >= 30
    assert not storm.refused, storm.refused[0]
    judge(lab, findings)
