"""Files for the printer: exactly one line per message, whatever is repeated, late or killed."""

from __future__ import annotations

import csv
import itertools
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from channels import delivery, mailing_files, mailings
from channels.models import CauseKind, ChannelConfiguration, Message, MessageClass, MessageDue
from channels.providers.direct_mail import DirectMailProvider
from profiles.models import Channel
from tests.factories import NOW, make_configuration, make_profile, make_variant

State = Message.State


def line(number: int, **columns: str) -> mailing_files.Line:
    return f"key-{number}", [("Number", str(number)), *columns.items()]


def rows(folder: Path) -> list[list[str]]:
    """What a printer finds who takes every file that is marked, without the headers."""
    found = []
    for mark in sorted(folder.glob("*.csv.done")):
        with mark.with_suffix("").open(newline="", encoding="utf-8") as stream:
            found += list(csv.reader(stream))[1:]
    return found


def test_lines_of_many_batches_stand_in_one_file(tmp_path: Path) -> None:
    mailing_files.add(tmp_path, "run-1", [line(1, Name="Ada"), line(2, Name='Grüße, "Bob"')])
    mailing_files.add(tmp_path, "run-1", [line(3, City="Kiel")])
    mailing_files.add(tmp_path, "run-2", [line(4)])
    assert list(tmp_path.glob("*.csv*")) == [], "nothing for the printer yet"
    file = mailing_files.close(tmp_path, "run-1", delimiter=";")
    assert file == tmp_path / "run-1-1.csv"
    assert file.read_bytes().decode() == ('Number;Name;City\r\n1;Ada;\r\n2;"Grüße, ""Bob""";\r\n3;;Kiel\r\n')
    assert (tmp_path / "run-1-1.csv.done").exists()
    assert mailing_files.waiting(tmp_path, before=1e12) == ["run-2"]


def test_a_repeat_makes_no_second_line_even_in_a_later_file(tmp_path: Path) -> None:
    mailing_files.add(tmp_path, "run-1", [line(1), line(2)])
    mailing_files.add(tmp_path, "run-1", [line(2), line(1)])
    mailing_files.close(tmp_path, "run-1")
    mailing_files.add(tmp_path, "run-1", [line(2), line(3)])  # a process that was long thought dead
    assert mailing_files.close(tmp_path, "run-1") == tmp_path / "run-1-2.csv"
    mailing_files.add(tmp_path, "run-1", [line(3)])
    assert mailing_files.close(tmp_path, "run-1") is None
    assert rows(tmp_path) == [["1"], ["2"], ["3"]]
    assert list((tmp_path / ".parts").rglob("*.jsonl")) == []


def test_what_the_printer_took_away_does_not_come_back(tmp_path: Path) -> None:
    mailing_files.add(tmp_path, "run-1", [line(1)])
    mailing_files.close(tmp_path, "run-1")
    for each in tmp_path.glob("*.csv*"):
        each.unlink()
    mailing_files.add(tmp_path, "run-1", [line(1)])
    assert mailing_files.close(tmp_path, "run-1") is None
    assert list(tmp_path.glob("*.csv*")) == []


class Killed(BaseException):
    """The process dies here."""


