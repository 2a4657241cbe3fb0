"""Who repeats a POST with its Idempotency-Key gets its answer again, and nothing is done twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent, IdempotencyKey
from ajo.core.rest import idempotency
from journeys import services
from journeys.models import Journey
from tests.api.support import client_with, make_key, problem, with_secret
from tests.support import wait_until

URL = "/api/v1/journeys/"
ASKED = {"key": "welcome", "name": "Welcome"}


def post(client: APIClient, key: str | None = "k1", body: dict[str, Any] = ASKED, url: str = URL) -> Any:
    return client.post(url, body, headers={} if key is None else {"Idempotency-Key": key})


@pytest.mark.django_db
def test_the_repeat_gets_the_first_answer_and_nothing_is_done(api: APIClient) -> None:
    first, repeat = post(api), post(api)
    assert (first.status_code, repeat.status_code) == (201, 201)
    assert first.json() == repeat.json()
    assert "Idempotent-Replayed" not in first
    assert repeat["Idempotent-Replayed"] == "true"
    assert AuditEvent.objects.filter(action="create_journey").count() == 1


@pytest.mark.django_db
def test_without_a_key_each_request_acts(api: APIClient) -> None:
    assert post(api, None).status_code == 201
    problem(post(api, None), 409, "refused")
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db
def test_a_refusal_is_repeated_too(api: APIClient) -> None:
    first = post(api, "k1", {}, f"{URL}welcome/publish/")
    assert first.status_code == 404
    post(api, None)
    repeat = post(api, "k1", {}, f"{URL}welcome/publish/")
    assert problem(repeat, 404, "not_found") == first.json()
    assert repeat["Idempotent-Replayed"] == "true"


@pytest.mark.django_db
def test_another_request_under_the_same_key_is_refused(api: APIClient) -> None:
    post(api)
    problem(post(api, "k1", {"key": "other", "name": "Other"}), 422, "key_reused")
    problem(post(api, "k1", ASKED, f"{URL}welcome/publish/"), 422, "key_reused")
    assert [journey.key for journey in Journey.objects.all()] == ["welcome"]


@pytest.mark.django_db
def test_keys_of_two_callers_are_two_keys(api: APIClient) -> None:
    post(api)
    other = post(client_with())
    problem(other, 409, "refused")
    assert "Idempotent-Replayed" not in other


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_a_key_has_printable_ascii(api: APIClient, key: str) -> None:
    body = problem(post(api, key), 400, "invalid")
    assert [error["field"] for error in body["errors"]] == ["Idempotency-Key"]
    assert not Journey.objects.exists()


@pytest.mark.django_db
def test_a_server_error_leaves_no_key_and_the_repeat_acts(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = services.create_journey

    def half(**words: Any) -> None:
        create(**words)
        raise RuntimeError("killed")

    monkeypatch.setattr(services, "create_journey", half)
    with pytest.raises(RuntimeError):
        post(api)
    assert not IdempotencyKey.objects.exists()
    assert not Journey.objects.exists()
    monkeypatch.setattr(services, "create_journey", create)
    assert post(api).status_code == 201


@pytest.mark.django_db
def test_what_a_refused_request_wrote_is_rolled_back(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    create = services.create_journey

    def refuse(**words: Any) -> None:
        create(**words)
        raise services.JourneyRefused("No.")

    monkeypatch.setattr(services, "create_journey", refuse)
    problem(post(api), 409, "refused")
    assert not Journey.objects.exists()
    assert IdempotencyKey.objects.get().status == 409


@pytest.mark.django_db(transaction=True)
def test_two_at_once_act_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits at the database for the first one's commit and then has its answer."""
    _, secret = make_key()
    is_inside, may_go = threading.Event(), threading.Event()
    create = services.create_journey
    calls = []

    def slow(**words: Any) -> Any:
        calls.append(words)
        is_inside.set()
        assert may_go.wait(10)
        return create(**words)

    monkeypatch.setattr(services, "create_journey", slow)

    def ask() -> Any:
        try:
            return post(with_secret(secret))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask)
        assert is_inside.wait(10)
        second = pool.submit(ask)
        wait_until(_somebody_waits, what="the second request to wait for the first one's commit")
        assert not second.done()
        may_go.set()
        answers = [first.result(10), second.result(10)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert len(calls) == 1
    assert Journey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_of_the_first_lets_the_waiting_second_act() -> None:
    _, secret = make_key()

    def ask() -> Any:
        try:
            return post(with_secret(secret))
        finally:
            connection.close()

    actor = f"key:{secret[:8]}"
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            IdempotencyKey.objects.create(actor=actor, key="k1", request_hash=b"")
            second = pool.submit(ask)
            wait_until(_somebody_waits, what="the second request to wait")
            transaction.set_rollback(True)
        answer = second.result(10)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees what it saw first
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND query LIKE '%core_idempotencykey%')"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_stopping_takes_people_out_after_the_commit(
    api: APIClient, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.api.test_journeys import make_journey

    url = make_journey(api, is_live=True)
    finished = []
    monkeypatch.setattr(services, "finish_stop", lambda **words: finished.append(words["version"].number))
    with django_capture_on_commit_callbacks(execute=True):
        assert post(api, "stop-1", {}, f"{url}stop/").json()["state"] == "stopped"
        assert finished == []
    assert finished == [1]


@pytest.mark.django_db
def test_keys_are_kept_for_a_day(api: APIClient) -> None:
    post(api)
    assert idempotency.purge() == 0
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert idempotency.purge() == 1
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db
def test_what_cannot_be_undone_is_never_done_twice(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from channels import authoring
    from tests.factories import make_configuration, make_variant

    make_variant()
    make_configuration()
    url = "/api/v1/contents/welcome/proof/"
    asked = {"address": "ada@example.com", "configuration": "email"}
    sent: list[str] = []
    monkeypatch.setattr(authoring, "send_proof", lambda **words: sent.append(words["address"]))
    first, repeat = post(api, "p1", asked, url), post(api, "p1", asked, url)
    assert (first.status_code, repeat.status_code) == (200, 200), first.content
    assert repeat["Idempotent-Replayed"] == "true"
    assert sent == ["ada@example.com"]

    def break_off(**words: Any) -> None:
        sent.append("half")
        raise RuntimeError("killed")

    monkeypatch.setattr(authoring, "send_proof", break_off)
    with pytest.raises(RuntimeError):
        post(api, "p2", asked, url)
    problem(post(api, "p2", asked, url), 409, "unknown_outcome")
    assert sent == ["ada@example.com", "half"]
