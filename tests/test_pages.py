"""Home, health, documentation and the API's root: who sees what, and what they say when something is wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as product_settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from kombu import Connection
from pytest_django import Settings

from ajo import documentation, health
from ajo.core.models import Heartbeat, User
from ajo.demo import WELCOME_EVENT
from ajo.lib.ids import uuid7
from channels.models import CauseKind, Message, MessageClass
from journeys.models import Journey, JourneyInstance, JourneyVersion
from profiles.models import Channel, Event, EventKind, Source
from tests.factories import make_event_type, make_profile, make_source
from tests.support import count_statements

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parent.parent
PAGES = [path.stem for path in documentation.folder().glob("*.md")]


@pytest.fixture(autouse=True)
def closed(settings: Settings) -> None:
    """As on a server that others can reach; tests open it."""
    settings.AJO_MAILBOX_OPEN = False
    settings.AJO_MAILBOX_URL = ""


@pytest.fixture
def working() -> None:
    """Both workers have just reported."""
    for part in ("engine", "sender"):
        Heartbeat.objects.create(part=part)


@pytest.fixture
def source() -> Source:
    return make_source("website", write_key="wk_of_a_test")


def sign_in(client: Client, *, is_staff: bool) -> None:
    client.force_login(User.objects.create_user("somebody", is_staff=is_staff, is_superuser=is_staff))


class Anchors(HTMLParser):
    """What a page links to, which anchors it has, and what a strict content policy would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.refused: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "script" and "src" not in values:
            self.refused.append("a script in the page")
        if tag == "style" or "style" in values:
            self.refused.append("a style in the page")
        self.refused += [name for name in values if name.startswith("on")]
        loaded = values.get("src") or (values.get("href") if tag == "link" else None)
        if loaded and urlsplit(loaded).netloc:
            self.refused.append(f"a request to {loaded}")


# --- home ----------------------------------------------------------------------------------------------------


def test_a_stranger_learns_what_this_is_and_nothing_else(client: Client, source: Source) -> None:
    page = client.get("/").content.decode()
    assert "journey optimizer" in page
    assert source.write_key not in page
    assert "data-tile" not in page
    assert "/mailbox/" not in page


def home_of_staff(client: Client) -> str:
    """The page that a member of staff gets for `/`."""
    return client.get("/", follow=True).content.decode()


def test_staff_land_in_the_shell_with_the_numbers_and_the_write_key(client: Client, source: Source) -> None:
    sign_in(client, is_staff=True)
    assert client.get("/")["Location"] == "/admin/"
    page = home_of_staff(client)
    assert page.count("data-tile") == 4
    assert source.write_key in page
    assert WELCOME_EVENT in page
    assert f'href="{product_settings.AJO_PUBLIC_URL}' not in page


def test_a_user_who_is_not_staff_sees_no_numbers(client: Client, source: Source) -> None:
    sign_in(client, is_staff=False)
    page = client.get("/").content.decode()
    assert "data-tile" not in page
    assert source.write_key not in page
    assert "Your roles open no screens" in page
    assert "/admin/" not in page.replace("/admin/logout/", "")
    assert client.get("/admin/").status_code == 302


def test_on_a_machine_of_ones_own_no_login_is_needed(
    client: Client, settings: Settings, source: Source
) -> None:
    settings.AJO_MAILBOX_OPEN = True
    settings.AJO_MAILBOX_URL = "http://127.0.0.1:1"
    page = client.get("/").content.decode()
    assert source.write_key in page
    assert "/mailbox/?to=ada@example.com" in page


def test_an_inactive_source_is_not_offered(client: Client) -> None:
    make_source("website", write_key="wk_switched_off", is_active=False)
    sign_in(client, is_staff=True)
    page = home_of_staff(client)
    assert "wk_switched_off" not in page
    assert "first-event" not in page


def tile(page: str, name: str) -> str:
    found = re.search(rf'data-tile="{name}">([^<]*)<', page)
    assert found is not None
    return found[1]


