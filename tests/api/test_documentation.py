"""The examples of the page `docs/api` do what they say, in their order; and its table knows the codes."""

from __future__ import annotations

import argparse
import re
import shlex
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from ajo import documentation
from ajo.core.models import ApiKey, AuditEvent
from ajo.core.scopes import SCOPES
from journeys.models import JourneyVersion
from profiles.models import Consent
from tests.api.support import make_key
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
PAGE = (documentation.folder() / "api.md").read_text()


def examples() -> list[str]:
    """Every curl command of the page."""
    commands = []
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if block.startswith("curl "):
            commands += [f"curl {rest}" for rest in re.split(r"^curl ", block, flags=re.MULTILINE)[1:]]
    return commands


def run(command: str, secret: str, profile_id: int) -> Any:
    """What curl would send, through the test client."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    asked = parser.parse_args(shlex.split(command.replace("\\\n", " ").replace("API_KEY", secret))[1:])
    headers = dict(header.split(": ", 1) for header in asked.headers)
    path = asked.url.removeprefix(documentation.WRITTEN_FOR).replace("profiles/1/", f"profiles/{profile_id}/")
    assert path.startswith("/api/v1/")
    return APIClient().generic(
        asked.method or ("POST" if asked.data else "GET"),
        path,
        asked.data or "",
        content_type=headers.pop("Content-Type", "application/json"),
        headers=headers,
    )


def test_the_examples_work_in_their_order() -> None:
    _, secret = make_key()
    ada = make_profile("ada", "ada@example.com")
    commands = examples()
    assert len(commands) >= 9
    answers = [run(command, secret, ada.pk) for command in commands]
    assert [answer.status_code // 100 for answer in answers] == [2] * len(commands), [
        answer.content for answer in answers if answer.status_code >= 300
    ]
    assert [row["id"] for row in answers[1].json()["results"]] == [str(ada.pk)]
    assert Consent.objects.get(profile=ada).state == Consent.State.OPTED_OUT
    assert JourneyVersion.objects.get(journey__key="tour").state == "live"


def test_every_call_has_a_summary_a_tag_and_a_way_to_sign_in() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert {"apiKey", "session", "writeKey"} <= schema["components"]["securitySchemes"].keys()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
            assert operation["tags"] != ["api"], f"{method} {path}"
            if path.startswith("/api/v1/") and "status" not in path and "schema" not in path:
                assert {"apiKey": []} in operation["security"], f"{method} {path}"
                assert {"400", "401", "403"} <= operation["responses"].keys(), f"{method} {path}"


def test_every_post_that_acts_takes_an_idempotency_key() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    looks_only = {"validate", "preview", "estimate"}
    for path, operations in schema["paths"].items():
        if path.startswith("/api/v1/") and "post" in operations and path.split("/")[-2] not in looks_only:
            names = [parameter["name"] for parameter in operations["post"].get("parameters", [])]
            assert "Idempotency-Key" in names, path


def test_a_key_is_made_at_the_terminal_and_printed_once() -> None:
    out = StringIO()
    call_command("create_api_key", "Shop server", "profiles:read", "journeys:read", days=30, stdout=out)
    secret = out.getvalue().strip()
    key = ApiKey.objects.get_from_key(secret)
    assert (key.name, key.scopes) == ("Shop server", ["profiles:read", "journeys:read"])  # type: ignore[attr-defined]
    assert AuditEvent.objects.get().data["scopes"] == ["profiles:read", "journeys:read"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {secret}")
    assert client.get("/api/v1/profiles/").status_code == 200
    assert client.get("/api/v1/messages/").status_code == 403
    call_command("create_api_key", "Everything", "all", stdout=StringIO())
    assert ApiKey.objects.get(name="Everything").scopes == list(SCOPES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "journeys:eat"], "There is no scope journeys:eat"),
        (["x" * 51, "all"], "1 to 50 characters"),
        (["x", "all", "--days", "0"], "1 to 3650 days"),
    ],
)
def test_a_wrong_wish_for_a_key_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("create_api_key", *arguments, stdout=StringIO())
    assert not ApiKey.objects.exists()
