"""The home of a product: one owner, secrets that stay, and the sweep after a double kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ajo.runtime import process
from ajo.runtime.process import StartError, wait_until
from ajo.runtime.state import Busy, Record, Secrets, erase, owned, read_json, sweep, write_json


def test_a_home_has_one_owner_at_a_time(tmp_path: Path) -> None:
    write_json(tmp_path / "runtime.json", {"pid": 4711, "url": "http://127.0.0.1:8000"})
    second = owned(tmp_path)
    with (
        owned(tmp_path),
        pytest.raises(Busy, match=r"already runs at http://127.0.0.1:8000 \(process 4711\)"),
    ):
        second.__enter__()
    with owned(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="Nothing is forbidden to root.")
def test_a_home_of_another_user_is_a_sentence_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(mode=0o400)
    with pytest.raises(StartError, match="belongs to another user"):
        owned(tmp_path).__enter__()


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    made = Secrets.of(tmp_path)
    assert Secrets.of(tmp_path) == made
    assert len({made.postgres_password, made.valkey_password, made.secret_key, made.mailbox_token}) == 4
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_lost_secrets_of_an_existing_database_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    with pytest.raises(StartError, match="is missing"):
        Secrets.of(tmp_path)
    assert not (tmp_path / "secrets.json").exists()


def test_secrets_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(StartError, match=r"secrets\.json cannot be read"):
        Secrets.of(tmp_path)


WAITING = "import sys; print(flush=True); sys.stdin.read()"
WITH_CHILD = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True); sys.stdin.read()"


@contextmanager
def group(home: Path, code: str = WAITING) -> Iterator[subprocess.Popen[bytes]]:
    """A process group whose leader runs `code` and has said its first line."""
    command = [sys.executable, "-c", code]
    env = {**os.environ, "AJO_HOME": str(home)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=env
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        try:
            yield leader
        finally:
            process.kill_group(leader.pid)


def test_the_sweep_ends_a_recorded_group(tmp_path: Path) -> None:
    with group(tmp_path) as leader:
        Record(tmp_path).note_group("web", leader.pid)
        assert sweep(tmp_path) == ["web"]
        assert leader.wait(10) == -9


def test_the_sweep_ends_what_a_dead_leader_left(tmp_path: Path) -> None:
    with group(tmp_path, WITH_CHILD) as leader:
        Record(tmp_path).note_group("web", leader.pid)
        leader.kill()
        leader.wait()
        assert process.group_members(leader.pid)
        assert sweep(tmp_path) == ["web"]
        wait_until(lambda: not process.group_members(leader.pid), 10, "the orphan is gone")


def test_the_sweep_spares_a_process_that_was_given_the_number_later(tmp_path: Path) -> None:
    with group(tmp_path) as stranger:
        started = process.started_at(stranger.pid)
        assert started is not None
        record = {"groups": {"web": {"group": stranger.pid, "started": started - 1}}}
        write_json(tmp_path / "runtime.json", record)
        assert sweep(tmp_path) == []
        assert stranger.poll() is None


def test_the_sweep_spares_orphans_of_another_home(tmp_path: Path) -> None:
    with group(tmp_path / "other", WITH_CHILD) as leader:
        Record(tmp_path).note_group("web", leader.pid)
        leader.kill()
        leader.wait()
        assert sweep(tmp_path) == []
        assert process.group_members(leader.pid)


def test_the_record_forgets_what_was_stopped(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.note(url="http://127.0.0.1:8000")
    record.note_group("web", os.getpid())
    assert set(json.loads((tmp_path / "runtime.json").read_text())["groups"]) == {"web"}
    record.note_group("web", None)
    assert read_json(tmp_path / "runtime.json")["groups"] == {}
    record.remove()
    assert not (tmp_path / "runtime.json").exists()


def test_erase_deletes_the_products_files_and_no_others(tmp_path: Path) -> None:
    Secrets.of(tmp_path)
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("18")
    (tmp_path / "letter.txt").write_text("dear Ada")
    erase(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_erase_refuses_while_the_product_runs(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    with owned(tmp_path), pytest.raises(Busy):
        erase(tmp_path)
    assert (tmp_path / "pg").exists()