def fill(people: int) -> None:
    """A live journey that all of them entered, an event and a message each."""
    event_type = make_event_type(WELCOME_EVENT)
    journey = Journey.objects.create(key=f"j{people}", name="Welcome & more")
    version = JourneyVersion.objects.create(
        journey=journey, number=1, state=JourneyVersion.State.LIVE, published_at=timezone.now()
    )
    for _ in range(people):
        profile = make_profile()
        instance = JourneyInstance.objects.create(
            journey=journey, version=version, profile=profile, entry_no=1, activity="end", visit=1,
            entered_at=timezone.now(),
        )  # fmt: skip
        Event.objects.create(
            id=uuid7(), batch_id=1, source_id=1, event_type=event_type, kind=EventKind.TRACK,
            occurred_at=timezone.now(), user_id="user", properties={},
        )  # fmt: skip
        Message.objects.create(
            profile=profile, cause_kind=CauseKind.JOURNEY_INSTANCE, cause_id=instance.pk, activity="email",
            visit=1, channel=Channel.EMAIL, origin_id=version.pk, configuration_id=1, variant_id=1,
            message_class=MessageClass.MARKETING, state=Message.State.SENT,
        )  # fmt: skip


def test_the_tiles_count(client: Client, working: None) -> None:
    sign_in(client, is_staff=True)
    fill(3)
    page = home_of_staff(client)
    assert [tile(page, name) for name in ("events", "people", "journeys", "messages")] == ["3", "3", "1", "3"]
    assert "Welcome &amp; more" in page
    assert "3 entered" in page
    assert "3 inside" in page
    assert "Everything is running" in page


def test_home_says_which_worker_is_silent(client: Client) -> None:
    sign_in(client, is_staff=True)
    Heartbeat.objects.create(part="engine")
    page = home_of_staff(client)
    assert "The worker “sender” has not reported" in page
    assert "Everything is running" not in page


def test_home_asks_the_same_few_questions_whatever_the_size(client: Client) -> None:
    sign_in(client, is_staff=True)
    counts = []
    for people in (1, 10):
        fill(people)
        with count_statements() as statements:
            client.get("/admin/")
        counts.append(len(statements))
    assert counts[0] == counts[1] < 30


# --- health --------------------------------------------------------------------------------------------------


def test_health_is_a_line_per_part(client: Client, working: None) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    assert response.content.decode().splitlines() == [
        "database ok",
        "migrations ok",
        "engine ok",
        "sender ok",
        "broker ok",
    ]


def test_a_silent_worker_is_named_with_the_remedy(client: Client, working: None) -> None:
    Heartbeat.objects.filter(part="engine").update(
        beat_at=timezone.now() - timedelta(seconds=health.HEARTBEAT_SECONDS + 1)
    )
    response = client.get("/healthz")
    assert response.status_code == 503
    (line,) = [line for line in response.content.decode().splitlines() if "failed" in line]
    assert line.startswith("engine failed: The worker that reads events")
    assert "manage.py doctor" in line


