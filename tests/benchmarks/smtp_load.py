"""How many messages a second an SMTP listener can take at the very most: the floor of the `send` bench.

Everything is prepared before the clock starts: per connection one block of whole transactions (MAIL, RCPT,
BDAT LAST, which RFC 3030 allows to pipeline without waiting), sent again and again without building anything.
The listener is the bottleneck then, not this generator. Every answer is checked, and only answered messages
count.

    python -m tests.benchmarks.smtp_load --port 2525 --seconds 5
"""

from __future__ import annotations

import argparse
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Final

CONNECTIONS: Final = 8
_TRANSACTIONS_A_BLOCK: Final = 64
_REPLIES_A_TRANSACTION: Final = 3
_RECEIVE_BYTES: Final = 1 << 18


class LoadRefused(Exception):
    """The listener answered something else than 250, or closed the connection."""


@dataclass(slots=True)
class _Connection:
    """One socket, the block it repeats, how far it is in it, and how many reply lines came back."""

    sock: socket.socket
    block: memoryview
    position: int = 0
    replies: int = 0
    tail: bytes = field(default=b"\n")


def max_rate(host: str, port: int, seconds: float, size: int = 2048) -> float:
    """Messages a second that the listener answered with 250, for messages of `size` octets."""
    connections = [_connect(host, port, size, number) for number in range(CONNECTIONS)]
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        started = time.perf_counter()
        deadline = started + seconds
        while time.perf_counter() < deadline:
            for key, events in selector.select(timeout=0.1):
                connection = key.data
                if events & selectors.EVENT_READ:
                    _receive(connection)
                if events & selectors.EVENT_WRITE:
                    connection.position += connection.sock.send(connection.block[connection.position :])
                    if connection.position == len(connection.block):
                        connection.position = 0
        elapsed = time.perf_counter() - started
    answered = sum(connection.replies // _REPLIES_A_TRANSACTION for connection in connections)
    for connection in connections:
        connection.sock.close()
    return answered / elapsed


def _connect(host: str, port: int, size: int, number: int) -> _Connection:
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock.makefile("rb") as answers:
        answers.readline()
        sock.sendall(b"EHLO load.example\r\n")
        while answers.readline()[3:4] == b"-":
            pass
    sock.setblocking(False)
    block = b"".join(
        _transaction(size, f"{number}.{index}@load.example") for index in range(_TRANSACTIONS_A_BLOCK)
    )
    return _Connection(sock, memoryview(block))


def _transaction(size: int, address: str) -> bytes:
    headers = (
        f"From: Load <load@load.example>\r\nTo: <{address}>\r\nSubject: One of many\r\n"
        f"Message-ID: <{address}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    ).encode()
    line = b"A line of text as long as the lines that mail programs like to write.\r\n"
    body = (line * (size // len(line) + 1))[: max(2, size - len(headers)) - 2] + b"\r\n"
    message = headers + body
    return (
        f"MAIL FROM:<load@load.example>\r\nRCPT TO:<{address}>\r\nBDAT {len(message)} LAST\r\n".encode()
        + message
    )


def _receive(connection: _Connection) -> None:
    data = connection.sock.recv(_RECEIVE_BYTES)
    if not data:
        raise LoadRefused("The listener closed the connection under load.")
    # The last octet of the packet before stays in front, so that the start of every line is looked at.
    seen = connection.tail + data
    if seen.count(b"\n2") + seen.endswith(b"\n") != seen.count(b"\n"):
        raise LoadRefused(f"The listener refused a message: {data[:200]!r}.")
    connection.replies += data.count(b"\n")
    connection.tail = data[-1:]


def main() -> None:
    """Print the rate of a listener that already runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=2048)
    options = parser.parse_args()
    rate = max_rate(options.host, options.port, options.seconds, options.size)
    print(f"{rate:.0f} messages/s")


if __name__ == "__main__":
    main()
