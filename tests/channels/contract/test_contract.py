"""The contract of every provider: true verdicts, nothing sent twice, one bad message hurts only itself, no secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from tests.channels.contract.harness import HARNESSES, NAMES_RETRY, SECRET, Harness
from tests.channels.contract.service import Mood

pytestmark = pytest.mark.django_db


@pytest.fixture(params=HARNESSES, ids=lambda harness: harness.kind)
def harness(
    request: pytest.FixtureRequest, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Harness]:
    made = request.param(tmp_path, settings, monkeypatch)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def provider(harness: Harness) -> Iterator[Provider]:
    provider = harness.provider()
    yield provider
    provider.close()


def verdicts(receipts: list[Receipt]) -> dict[int, Verdict]:
    """By message; each has one receipt, or this fails."""
    assert len({receipt.message_id for receipt in receipts}) == len(receipts)
    return {receipt.message_id: receipt.verdict for receipt in receipts}


def needs(harness: Harness, mood: Mood) -> None:
    if mood not in harness.moods:
        pytest.skip(f"The service of {harness.kind} has no {mood.value}.")


def batch(harness: Harness, moods: list[Mood]) -> list[Outgoing]:
    return [harness.outgoing(number, mood) for number, mood in enumerate(moods, start=1)]


def test_every_provider_has_a_harness() -> None:
    ours = {cls.kind for cls in registry if cls.__module__.startswith("channels.")}
    assert ours == {harness.kind for harness in HARNESSES}


def test_what_is_taken_is_accepted_and_named(harness: Harness, provider: Provider) -> None:
    receipts = provider.send(batch(harness, [Mood.ACCEPT] * 5))
    assert verdicts(receipts) == dict.fromkeys(range(1, 6), Verdict.ACCEPTED)
    assert all(receipt.provider_id for receipt in receipts)
    assert sorted(harness.taken()) == [1, 2, 3, 4, 5]


def test_one_refused_of_thirty_two_leaves_the_others_accepted(harness: Harness, provider: Provider) -> None:
    needs(harness, Mood.REFUSE)
    moods = [Mood.ACCEPT] * 32
    moods[16] = Mood.REFUSE
    receipts = provider.send(batch(harness, moods))
    assert verdicts(receipts) == {
        number: Verdict.REFUSED if number == 17 else Verdict.ACCEPTED for number in range(1, 33)
    }
    (refused,) = [receipt for receipt in receipts if receipt.verdict is Verdict.REFUSED]
    assert refused.detail
    assert sorted(harness.taken()) == [number for number in range(1, 33) if number != 17]


def test_a_throttled_one_is_put_off_until_the_service_says(harness: Harness, provider: Provider) -> None:
    needs(harness, Mood.THROTTLE)
    receipts = provider.send(batch(harness, [Mood.ACCEPT, Mood.THROTTLE]))
    assert verdicts(receipts) == {1: Verdict.ACCEPTED, 2: Verdict.DEFERRED}
    (deferred,) = [receipt for receipt in receipts if receipt.verdict is Verdict.DEFERRED]
    assert deferred.retry_after == (NAMES_RETRY if harness.names_retry else None)
    assert harness.taken() == [1]


@pytest.mark.parametrize("mood", [Mood.HANG, Mood.DROP, Mood.HALF, Mood.RUBBISH, Mood.BROKEN])
def test_a_lost_answer_is_unknown_and_nothing_is_handed_over_again(
    harness: Harness, provider: Provider, mood: Mood
) -> None:
    needs(harness, mood)
    receipts = provider.send(batch(harness, [Mood.ACCEPT, mood, Mood.ACCEPT]))
    found = verdicts(receipts)
    expected = Verdict.UNKNOWN if mood in harness.uncertain else Verdict.DEFERRED
    assert found[2] is expected
    assert harness.taken().count(2) == 1
    # Neighbours arrive, or are put off without having been handed over.
    for number in (1, 3):
        assert (found[number] is Verdict.ACCEPTED) == (harness.taken().count(number) == 1)
        assert found[number] in {Verdict.ACCEPTED, Verdict.DEFERRED}


def test_a_service_that_cannot_be_reached_took_nothing(harness: Harness) -> None:
    harness.make_deaf()
    provider = harness.provider()
    try:
        with pytest.raises(ProviderError) as caught:
            provider.send(batch(harness, [Mood.ACCEPT] * 3))
    finally:
        provider.close()
    assert not caught.value.permanent
    assert harness.taken() == []


def test_the_provider_goes_on_after_a_bad_batch(harness: Harness, provider: Provider) -> None:
    needs(harness, Mood.DROP)
    provider.send([harness.outgoing(1, Mood.DROP)])
    assert verdicts(provider.send([harness.outgoing(2, Mood.ACCEPT)])) == {2: Verdict.ACCEPTED}


def test_no_secret_is_in_a_receipt_an_error_or_the_log(
    harness: Harness, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    moods = [mood for mood in Mood if mood in harness.moods and mood is not Mood.THROTTLE]
    said = [repr(receipt) for receipt in provider.send(batch(harness, moods))]
    harness.make_deaf()
    other = harness.provider()
    try:
        with pytest.raises(ProviderError) as caught:
            other.send([harness.outgoing(99, Mood.ACCEPT)])
    finally:
        other.close()
    assert SECRET not in " ".join([*said, repr(caught.value), str(caught.value), caplog.text])


def test_an_empty_batch_is_no_call(harness: Harness, provider: Provider) -> None:
    assert provider.send([]) == []
    assert harness.taken() == []
