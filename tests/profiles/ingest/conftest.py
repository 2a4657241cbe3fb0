from __future__ import annotations

from collections.abc import Iterator

import pytest

from ajo.lib import doorbell
from ajo.lib.pool import HotPool
from profiles.ingest.event_types import EventTypes
from profiles.ingest.writer import SESSION, Writer


@pytest.fixture
def pool(transactional_db: None) -> Iterator[HotPool]:
    """Connections of its own, as a hot door has them; what they commit is truncated after the test."""
    pool = HotPool(size=8, settings=SESSION)
    yield pool
    pool.close()


@pytest.fixture
def writer(pool: HotPool, rings: list[str]) -> Writer:
    return Writer(pool)


@pytest.fixture
def types(pool: HotPool) -> EventTypes:
    return EventTypes(pool, limit=100)


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were rung for."""
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    return rung