def die_at(fatal: int, patch: pytest.MonkeyPatch) -> None:
    """Before and after each change of the file system is a step; at this one the process dies."""
    steps = itertools.count(1)

    def deadly(change: Any) -> Any:
        def changed(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == fatal:
                raise Killed
            result = change(*args, **kwargs)
            if next(steps) == fatal:
                raise Killed
            return result

        return changed

    for name in ("replace", "unlink"):
        patch.setattr(Path, name, deadly(getattr(Path, name)))


def test_it_may_be_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = 0
    for fatal in range(1, 15):
        folder = tmp_path / str(fatal)
        mailing_files.add(folder, "run-1", [line(1), line(2)])
        mailing_files.add(folder, "run-1", [line(2), line(3)])
        with monkeypatch.context() as patch:
            die_at(fatal, patch)
            try:
                mailing_files.close(folder, "run-1")
            except Killed:
                deaths += 1
        assert all(mark.with_suffix("").exists() for mark in folder.glob("*.done"))
        mailing_files.close(folder, "run-1")  # as the next process would
        assert rows(folder) == [["1"], ["2"], ["3"]], f"killed at step {fatal}"
        assert list((folder / ".parts").rglob("*.jsonl")) == []
    assert deaths == 10


@pytest.mark.parametrize("cell", ["=1+1", "+49 431 1", "-5", "@cmd", "\tx", "\rx", "＝1", "\x00=1"])
def test_no_cell_is_a_formula(tmp_path: Path, cell: str) -> None:
    mailing_files.add(tmp_path, "run-1", [("k", [("A", cell), (cell, "x")])])
    file = mailing_files.close(tmp_path, "run-1")
    assert file is not None
    with file.open(newline="", encoding="utf-8") as stream:
        header, values = csv.reader(stream)
    plain = "'" + cell.replace("\x00", "")
    assert (header[1], values[0]) == (plain, plain)


# --- from the outbox -----------------------------------------------------------------------------------------


@pytest.fixture
def printer(db: None, settings: Any, tmp_path: Path) -> ChannelConfiguration:
    settings.AJO_DIRECT_MAIL_FOLDER = tmp_path
    return make_configuration(
        "printer", channel=Channel.DIRECT_MAIL, provider="direct_mail", sender_address=""
    )


def queue(configuration: ChannelConfiguration, people: int, run: int = 12) -> None:
    variant = make_variant(
        f"letter-{run}", channel=Channel.DIRECT_MAIL, columns=[["Name", "{{ profile.first_name }}"]]
    )
    delivery.enqueue(
        [
            delivery.Draft(
                profile_id=make_profile(first_name=f"P{number}", address="1 Quay Street, Kiel").pk,
                cause_kind=CauseKind.CAMPAIGN_RUN,
                cause_id=run,
                activity="",
                visit=1,
                channel=Channel.DIRECT_MAIL,
                origin_id=run,
                configuration_id=configuration.pk,
                variant_id=variant.pk,
                message_class=MessageClass.MARKETING,
            )
            for number in range(people)
        ],
        NOW,
    )


@pytest.mark.django_db(transaction=True)
def test_a_run_is_a_file_when_nothing_of_it_waits(printer: ChannelConfiguration, tmp_path: Path) -> None:
    queue(printer, 70)
    later = timezone.now() + timedelta(minutes=2)
    delivery.take_batch(Channel.DIRECT_MAIL, now=NOW, limit=50)
    assert mailings.close_mailings(later) == [], "twenty wait"
    delivery.take_batch(Channel.DIRECT_MAIL, now=NOW)
    assert mailings.close_mailings(timezone.now()) == [], "a line may still come"
    (file,) = mailings.close_mailings(later)
    assert file == tmp_path / "printer" / "campaign_run-12-1.csv"
    assert sorted(rows(tmp_path / "printer")) == sorted([f"P{number}"] for number in range(70))
    assert Message.objects.filter(state=State.SENT).count() == 70


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sender_that_dies_costs_no_line_and_repeats_none(
    printer: ChannelConfiguration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, settings: Any
) -> None:
    """Killed between writing the lines and recording it, or right before; the lease ends and another one goes on."""
    queue(printer, 5)
    send = DirectMailProvider.send

    def die(self: Any, batch: Any) -> Any:
        if when == "after":
            send(self, batch)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(DirectMailProvider, "send", die)
        with pytest.raises(Killed):
            delivery.take_batch(Channel.DIRECT_MAIL, now=NOW)
    assert Message.objects.filter(state=State.SENDING).count() == 5
    later = timezone.now() + timedelta(minutes=2)
    assert mailings.close_mailings(later) == [], "the file waits for what is not settled"
    Message.objects.update(lease_until=NOW, created_at=NOW)
    for _ in range(2):
        MessageDue.objects.update(due_at=NOW)
        delivery.take_batch(Channel.DIRECT_MAIL, now=NOW + timedelta(hours=1))
    assert Message.objects.filter(state=State.SENT).count() == 5
    mailings.close_mailings(later)
    assert sorted(rows(tmp_path / "printer")) == [[f"P{number}"] for number in range(5)]


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_is_a_delay(printer: ChannelConfiguration, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(printer, 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        delivery.take_batch(Channel.DIRECT_MAIL, now=NOW)
    message = Message.objects.first()
    assert message is not None
    assert (message.state, message.attempt) == (State.QUEUED, 0)
    assert "No space left" in message.reason
