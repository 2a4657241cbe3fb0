"""The way out: exact about what was sent, and never to an address inside."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3.util.connection

from ajo.lib import http
from tests.channels.contract.service import Deaf, Mood, Reply, Request, Service
from tests.support import wait_until


class Wire:
    """A server of bare bytes: `talk` gets each connection once a whole request head has come."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.heads: list[bytes] = []
        self._talk = talk
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                    head += piece
                self.heads.append(head)
                try:
                    self._talk(connection)
                except OSError:
                    pass  # the client has left

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire() -> Iterator[Callable[[Callable[[socket.socket], None]], Wire]]:
    wires: list[Wire] = []

    def make(talk: Callable[[socket.socket], None]) -> Wire:
        wires.append(Wire(talk))
        return wires[-1]

    yield make
    for each in wires:
        each.close()


@pytest.fixture
def client() -> Iterator[http.Client]:
    client = http.Client()
    yield client
    client.close()


def test_an_answer_is_whole_whatever_its_status(client: http.Client, wire: Any) -> None:
    server = wire(
        lambda peer: peer.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 12\r\nContent-Length: 2\r\n\r\nno")
    )
    answer = client.request("POST", server.url, body=b"x")
    assert (answer.status, answer.body, answer.retry_after) == (429, b"no", 12.0)


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 20, "١"])
def test_a_retry_after_that_is_no_plain_number_is_none(value: str) -> None:
    assert http.Answer(429, {"Retry-After": value}, b"").retry_after is None


def test_nothing_reached_a_closed_port(client: http.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(http.NotSent, match=r"127\.0\.0\.1 cannot be reached"):
        client.request("POST", f"http://127.0.0.1:{port}/?secret")


def test_nothing_reached_who_lets_nobody_in(client: http.Client) -> None:
    deaf = Deaf()
    try:
        with pytest.raises(http.NotSent):
            client.request("POST", f"http://127.0.0.1:{deaf.port}/", timeout=0.3)
    finally:
        deaf.stop()


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"rubbish\r\n\r\n"],
)
def test_without_a_whole_answer_it_is_lost(client: http.Client, wire: Any, said: bytes) -> None:
    server = wire(lambda peer: peer.sendall(said))
    with pytest.raises(http.Lost):
        client.request("POST", server.url, body=b"x")
    assert len(server.heads) == 1


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_ends_with_its_time(client: http.Client, wire: Any, beginning: bytes) -> None:
    def drip(peer: socket.socket) -> None:
        peer.sendall(beginning)
        while True:
            peer.sendall(b"a")
            if peer.recv(0) is None or threading.Event().wait(0.05):
                return

    server = wire(drip)
    began_at = time.monotonic()
    with pytest.raises(http.Lost):
        client.request("POST", server.url, timeout=0.5)
    assert time.monotonic() - began_at < 2.0


def test_of_an_endless_body_only_the_beginning_is_read(wire: Any) -> None:
    def flood(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        while True:
            peer.sendall(b"x" * 65536)

    client = http.Client(body_limit=100_000)
    try:
        answer = client.request("GET", wire(flood).url)
    finally:
        client.close()
    assert answer.body == b"x" * 100_000, "as it came: nothing is unpacked"


def test_redirects_are_not_followed_and_cookies_not_kept(client: http.Client, wire: Any) -> None:
    inner = wire(lambda peer: None)
    server = wire(
        lambda peer: peer.sendall(
            b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b; Path=/\r\nConnection: close\r\n"
            b"Content-Length: 0\r\nLocation: " + inner.url.encode() + b"\r\n\r\n"
        )
    )
    assert [client.request("GET", server.url).status for _ in range(2)] == [302, 302]
    assert inner.heads == []
    assert not any(b"cookie" in head.lower() for head in server.heads)


def test_connections_are_kept(client: http.Client) -> None:
    ports: list[Any] = []

    def answer(request: Request) -> tuple[Mood, Reply]:
        return Mood.ACCEPT, Reply(200, b"ok")

    service = Service(answer)
    connect = urllib3.util.connection.create_connection
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            urllib3.util.connection,
            "create_connection",
            lambda address, *args, **kwargs: ports.append(address) or connect(address, *args, **kwargs),
        )
        try:
            for _ in range(5):
                client.request("POST", service.url, body=b"x")
        finally:
            service.stop()
    assert len(ports) == 1
    wait_until(lambda: len(service.taken) == 5)


