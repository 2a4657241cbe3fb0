"""Workers at the same time: the races of the stream step, in both built and random order."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from ajo.lib import sql
from profiles import consumers
from profiles.consumers import StreamEvent
from profiles.identity import ANONYMOUS_ID, USER_ID
from profiles.merging import merge_profiles
from profiles.models import Consent, Event, Identity, IngestBatch, Profile, ProfileDaily, ProfileEvent
from profiles.services import set_consent
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.store import alias, identify, store, track
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def start(pool: ThreadPoolExecutor, work: Callable[[], int]) -> Future[int]:
    """Run `work` in a thread with a connection of its own, which it closes."""

    def run() -> int:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


class Pause:
    """A consumer in which workers stop, their transaction open, until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.standing: list[int] = []

    def __call__(self, events: Sequence[StreamEvent], now: datetime) -> None:
        self.standing.append(threading.get_ident())
        assert self.go.wait(10)


@pytest.fixture
def pause() -> Iterator[Pause]:
    pause = Pause()
    consumers.register("pause", pause)
    yield pause
    pause.go.set()


def scalar(query: str) -> int:
    with connection.cursor() as cur:
        cur.execute(query)
        return cur.fetchone()[0]


def waiting_for_locks() -> int:
    return scalar("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")


def owner(namespace: int, value: str) -> int:
    return Identity.objects.get(namespace_id=namespace, value=value).profile_id


def check_everything(events: int) -> None:
    """What must hold whatever happened: nothing lost, nothing doubled, nothing stranded."""
    assert not IngestBatch.objects.exclude(state=IngestBatch.State.DONE).exists()
    assert Event.objects.count() == events
    assert ProfileEvent.objects.count() == events
    assert ProfileEvent.objects.values("event_id").distinct().count() == events
    living = set(Profile.objects.living().values_list("id", flat=True))
    assert ProfileDaily.objects.filter(profile_id__in=living).aggregate(n=Sum("n"))["n"] == events
    assert not ProfileDaily.objects.exclude(profile_id__in=living).exists()
    assert not Identity.objects.exclude(profile_id__in=living).exists()
    people = list(Identity.objects.filter(namespace_id=USER_ID).values_list("profile_id", flat=True))
    assert len(people) == len(set(people)), "a profile has two user ids"


def test_two_workers_make_the_same_person_once(pool: ThreadPoolExecutor, pause: Pause) -> None:
    store(track("ada"))
    store(track("ada"))
    workers = [start(pool, lambda: take_batch(limit_events=1)) for _ in range(2)]
    wait_until(
        lambda: waiting_for_locks() == 1, what="the second worker to wait for the first one's identity"
    )
    pause.go.set()
    assert [worker.result(10) for worker in workers] == [1, 1]
    assert Profile.objects.count() == 1
    check_everything(events=2)


def test_two_people_cannot_both_take_over_an_anonymous_profile(
    pool: ThreadPoolExecutor, pause: Pause
) -> None:
    consumers.unregister("pause")
    store(track(anon="tablet"))
    take_batch()
    consumers.register("pause", pause)
    store(track("ada", anon="tablet"))
    store(track("bob", anon="tablet"))
    workers = [start(pool, lambda: take_batch(limit_events=1)) for _ in range(2)]
    wait_until(lambda: waiting_for_locks() == 1, what="the second worker to wait for the profile")
    pause.go.set()
    assert [worker.result(10) for worker in workers] == [1, 1]
    assert owner(USER_ID, "ada") != owner(USER_ID, "bob")
    assert owner(ANONYMOUS_ID, "tablet") in {owner(USER_ID, "ada"), owner(USER_ID, "bob")}
    assert Profile.objects.count() == 2
    check_everything(events=3)


