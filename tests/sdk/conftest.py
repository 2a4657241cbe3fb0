from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from ajo.runtime import paths, process, web
from ajo.runtime.child import Child
from profiles.models import EventType, Source
from tests.factories import make_source


class WebServer(Child):
    """The product's web server on the test database, with nobody at the broker's address."""

    name = "web"

    def __init__(self, log_path: Path) -> None:
        super().__init__(log_path)
        self.url = f"http://127.0.0.1:{process.free_port(18300)}"

    def launch(self) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "granian", "ajo.wsgi:application", "--interface", "wsgi", "--http", "1"),
            *("--port", self.url.rpartition(":")[2], "--blocking-threads", "8", "--log-level", "warning"),
        ]
        env = {**os.environ, "DATABASE_URL": database_url(), "BROKER_URL": "redis://127.0.0.1:1/0"}
        return process.spawn(command, log_path=self.log_path, cwd=paths.REPOSITORY, env=env)

    def answers(self) -> bool:
        return web.status(f"{self.url}/v1/batch") is not None


@dataclass(frozen=True)
class Installation:
    """A running server, and the source whose write key it knows."""

    url: str
    source: Source


@pytest.fixture(scope="module")
def installation(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One server for all tests here, for starting it takes a second. It remembers names and keys, so these stay."""
    with django_db_blocker.unblock():
        server = WebServer(tmp_path_factory.mktemp("web") / "web.log")
        source = make_source("sdk", write_key="wk_sdk")
        server.start()
    yield Installation(server.url, source)
    server.stop()
    truncate()
    with django_db_blocker.unblock():
        source.delete()
        EventType.objects.all().delete()


@pytest.fixture(autouse=True)
def _no_events(installation: Installation) -> None:
    truncate()


def truncate() -> None:
    """Remove all events, beside the test's transaction, which has read nothing yet."""
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("TRUNCATE event, profiles_eventkey, profiles_ingestbatch")


def database_url() -> str:
    here = connection.settings_dict
    login = ":".join(quote(part) for part in (here["USER"], here["PASSWORD"]) if part)
    return f"postgresql://{login}@{here['HOST']}:{here['PORT']}/{here['NAME']}"
