from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ajo.runtime.valkey import Valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey", tmp_path / "valkey.log", password="correct-horse")
    server.start()
    yield server
    server.kill()


def test_it_answers_on_its_url(server: Valkey) -> None:
    with redis.Redis.from_url(server.url()) as client:
        assert client.set("a", "b")


def test_the_password_is_needed(server: Valkey) -> None:
    with (
        redis.Redis.from_url(server.url().replace("correct-horse", "wrong")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_password_is_in_no_argument_list(server: Valkey) -> None:
    assert b"correct-horse" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_after_a_kill_it_starts_empty_on_the_same_port(server: Valkey) -> None:
    port = server.port
    with redis.Redis.from_url(server.url()) as client:
        client.set("a", "b")
    server.kill()
    server.start()
    assert server.port == port
    with redis.Redis.from_url(server.url()) as client:
        assert client.get("a") is None


def test_another_server_on_its_port_does_not_count_as_ready(server: Valkey, tmp_path: Path) -> None:
    assert server.answers()
    other = Valkey(tmp_path / "other", tmp_path / "other.log", port=server.port, password="correct-horse")
    assert not other.answers()


def test_it_stops_cleanly(server: Valkey) -> None:
    popen = server.popen
    server.stop()
    assert popen is not None
    assert popen.returncode == 0