# --- addresses inside ----------------------------------------------------------------------------------------

INSIDE = [
    "http://127.0.0.1/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[ff02::1]/",
    "http://[2002:7f00:1::]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://192.0.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
]
NO_ADDRESS = [
    "",
    "file:///etc/passwd",
    "ftp://8.8.8.8/",
    "gopher://8.8.8.8:70/",
    "//8.8.8.8/",
    "https:///nohost",
    "http://user:password@8.8.8.8/",
    "http://8.8.8.8@127.0.0.1/",
    "http://127.0.0.1:80\\@8.8.8.8/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:25/",
    "http://8.8.8.8:6379/",
    "http://8.8.8.8:99999/",
    "http://8.8.8.8/\r\nX: y",
    "http://8.8.8.8/a b",
    "http://[::1/",
]


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom somebody tried to connect to; nobody gets through."""
    tried: list[Any] = []

    def refuse(address: Any, *args: Any, **kwargs: Any) -> Any:
        tried.append(address)
        raise OSError("not in a test")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    return tried


def call(url: str, *, allowed: tuple[str, ...] = ()) -> None:
    client = http.guarded_client(allowed=allowed)
    try:
        client.request("POST", url, body=b"x")
    finally:
        client.close()


@pytest.mark.parametrize("url", [*INSIDE, *NO_ADDRESS])
def test_nobody_inside_is_called(no_connection: list[Any], url: str) -> None:
    with pytest.raises(http.Forbidden):
        call(url)
    assert no_connection == []


def names(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """The name server answers so, one answer after the other; returns whom it was asked for."""
    asked: list[str] = []

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(str(host))
        address = answers[min(len(asked), len(answers)) - 1]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize("answer", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::7f00:1", "fd00::2"])
def test_a_public_name_for_an_address_inside_is_not_called(
    no_connection: list[Any], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    names(monkeypatch, answer)
    with pytest.raises(http.Forbidden):
        call("https://hooks.example.com/")
    assert no_connection == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0xa9fea9fe"])
def test_old_ways_to_write_a_number_are_no_way_in(
    no_connection: list[Any], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The system's resolver reads them as addresses."""
    names(monkeypatch, socket.inet_ntoa(socket.inet_aton(host)))
    with pytest.raises(http.Forbidden):
        call(f"http://{host}/")
    assert no_connection == []


def test_a_name_that_changes_its_mind_is_asked_once(
    no_connection: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the second answer of the name server leads inside, and nobody asks for it."""
    asked = names(monkeypatch, "93.184.215.14", "127.0.0.1")
    with pytest.raises(http.NotSent):
        call("http://hooks.example.com/")
    assert no_connection == [("93.184.215.14", 80)]
    assert asked == ["hooks.example.com"]


def test_the_operators_exceptions_are_exact(wire: Any) -> None:
    server = wire(lambda peer: peer.sendall(b"HTTP/1.1 204 No\r\n\r\n"))
    netloc = server.url.removeprefix("http://").rstrip("/")
    port = int(netloc.partition(":")[2])
    call(server.url, allowed=(netloc,))
    call(server.url, allowed=("127.0.0.1",))
    for other in (f"127.0.0.1:{port + 1}", "localhost", f"127.0.0.10:{port}", "127.0.0"):
        with pytest.raises(http.Forbidden):
            call(server.url, allowed=(other,))
    for url in (
        f"http://{netloc}@10.0.0.1/",
        f"http://10.0.0.1/{netloc}",
        "http://127.0.0.1.nip.example:22/",
    ):
        with pytest.raises(http.Forbidden):
            call(url, allowed=(netloc, "127.0.0.1"))
    assert len(server.heads) == 2
