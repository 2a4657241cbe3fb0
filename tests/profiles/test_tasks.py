from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from ajo.lib import doorbell
from ajo.lib.claiming import Drained
from profiles import tasks
from profiles.audiences import services
from profiles.models import Audience, ProfileEvent
from profiles.partitions import DAYS_AHEAD, partition_name
from tests.factories import make_profile
from tests.profiles.store import store, track

pytestmark = pytest.mark.django_db


def test_draining_empties_the_table_and_rings_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    for _ in range(3):
        store(track("ada"))
    tasks.drain_stream()
    assert ProfileEvent.objects.count() == 3
    assert rung == []


def test_draining_rings_itself_again_when_work_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    monkeypatch.setattr(tasks, "drain", lambda take: Drained(items=1, batches=1, is_empty=False))
    tasks.drain_stream()
    assert rung == ["profiles.tasks.drain_stream"]


def test_audiences_are_kept_and_rung_for_when_work_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    gold = make_profile(tier="gold")
    audience = Audience.objects.create(key="gold", name="Gold", rule='profile.tier == "gold"')
    services.activate(audience)
    tasks.keep_audiences()
    assert list(audience.memberships.values_list("profile_id", flat=True)) == [gold.pk]
    assert rung == []
    monkeypatch.setattr(tasks, "drain", lambda take, seconds: Drained(items=1, batches=1, is_empty=False))
    tasks.keep_audiences()
    assert rung == ["profiles.tasks.keep_audiences"]


def test_partitions_are_made_days_ahead() -> None:
    tasks.make_partitions()
    with connection.cursor() as cur:
        cur.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass")
        assert cur.fetchone()[0] >= DAYS_AHEAD
        cur.execute("SELECT to_regclass(%s)", [partition_name("event", datetime.now(UTC))])
        assert cur.fetchone()[0]


def test_purging_an_empty_installation_does_nothing() -> None:
    tasks.purge_event_keys()
