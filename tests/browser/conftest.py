"""What every browser test shares: a page that tolerates no error and no request to another host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import Heartbeat
from ajo.demo.seeding import installation_path
from tests.ground import Snapshot
from tests.mailbox import HOST, Mailbox

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 412, "height": 915}

OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(scheme="dark", size=PHONE)` makes a page in a context of its own.

    When the test is over it fails if any page logged an error, raised one, or asked another host for anything. An error
    that holds one of the words in `tolerated` is what the test is about.
    """
    contexts = []
    complaints: list[str] = []

    def on_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.hostname not in {"127.0.0.1", "localhost"}:
            complaints.append(f"a request to {parts.hostname}")

    def open_one(
        *,
        scheme: Literal["light", "dark"] = "light",
        size: dict[str, int] = DESKTOP,
        base_url: str | None = None,
        touch: bool = False,
        user_agent: str | None = None,
        script: bool = True,
        tolerated: Sequence[str] = (),
    ) -> Page:
        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error" and not any(word in message.text for word in tolerated):
                complaints.append(f"the console says {message.text}")

        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": size["width"], "height": size["height"]},
            base_url=base_url,
            has_touch=touch,
            user_agent=user_agent,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(f"the page raised {error}"))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints, f"The pages had trouble: {'; '.join(complaints)}."


@pytest.fixture
def browser_page(open_page: OpenPage) -> Page:
    """A page of 1280 × 900 in light colours."""
    return open_page()


@pytest.fixture(scope="session")
def seeded() -> dict[str, Any]:
    """The demo that the first test made, for the others: its `rows` and what its `file` says."""
    return {}


@pytest.fixture
def product(
    live_server: LiveServer,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seeded: dict[str, Any],
) -> str:
    """The address of a product with its demo, on a machine of one's own; both workers have just reported."""
    monkeypatch.setenv("AJO_HOME", str(tmp_path))
    settings.AJO_MAILBOX_OPEN = True
    settings.AJO_PUBLIC_URL = live_server.url
    if seeded:
        seeded["rows"].restore()
        installation_path().write_text(seeded["file"])
    else:
        call_command("seed_demo", profiles=40, stdout=StringIO())
        seeded |= {"rows": Snapshot("demo"), "file": installation_path().read_text()}
    for part in ("engine", "sender"):
        Heartbeat.objects.create(part=part)
    return live_server.url


@pytest.fixture
def mailbox(tmp_path: Path, settings: Settings) -> Iterator[Mailbox]:
    """A real mail server, to which configurations that name none send."""
    with Mailbox(tmp_path) as running:
        settings.AJO_MAILBOX_SMTP = f"{HOST}:{running.smtp_port}"
        yield running


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], Path]:
    """Takes a picture of the whole page into the test's folder, to be looked at by a person."""

    def take(page: Page, name: str) -> Path:
        path = tmp_path / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    return take


def overflows(page: Page) -> bool:
    """Whether the page scrolls sideways, which no screen of ours may."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
