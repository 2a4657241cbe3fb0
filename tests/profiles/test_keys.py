from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import transaction

from ajo.lib import purging, sql
from ajo.lib.ids import uuid_floor
from profiles import keys
from profiles.models import EventKey, IngestBatch
from tests.factories import NOW
from tests.journeys.races import start

pytestmark = pytest.mark.django_db(transaction=True)
OLD = NOW - timedelta(days=settings.AJO_EVENT_KEY_DAYS, minutes=1)
YOUNG = NOW - timedelta(days=settings.AJO_EVENT_KEY_DAYS, minutes=-1)


def add(count: int, at: datetime) -> None:
    floor = uuid_floor(at).int
    with sql.cursor() as cur:
        cur.execute(
            "INSERT INTO profiles_eventkey (source_id, key_hash, event_id)"
            " SELECT 1, decode(md5(id::text), 'hex'), id FROM unnest(%b::uuid[]) AS id",
            [[UUID(int=floor + n) for n in range(count)]],
        )
    IngestBatch.objects.create(
        source_id=1, n=count, first_id=UUID(int=floor), last_id=UUID(int=floor + count - 1), received_at=at
    )


def test_old_keys_are_forgotten_and_young_ones_kept() -> None:
    add(300, OLD)
    add(200, YOUNG)
    assert keys.purge(NOW) == 300
    assert EventKey.objects.count() == 200
    assert keys.purge(NOW) == 0


def test_nothing_is_read_while_the_oldest_batch_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    add(10, YOUNG)
    monkeypatch.setattr(purging, "PAGES_OF_A_RUN", 0)  # the walk would divide by it
    assert keys.purge(NOW) == 0


def test_the_runs_of_a_day_walk_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "PAGES_AT_ONCE", 1)
    monkeypatch.setattr(purging, "PAGES_OF_A_RUN", 1)
    add(5_000, OLD)
    deleted = [keys.purge(NOW + timedelta(hours=hour)) for hour in range(24)]
    assert sum(deleted) == 5_000
    assert max(deleted) < 1_000


def test_a_run_stops_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "PAGES_AT_ONCE", 1)
    add(5_000, OLD)
    ticks = iter(range(0, 1_000, 10))
    floor = uuid_floor(YOUNG)
    deleted = purging.purge_pages(
        "profiles_eventkey", "event_id < %s", [floor], NOW, seconds=15, clock=lambda: next(ticks)
    )
    assert 0 < deleted < 1_000


def test_batches_that_are_worked_off_outlive_their_keys_by_a_week() -> None:
    long_ago = OLD - keys.BATCHES_LONGER
    for at in (long_ago, long_ago, OLD):
        add(1, at + timedelta(milliseconds=IngestBatch.objects.count()))
    waiting, *_ = IngestBatch.objects.order_by("pk")
    IngestBatch.objects.exclude(pk=waiting.pk).update(state=IngestBatch.State.DONE)
    assert keys.purge_batches(NOW) == 1
    assert list(IngestBatch.objects.order_by("pk").values_list("state", flat=True)) == [0, 1]


def test_who_holds_a_row_is_not_waited_for() -> None:
    add(3, OLD)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        EventKey.objects.select_for_update().filter(event_id=uuid_floor(OLD)).get()
        assert start(pool, keys.purge, NOW).result(10) == 2
    assert keys.purge(NOW) == 1
