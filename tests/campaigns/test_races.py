"""Workers at the same time: each person once, each run once, each request once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction

from ajo.lib import sql
from campaigns import requests, runs
from campaigns.models import CampaignRequest, CampaignRun
from channels.models import Message
from profiles.merging import merge_profiles
from profiles.models import Profile
from profiles.services import lock_profiles
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, recipients, start
from tests.factories import NOW
from tests.journeys.races import is_blocked
from tests.journeys.races import start as run_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as workers:
        yield workers


def merge(loser: Profile, survivor: Profile) -> None:
    with sql.unit_of_work() as cur:
        lock_profiles([loser.pk, survivor.pk])
        merge_profiles(cur, [(loser.pk, survivor.pk)], NOW)


def test_workers_that_freeze_the_same_run_write_everybody_once(workers: ThreadPoolExecutor) -> None:
    people = make_people(60)
    run = start(make_campaign(make_list("buyers", people), exclusions=[make_list("staff", people[::6])]))
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(10)
        while CampaignRun.objects.filter(pk=run.pk, frozen_at=None).exists():
            runs.freeze_piece(run.pk, NOW, limit=3)

    for done in [run_in(workers, work) for _ in range(4)]:
        done.result(30)

    run.refresh_from_db()
    wanted = [person.pk for number, person in enumerate(people) if number % 6]
    assert recipients(run) == wanted
    assert (run.targeted, run.state) == (len(wanted), CampaignRun.State.SENDING)


def test_beats_at_the_same_moment_begin_one_run(workers: ThreadPoolExecutor) -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)))
    together = threading.Barrier(4)

    def beat() -> int:
        together.wait(10)
        return runs.start_due_runs(NOW)

    begun = [done.result(20) for done in [run_in(workers, beat) for _ in range(4)]]
    assert sorted(begun) == [0, 0, 0, 1]
    assert campaign.runs.count() == 1


def test_a_merge_waits_for_the_piece_that_is_being_written_and_follows_it(
    workers: ThreadPoolExecutor,
) -> None:
    """The survivor stands where the piece has passed, the loser beyond it: seen without the lock, they get nothing."""
    people = make_people(4)
    run = start(make_campaign(make_list("buyers", [people[1], people[3]])))
    with transaction.atomic():
        runs.freeze_piece(run.pk, NOW, limit=1)
        merging = run_in(workers, merge, people[3], people[0])
        assert is_blocked(merging)
    merging.result(10)
    freeze()
    assert recipients(run) == [people[0].pk, people[1].pk]


def test_a_message_that_is_being_written_follows_its_person_into_a_merge(workers: ThreadPoolExecutor) -> None:
    people = make_people(2)
    run = start(make_campaign(make_list("buyers", [people[0]])))
    with transaction.atomic():
        runs.freeze_piece(run.pk, NOW, limit=10)
        merging = run_in(workers, merge, people[0], people[1])
        # The run is collected now, but nobody can know that before this transaction is over.
        assert is_blocked(merging)
    merging.result(10)
    assert recipients(run) == [people[1].pk]
    assert Message.objects.get().state == Message.State.QUEUED


def test_a_piece_waits_for_a_merge_and_sees_who_was_merged(workers: ThreadPoolExecutor) -> None:
    people = make_people(2)
    run = start(make_campaign(make_list("buyers", [people[0]])))
    with sql.unit_of_work() as cur:
        lock_profiles([people[0].pk, people[1].pk])
        merge_profiles(cur, [(people[0].pk, people[1].pk)], NOW)
        freezing = run_in(workers, runs.freeze_piece, run.pk, NOW, 10)
        assert is_blocked(freezing)
    freezing.result(10)
    assert recipients(run) == [people[1].pk]


def test_a_pause_waits_for_the_piece_that_is_being_written(workers: ThreadPoolExecutor) -> None:
    run = start(make_campaign(make_list("buyers", make_people(3))))
    with transaction.atomic():
        runs.freeze_piece(run.pk, NOW, limit=1)
        pausing = run_in(workers, runs.pause_run, run=run)
        assert is_blocked(pausing)
    pausing.result(10)
    assert runs.freeze_piece(run.pk, NOW, limit=1) == 0
    assert len(recipients(run)) == 1


def ask(campaign: Any, request_id: str, *emails: str) -> CampaignRequest:
    return requests.send(
        campaign=campaign,
        request_id=request_id,
        recipients=[requests.Recipient(email=email) for email in emails],
        context={},
        body=list(emails),
        now=NOW,
    )


def test_a_call_and_its_repeat_at_the_same_moment_are_done_once(workers: ThreadPoolExecutor) -> None:
    campaign = make_campaign(None, kind="triggered")
    together = threading.Barrier(4)

    def call() -> int:
        together.wait(10)
        return ask(campaign, "order-1", "ada@x.example", "bo@x.example").pk

    assert len({done.result(20) for done in [run_in(workers, call) for _ in range(4)]}) == 1
    assert Message.objects.count() == 2
    assert Profile.objects.count() == 2


def test_calls_that_make_the_same_people_at_the_same_moment_make_them_once(
    workers: ThreadPoolExecutor,
) -> None:
    campaign = make_campaign(None, kind="triggered")
    emails = [f"{number}@x.example" for number in range(20)]
    together = threading.Barrier(4)

    def call(number: int) -> int:
        together.wait(10)
        ordered = emails if number % 2 else emails[::-1]
        return ask(campaign, f"order-{number}", *ordered).accepted

    asked = [run_in(workers, call, number) for number in range(4)]
    assert [done.result(20) for done in asked] == [20] * 4
    assert Profile.objects.count() == 20
    assert Message.objects.count() == 80
