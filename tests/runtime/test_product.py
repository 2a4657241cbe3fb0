from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ajo.runtime import doctor
from ajo.runtime.process import StartError
from ajo.runtime.product import Options, PortTaken, run_product
from ajo.runtime.state import owned, write_json


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and none of the choices of whoever runs the tests."""
    for name in ("DATABASE_URL", "BROKER_URL", "AJO_HOST", "AJO_PORT", "AJO_DEMO", "AJO_MAILBOX_SMTP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AJO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_by_default_it_is_all_embedded_and_for_this_machine_alone(home: Path) -> None:
    options = Options.from_environment()
    assert (options.url, options.is_local, options.home) == ("http://127.0.0.1:8000", True, home)
    assert (options.database_url, options.broker_url, options.mailbox_smtp, options.has_demo) == (
        "",
        "",
        "",
        True,
    )


@pytest.mark.parametrize(
    ("host", "url", "is_local"),
    [
        ("localhost", "http://localhost:8001", True),
        ("::1", "http://[::1]:8001", True),
        ("0.0.0.0", "http://127.0.0.1:8001", False),
        ("10.0.0.7", "http://10.0.0.7:8001", False),
    ],
)
def test_host_and_port_are_chosen_by_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, host: str, url: str, is_local: bool
) -> None:
    monkeypatch.setenv("AJO_HOST", host)
    monkeypatch.setenv("AJO_PORT", "8001")
    options = Options.from_environment()
    assert (options.url, options.is_local) == (url, is_local)


@pytest.mark.parametrize("value", ["eighty", "0", "70000", "-1"])
def test_a_port_that_is_none_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AJO_PORT", value)
    with pytest.raises(StartError, match=f"AJO_PORT is '{value}'. Set it to a whole number from 1 to 65535."):
        Options.from_environment()


def test_a_taken_web_port_is_a_sentence_with_the_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch, taken_port: int
) -> None:
    monkeypatch.setenv("AJO_PORT", str(taken_port))
    with pytest.raises(PortTaken, match=rf"Port {taken_port} of 127.0.0.1 is taken .* AJO_PORT=\d+ make run"):
        run_product(Options.from_environment(), print)
    assert not (home / "pg").exists()


def test_an_address_of_another_machine_is_no_taken_port(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AJO_HOST", "192.0.2.1")
    with pytest.raises(StartError, match=r"cannot be used: .*AJO_HOST"):
        run_product(Options.from_environment(), print)


def test_a_second_start_in_the_same_home_is_refused(home: Path) -> None:
    with owned(home), pytest.raises(StartError, match="already runs"):
        run_product(Options.from_environment(), print)


def findings(home: Path, port: int) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in doctor.examine(home, "127.0.0.1", port)}


def test_the_doctor_names_the_program_on_our_port(home: Path, taken_port: int) -> None:
    run = findings(home, taken_port)["run"]
    assert run.is_problem
    assert "AJO_PORT=" in run.sentences


def test_the_doctor_tells_an_interrupted_run_from_none(home: Path, free_port: int) -> None:
    assert "Start it with" in findings(home, free_port)["run"].sentences
    write_json(home / "runtime.json", {"pid": 1})
    assert "was interrupted" in findings(home, free_port)["run"].sentences


def test_the_doctor_asks_the_running_web_server(home: Path) -> None:
    class Sick(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Sick) as server, owned(home):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write_json(home / "runtime.json", {"pid": 1, "url": f"http://127.0.0.1:{server.server_port}"})
        found = findings(home, server.server_port)
        server.shutdown()
    assert not found["run"].is_problem
    assert "answers 503" in found["web"].sentences


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
