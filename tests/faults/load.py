"""The load: keyed events over HTTP from threads, and a log of what was acknowledged.

The log `acked.jsonl` is written only after a 200, so that it is the truth of what the product has promised to keep.
A client that got another answer, or none, tries again with the same message ids, as the SDKs do.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

SIGN_UP = "Signed Up"
TIMEOUT = 15.0
_RETRY_SECONDS = (0.05, 0.4)


@dataclass(frozen=True)
class Post:
    """One request: the message ids in it, and the user ids of those who sign up by it."""

    path: str
    body: bytes
    keys: tuple[str, ...]
    people: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One request as the client saw it; `status` is 0 when there was no answer."""

    at: float
    seconds: float
    status: int
    detail: str = ""


def email_of(user_id: str) -> str:
    return f"{user_id}@lab.example"


def sign_ups(phase: str, count: int) -> Iterator[Post]:
    """`count` new people, one batch each of who they are and that they signed up: one email is due to each."""
    for number in range(count):
        user_id = f"{phase}-{number}"
        traits = {"email": email_of(user_id), "first_name": f"Ada {number}"}
        yield _batch(
            [
                _event("identify", user_id, f"{user_id}-identify", traits=traits),
                _event("track", user_id, f"{user_id}-track", event=SIGN_UP),
            ],
            people=(user_id,),
        )


def browsing(phase: str, rng: random.Random, posts: int, people: int, batch: int) -> Iterator[Post]:
    """What nobody answers: single calls and batches of `batch` events, in turns, of `people` people."""
    numbers = itertools.count()

    def event() -> dict[str, Any]:
        user_id = f"{phase}-visitor-{rng.randrange(people)}"
        return _event("track", user_id, f"{phase}-view-{next(numbers)}", event="Product Viewed")

    for number in range(posts):
        if number % 2:
            yield _batch([event() for _ in range(batch)])
        else:
            single = event()
            yield Post("/v1/track", json.dumps(single).encode(), (single["messageId"],))


def mixed(rng: random.Random, *streams: Iterable[Post]) -> list[Post]:
    """All posts of the streams in a random order that keeps the order within each stream."""
    remaining = [list(stream)[::-1] for stream in streams]
    posts = []
    while any(remaining):
        chosen = rng.choices(remaining, weights=[len(stream) for stream in remaining])[0]
        posts.append(chosen.pop())
    return posts


def with_repeats(rng: random.Random, posts: Sequence[Post], share: float = 0.1) -> list[Post]:
    """A share of the posts stands twice: half of them back to back, so that two threads race, half much later."""
    repeated: list[Post] = []
    later: list[tuple[int, Post]] = []
    for number, post in enumerate(posts):
        repeated.append(post)
        draw = rng.random()
        if draw < share / 2:
            repeated.append(post)
        elif draw < share:
            later.append((number + rng.randrange(20, 200), post))
        while later and later[0][0] <= number:
            repeated.append(later.pop(0)[1])
    return repeated + [post for _, post in later]


class Load:
    """Sends posts at `rate` a second from `threads` threads between `with` and its end."""

    def __init__(
        self,
        url: str,
        write_key: str,
        acked_path: Path,
        posts: Sequence[Post],
        rate: float,
        threads: int = 16,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        secret = base64.b64encode(f"{write_key}:".encode()).decode()
        self._headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
        self._acked_path = acked_path
        self._posts = posts
        self._rate = rate
        self._queue: queue.SimpleQueue[Post] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._feed, name="load feed")]
        self._threads += [threading.Thread(target=self._send_all, name=f"load {n}") for n in range(threads)]
        self._left = len(posts)
        self.attempts: list[Attempt] = []
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_done(self) -> bool:
        """Whether every post was answered for good."""
        return self._left == 0

    @property
    def left(self) -> int:
        """How many posts have no final answer yet."""
        return self._left

    def _feed(self) -> None:
        begun = time.monotonic()
        for number, post in enumerate(self._posts):
            if self._stopped.wait(max(0.0, begun + number / self._rate - time.monotonic())):
                return
            self._queue.put(post)

    def _send_all(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        try:
            while not self._stopped.is_set():
                try:
                    post = self._queue.get(timeout=0.1)
                except queue.Empty:
                    continue
                self._send_until_answered(connection, post)
        finally:
            connection.close()

    def _send_until_answered(self, connection: http.client.HTTPConnection, post: Post) -> None:
        while not self._stopped.is_set():
            attempt = self._send(connection, post)
            with self._lock:
                self.attempts.append(attempt)
                if self._is_final(attempt, post):
                    self._left -= 1
                    return
            self._stopped.wait(random.uniform(*_RETRY_SECONDS))

    def _is_final(self, attempt: Attempt, post: Post) -> bool:
        """Note what an answer means; False when the post has to be sent again."""
        if attempt.status == 200:
            line = {"at": attempt.at + attempt.seconds, "keys": post.keys, "people": post.people}
            with self._acked_path.open("a") as acked:
                acked.write(json.dumps(line) + "\n")
            return True
        if 400 <= attempt.status < 500 and attempt.status != 429:
            self.refused.append(f"{attempt.status} {attempt.detail}")
            return True
        return False

    def _send(self, connection: http.client.HTTPConnection, post: Post) -> Attempt:
        at, begun = time.time(), time.monotonic()
        try:
            connection.request("POST", post.path, post.body, self._headers)
            answer = connection.getresponse()
            body = answer.read()
            status, detail = answer.status, ""
            if status != 200:
                detail = body.decode(errors="replace")[:300]
            elif "errors" in json.loads(body) and json.loads(body)["errors"]:
                # Accepted in part: nothing in this load deserves it, so it counts as a refusal.
                status, detail = 400, body.decode(errors="replace")[:300]
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            status, detail = 0, repr(error)
        return Attempt(at, time.monotonic() - begun, status, detail)


def _event(kind: str, user_id: str, key: str, **fields: Any) -> dict[str, Any]:
    """The key stands in the properties as well, so that the checker needs nothing of how message ids are stored."""
    data = "traits" if kind == "identify" else "properties"
    return {
        "type": kind,
        "userId": user_id,
        "messageId": key,
        **fields,
        data: {**fields.get(data, {}), "key": key},
    }


def _batch(events: Sequence[dict[str, Any]], people: tuple[str, ...] = ()) -> Post:
    body = json.dumps({"batch": events}).encode()
    return Post("/v1/batch", body, tuple(event["messageId"] for event in events), people)
