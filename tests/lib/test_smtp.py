from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ajo.lib.smtp import CannotConnect, Client, Fate, Letter, Outcome, Security, Server
from tests.mailbox import HOST, Mailbox


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    with Mailbox(tmp_path) as server:
        yield server


def letters(*tags: str) -> list[Letter]:
    return [letter(number, tag) for number, tag in enumerate(tags)]


def letter(number: int, tag: str = "", content: bytes = b"Subject: x\r\n\r\nHello\r\n") -> Letter:
    address = f"person{number}{'+' if tag else ''}{tag}@example.com"
    return Letter(number, "brand@example.com", address, b"Message-ID: <%d@test>\r\n" % number + content)


def fates(outcomes: list[Outcome]) -> dict[int, Fate]:
    return {outcome.id: outcome.fate for outcome in outcomes}


@pytest.fixture
def client(mailbox: Mailbox) -> Iterator[Client]:
    client = Client(Server(HOST, mailbox.smtp_port, timeout=3.0))
    yield client
    client.close()


def test_letters_arrive_once_over_kept_connections(client: Client, mailbox: Mailbox) -> None:
    for _ in range(3):
        outcomes = client.deliver(letters(*[""] * 50))
        assert set(fates(outcomes).values()) == {Fate.ACCEPTED}
        assert len(outcomes) == 50
    assert len(mailbox.log()) == 150
    assert len(client._kept) == 4


@pytest.mark.parametrize(
    "content", [b".\r\n", b"..\r\n.a\r\n.\r\n\r\n.\r\n", b"a\r\n.", b"", b"x" * 300_000 + b"\r\n"]
)
def test_content_arrives_byte_by_byte(client: Client, mailbox: Mailbox, content: bytes) -> None:
    head = b"Subject: x\r\n\r\n"
    client.deliver([letter(1, content=head + content)])
    expected = head + content if content.endswith(b"\r\n") or not content else head + content + b"\r\n"
    assert mailbox.get("/messages/1.eml").endswith(expected)


def test_a_bad_letter_ends_alone(client: Client, mailbox: Mailbox) -> None:
    tags = ["", "reject550", "", "tempfail451", "content554", "", "content451", "", "", ""]
    outcomes = client.deliver(letters(*tags))
    expected = {
        "": Fate.ACCEPTED,
        "reject550": Fate.REFUSED,
        "tempfail451": Fate.DEFERRED,
        "content554": Fate.REFUSED,
        "content451": Fate.DEFERRED,
    }
    assert fates(outcomes) == {number: expected[tag] for number, tag in enumerate(tags)}
    assert len(mailbox.log()) == tags.count("")


def test_a_connection_lost_before_the_content_is_surely_not_accepted(
    client: Client, mailbox: Mailbox
) -> None:
    outcomes = client.deliver(letters("", "drop-before-data", "", "", "", ""))
    assert fates(outcomes) == {number: Fate.DEFERRED if number == 1 else Fate.ACCEPTED for number in range(6)}
    assert len(mailbox.log()) == 5


def test_a_connection_lost_after_the_final_dot_is_unknown_and_its_neighbours_arrive(
    client: Client, mailbox: Mailbox
) -> None:
    outcomes = client.deliver(letters("", "drop-after-data", *[""] * 20))
    assert fates(outcomes) == {number: Fate.UNKNOWN if number == 1 else Fate.ACCEPTED for number in range(22)}
    recipients = [line["rcpt"][0] for line in mailbox.log()]
    assert len(recipients) == len(set(recipients)) == 22


def test_a_server_that_falls_silent_costs_its_letter_only(mailbox: Mailbox) -> None:
    client = Client(Server(HOST, mailbox.smtp_port, timeout=1.0))
    outcomes = fates(client.deliver(letters("hang", *[""] * 30)))
    assert outcomes[0] is Fate.UNKNOWN
    # The one whose envelope went out behind the silent one was surely not sent.
    assert sorted(fate.value for number, fate in outcomes.items() if number) == ["accepted"] * 29 + [
        "deferred"
    ]
    assert fates(client.deliver(letters("")))[0] is Fate.ACCEPTED
    client.close()


def test_an_idle_connection_that_the_server_closed_is_not_noticed(client: Client, mailbox: Mailbox) -> None:
    client.deliver(letters(*[""] * 8))
    for connection in client._kept:
        connection.sock.shutdown(socket.SHUT_RDWR)
    assert set(fates(client.deliver(letters(*[""] * 8))).values()) == {Fate.ACCEPTED}
    assert len(mailbox.log()) == 16


def test_nobody_there_is_said_before_anything_is_sent(client: Client, mailbox: Mailbox) -> None:
    client.deliver(letters(""))
    mailbox.stop()
    with pytest.raises(CannotConnect, match="cannot be reached") as caught:
        client.deliver(letters("", ""))
    assert not caught.value.is_permanent
    mailbox.start()


def test_addresses_beyond_ascii_need_smtputf8(client: Client, mailbox: Mailbox) -> None:
    outcomes = client.deliver([Letter(1, "a@example.com", "jürgen@example.com", b"Subject: x\r\n\r\n")])
    assert fates(outcomes) == {1: Fate.ACCEPTED}
    with Script(b"220 x", b"250 x") as plain:
        outcomes = plain.deliver([Letter(1, "a@example.com", "jürgen@example.com", b"x")])
    assert fates(outcomes) == {1: Fate.REFUSED}


