"""An SMTP client for many letters over a few kept connections (RFC 5321, 2920, 3207, 4954, 6531).

On each connection the content of one letter travels in the same write as the next letter's MAIL, RCPT and DATA: one
round trip for each letter. CHUNKING is left alone on purpose: it would send the content together with the recipient,
and after a lost connection nobody could say any more that a letter was surely not accepted.

What the client says about a letter is exact. As long as the final dot was not handed to the system, a lost connection
means that the letter was not accepted, and it is tried once more on another connection; afterwards it is `UNKNOWN`.
"""

from __future__ import annotations

import base64
import enum
import os
import re
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_MAX_REPLY = 64 * 1024
_UNSAFE_ADDRESS = re.compile(r"[\x00-\x20\x7f<>]")
_NOT_THE_LETTER = {503, 530, 534, 535, 538}
"""Codes that blame the session or the login, not the letter: it may be tried again."""


class Security(enum.StrEnum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Fate(enum.Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"  # for good
    DEFERRED = "deferred"  # surely not accepted, may be tried again
    UNKNOWN = "unknown"  # the final dot went out and no answer came back


class CannotConnect(Exception):
    """No connection could be opened and nothing was sent. `is_permanent`: only a change of the settings helps."""

    def __init__(self, message: str, *, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent


@dataclass(frozen=True, slots=True)
class Letter:
    """One content for one recipient. `content` has CRLF line breaks only; the client stuffs its dots."""

    id: int
    sender: str
    recipient: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a letter, with the server's answer or the reason in words."""

    id: int
    fate: Fate
    text: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where to deliver and how to introduce oneself. An empty username means no login."""

    host: str
    port: int
    security: Security = Security.NONE
    username: str = ""
    password: str = field(default="", repr=False)
    local_name: str = ""
    connections: int = 4
    timeout: float = 20.0
    """Seconds for one call of `deliver`, including connecting."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)


class Client:
    """Keeps connections to one server between calls. Not for several threads at once; safe to have when forking."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._kept: list[_Connection] = []
        self._owner = os.getpid()

    def deliver(self, letters: Sequence[Letter]) -> list[Outcome]:
        """One outcome for each letter, in any order. Raises CannotConnect when surely nothing was sent."""
        if self._owner != os.getpid():
            # These connections belong to the parent process, which goes on talking on them.
            self._kept = []
            self._owner = os.getpid()
        run = _Run(self.server, letters, self._kept)
        self._kept = run.finish()
        return run.outcomes

    def close(self) -> None:
        """Hang up."""
        for connection in self._kept:
            connection.close()
        self._kept = []


class _Lost(Exception):
    """The connection is of no more use."""


class _Step(enum.Enum):
    MAIL = enum.auto()
    RCPT = enum.auto()
    DATA = enum.auto()
    CONTENT = enum.auto()
    NOTHING = enum.auto()  # a lone dot, for a server that asks for the content of a letter without recipients
    RESET = enum.auto()


@dataclass(slots=True, eq=False)
class _Job:
    """A letter on its way."""

    letter: Letter
    tries: int = 0
    complaint: tuple[int, str] | None = None
    """The first reply that was not a yes."""
    ends_at: int = -1
    """How many bytes the connection has written when the final dot is out; -1 before the content is sent."""


class _Run:
    """One call of `deliver`: shares the letters out to the connections and collects the outcomes."""

    def __init__(self, server: Server, letters: Sequence[Letter], kept: list[_Connection]) -> None:
        self.server = server
        self.deadline = time.monotonic() + server.timeout
        self.outcomes: list[Outcome] = []
        self._letters = letters
        self._waiting = deque(_Job(letter) for letter in letters)
        self._connections = kept
        self._cannot_open: CannotConnect | None = None
        self._selector = selectors.DefaultSelector()

    def finish(self) -> list[_Connection]:
        """Work until every letter has its outcome; returns the connections that can be kept."""
        with self._selector:
            for connection in self._connections:
                connection.join(self)
                self._selector.register(connection.sock, selectors.EVENT_READ, connection)
            while self._waiting or any(connection.is_busy for connection in self._connections):
                self._open_connections()
                if not self._connections:
                    break
                for connection in list(self._connections):
                    if not connection.is_busy:
                        self._guard(connection, connection.take_next)
                self._wait()
                if time.monotonic() >= self.deadline:
                    self._give_up()
                    break
        if self._cannot_open and not self.outcomes and len(self._waiting) == len(self._letters):
            raise self._cannot_open
        reason = str(
            self._cannot_open or f"{self.server.host} did not answer within {self.server.timeout:g} s."
        )
        for job in self._waiting:
            self.settle(job, Fate.DEFERRED, reason)
        return self._connections

    def next_job(self) -> _Job | None:
        return self._waiting.popleft() if self._waiting else None

    def settle(self, job: _Job, fate: Fate, text: str) -> None:
        self.outcomes.append(Outcome(job.letter.id, fate, text))

    def settle_by_reply(self, job: _Job, code: int, text: str) -> None:
        if 200 <= code < 300:
            fate = Fate.ACCEPTED
        elif code >= 500 and code not in _NOT_THE_LETTER:
            fate = Fate.REFUSED
        else:
            fate = Fate.DEFERRED
        self.settle(job, fate, f"{code} {text}".strip())

    def take_back(self, job: _Job, reason: str, *, is_blamed: bool) -> None:
        """A letter that was surely not sent goes to the next connection; the second time it waits for later."""
        job.complaint, job.ends_at = None, -1
        job.tries += is_blamed
        if job.tries > 1:
            self.settle(job, Fate.DEFERRED, reason)
        else:
            self._waiting.appendleft(job)

    def _open_connections(self) -> None:
        busy = sum(connection.is_busy for connection in self._connections)
        wanted = min(self.server.connections, busy + len(self._waiting))
        while len(self._connections) < wanted and self._cannot_open is None:
            try:
                connection = _Connection(self.server, self.deadline)
            except CannotConnect as error:
                self._cannot_open = error
                return
            connection.join(self)
            self._connections.append(connection)
            self._selector.register(connection.sock, selectors.EVENT_READ, connection)

    def _wait(self) -> None:
        if not any(connection.is_busy for connection in self._connections):
            return
        for key, _ in self._selector.select(max(0.0, self.deadline - time.monotonic())):
            connection: _Connection = key.data
            self._guard(connection, connection.receive)

    def _guard(self, connection: _Connection, action: Callable[[], None]) -> None:
        try:
            action()
        except (_Lost, OSError, ssl.SSLError) as error:
            self._drop(connection, str(error) or type(error).__name__)

    def _drop(self, connection: _Connection, reason: str) -> None:
        self._selector.unregister(connection.sock)
        self._connections.remove(connection)
        connection.abandon(f"The connection to {self.server.host} was lost: {reason}")

    def _give_up(self) -> None:
        for connection in [each for each in self._connections if each.is_busy]:
            self._drop(connection, f"no answer within {self.server.timeout:g} s")


class _Connection:
    """One SMTP session, from greeting and login to the replies of pipelined letters."""

    def __init__(self, server: Server, deadline: float) -> None:
        self._server = server
        self._deadline = deadline
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._written = 0
        self._commands: deque[tuple[_Step, _Job, bytes]] = deque()
        self._expected: deque[tuple[_Step, _Job]] = deque()
        self._needs_reset = False
        self._calls = 0
        self._run: _Run
        self.sock = self._connect()
        try:
            self._extensions = self._introduce()
        except CannotConnect:
            self.close()
            raise
        except (_Lost, OSError, ssl.SSLError, ValueError) as error:
            self.close()
            raise CannotConnect(
                f"{server.host}:{server.port} does not speak SMTP with us: {error}."
            ) from error

    @property
    def is_busy(self) -> bool:
        return bool(self._expected or self._commands)

    def join(self, run: _Run) -> None:
        """Work for another call of `deliver`."""
        self._calls += 1
        self._run = run
        self._deadline = run.deadline

    def close(self) -> None:
        """Hang up without waiting for the answer."""
        try:
            if not self.is_busy:
                self.sock.settimeout(0.1)
                self.sock.send(b"QUIT\r\n")
        except OSError:
            pass  # it hung up first
        self.sock.close()

    def abandon(self, reason: str) -> None:
        """Close after a failure and say of each letter under way what is known of it."""
        self.sock.close()
        # A server that closed an idle connection says nothing about the letter that noticed it.
        is_blamed = self._calls == 1
        jobs = list(dict.fromkeys([job for _, job in self._expected] + [job for _, job, _ in self._commands]))
        for job in reversed(jobs):
            if job.complaint is not None:
                self._run.settle_by_reply(job, *job.complaint)
            elif 0 <= job.ends_at <= self._written:
                self._run.settle(job, Fate.UNKNOWN, reason)
            else:
                self._run.take_back(job, reason, is_blamed=is_blamed)
        self._expected.clear()
        self._commands.clear()

    # Opening

    def _connect(self) -> socket.socket:
        server = self._server
        try:
            sock = socket.create_connection((server.host, server.port), timeout=self._seconds_left())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._wrap(sock) if server.security == Security.TLS else sock
        except (OSError, ValueError) as error:
            is_permanent = isinstance(error, ssl.SSLCertVerificationError)
            raise CannotConnect(
                f"{server.host}:{server.port} cannot be reached: {error}. Check host, port and security.",
                is_permanent=is_permanent,
            ) from error

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        context = self._server.tls or ssl.create_default_context()
        try:
            return context.wrap_socket(sock, server_hostname=self._server.host)
        except BaseException:
            sock.close()
            raise

    def _introduce(self) -> dict[str, str]:
        server = self._server
        self._demand(self._read_reply(), 220, "greeting")
        extensions = self._hello()
        if server.security == Security.STARTTLS:
            if "STARTTLS" not in extensions:
                raise CannotConnect(
                    f"{server.host} does not offer STARTTLS. Choose the security tls, or none for your own server.",
                    is_permanent=True,
                )
            self._demand(self._ask(b"STARTTLS"), 220, "STARTTLS")
            # What came before the encryption may be somebody else's words.
            self._buffer.clear()
            self.sock = self._wrap(self.sock)
            extensions = self._hello()
        if server.username:
            self._log_in(extensions)
        return extensions

    def _hello(self) -> dict[str, str]:
        name = (self._server.local_name or _address_literal(self.sock)).encode("ascii", "replace")
        code, text = self._ask(b"EHLO " + name)
        if code != 250:
            self._demand(self._ask(b"HELO " + name), 250, "HELO")
            return {}
        lines = [line.partition(" ") for line in text.split("\n")[1:]]
        return {keyword.upper(): parameters for keyword, _, parameters in lines}

    def _log_in(self, extensions: dict[str, str]) -> None:
        server = self._server
        if not isinstance(self.sock, ssl.SSLSocket) and not _is_loopback(self.sock):
            raise CannotConnect(
                f"The password for {server.host} would travel unencrypted. Choose the security starttls or tls.",
                is_permanent=True,
            )
        mechanisms = extensions.get("AUTH", "").upper().split()
        username, password = server.username.encode(), server.password.encode()
        if "PLAIN" in mechanisms:
            token = base64.b64encode(b"\0" + username + b"\0" + password)
            code, text = self._ask(b"AUTH PLAIN " + token)
        elif "LOGIN" in mechanisms:
            code, text = self._ask(b"AUTH LOGIN")
            for secret in (username, password):
                if code == 334:
                    code, text = self._ask(base64.b64encode(secret))
        else:
            raise CannotConnect(
                f"{server.host} offers no login that we know (PLAIN or LOGIN). Clear the username if it needs none.",
                is_permanent=True,
            )
        if code != 235:
            raise CannotConnect(
                f"{server.host} refused the login: {code} {text}. Check username and password.",
                is_permanent=code >= 500,
            )

    def _ask(self, command: bytes) -> tuple[int, str]:
        self._write(command + b"\r\n")
        return self._read_reply()

    def _demand(self, reply: tuple[int, str], code: int, what: str) -> None:
        if reply[0] != code:
            raise CannotConnect(f"{self._server.host} answered {what} with {reply[0]} {reply[1]}.")

    # Letters

    def take_next(self) -> None:
        """Begin with the next waiting letter, if there is one."""
        self._queue_envelope()
        self._flush()

    def receive(self) -> None:
        """Read what the server said and go on. Raises _Lost."""
        self._fill_buffer()
        while (reply := self._next_reply()) is not None:
            self._advance(*reply)
        self._flush()

    def _queue_envelope(self) -> None:
        while (job := self._run.next_job()) is not None:
            letter = job.letter
            if _UNSAFE_ADDRESS.search(letter.sender + letter.recipient):
                self._run.settle(job, Fate.REFUSED, "An address contains a space or a control character.")
                continue
            is_ascii = letter.sender.isascii() and letter.recipient.isascii()
            if not is_ascii and "SMTPUTF8" not in self._extensions:
                self._run.settle(
                    job, Fate.REFUSED, f"{self._server.host} takes ASCII addresses only (no SMTPUTF8)."
                )
                continue
            if self._needs_reset:
                self._commands.append((_Step.RESET, job, b"RSET\r\n"))
                self._needs_reset = False
            parameters = b"" if is_ascii else b" SMTPUTF8"
            self._commands.append(
                (_Step.MAIL, job, b"MAIL FROM:<%b>%b\r\n" % (letter.sender.encode(), parameters))
            )
            self._commands.append((_Step.RCPT, job, b"RCPT TO:<%b>\r\n" % letter.recipient.encode()))
            self._commands.append((_Step.DATA, job, b"DATA\r\n"))
            return

    def _advance(self, code: int, text: str) -> None:
        if not self._expected:
            raise _Lost(f"unasked for, it said {code} {text}")
        step, job = self._expected.popleft()
        if code == 421:
            # The server goes, and says so of everything that it has not answered yet.
            self._expected.appendleft((step, job))
            if step is _Step.CONTENT:
                job.complaint = (code, text)
            raise _Lost(f"{code} {text}")
        match step:
            case _Step.MAIL | _Step.RCPT:
                if code >= 300 and job.complaint is None:
                    job.complaint = (code, text)
            case _Step.DATA if code == 354:
                if job.complaint is None:
                    self._commands.append((_Step.CONTENT, job, job.letter.content))
                else:
                    self._commands.append((_Step.NOTHING, job, b".\r\n"))
                self._queue_envelope()
            case _Step.DATA:
                self._run.settle_by_reply(job, *(job.complaint or (code, text)))
                self._needs_reset = True
                self._queue_envelope()
            case _Step.NOTHING:
                assert job.complaint is not None
                self._run.settle_by_reply(job, *job.complaint)
            case _Step.CONTENT:
                self._run.settle_by_reply(job, code, text)

    def _flush(self) -> None:
        """Write the commands that may go out together; without PIPELINING, one at a time."""
        is_pipelining = "PIPELINING" in self._extensions
        pieces: list[bytes] = []
        while self._commands and (is_pipelining or not self._expected):
            step, job, data = self._commands.popleft()
            self._expected.append((step, job))
            pieces += _stuffed(data) if step is _Step.CONTENT else [data]
            if step is _Step.CONTENT:
                job.ends_at = self._written + sum(map(len, pieces))
        if pieces:
            self._write(b"".join(pieces))

    # The wire

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self.sock.settimeout(self._seconds_left())
            count = self.sock.send(view)
            self._written += count
            view = view[count:]

    def _read_reply(self) -> tuple[int, str]:
        """The next reply, waiting for it: only while the session is being opened."""
        while (reply := self._next_reply()) is None:
            self._fill_buffer()
        return reply

    def _fill_buffer(self) -> None:
        self.sock.settimeout(self._seconds_left())
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise _Lost("the server closed it")
            self._buffer += data
            if len(self._buffer) > _MAX_REPLY:
                raise _Lost("the server talks without end")
            # A decrypted rest does not make the socket readable again.
            if not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                return

    def _next_reply(self) -> tuple[int, str] | None:
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if not line[:3].isdigit() or len(self._lines) > 200:
                raise _Lost(f"it said {line[:100]!r}, which is not SMTP")
            self._lines.append(line)
            if line[3:4] != b"-":
                lines, self._lines = self._lines, []
                return int(line[:3]), "\n".join(each[4:].decode("utf-8", "replace") for each in lines)
        return None

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time was up")
        return left


def _stuffed(content: bytes) -> list[bytes]:
    """The content with its dots doubled and the final dot behind it, in pieces: it is large, and copied once anyway."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    pieces = [b".", content] if content.startswith(b".") else [content]
    return [*pieces, b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"]


def _address_literal(sock: socket.socket) -> str:
    """What a client without a name of its own calls itself: its address, by RFC 5321 section 4.1.3."""
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


def _is_loopback(sock: socket.socket) -> bool:
    address = str(sock.getpeername()[0])
    return address == "::1" or address.startswith("127.")
