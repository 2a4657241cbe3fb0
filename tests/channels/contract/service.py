"""A service for tests: a threaded HTTP server that notes what it took and misbehaves as a message asks for."""

from __future__ import annotations

import enum
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Mood(enum.Enum):
    """How a service treats one message."""

    ACCEPT = "accept"
    REFUSE = "refuse"  # with its own word for "never"
    THROTTLE = "throttle"  # with Retry-After: 7 where it has such a word
    HANG = "hang"  # takes the message and never answers
    DROP = "drop"  # takes the message and hangs up
    HALF = "half"  # takes the message and hangs up in the middle of its answer
    RUBBISH = "rubbish"  # takes the message and answers what nobody can read
    BROKEN = "broken"  # an error of its own, after which nobody knows


@dataclass
class Request:
    """What came in, as it came."""

    method: str
    path: str
    headers: Any
    body: bytes


@dataclass
class Reply:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Service:
    """`answer` gives mood and reply for a request; a message that was taken is noted before anything is answered."""

    def __init__(self, answer: Callable[[Request], tuple[Mood, Reply]]) -> None:
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self._stopping = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, self.headers, body)
                service.requests.append(request)
                mood, reply = answer(request)
                if mood not in {Mood.REFUSE, Mood.THROTTLE}:
                    service.taken.append(request)
                if mood is Mood.HANG:
                    service._stopping.wait(30)
                if mood in {Mood.HANG, Mood.DROP}:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if mood is Mood.HALF:
                    self.wfile.write(reply.body[: len(reply.body) // 2])
                    self.close_connection = True
                else:
                    self.wfile.write(reply.body)

            do_PUT = do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args: Any) -> None:
                pass  # a client that has left

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


class Deaf:
    """A port that lets nobody in: its queue is full, so that connecting takes for ever."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._listener.getsockname()[1]
        self._waiting = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self._waiting.append(client)

    def stop(self) -> None:
        for each in [*self._waiting, self._listener]:
            each.close()
