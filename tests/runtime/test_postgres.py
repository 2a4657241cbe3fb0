"""The embedded PostgreSQL: what it survives and what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ajo.runtime import process
from ajo.runtime.postgres import DURABLE, Postgres, durable_settings
from ajo.runtime.process import StartError, wait_until

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder / "pg", folder / "postgres.log", password=PASSWORD)
    server.init()
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    yield server
    server.kill()


def count(server: Postgres) -> int:
    with psycopg.connect(server.url("postgres")) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def add_row(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")


def test_committed_rows_survive_a_kill_of_all_its_processes(server: Postgres) -> None:
    before = count(server)
    add_row(server)
    server.kill()
    assert server.pid is None
    server.start()
    assert count(server) == before + 1


def test_committed_rows_survive_a_kill_of_the_postmaster_alone(server: Postgres) -> None:
    before = count(server)
    add_row(server)
    assert server.popen is not None
    server.popen.send_signal(signal.SIGKILL)
    server.popen.wait()
    server.start()
    assert count(server) == before + 1


def test_it_keeps_its_port_over_a_restart(server: Postgres) -> None:
    port = server.port
    server.stop()
    server.start()
    assert server.port == port


def test_it_stops_at_once_although_a_client_is_connected(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres")):
        popen = server.popen
        server.stop()
        assert popen is not None
        assert popen.returncode == 0
    server.start()


def test_a_pid_file_whose_number_now_means_another_process_does_not_block(server: Postgres) -> None:
    server.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (server.data_dir / "postmaster.pid").write_text(f"{stranger.pid}\n{server.data_dir}\n")
        server.start()
        assert stranger.poll() is None
        stranger.kill()


def test_an_empty_pid_file_does_not_block(server: Postgres) -> None:
    server.stop()
    (server.data_dir / "postmaster.pid").touch()
    server.start()


def test_a_server_of_a_former_life_gives_way(server: Postgres, folder: Path) -> None:
    former = server.pid
    successor = Postgres(server.data_dir, folder / "successor.log", password=PASSWORD)
    successor.start()
    assert former is not None
    assert process.started_at(former) is None
    successor.stop()
    server.stop()
    server.start()


def test_it_moves_on_when_its_port_is_lost_before_the_start(server: Postgres, folder: Path) -> None:
    server.stop()
    mover = Postgres(server.data_dir, folder / "mover.log", password=PASSWORD)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", mover.port))
        thief.listen()
        lost = mover.port
        mover.start()
        assert mover.port != lost
    mover.stop()
    server.start()


def test_another_cluster_on_its_port_does_not_count_as_ready(server: Postgres, tmp_path: Path) -> None:
    assert server.answers()
    assert not Postgres(tmp_path / "pg", tmp_path / "log", port=server.port, password=PASSWORD).answers()


def test_the_password_is_needed(server: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("postgres").replace(PASSWORD, "wrong"))


def test_creating_a_database_twice_is_no_error(server: Postgres) -> None:
    server.create_database("twice")
    server.create_database("twice")
    with psycopg.connect(server.url("twice")) as connection:
        assert connection.info.dbname == "twice"


def test_a_half_made_cluster_is_made_anew(server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "pg.new").mkdir()
    (tmp_path / "pg.new" / "PG_VERSION").write_text("18")
    fresh = Postgres(tmp_path / "pg", tmp_path / "log", settings={"fsync": "off"})
    fresh.init()
    assert (tmp_path / "pg" / "global").is_dir()
    assert not (tmp_path / "pg.new").exists()


def test_a_start_that_fails_says_why(server: Postgres, tmp_path: Path) -> None:
    server.stop()
    broken = Postgres(server.data_dir, tmp_path / "log", settings={"shared_buffers": "much"})
    with pytest.raises(StartError, match="shared_buffers"):
        broken.start()
    server.start()


def test_it_ends_with_the_process_that_started_it(server: Postgres, tmp_path: Path) -> None:
    server.stop()
    script = (
        "import sys; from pathlib import Path; from ajo.runtime.postgres import Postgres;"
        "server = Postgres(Path(sys.argv[1]), Path(sys.argv[2]), password=sys.argv[3]); server.start();"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(server.data_dir), str(tmp_path / "log"), PASSWORD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    wait_until(lambda: process.started_at(pid) is None, 10, "the orphaned server is gone")
    server.start()


@pytest.mark.parametrize(
    ("gigabytes", "shared_buffers", "work_mem"),
    [(1, "64MB", "16MB"), (4, "256MB", "16MB"), (64, "512MB", "64MB")],
)
def test_memory_settings_grow_up_to_a_limit(gigabytes: int, shared_buffers: str, work_mem: str) -> None:
    settings = durable_settings(gigabytes * 1024**3)
    assert (settings["shared_buffers"], settings["work_mem"]) == (shared_buffers, work_mem)


def test_the_product_never_trades_durability_for_speed() -> None:
    assert [DURABLE[name] for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root needs a disguise.")
def test_root_keeps_owning_the_files(server: Postgres) -> None:
    assert {path.stat().st_uid for path in server.data_dir.iterdir()} == {0}
