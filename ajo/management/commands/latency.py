from __future__ import annotations

import argparse
import base64
import importlib
import json
import statistics
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is all on this machine


class Command(BaseCommand):
    help = (
        "Measure how long it takes from an SDK call to the email in the mailbox, on a running product with its demo"
        " (`make run`). Prints one JSON object; times are in milliseconds."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--samples", type=_positive, default=60, help="people who sign up, one after the other"
        )
        parser.add_argument("--timeout", type=_positive, default=30, help="seconds to wait for one email")

    def handle(self, *args: Any, samples: int, timeout: int, **options: Any) -> None:
        demo = _demo()
        if not settings.AJO_MAILBOX_URL:
            raise CommandError("No mailbox is running here. Start the product with `make run`.")
        client, sign_up, close = _client(demo["url"], demo["write_key"])
        run = uuid.uuid4().hex[:10]
        times = []
        try:
            for number in range(samples):
                user_id = f"latency-{run}-{number}"
                email = f"{user_id}@example.com"
                begun = time.perf_counter()
                sign_up(user_id, email, demo["welcome_event"])
                _wait_for_email(email, begun + timeout)
                times.append((time.perf_counter() - begun) * 1000)
        finally:
            close()
        cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        figures = {"p50": cuts[49], "p95": cuts[94], "min": min(times), "max": max(times)}
        line = {"measure": "sdk_call_to_email", "unit": "ms", "samples": samples, "client": client}
        self.stdout.write(json.dumps(line | {name: round(value, 1) for name, value in figures.items()}))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on.")
    return int(text)


def _demo() -> dict[str, Any]:
    path = settings.AJO_HOME / "demo.json"
    try:
        demo: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise CommandError(
            f"{path} is missing or unreadable, and with it the write key. Start the product with `make run`."
        ) from None
    return demo


def _client(url: str, write_key: str) -> tuple[str, Callable[[str, str, str], None], Callable[[], None]]:
    """Name, sign_up(user_id, email, event) and close of Segment's client with its defaults, else of plain HTTP."""
    try:
        segment = importlib.import_module("segment.analytics.client")
    except ImportError:
        return "http", _http_sign_up(url, write_key), lambda: None
    client = segment.Client(write_key, host=url)

    def sign_up(user_id: str, email: str, event: str) -> None:
        client.identify(user_id, {"email": email, "first_name": "Ada"})
        client.track(user_id, event)

    return "segment-analytics-python", sign_up, client.join


def _http_sign_up(url: str, write_key: str) -> Callable[[str, str, str], None]:
    secret = base64.b64encode(f"{write_key}:".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}

    def sign_up(user_id: str, email: str, event: str) -> None:
        batch: list[dict[str, object]] = [
            {"type": "identify", "userId": user_id, "traits": {"email": email, "first_name": "Ada"}},
            {"type": "track", "userId": user_id, "event": event},
        ]
        body = json.dumps({"batch": [call | {"messageId": uuid.uuid4().hex} for call in batch]}).encode()
        try:
            _opener.open(urllib.request.Request(f"{url}/v1/batch", body, headers), timeout=10).close()
        except OSError as error:
            raise CommandError(
                f"The product at {url} did not take the events: {error}. Is it running?"
            ) from error

    return sign_up


def _wait_for_email(email: str, deadline: float) -> None:
    request = urllib.request.Request(
        f"{settings.AJO_MAILBOX_URL}/messages.json?limit=1&to={quote(email)}",
        headers={"X-Mailbox-Token": settings.AJO_MAILBOX_TOKEN},
    )
    while time.perf_counter() < deadline:
        try:
            with _opener.open(request, timeout=5) as answer:
                if json.load(answer)["count"]:
                    return
        except OSError as error:
            raise CommandError(
                f"The mailbox at {settings.AJO_MAILBOX_URL} does not answer: {error}."
            ) from error
        time.sleep(0.005)
    raise CommandError(
        f"No email to {email} arrived in time. `manage.py doctor` says whether all parts of the product run."
    )
