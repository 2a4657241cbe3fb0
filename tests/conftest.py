"""The ground of every test: a PostgreSQL of its own, no network beyond this machine, a real browser."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from ajo.runtime import paths, process
from ajo.runtime.postgres import DURABLE, THROWAWAY, Postgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from pytest_django import DjangoDbBlocker

_SESSIONS = paths.REPOSITORY / ".ajo" / "test"
_session_dir = _SESSIONS / str(os.getpid())
_cluster: Postgres | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Start the throw-away cluster and point Django at it; with several workers each has its own."""
    sys.addaudithook(_refuse_foreign_hosts)
    # An example's time says how busy the machine is, not whether the code is right.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    _sweep_dead_sessions()
    # Nothing that a test starts may read or write the files of a product running in this checkout.
    os.environ["AJO_HOME"] = str(_session_dir / "home")
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # this process only hands tests out
    _use_database(os.environ.get("TEST_DATABASE_URL") or _start_cluster())


def pytest_unconfigure() -> None:
    if _cluster is not None and _cluster.popen is not None:
        # Its data is deleted in the next line, so a checkpoint would be wasted.
        process.send(_cluster.popen.pid, signal.SIGQUIT)
        _cluster.popen.wait()
    shutil.rmtree(_session_dir, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to say also when they pass."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, line in report.user_properties:
                if name == "figures":
                    terminalreporter.write_line(f"{report.head_line}: {line}")


def _sweep_dead_sessions() -> None:
    """Remove what killed sessions left: their servers went with them, their folders did not."""
    for folder in _SESSIONS.glob("*"):
        if folder.name.isdigit() and process.started_at(int(folder.name)) is None:
            shutil.rmtree(folder, ignore_errors=True)


def _start_cluster() -> str:
    global _cluster
    _cluster = Postgres(_session_dir / "pg", _session_dir / "postgres.log", settings=THROWAWAY)
    try:
        _cluster.init()
        _cluster.start()
    except process.StartError as error:
        raise pytest.UsageError(str(error)) from error
    return _cluster.url()


def _use_database(url: str) -> None:
    """Change the settings in place: pytest-django loaded them before this file was imported."""
    from django.conf import settings

    from ajo.settings import database

    os.environ["DATABASE_URL"] = url
    settings.DATABASES["default"].update(database(url))
    settings.CELERY_BROKER_URL = "memory://"  # a test that rings must not wake somebody's real workers
    # The product's hash costs a third of a second for each password, which is its purpose and no test's.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _refuse_foreign_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not _is_loopback(str(address[0])):
            raise RuntimeError(f"A test tried to connect to {address[0]}. Tests reach this machine only.")
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        host = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "localhost")
        if not _is_address(host) and not _is_loopback(host):
            raise RuntimeError(f"A test tried to look up {host}. Tests reach this machine only.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (
        _is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback
    )


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Postgres]:
    """A server with the product's own settings, for tests that kill it; each makes its own database on it."""
    server = Postgres(_session_dir / "durable", _session_dir / "durable.log", settings=DURABLE)
    server.init()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium; without one the test is skipped, in CI it fails."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        reason = "No Chromium on this machine. Install it with `apt-get install chromium`."
        if os.environ.get("AJO_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture(scope="session", autouse=True)
def _ground(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """After a test that commits, the database holds what it held before the first one."""
    from django.db import connection
    from django.db.backends.base.creation import TEST_DATABASE_PREFIX
    from django.test import TransactionTestCase

    from tests.ground import Snapshot

    if not connection.settings_dict["NAME"].startswith(TEST_DATABASE_PREFIX):
        yield  # no test of this session asked for a database, so pytest-django made none
        return
    with django_db_blocker.unblock():
        ground = Snapshot("ground")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: ground.restore())
        yield


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for the session."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=10_000)  # a busy machine, no slow page
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop on this thread, in which Django refuses its ORM otherwise.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page in a context of its own: no cookie of another test."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
