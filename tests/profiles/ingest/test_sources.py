from __future__ import annotations

import psycopg
import pytest

from ajo.lib.pool import HotPool, Unavailable
from profiles.ingest.sources import REMEMBERED_SECONDS, Sources
from profiles.models import Source
from tests.factories import make_source
from tests.support import count_statements


def test_a_key_is_looked_up_once_in_a_while(pool: HotPool) -> None:
    time = [0.0]
    sources = Sources(pool, clock=lambda: time[0])
    website = make_source()
    first = sources.find(website.write_key)
    assert first is not None
    assert (first.id, first.is_active) == (website.pk, True)
    Source.objects.update(is_active=False)
    with count_statements() as statements:
        assert sources.find(website.write_key) == first
    assert statements == []
    time[0] += REMEMBERED_SECONDS
    again = sources.find(website.write_key)
    assert again is not None
    assert not again.is_active


def test_a_new_source_is_known_at_once(pool: HotPool) -> None:
    sources = Sources(pool)
    assert sources.find("wk_new") is None
    make_source(write_key="wk_new")
    assert sources.find("wk_new") is not None


def test_a_deleted_source_is_forgotten(pool: HotPool) -> None:
    time = [0.0]
    sources = Sources(pool, clock=lambda: time[0])
    website = make_source()
    assert sources.find(website.write_key) is not None
    website.delete()
    time[0] += REMEMBERED_SECONDS
    assert sources.find(website.write_key) is None
    assert sources._known == {}


def test_a_key_that_postgresql_could_not_read_is_unknown(pool: HotPool) -> None:
    assert Sources(pool).find("wk\0") is None


def test_a_known_key_stays_known_while_the_database_is_away(
    pool: HotPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = [0.0]
    sources = Sources(pool, clock=lambda: time[0])
    website = make_source()
    sources.find(website.write_key)

    def lost(timeout: float) -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(pool, "connection", lost)
    time[0] += REMEMBERED_SECONDS
    known = sources.find(website.write_key)
    assert known is not None
    assert (known.id, known.read_at) == (website.pk, time[0])
    with pytest.raises(Unavailable):
        sources.find("wk_new")
