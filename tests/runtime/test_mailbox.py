"""The mailbox process through its real sockets: SMTP, what it keeps, what it tells over HTTP."""

from __future__ import annotations

import ast
import re
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from ajo.runtime import mailbox as mailbox_package
from ajo.runtime.mailbox import mime
from ajo.runtime.mailbox.smtp import MAX_CONTENT, MAX_RECIPIENTS
from ajo.runtime.mailbox.store import Store
from tests.benchmarks.smtp_load import max_rate
from tests.mailbox import HOST, Mailbox
from tests.support import wait_until


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mailbox")) as running:
        yield running


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example", timeout=10) as client:
        yield client


class Wire:
    """A raw SMTP client: what goes out and what comes back, octet by octet."""

    def __init__(self, port: int, greet: bool = True) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=10)
        self._answers = self.sock.makefile("rb")
        assert self.reply().startswith("220")
        if greet:
            self.sock.sendall(b"EHLO wire.example\r\n")
            assert self.reply().startswith("250")

    def reply(self) -> str:
        """The next whole reply, its lines joined; empty when the connection has ended."""
        lines = []
        while line := self._answers.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def codes(self, text: bytes, count: int) -> list[str]:
        """Send and return the three-digit codes of the next `count` replies."""
        self.sock.sendall(text)
        return [self.reply()[:3] for _ in range(count)]

    def close(self) -> None:
        self._answers.close()
        self.sock.close()


@pytest.fixture
def wire(mailbox: Mailbox) -> Iterator[Wire]:
    client = Wire(mailbox.smtp_port)
    yield client
    client.close()


