"""Workers at the same time: whatever the order, a membership is what the rule says of the last that was written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from ajo.lib import sql
from profiles import consumers
from profiles.audiences import services
from profiles.consumers import StreamEvent
from profiles.models import Audience, ProfileRecheck
from profiles.services import lock_profiles, update_attributes
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import look_at_everybody, make_audience, members
from tests.profiles.lookups.tables import make_lookup, put
from tests.profiles.store import identify, store
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def start(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Future[Any]:
    """Run `work` in a thread with a connection of its own, which it closes."""

    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


def somebody_waits() -> bool:
    with sql.cursor() as cur:
        cur.execute("SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1")
        return cur.fetchone() is not None


def test_a_profile_made_while_an_audience_becomes_active_is_in_it(pool: ThreadPoolExecutor) -> None:
    """The stream does not know of the audience yet, the full evaluation cannot see the profile yet."""
    stands, go = threading.Event(), threading.Event()

    def pause(events: Sequence[StreamEvent], now: datetime) -> None:
        stands.set()
        assert go.wait(10)

    consumers.register("pause", pause)
    audience = Audience.objects.create(key="gold", name="Gold", rule='profile.tier == "gold"')
    store(identify("ada", {"tier": "gold"}))
    streaming = start(pool, lambda: take_batch(now=NOW))
    assert stands.wait(10)

    def activate() -> None:
        services.activate(audience)
        look_at_everybody(NOW)

    activating = start(pool, activate)
    wait_until(lambda: somebody_waits() or activating.done(), what="the activation to meet the stream")
    go.set()
    assert (streaming.result(10), activating.result(10)) == (1, None)
    assert {key: len(ids) for key, ids in members().items()} == {"gold": 1}


def test_rows_that_change_while_an_audience_becomes_active_are_seen(pool: ThreadPoolExecutor) -> None:
    """The import does not know of the audience yet, the full evaluation came too early to see its rows."""
    stock = make_lookup("stock", {"on_hand": "number"})
    ada = make_profile(size="M")
    audience = Audience.objects.create(
        key="can_buy", name="Can buy", rule='lookup("stock", profile.size, "on_hand") > 0'
    )
    with transaction.atomic():
        services.activate(audience)
        look_at_everybody(NOW)
        importing = start(pool, lambda: put(stock, {"M": {"on_hand": 1}}))
        wait_until(lambda: somebody_waits() or importing.done(), what="the import to meet the activation")
    importing.result(10)
    look_at_everybody(NOW)
    assert members() == {"can_buy": {ada.pk}}


def test_full_evaluation_never_overwrites_what_is_newer(pool: ThreadPoolExecutor) -> None:
    make_audience("gold", 'profile.tier == "gold"')
    ada = make_profile(tier="blue")
    services.evaluate_all()
    with transaction.atomic():
        lock_profiles([ada.pk])
        update_attributes({ada.pk: {"tier": "gold"}}, NOW)
        evaluating = start(pool, lambda: look_at_everybody(NOW))
        wait_until(somebody_waits, what="the evaluation to wait for the profile")
    evaluating.result(10)
    assert members() == {"gold": {ada.pk}}


def test_the_clock_leaves_profiles_that_are_in_work(pool: ThreadPoolExecutor) -> None:
    ada = make_profile(seen=NOW.isoformat())
    make_audience("recent", 'within(profile.seen, duration("1d"))')
    later = NOW + timedelta(days=2)
    with transaction.atomic():
        lock_profiles([ada.pk])
        assert start(pool, lambda: services.evaluate_due(now=later)).result(10) == 0
    assert members() == {"recent": {ada.pk}}
    assert services.evaluate_due(now=later) == 1
    assert members() == {}
    assert not ProfileRecheck.objects.exists()
