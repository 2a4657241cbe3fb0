from __future__ import annotations

from threading import Event

import pytest
from django.db import transaction

from ajo.lib import doorbell
from ajo.lib.doorbell import Doorbell
from tests.support import wait_until


def test_a_broken_broker_neither_raises_nor_stops_later_rings() -> None:
    sent: list[str] = []

    def send(name: str) -> None:
        sent.append(name)
        if len(sent) == 1:
            raise ConnectionError("refused")

    bell = Doorbell(send, pause=0.0)
    bell.ring("drain")
    wait_until(lambda: sent == ["drain"])
    bell.ring("drain")
    wait_until(lambda: sent == ["drain", "drain"])


def test_rings_that_come_while_it_is_busy_become_one() -> None:
    sent: list[str] = []
    entered, leave = Event(), Event()

    def send(name: str) -> None:
        sent.append(name)
        entered.set()
        leave.wait(5)

    bell = Doorbell(send, pause=0.0)
    bell.ring("drain")
    entered.wait(5)
    for _ in range(100):
        bell.ring("drain")
    leave.set()
    wait_until(lambda: len(sent) == 2)


@pytest.mark.django_db(transaction=True)
def test_ring_on_commit_waits_for_the_commit_and_is_silent_after_a_rollback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    with transaction.atomic():
        doorbell.ring_on_commit("drain")
        assert rung == []
    assert rung == ["drain"]
    with transaction.atomic():
        doorbell.ring_on_commit("drain")
        transaction.set_rollback(True)
    assert rung == ["drain"]