def test_a_missing_migration_is_named(client: Client, working: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'profiles' AND name = '0002_storage'")
    response = client.get("/healthz")
    assert response.status_code == 503
    assert "profiles.0002_storage. Run `manage.py migrate`." in response.content.decode()


def test_without_a_database_only_what_needs_none_is_asked(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(health, "_check_database", refuse)
    response = client.get("/healthz")
    assert response.status_code == 503
    first, second = response.content.decode().splitlines()
    assert first.startswith("database failed: The database does not answer.")
    assert second == "broker ok"


def test_a_broker_that_is_away_is_said_at_once(
    client: Client, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        health.current_app, "connection_for_write", lambda: Connection("redis://127.0.0.1:1/0")
    )
    response = client.get("/healthz")
    assert response.status_code == 503
    assert "broker failed: The broker does not answer" in response.content.decode()


def test_a_mailbox_that_is_away_is_said(client: Client, working: None, settings: Settings) -> None:
    settings.AJO_MAILBOX_URL = "http://127.0.0.1:1"
    response = client.get("/healthz")
    assert response.status_code == 503
    assert "mailbox failed: The mailbox does not answer" in response.content.decode()


def test_health_is_only_read(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


# --- the API's root ------------------------------------------------------------------------------------------


def test_status_is_health_as_json(client: Client, working: None) -> None:
    response = client.get("/api/v1/status/")
    assert response.status_code == 200
    body = response.json()
    assert body["is_ok"]
    assert [part["name"] for part in body["parts"]] == [
        "database",
        "migrations",
        "engine",
        "sender",
        "broker",
    ]


def test_status_is_503_when_something_fails(client: Client) -> None:
    response = client.get("/api/v1/status/")
    assert response.status_code == 503
    assert not response.json()["is_ok"]


def test_the_schema_is_valid(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))


# --- documentation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", PAGES)
def test_every_page_is_reachable_from_every_page(client: Client, slug: str) -> None:
    html = client.get("/docs/" if slug == documentation.INDEX else f"/docs/{slug}/").content.decode()
    links = Anchors(html).links
    for other in PAGES:
        assert ("/docs/" if other == documentation.INDEX else f"/docs/{other}/") in links


def test_titles_are_unique() -> None:
    titles = [page.title for page in documentation.pages()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("slug", PAGES)
def test_links_between_pages_lead_somewhere(client: Client, settings: Settings, slug: str) -> None:
    settings.AJO_MAILBOX_OPEN = True
    page = documentation.page(slug)
    assert page is not None
    here = Anchors(page.html)
    for link in here.links:
        parts = urlsplit(link)
        if parts.netloc:
            continue
        if not parts.path:
            assert parts.fragment in here.ids, link
        elif parts.path.startswith("/docs/"):
            response = client.get(parts.path)
            assert response.status_code == 200, link
            assert not parts.fragment or parts.fragment in Anchors(response.content.decode()).ids, link
        else:
            assert parts.path.startswith("/"), f"{link} would depend on the page it stands on."


def test_there_is_no_page_that_is_not_there(client: Client) -> None:
    assert client.get("/docs/nothing/").status_code == 404
    assert client.get("/docs/..%2f..%2fREADME/").status_code == 404


def test_markup_of_an_author_stays_text() -> None:
    page = documentation.render(
        "x", "# A <script>alert(1)</script>\n\n<b onclick=x>y</b>\n\n[z](javascript:alert(1))"
    )
    assert "<script" not in page.html
    assert "<b " not in page.html
    assert 'href="javascript' not in page.html


def test_headings_have_anchors_of_their_own() -> None:
    page = documentation.render("x", "# Title\n\n## Same\n\n## Same\n\n## ???")
    assert [heading.anchor for heading in page.headings] == ["title", "same", "same-2", "section"]


def test_examples_name_this_installation(settings: Settings) -> None:
    settings.AJO_PUBLIC_URL = "https://journeys.example.com"
    page = documentation.page(documentation.INDEX)
    assert page is not None
    assert "https://journeys.example.com/v1/batch" in page.html
    assert documentation.WRITTEN_FOR not in page.html


def test_search_finds_pages_with_all_words(client: Client) -> None:
    html = client.get("/docs/", {"q": "SWEATER parks"}).content.decode()
    assert '<h2><a href="/docs/demo/">' in html
    assert "No page holds" in client.get("/docs/", {"q": "sweater xyzzy"}).content.decode()
    assert "&lt;script&gt;" in client.get("/docs/", {"q": "<script>"}).content.decode()


# --- all of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/docs/", "/docs/demo/", "/docs/?q=event", "/api/v1/"])
@pytest.mark.parametrize("is_open", [True, False])
def test_pages_need_nothing_that_a_strict_content_policy_refuses(
    client: Client, settings: Settings, source: Source, path: str, is_open: bool
) -> None:
    settings.AJO_MAILBOX_OPEN = is_open
    response = client.get(path)
    assert response.status_code == 200
    assert Anchors(response.content.decode()).refused == []


def test_the_readme_names_every_setting() -> None:
    """A setting that is read from the environment and not listed would never be found."""
    reading = re.compile(r"(?:env\w*|environ\.get|_number)\(\s*\"((?:AJO_|DATABASE_|BROKER_)\w+)\"")
    sources = [ROOT / "ajo" / "settings.py", *(ROOT / "ajo" / "runtime").rglob("*.py")]
    read = {name for path in sources for name in reading.findall(path.read_text())}
    assert read >= {"AJO_PORT", "AJO_HOME", "DATABASE_URL", "AJO_LOG_LEVEL"}
    listed = set(re.findall(r"`(\w+)`", (ROOT / "README.md").read_text()))
    assert read <= listed
