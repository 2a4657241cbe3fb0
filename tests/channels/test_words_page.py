"""The editor of a content that is no email: what its page is told, and what the API says to it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from channels.models import Content
from channels.providers.webhook import WebhookProvider
from profiles.models import Channel
from tests.api.support import client_with
from tests.channels.conftest import accepted
from tests.factories import make_configuration, make_profile

pytestmark = pytest.mark.django_db
URL = "/api/v1/contents/stock/"


@pytest.fixture
def api(db: None) -> APIClient:
    """A client whose key may do everything."""
    return client_with()


def make_content(client: Client, channel: int) -> str:
    """The address of the page of a content made by hand."""
    form = {"name": "Stock", "key": "stock", "channel": str(int(channel))}
    answer = client.post(reverse("admin:channels_content_add"), form)
    url = reverse("admin:channels_content_change", args=[Content.objects.get().pk])
    assert (answer.status_code, answer["Location"]) == (302, url)
    return url


def preview(api: APIClient, words: dict[str, Any], profile: int | None = None) -> dict[str, Any]:
    asked = {"words": words, "profile": None if profile is None else str(profile)}
    answer = api.post(f"{URL}preview/", asked, format="json")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


@pytest.mark.parametrize(
    ("channel", "word", "links"),
    [
        (Channel.SMS, "sms", ["unsubscribe_url", "preferences_url"]),
        (Channel.PUSH, "push", []),
        (Channel.WEBHOOK, "webhook", []),
        (Channel.DIRECT_MAIL, "direct_mail", []),
    ],
)
def test_the_page_is_the_editor_and_is_told_its_channel(
    admin_client: Client, channel: Channel, word: str, links: list[str]
) -> None:
    make_configuration("other")
    make_configuration("mine", name="Mine", channel=channel, sender_name="", sender_address="")
    url = make_content(admin_client, channel)

    page = admin_client.get(url).content.decode()

    found = re.search(r'id="content-boot" type="application/json">(.*?)</script>', page)
    assert found
    boot = json.loads(found[1])
    assert boot["channel"] == word
    assert boot["configurations"] == [{"key": "mine", "name": "Mine", "sender": "Mine"}]
    assert [field["path"] for field in boot["fields"] if field["group"] == "link"] == links
    assert admin_client.post(url, {"text": "Mine"}).status_code == 405


def test_the_preview_says_what_an_sms_is_sent_in(admin_client: Client, api: APIClient) -> None:
    make_content(admin_client, Channel.SMS)
    ada = make_profile(first_name="Ada")

    seen = preview(api, {"text": "Hi {{ profile.first_name }} {"}, ada.pk)

    assert seen["text"] == "Hi Ada {"
    assert seen["parts"] == {"count": 1, "units": 9, "left": 151, "encoding": "GSM-7", "foreign": ""}
    seen = preview(api, {"text": "👟" * 36})
    assert seen["parts"] == {"count": 2, "units": 72, "left": 61, "encoding": "UCS-2", "foreign": "👟"}
    assert preview(api, {"text": "{{ profile.first_name }}"})["parts"] is None


def test_the_preview_of_a_webhook_is_indented_and_keeps_its_numbers(
    admin_client: Client, api: APIClient
) -> None:
    make_content(admin_client, Channel.WEBHOOK)
    ada = make_profile(first_name='Ada "Lace"')

    seen = preview(api, {"text": '{"who":"{{ profile.first_name }}","price":19.90}'}, ada.pk)

    assert seen["text"] == '{\n  "who": "Ada \\"Lace\\"",\n  "price": 19.90\n}'
    assert seen["parts"] is None


def test_a_problem_of_a_column_has_the_line_that_the_column_stands_in(
    admin_client: Client, api: APIClient
) -> None:
    make_content(admin_client, Channel.DIRECT_MAIL)
    columns = [["a", "1"], ["", "2"], ["a", "{{ nobody }}"], ["b", "{{ x"]]

    seen = preview(api, {"columns": columns})

    said = [(problem["field"], problem["line"], problem["message"]) for problem in seen["problems"]]
    assert said[:3] == [
        ("columns", 2, "It has no name. Give it one, or remove it."),
        ("columns", 3, "a stands there twice. Give it a name of its own."),
        (
            "columns",
            3,
            "nobody is not known here and would stay empty. Write profile.nobody, event.nobody or context.nobody,"
            " or assign it first.",
        ),
    ]
    assert [place[:2] for place in said[3:]] == [("columns", 4)]


def test_a_proof_of_a_webhook_can_be_told_by_its_id(
    admin_client: Client, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_content(admin_client, Channel.WEBHOOK)
    make_configuration("system", channel=Channel.WEBHOOK, provider="webhook")
    draft = api.get(f"{URL}draft/").json()
    words = {"text": '{"a": 1}'}
    api.put(f"{URL}draft/", {"revision": draft["revision"], "variants": [words]}, format="json")
    calls: list[Any] = []

    def send(self: WebhookProvider, batch: list[Any]) -> list[Any]:
        calls.extend(batch)
        return [accepted(each) for each in batch]

    monkeypatch.setattr(WebhookProvider, "send", send)
    answer = api.post(f"{URL}proof/", {"configuration": "system"}, format="json")

    assert answer.json() == {"detail": "The proof was sent to the system of this configuration."}
    (call,) = calls
    assert call.body == b'{"a": 1}'
    assert call.idempotency_key.startswith("proof-")
