"""Start the mailbox. When it listens, one line of JSON on standard output names its ports:
`{"smtp": 2525, "http": 8025}`. Exit code 2 with a sentence on standard error when it cannot start."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import signal
import sys
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

from ajo.runtime.mailbox.faults import Faults
from ajo.runtime.mailbox.fcm import Fcm
from ajo.runtime.mailbox.http import MAX_HEADER_BYTES, Server, Service
from ajo.runtime.mailbox.phone import Phone
from ajo.runtime.mailbox.smtp import Session
from ajo.runtime.mailbox.store import DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES, Store, StoreBusy
from ajo.runtime.mailbox.twilio import Twilio
from ajo.runtime.mailbox.web_push import WebPush


class CannotStart(Exception):
    """Why the mailbox cannot start and what to do about it, as a sentence."""


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    options = _parse_options()
    try:
        asyncio.run(_run(options))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ajo.runtime.mailbox",
        description="Receive, keep and show messages over SMTP and HTTP.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--smtp-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--http-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--dir", type=Path, required=True, help="folder for the messages")
    parser.add_argument("--token-file", type=Path, help="file with the secret that HTTP requests must show")
    parser.add_argument("--max-bytes", type=int, default=DEFAULT_MAX_BYTES, help="octets kept on disk")
    parser.add_argument("--max-messages", type=int, default=DEFAULT_MAX_MESSAGES, help="messages kept")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    token = _read_token(options.token_file)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        store = Store(options.dir, options.max_bytes, options.max_messages)
        phone = Phone(options.dir / "phone")
    except StoreBusy:
        raise CannotStart(
            f"Another mailbox already keeps its messages in {options.dir}. Stop it or give another --dir."
        ) from None
    except OSError as error:
        raise CannotStart(f"The mailbox cannot use the folder {options.dir}: {error.strerror}.") from error
    try:
        attempts: Counter[bytes] = Counter()
        smtp = await _listen(
            loop.create_server(
                lambda: Session(store, attempts), options.host, options.smtp_port, backlog=512
            ),
            f"The SMTP port {options.host}:{options.smtp_port} is taken. Give another --smtp-port.",
        )
        smtp_port = smtp.sockets[0].getsockname()[1]
        faults = Faults()
        services = (
            Service(store, smtp_port),
            phone,
            faults,
            Twilio(phone, faults, token),
            Fcm(phone, faults, options.dir),
            WebPush(phone, faults, options.dir),
        )
        routes = tuple(route for service in services for route in service.routes)
        http = await _listen(
            asyncio.start_server(
                Server(routes, token).serve,
                options.host,
                options.http_port,
                limit=MAX_HEADER_BYTES,
            ),
            f"The HTTP port {options.host}:{options.http_port} is taken. Give another --http-port.",
        )
        print(json.dumps({"smtp": smtp_port, "http": http.sockets[0].getsockname()[1]}), flush=True)
        await stop.wait()
        smtp.close()
        http.close()
    finally:
        store.close()
        phone.close()


async def _listen(start: Awaitable[asyncio.Server], taken: str) -> asyncio.Server:
    try:
        return await start
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(taken) from error
        raise CannotStart(f"The mailbox cannot listen: {error.strerror}.") from error


def _read_token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise CannotStart(f"The token file {path} cannot be read: {error.strerror}.") from error
    if not token:
        raise CannotStart(
            f"The token file {path} is empty. Write a secret into it or leave --token-file out."
        )
    return token


if __name__ == "__main__":
    sys.exit(main())