def build(to: str, subject: str = "Hello", text: str = "Good morning.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Brand <hello@brand.example>"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = f"<{re.sub('[^A-Za-z0-9]+', '.', subject)}@brand.example>"
    message.set_content(text)
    return message


def content_for(mailbox: Mailbox, to: str) -> bytes:
    [entry] = mailbox.json(f"/messages.json?to={to.replace('+', '%2B')}")["messages"]
    return mailbox.get(f"/messages/{entry['id']}.eml")


def count_for(mailbox: Mailbox, to: str) -> int:
    return int(mailbox.json(f"/messages.json?to={to.replace('+', '%2B')}")["count"])


# --- SMTP ----------------------------------------------------------------------------------------------------


def test_it_takes_a_message_of_the_standard_library(mailbox: Mailbox, smtp: smtplib.SMTP) -> None:
    smtp.send_message(build("plain@people.example", "Welcome, Ada", ".dots\n..too\nend\n"))

    [entry] = mailbox.json("/messages.json?to=Plain@people.example")["messages"]
    detail = mailbox.json(f"/messages/{entry['id']}.json")

    assert entry["subject"] == "Welcome, Ada"
    assert entry["from"] == "Brand <hello@brand.example>"
    assert entry["envelope_from"] == "hello@brand.example"
    assert entry["to"] == ["plain@people.example"]
    assert entry["message_id"] == "<Welcome.Ada@brand.example>"
    assert entry["received_at"].endswith("+00:00")
    assert detail["text"].splitlines() == [".dots", "..too", "end"]
    assert detail["html"] is None
    assert detail["warnings"] == []


def test_it_says_what_it_can_do(smtp: smtplib.SMTP) -> None:
    smtp.ehlo()

    assert set(smtp.esmtp_features) == {
        "pipelining",
        "8bitmime",
        "smtputf8",
        "size",
        "chunking",
        "enhancedstatuscodes",
    }
    assert smtp.esmtp_features["size"] == str(MAX_CONTENT)


def test_it_takes_addresses_and_headers_in_utf8(mailbox: Mailbox, smtp: smtplib.SMTP) -> None:
    smtp.send_message(build("zoë@people.example", "Grüße"), mail_options=["SMTPUTF8"])

    [entry] = mailbox.json("/messages.json?to=zo%C3%AB@people.example")["messages"]

    assert entry["to"] == ["zoë@people.example"]
    assert entry["subject"] == "Grüße"


def test_it_answers_a_pipelined_group_in_order(mailbox: Mailbox, wire: Wire) -> None:
    group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<pipe@people.example>\r\nDATA\r\n"
    message = b"Subject: %d\r\n\r\nbody\r\n.\r\n"

    first = wire.codes(group, 3)
    second = wire.codes(message % 1 + group, 4)
    third = wire.codes(message % 2 + b"QUIT\r\n", 2)

    assert first == ["250", "250", "354"]
    assert second == ["250", "250", "250", "354"]
    assert third == ["250", "221"]
    assert wire.reply() == ""
    assert count_for(mailbox, "pipe@people.example") == 2


def test_packets_may_be_cut_anywhere(mailbox: Mailbox, wire: Wire) -> None:
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in (
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<cut@people.example>\r\nDATA\r\n"
        b"..first\r\n.second\r\n.\rnot the end\r\n...\r\n.\r\n"
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<cut2@people.example>\r\n"
        b"BDAT 7\r\n.\r\n\r\nxyBDAT 3 LAST\r\nz\r\n"
    ):
        wire.sock.send(bytes([byte]))

    assert [wire.reply()[:3] for _ in range(8)] == ["250", "250", "354", "250", "250", "250", "250", "250"]
    assert content_for(mailbox, "cut@people.example") == b".first\r\nsecond\r\n\rnot the end\r\n..\r\n"
    assert content_for(mailbox, "cut2@people.example") == b".\r\n\r\nxyz\r\n"


def test_a_message_may_be_empty(mailbox: Mailbox, wire: Wire) -> None:
    codes = wire.codes(b"MAIL FROM:<>\r\nRCPT TO:<empty@people.example>\r\nDATA\r\n.\r\n", 4)

    assert codes == ["250", "250", "354", "250"]
    assert content_for(mailbox, "empty@people.example") == b""
    [entry] = mailbox.json("/messages.json?to=empty@people.example")["messages"]
    assert (entry["envelope_from"], entry["subject"], entry["snippet"]) == ("", "", "")


def test_a_bare_line_feed_does_not_end_a_message(mailbox: Mailbox, wire: Wire) -> None:
    wire.codes(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<smuggle@people.example>\r\nDATA\r\n", 3)

    codes = wire.codes(b"one\n.\nMAIL FROM:<x@y.example>\r\n.\nstill\r\n.\r\nNOOP\r\n", 2)

    assert codes == ["250", "250"]
    assert content_for(mailbox, "smuggle@people.example").endswith(b"still\r\n")


def test_chunks_carry_any_octet_and_refused_chunks_are_not_commands(mailbox: Mailbox, wire: Wire) -> None:
    refused = wire.codes(b"BDAT 6\r\nRSET\r\nMAIL FROM:<a@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\n", 3)
    taken = wire.codes(b"RCPT TO:<chunk@people.example>\r\nBDAT 6\r\n\r\n.\r\n\x00BDAT 0 LAST\r\n", 3)

    assert refused == ["503", "250", "503"]
    assert taken == ["250", "250", "250"]
    assert content_for(mailbox, "chunk@people.example") == b"\r\n.\r\n\x00"


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        (b"MAIL FROM:<a@b.example>\r\n", "503"),
        (b"EHLO\r\n", "501"),
        (b"HELO x\r\nRCPT TO:<a@b.example>\r\n", "250 503"),
        (b"HELO x\r\nDATA\r\n", "250 503"),
        (b"HELO x\r\nMAIL FROM:<a@b.example>\r\nDATA\r\n", "250 250 503"),
        (b"HELO x\r\nMAIL FROM:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\n", "250 250 503"),
        (b"HELO x\r\nMAIL FROM:<a@b.example>\r\nRSET\r\nRCPT TO:<a@b.example>\r\n", "250 250 250 503"),
        (b"HELO x\r\nMAIL FROM: a@b.example\r\n", "250 501"),
        (b"HELO x\r\nMAIL TO:<a@b.example>\r\n", "250 501"),
        (b"HELO x\r\nMAIL FROM:<nobody>\r\n", "250 501"),
        (b"HELO x\r\nMAIL FROM:<a@b.example> SIZE=x\r\n", "250 501"),
        (b"HELO x\r\nMAIL FROM:<a@b.example> SIZE=99999999\r\n", "250 552"),
        (b"HELO x\r\nMAIL FROM:<a@b.example> BODY=8BITMIME SIZE=10 SMTPUTF8\r\n", "250 250"),
        (b"HELO x\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", "250 501"),
        (b"HELO x\r\nMAIL FROM:<a@b.example> RET=FULL\r\n", "250 555"),
        ("HELO x\r\nMAIL FROM:<é@b.example>\r\n".encode(), "250 553"),
        (b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:<a>\r\n", "250 250 501 501"),
        (b"HELO x\r\nmail from:<>\r\nrcpt to:<Postmaster>\r\n", "250 250 250"),
        (b'HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<"a b>"@c.example>\r\n', "250 250 250"),
        (b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<@relay.example:a@b.example>\r\n", "250 250 250"),
        (b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 1\r\nxDATA\r\n", "250 250 250 250 503"),
        (b"BDAT x\r\n", "501"),
        (b"NOOP x\r\nVRFY a\r\nVRFY\r\nHELP\r\nEXPN a\r\nRSET x\r\n", "250 252 501 214 502 501"),
        (b"AUTH PLAIN\r\nSTARTTLS\r\nWHAT\r\n\r\n", "502 502 500 500"),
        (b"NOOP " + b"x" * 9000 + b"\r\nNOOP\r\n", "500 250"),
        (b"NOOP " + b"x" * 2042 + b"\r\nNOOP " + b"x" * 2041 + b"\r\n", "500 250"),
    ],
)
def test_wrong_commands_get_their_codes(mailbox: Mailbox, commands: bytes, codes: str) -> None:
    wire = Wire(mailbox.smtp_port, greet=False)

    answered = wire.codes(commands, len(codes.split()))

    wire.close()
    assert answered == codes.split()


def test_the_101st_recipient_is_refused_and_the_others_stay(mailbox: Mailbox, wire: Wire) -> None:
    recipients = b"".join(b"RCPT TO:<many%d@people.example>\r\n" % i for i in range(MAX_RECIPIENTS + 1))

    codes = wire.codes(b"MAIL FROM:<>\r\n" + recipients + b"BDAT 2 LAST\r\nhi", MAX_RECIPIENTS + 3)

    assert codes[-2:] == ["452", "250"]
    assert codes.count("250") == MAX_RECIPIENTS + 2
    assert count_for(mailbox, "many99@people.example") == 1


@pytest.mark.parametrize("command", ["DATA", "BDAT"])
def test_a_message_too_big_is_552_and_the_connection_goes_on(
    mailbox: Mailbox, wire: Wire, command: str
) -> None:
    wire.codes(b"MAIL FROM:<>\r\nRCPT TO:<big@people.example>\r\n", 2)
    size = MAX_CONTENT + 1000
    if command == "DATA":
        wire.codes(b"DATA\r\n", 1)
    else:
        wire.sock.sendall(b"BDAT %d LAST\r\n" % size)
    line = b"x" * 998 + b"\r\n"
    body = line * (size // len(line)) + b"y" * (size % len(line) - 2) + b"\r\n"
    assert len(body) == size

    [code] = wire.codes(body + (b".\r\n" if command == "DATA" else b""), 1)

    assert code == "552"
    assert wire.codes(b"MAIL FROM:<>\r\n", 1) == ["250"]
    assert count_for(mailbox, "big@people.example") == 0


def test_a_message_of_the_largest_size_is_kept(mailbox: Mailbox, wire: Wire) -> None:
    wire.codes(b"MAIL FROM:<>\r\nRCPT TO:<largest@people.example>\r\nDATA\r\n", 3)
    line = b"x" * 998 + b"\r\n"
    body = line * (MAX_CONTENT // len(line)) + b"z" * (MAX_CONTENT % len(line) - 2) + b"\r\n"

    assert wire.codes(body + b".\r\n", 1) == ["250"]
    [entry] = mailbox.json("/messages.json?to=largest@people.example")["messages"]
    assert entry["size"] == MAX_CONTENT


# --- scripted bad behaviour ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "codes", "stored"),
    [
        ("reject550", ["250", "550", "503"], 0),
        ("tempfail451", ["250", "451", "503"], 0),
        ("content554", ["250", "250", "554"], 0),
        ("content451", ["250", "250", "451"], 0),
        ("drop-before-data", ["250", "250", ""], 0),
        ("drop-after-data", ["250", "250", ""], 1),
        ("x+drop-after-data+y", ["250", "250", ""], 1),
        ("harmless", ["250", "250", "250"], 1),
    ],
)
def test_a_tag_scripts_the_answer(
    mailbox: Mailbox, wire: Wire, tag: str, codes: list[str], stored: int
) -> None:
    address = f"ada+{tag}@scripted.example"

    answered = wire.codes(b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nBDAT 4 LAST\r\nhi\r\n" % address.encode(), 3)

    assert answered == codes
    assert count_for(mailbox, address) == stored


def test_tempfail_can_end_after_some_attempts(wire: Wire) -> None:
    wire.codes(b"MAIL FROM:<>\r\n", 1)

    codes = wire.codes(b"RCPT TO:<ada+tempfail451-2@retry.example>\r\n" * 3, 3)

    assert codes == ["451", "451", "250"]


@pytest.mark.parametrize(("tag", "stored"), [("hang", 0), ("hang-after-data", 1)])
def test_hang_never_answers_again(mailbox: Mailbox, wire: Wire, tag: str, stored: int) -> None:
    address = f"ada+{tag}@hang.example"
    assert wire.codes(b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n" % address.encode(), 3) == [
        "250",
        "250",
        "354",
    ]

    wire.sock.sendall(b"hi\r\n.\r\nNOOP\r\n")

    if stored:
        wait_until(lambda: count_for(mailbox, address), what="the stored message")
    wire.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        wire.reply()
    assert count_for(mailbox, address) == stored


# --- what is kept --------------------------------------------------------------------------------------------


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as mailbox:
        with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example") as client:
            for number in range(20):
                client.send_message(build("kept@people.example", f"Number {number}"))
            mailbox.kill()
            client.close()
        [segment] = (tmp_path / "mail").glob("*.mail")
        with segment.open("ab") as file:
            file.write(
                segment.read_bytes()[:50]
            )  # the half record that a kill in the middle of a write leaves
        mailbox.start()
        with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example") as client:
            client.send_message(build("kept@people.example", "Number 20"))

        log = mailbox.log()

        assert [line["n"] for line in log] == list(range(1, 22))
        assert [line["message_id"] for line in log] == [f"<Number.{n}@brand.example>" for n in range(21)]
        assert mailbox.log(after=20)[0]["rcpt"] == ["kept@people.example"]
        assert mailbox.stop() == 0


def test_the_oldest_segment_is_dropped_at_the_cap(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=64_000)
    for _ in range(200):
        store.append(b"a@b.example", [b"c@d.example"], b"x" * 900)
        store.flush()
        assert sum(path.stat().st_size for path in tmp_path.glob("*.mail")) <= 64_000

    assert store.next == 201
    assert store.first > 100
    assert store.read(store.first - 1) is None
    record = store.read(200)
    assert record is not None
    assert (record.sender, record.recipients, record.content) == (
        "a@b.example",
        ("c@d.example",),
        b"x" * 900,
    )
    store.close()

    by_count = Store(tmp_path / "count", max_messages=64)
    for _ in range(300):
        by_count.append(b"", [b"c@d.example"], b"x")
        by_count.flush()
    assert 40 < by_count.next - by_count.first <= 64
    by_count.close()


def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(b"", [b"c@d.example"], b"one")
    store.flush()
    store.clear()
    store.clear()
    assert (store.first, store.next) == (2, 2)
    store.close()

    store = Store(tmp_path)
    assert store.append(b"", [b"c@d.example"], b"two") == 2
    store.close()
    assert [path.name for path in tmp_path.glob("*.mail")] == ["000000000002.mail"]


def test_a_full_disk_is_421_and_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> int:
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("ajo.runtime.mailbox.store.os.pwrite", fail)
        store.append(b"", [b"c@d.example"], b"lost")
        with pytest.raises(OSError, match="No space"):
            store.flush()
    assert store.append(b"", [b"c@d.example"], b"kept") == 1
    store.flush()
    record = store.read(1)
    assert record is not None
    assert record.content == b"kept"
    store.close()


def test_one_folder_has_one_mailbox(tmp_path: Path) -> None:
    store = Store(tmp_path)

    second = subprocess.run(
        [sys.executable, "-m", "ajo.runtime.mailbox", "--dir", str(tmp_path)], capture_output=True, text=True
    )

    store.close()
    assert second.returncode == 2
    assert second.stderr.startswith("Another mailbox already keeps its messages in")


def test_a_taken_port_is_said_in_a_sentence(mailbox: Mailbox, tmp_path: Path) -> None:
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "ajo.runtime.mailbox",
            "--dir",
            tmp_path,
            "--smtp-port",
            str(mailbox.smtp_port),
        ],
        capture_output=True,
        text=True,
    )

    assert second.returncode == 2
    assert second.stderr == (
        f"The SMTP port {HOST}:{mailbox.smtp_port} is taken. Give another --smtp-port.\n"
    )


# --- HTTP ----------------------------------------------------------------------------------------------------


def test_every_request_but_the_health_check_needs_the_token(mailbox: Mailbox) -> None:
    assert mailbox.get("/healthz", token="") != b""
    for path in ("/messages.json", "/messages/1.json", "/messages/1.eml", "/people.json", "/log.jsonl"):
        assert mailbox.refusal(path, token="wrong") == (
            403,
            "The header X-Mailbox-Token is missing or wrong.",
        )


def test_it_refuses_in_sentences(mailbox: Mailbox) -> None:
    assert mailbox.refusal("/nothing") == (404, "There is nothing at /nothing.")
    assert mailbox.refusal("/people.json", method="DELETE")[0] == 405
    assert mailbox.refusal("/messages/99999.json")[0] == 404
    assert mailbox.refusal("/messages/99999.eml")[0] == 404
    assert mailbox.refusal("/messages.json?limit=x") == (
        400,
        "The parameter limit must be a whole number from 0 on.",
    )


def test_it_lists_newest_first_and_pages(mailbox: Mailbox, smtp: smtplib.SMTP) -> None:
    for subject in ("red shoes", "blue shoes", "red hat"):
        smtp.send_message(build("list@people.example", subject))

    def subjects(query: str) -> list[str]:
        answer = mailbox.json(f"/messages.json?to=list@people.example&{query}")
        return [message["subject"] for message in answer["messages"]]

    newest = mailbox.json("/messages.json?to=list@people.example&limit=1&bodies=1")

    assert subjects("") == ["red hat", "blue shoes", "red shoes"]
    assert subjects("q=RED") == ["red hat", "red shoes"]
    assert subjects("q=shoes+red") == ["red shoes"]
    assert subjects(f"after={int(newest['messages'][0]['id']) - 1}") == ["red hat"]
    assert newest["count"] == 3
    assert newest["messages"][0]["text"].strip() == "Good morning."
    assert newest["messages"][0]["html"] is None
    assert mailbox.json("/messages.json?to=nobody@people.example") == {"messages": [], "count": 0}


def test_people_are_listed_by_their_newest_message(mailbox: Mailbox, smtp: smtplib.SMTP) -> None:
    smtp.send_message(build("Bea@crowd.example", "first"))
    smtp.send_message(build("carl@crowd.example, bea@crowd.example", "second"))
    smtp.send_message(build("carl@crowd.example", "third"))

    answer = mailbox.json("/people.json?q=crowd.example")

    found = [(person["address"], person["count"], person["last_subject"]) for person in answer["people"]]
    assert found == [("carl@crowd.example", 2, "third"), ("bea@crowd.example", 2, "second")]
    assert answer["count"] == 2


def test_it_can_be_emptied(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as mailbox:
        with smtplib.SMTP(HOST, mailbox.smtp_port, local_hostname="client.example") as client:
            client.send_message(build("gone@people.example"))
            assert mailbox.json("/people.json")["count"] == 1

            mailbox.json("/messages.json", method="DELETE")
            client.send_message(build("new@people.example"))

        assert [message["id"] for message in mailbox.json("/messages.json")["messages"]] == ["2"]
        assert [person["address"] for person in mailbox.json("/people.json")["people"]] == [
            "new@people.example"
        ]
        assert mailbox.refusal("/messages/1.json")[0] == 404


def test_requests_share_a_connection(mailbox: Mailbox) -> None:
    port = int(mailbox.url.rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=10) as sock, sock.makefile("rb") as answers:
        sock.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        text = answers.read()

    assert text.count(b"HTTP/1.1 405 Method Not Allowed") == 1
    assert text.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
def test_a_broken_request_ends_its_connection_only(
    mailbox: Mailbox, request_text: bytes, status: bytes
) -> None:
    port = int(mailbox.url.rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=10) as sock, sock.makefile("rb") as answers:
        sock.sendall(request_text)
        assert answers.readline().split()[1] == status
    assert mailbox.json("/healthz")["status"] == "ok"


# --- reading messages ----------------------------------------------------------------------------------------


def test_a_message_with_every_kind_of_part_is_read() -> None:
    message = build("ada@people.example", "Ümläute und ein langer Betreff, der in mehrere Wörter zerfällt")
    message.add_alternative(
        "<html><head><style>p{color:red}</style></head><body><div>Your  code</div>"
        '<p>&lt;3 is A1</p><img src="cid:logo@x"></body></html>',
        subtype="html",
    )
    html = message.get_payload()[1]
    html.add_related(b"\x89PNG", "image", "png", cid="<logo@x>")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="bill.pdf")
    content = message.as_bytes()

    reading = mime.read_message(content)

    assert mime.read_fields(content).subject == message["Subject"]
    assert reading.text == "Good morning.\n"
    assert reading.html is not None
    assert "data:image/png;base64,iVBORw==" in reading.html
    assert mime.snippet(reading) == "Your code <3 is A1"
    assert [(part.filename, part.content_type, part.size) for part in reading.attachments] == [
        ("", "image/png", 4),
        ("bill.pdf", "application/pdf", 4),
    ]
    assert dict(reading.headers)["Subject"] == message["Subject"]


def test_the_snippet_is_the_preheader_without_its_padding() -> None:
    html = (
        "<body><div style='display:none'>Only today: free rides"
        + "&#847;&zwnj;&nbsp;" * 60
        + "</div>Dear Ada</body>"
    )
    reading = mime.Reading((), None, html, (), ())

    assert mime.snippet(reading) == "Only today: free rides Dear Ada"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n\r\n",
        b"\xff\xfe: \x00\r\n\r\n\xff",
        b"Subject: =?nope?b?!!!?=\r\nContent-Type: text/html; charset=nope\r\n\r\n<p>\xe9",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!",
        b"From: @@@<<>\r\nTo: ;;;\r\nMessage-ID: <<>>\r\nContent-Disposition: ;;=;\r\nDate: never\r\n\r\nx",
        b"Subject: \xed\xa0\x80\r\n\r\n\xed\xa0\x80",
    ],
)
def test_broken_messages_are_shown_all_the_same(mailbox: Mailbox, wire: Wire, content: bytes) -> None:
    wire.codes(
        b"MAIL FROM:<>\r\nRCPT TO:<broken@people.example>\r\nBDAT %d LAST\r\n" % len(content) + content, 3
    )

    newest = mailbox.json("/messages.json?to=broken@people.example&limit=1&bodies=1")["messages"][0]

    assert mailbox.get(f"/messages/{newest['id']}.eml") == content
    assert mailbox.json(f"/messages/{newest['id']}.json")["id"] == newest["id"]


def test_what_real_servers_may_refuse_is_said() -> None:
    reading = mime.read_message(b"From: a@b.example\r\n\r\n" + b"x" * 999 + b"\r\none\ntwo\r\n")

    assert reading.warnings == (
        "A line is longer than 998 octets; real servers may refuse or break it.",
        "A line does not end with CR LF; real servers may refuse the message.",
        "The header Date is missing.",
        "The header Message-ID is missing.",
    )


# --- the process ---------------------------------------------------------------------------------------------


def test_it_imports_nothing_of_the_product_and_no_django() -> None:
    allowed = set(sys.stdlib_module_names) | {"cryptography", "http_ece"}
    for path in Path(mailbox_package.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in allowed or name.startswith("ajo.runtime.mailbox"), path


def test_under_load_every_counted_message_is_kept(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as mailbox:
        rate = max_rate(HOST, mailbox.smtp_port, seconds=0.3)

        kept = mailbox.json("/healthz")["last"]
        assert kept >= rate * 0.3 > 0