def test_an_event_never_strands_on_a_profile_that_is_merged_meanwhile(pool: ThreadPoolExecutor) -> None:
    store(track("ada"), track(anon="x"))
    take_batch()
    ada, stranger = owner(USER_ID, "ada"), owner(ANONYMOUS_ID, "x")
    store(*(track(anon="x") for _ in range(3)))
    with sql.unit_of_work() as cur:
        cur.execute(
            "SELECT 1 FROM profile WHERE id = ANY(%b) ORDER BY id FOR NO KEY UPDATE", [[ada, stranger]]
        )
        merge_profiles(cur, [(stranger, ada)], NOW)
        worker = start(pool, take_batch)
        wait_until(
            lambda: waiting_for_locks() == 1, what="the worker to wait for the profile that is being merged"
        )
    assert worker.result(10) == 3
    assert ProfileEvent.objects.filter(profile_id=ada).count() == 4
    check_everything(events=5)


def test_a_consent_given_while_the_profile_is_merged_reaches_the_survivor(pool: ThreadPoolExecutor) -> None:
    one, other = make_profile("one"), make_profile("other")

    def opt_out() -> int:
        set_consent(
            profile_ids=[one.id], channel=1, state=Consent.State.OPTED_OUT, reason="unsubscribed", now=NOW
        )
        return 0

    with sql.unit_of_work() as cur:
        cur.execute(
            "SELECT 1 FROM profile WHERE id = ANY(%b) ORDER BY id FOR NO KEY UPDATE", [[one.id, other.id]]
        )
        merge_profiles(cur, [(one.id, other.id)], NOW)
        worker = start(pool, opt_out)
        wait_until(lambda: waiting_for_locks() == 1, what="the consent to wait for the merge")
    worker.result(10)
    assert list(Consent.objects.values_list("profile_id", "state")) == [(other.id, Consent.State.OPTED_OUT)]


def test_a_worker_skips_what_another_one_has(pool: ThreadPoolExecutor, pause: Pause) -> None:
    store(track("ada"))
    store(track("bob"))
    workers = [start(pool, lambda: take_batch(limit_events=1)) for _ in range(2)]
    wait_until(lambda: len(pause.standing) == 2, what="both workers to stand in a batch of their own")
    assert take_batch() == 0
    pause.go.set()
    assert [worker.result(10) for worker in workers] == [1, 1]
    check_everything(events=2)


@pytest.mark.parametrize("seed", range(3))
def test_many_workers_and_mergers_lose_nothing(pool: ThreadPoolExecutor, seed: int) -> None:
    dice = random.Random(seed)
    batches, size = 40, 25
    for _ in range(batches):
        calls = []
        for _ in range(size):
            user, anon = f"user{dice.randrange(20)}", f"anon{dice.randrange(30)}"
            calls.append(
                dice.choice(
                    [
                        track(user),
                        track(anon=anon),
                        track(anon=anon),
                        identify(user, {"email": f"{anon}@example.com"}, anon=anon),
                        alias(anon, user),
                    ]
                )
            )
        store(*calls)

    def drain() -> int:
        taken = 0
        while n := take_batch(limit_events=3 * size):
            taken += n
        return taken

    def merge() -> int:
        """As an operator would: two profiles of which one is anonymous, whichever come."""
        merges = 0
        while IngestBatch.objects.filter(state=IngestBatch.State.WAITING).exists():
            known = list(
                Identity.objects.filter(namespace_id=USER_ID).values_list("profile_id", flat=True)[:5]
            )
            strangers = list(Profile.objects.living().exclude(id__in=known).values_list("id", flat=True)[:5])
            if known and strangers:
                merges += merge_two(strangers[-1], known[0])
        return merges

    workers = [start(pool, drain), start(pool, drain), start(pool, drain), start(pool, merge)]
    taken = [worker.result(60) for worker in workers]
    assert sum(taken[:3]) + drain() == batches * size
    check_everything(events=batches * size)


def merge_two(loser: int, survivor: int) -> int:
    with transaction.atomic(), sql.cursor() as cur:
        cur.execute(
            "SELECT 1 FROM profile WHERE id = ANY(%b) AND merged_into IS NULL ORDER BY id FOR NO KEY UPDATE",
            [sorted([loser, survivor])],
        )
        if cur.rowcount < 2 or Identity.objects.filter(profile_id=loser, namespace_id=USER_ID).exists():
            return 0
        merge_profiles(cur, [(loser, survivor)], NOW)
        return 1