@pytest.mark.parametrize("address", ["a@b>\r\nRCPT TO:<c@d", "a b@c", "a\0@b"])
def test_an_address_cannot_carry_commands(client: Client, mailbox: Mailbox, address: str) -> None:
    assert fates(client.deliver([Letter(1, "a@example.com", address, b"x"), letter(2)])) == {
        1: Fate.REFUSED,
        2: Fate.ACCEPTED,
    }
    assert len(mailbox.log()) == 1


def test_a_forked_child_opens_connections_of_its_own(client: Client, mailbox: Mailbox) -> None:
    client.deliver(letters(""))
    client._owner = os.getpid() + 1  # as it looks to a child
    kept = client._kept[0]
    client.deliver(letters(""))
    assert kept not in client._kept
    kept.close()
    assert len(mailbox.log()) == 2


# --- a server that says what the test wants ------------------------------------------------------------------


class Script:
    """A server that answers each line with the next reply, on every connection; `with` gives the client for it."""

    def __init__(self, *replies: bytes, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        self.heard: list[bytes] = []
        self._replies = replies
        self._tls = tls
        self._listener = socket.create_server((HOST, 0))
        self._client = Client(Server(HOST, self._listener.getsockname()[1], **{"timeout": 3.0, **options}))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # the test is over
            with sock:
                sock.settimeout(5)
                self._talk(sock)

    def _talk(self, wire: socket.socket) -> None:
        file = wire.makefile("rb")
        for index, reply in enumerate(self._replies):
            if index:
                self.heard.append(file.readline().strip())
            wire.sendall(reply + b"\r\n")
            if reply == b"220 go" and self._tls:
                file.close()
                wire = self._tls.wrap_socket(wire, server_side=True)
                file = wire.makefile("rb")
        file.close()
        wire.close()

    def __enter__(self) -> Client:
        self._thread.start()
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(6)


EMPTY = [Letter(number, "a@b.example", "c@d.example", b"") for number in (1, 2)]


def test_a_server_without_pipelining_hears_one_command_at_a_time() -> None:
    first = (b"250 sender", b"250 recipient", b"354 data", b"250 stored")
    server = Script(b"220 x", b"250 x", *first, b"250 sender", b"550 no", b"503 no", connections=1)
    with server as client:
        outcomes = client.deliver(EMPTY)
    assert fates(outcomes) == {1: Fate.ACCEPTED, 2: Fate.REFUSED}
    assert outcomes[1].text == "550 no"


def test_a_server_that_goes_at_the_envelope_leaves_the_letter_for_later() -> None:
    with Script(b"220 x", b"250-x\r\n250 PIPELINING", b"421 busy") as client:
        outcome = client.deliver(EMPTY[:1])[0]
    assert outcome.fate is Fate.DEFERRED
    assert "421 busy" in outcome.text


def test_a_sender_that_must_log_in_first_does_not_lose_its_letters() -> None:
    with Script(b"220 x", b"250 x", b"530 log in", b"503 no", b"503 no") as client:
        assert fates(client.deliver(EMPTY[:1])) == {1: Fate.DEFERRED}


def test_a_login_that_is_refused_is_permanent() -> None:
    server = Script(b"220 x", b"250-x\r\n250 AUTH PLAIN", b"535 no", username="u", password="p")
    with server as client, pytest.raises(CannotConnect, match="refused the login: 535") as caught:
        client.deliver(EMPTY)
    assert caught.value.is_permanent


def test_login_asks_for_name_and_password_one_after_the_other() -> None:
    login = (b"220 x", b"250-x\r\n250 AUTH LOGIN", b"334 a", b"334 b", b"235 ok")
    server = Script(*login, b"550 no", b"503 no", b"503 no", username="user", password="pass")
    with server as client:
        client.deliver(EMPTY[:1])
    assert server.heard[1:4] == [b"AUTH LOGIN", base64.b64encode(b"user"), base64.b64encode(b"pass")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", *options.split(), *names, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


STARTTLS = (b"220 x", b"250-x\r\n250 STARTTLS", b"220 go")


@pytest.fixture
def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_starttls_encrypts(certificate: Path, server_side: ssl.SSLContext) -> None:
    letter = (b"250 sender", b"250 recipient", b"354 data", b"250 stored")
    trusting = ssl.create_default_context(cafile=str(certificate))
    server = Script(*STARTTLS, b"250 x", *letter, tls=server_side, security=Security.STARTTLS)
    server._client.server = replace(server._client.server, tls=trusting)
    with server as client:
        assert fates(client.deliver(EMPTY[:1])) == {1: Fate.ACCEPTED}
    assert server.heard[1] == b"STARTTLS"


def test_starttls_that_is_not_offered_is_not_left_out() -> None:
    server = Script(b"220 x", b"250 x", security=Security.STARTTLS)
    with server as client, pytest.raises(CannotConnect, match="does not offer STARTTLS") as caught:
        client.deliver(EMPTY)
    assert caught.value.is_permanent
