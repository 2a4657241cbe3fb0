"""A campaign to 5,000 people while workers die and it is paused again and again: each is reached exactly once."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.faults import checker
from tests.faults.checker import SENT, UNCERTAIN, Findings
from tests.faults.lab import Lab
from tests.faults.support import CHAOS, faults_by_target, judge, lab_home, settle

pytestmark = pytest.mark.faults

Say = Callable[[str], None]
PEOPLE = 5_000
PAUSES = 10


def test_a_campaign_reaches_everybody_once_through_kills_and_pauses(lab: Lab, say: Say) -> None:
    rng = random.Random(f"campaign {lab.seed}")
    pauses = _run_through_storm(lab, rng, "crowd", PEOPLE)
    drained, findings = settle(lab)
    _check(lab, findings, "crowd", PEOPLE)

    say(
        f"seed {lab.seed}, faults {faults_by_target(lab.faults)}, deaths at chaos points"
        f" {len(lab.chaos_deaths('engine'))} + {len(lab.chaos_deaths('sender'))}, {pauses} pauses,"
        f" drained in {drained:.1f} s"
    )
    say(str(findings))
    assert pauses == PAUSES
    assert lab.kills("engine") >= 3
    judge(lab, findings)


@pytest.fixture
def buggy_lab(seed: int) -> Iterator[Lab]:
    """A product that commits the checkpoint before the messages (see `planted_checkpoint`)."""
    options = ["--include", "tests.faults.planted_checkpoint"]
    with Lab(lab_home("buggy-lab"), seed, engine_options=options) as lab:
        yield lab


@pytest.mark.long
def test_the_planted_checkpoint_is_found(buggy_lab: Lab, say: Say) -> None:
    """Seen with 5 deaths between the two statements: 90 of 1,800 people passed over."""
    rng = random.Random(f"planted checkpoint {buggy_lab.seed}")
    _run_through_storm(buggy_lab, rng, "crowd", 2_000)
    _, findings = settle(buggy_lab)
    _check(buggy_lab, findings, "crowd", 2_000)
    say(str(findings))
    assert "everybody in the audience is written to" in findings.broken


def _run_through_storm(lab: Lab, rng: random.Random, key: str, people: int) -> int:
    """Send the campaign while workers die, until everything of it went out; how often it was paused."""
    lab.arm("sender", CHAOS)
    lab.arm("engine", "after_freeze:0.08:kill")
    secret = json.loads(lab.run(["-m", "tests.faults.crowd", key, str(people)]))["secret"]
    pauses = 0
    while pauses < PAUSES:
        lab.rest(rng.uniform(0.2, 0.5))
        if not _post(lab, secret, f"{key}/pause/"):
            break
        pauses += 1
        lab.kill(
            *rng.choice([("sender", "child"), ("engine", "child"), ("engine", "whole"), ("sender", "child")])
        )
        if pauses == PAUSES // 2:
            lab.kill("postgres")
        lab.rest(rng.uniform(0.1, 0.4))
        _post(lab, secret, f"{key}/resume/")
    lab.arm("engine", "")
    lab.arm("sender", "")
    return pauses


def _post(lab: Lab, secret: str, path: str) -> bool:
    """Ask until there is an answer. False when the state allows it no more; a repeat of what was done is 409 too."""
    done: list[bool] = []

    def is_answered() -> bool:
        request = urllib.request.Request(
            f"{lab.url}/api/v1/campaigns/{path}",
            method="POST",
            headers={"Authorization": f"Api-Key {secret}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10):
                done.append(True)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                done.append("is paused" in error.read().decode() or "resume" in path)
        except OSError:
            pass  # the web server or the database is away
        return bool(done)

    lab.until(is_answered, 30, f"{path} is answered")
    return done[0]


def _check(lab: Lab, findings: Findings, key: str, people: int) -> None:
    """Everybody but the excluded has one message of the run, which was sent or may have been."""
    wanted = {f"{key}-{n}@crowd.example" for n in range(people) if n % 10}
    with psycopg.connect(lab.database_url) as connection:
        rows = connection.execute(
            "SELECT p.attributes ->> 'email', m.state FROM message m JOIN profile p ON p.id = m.profile_id"
            " JOIN campaign_run r ON r.id = m.cause_id JOIN campaign c ON c.id = r.campaign_id"
            " WHERE m.cause_kind = 2 AND c.key = %s",
            [key],
        ).fetchall()
        targeted = [row[0] for row in connection.execute("SELECT targeted FROM campaign_run")]
    written = Counter(email for email, _ in rows)
    findings.counts |= {"recipients": len(wanted), "runs": len(targeted)}
    findings.counts["uncertain recipients"] = sum(state == UNCERTAIN for _, state in rows)
    findings.judge("everybody in the audience is written to", wanted - set(written))
    findings.judge("nobody else is", set(written) - wanted)
    findings.judge("each once", (email for email, count in written.items() if count > 1))
    findings.judge(
        "each message was sent, or nobody knows",
        (
            f"{email}: {checker.STATES[state]}"
            for email, state in rows
            if state not in {SENT, 3, 4, 5, UNCERTAIN}
        ),
    )
    if targeted != [len(rows)]:
        findings.judge(f"the run counts its {len(rows)} recipients", targeted)
