"""The door as its clients see it; what lies behind is a stand-in."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ajo.lib.pool import Unavailable
from profiles.ingest.decode import Event
from tests.profiles.ingest.client import WRITE_KEY, FirstNames, Kept, make_door, request, track
from tests.support import wait_until

BATCH = {"batch": [track(1), track(2)]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/batch", BATCH),
        ("/v1/batch/", BATCH),
        ("/v1/b", BATCH),
        ("/v1/track", track()),
        ("/v1/t", track()),
        ("/v1/i", {"userId": "u", "traits": {"a": 1}}),
        ("/v1/p", {"anonymousId": "a"}),
        ("/v1/g", {"userId": "u", "groupId": "g"}),
        ("/v1/a", {"userId": "u", "previousId": "a"}),
        ("/v1/s", {"userId": "u"}),
        ("/api/public/apps/batch", BATCH),
        ("/api/s/track", track()),
        ("/api/s/s2s/identify", {"userId": "u"}),
    ],
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""]
)
def test_events_are_accepted_on_every_path_whatever_their_content_type(
    path: str, body: dict[str, Any], content_type: str
) -> None:
    kept = Kept()
    answer = request(make_door(kept), body, path, CONTENT_TYPE=content_type)
    assert answer.status == 200
    assert answer.json == {"success": True, "accepted": len(body.get("batch", [1]))}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert len(kept.events) == answer.json["accepted"]
    assert {event.source_id for event in kept.events} == {7}


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_AUTHORIZATION": WRITE_KEY},
        {"HTTP_AUTHORIZATION": f"Bearer {WRITE_KEY}"},
        {"HTTP_X_WRITE_KEY": WRITE_KEY},
    ],
)
def test_the_key_may_stand_in_any_header(headers: dict[str, str]) -> None:
    assert request(make_door(Kept()), BATCH, key=None, **headers).status == 200


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/t"])
def test_the_key_may_stand_in_the_body(path: str) -> None:
    body = {**(BATCH if path == "/v1/batch" else track()), "writeKey": WRITE_KEY}
    assert request(make_door(Kept()), body, path, key=None).status == 200


@pytest.mark.parametrize(
    ("key", "write_key", "code"),
    [
        (None, None, "missing_write_key"),
        (None, 5, "missing_write_key"),
        ("", "", "missing_write_key"),
        ("nonsense", WRITE_KEY, "unknown_write_key"),
        (None, "nonsense", "unknown_write_key"),
        ("wk_off", None, "inactive_source"),
    ],
)
def test_without_a_good_key_nothing_is_taken(key: str | None, write_key: Any, code: str) -> None:
    kept = Kept()
    answer = request(make_door(kept), {**BATCH, "writeKey": write_key}, key=key)
    assert (answer.status, answer.json["code"], answer.json["success"]) == (401, code, False)
    assert kept.events == []


def test_gzipped_json_is_read_under_any_content_type() -> None:
    body = gzip.compress(json.dumps(BATCH).encode())
    answer = request(
        make_door(Kept()),
        body,
        HTTP_CONTENT_ENCODING="gzip",
        CONTENT_TYPE="application/x-www-form-urlencoded",
    )
    assert answer.json == {"success": True, "accepted": 2}


def test_a_browser_may_ask_first() -> None:
    answer = request(make_door(Kept()), path="/v1/t", method="OPTIONS", key=None)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods_are_not_allowed(method: str) -> None:
    answer = request(make_door(Kept()), method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")


def test_an_unknown_call_is_not_found() -> None:
    answer = request(make_door(Kept()), BATCH, "/v1/everything")
    assert (answer.status, answer.json["code"]) == (404, "unknown_path")


def test_bad_events_are_named_by_index_and_the_good_ones_kept() -> None:
    kept = Kept()
    big = track(3, properties={"text": "x" * 33_000})
    answer = request(make_door(kept), {"batch": [track(1), {"type": "track"}, track(2), big]})
    assert answer.status == 200
    assert answer.json["success"] is True
    assert answer.json["accepted"] == 2
    assert [(error["index"], error["code"]) for error in answer.json["errors"]] == [
        (1, "missing_event"),
        (3, "event_too_large"),
    ]
    assert [event.index for event in kept.events] == [0, 2]


@pytest.mark.parametrize("body", [{"batch": []}, {"batch": [{}]}])
def test_a_batch_without_a_good_event_stores_nothing(body: dict[str, Any]) -> None:
    answer = request(make_door(Kept(error=AssertionError())), body)
    assert (answer.status, answer.json["accepted"]) == (200, 0)


def test_a_bad_single_event_is_a_bad_request() -> None:
    answer = request(make_door(Kept()), {"event": "A"}, "/v1/track")
    assert answer.status == 400
    assert answer.json == {
        "success": False,
        "code": "missing_id",
        "message": "An event needs a userId or an anonymousId.",
        "field": "userId",
    }


@pytest.mark.parametrize("body", ["", "{", "[]", '{"batch": 1}', "\0"])
def test_a_body_that_is_no_batch_is_a_bad_request(body: str) -> None:
    answer = request(make_door(Kept()), body)
    assert answer.status == 400
    assert answer.json["code"]
    assert answer.json["message"].endswith(".")


@pytest.mark.parametrize("announce", [True, False])
def test_a_body_over_the_limit_is_too_large(announce: bool) -> None:
    answer = request(make_door(Kept()), b"x" * (500 * 1024 + 1), announce=announce)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


def test_the_largest_body_is_taken() -> None:
    calls = [track(number, properties={"text": "x" * 4_500}) for number in range(108)]
    body = json.dumps({"batch": calls})
    assert request(make_door(Kept()), body.ljust(500 * 1024)).json["accepted"] == 108


def test_names_beyond_the_limit_are_errors_that_name_the_remedy() -> None:
    kept = Kept()
    door = make_door(kept, names=FirstNames(limit=1))
    answer = request(door, {"batch": [track(1), track(2, event="Another")]})
    assert {answer.json["accepted"], len(kept.events)} == {1}
    [error] = answer.json["errors"]
    assert (error["code"], error["field"]) == ("too_many_event_names", "event")
    assert "AJO_INGEST_MAX_EVENT_TYPES" in error["message"]


def test_what_the_database_refuses_is_an_error_by_index() -> None:
    def store(events: Sequence[Event]) -> None:
        events[1].refusal = "value out of range"

    answer = request(make_door(store), {"batch": [{}, track(1), track(2), track(3)]})
    assert answer.json["accepted"] == 2
    assert [(error["index"], error["code"]) for error in answer.json["errors"]] == [
        (0, "unknown_type"),
        (2, "refused"),
    ]


def test_clients_are_told_to_come_again_when_the_database_is_away() -> None:
    answer = request(make_door(Kept(error=Unavailable("gone"))), BATCH)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json["code"] == "unavailable"


def test_an_unexpected_failure_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    answer = request(make_door(Kept(error=ZeroDivisionError())), BATCH)
    assert (answer.status, answer.json["code"]) == (500, "server_error")
    assert "ZeroDivisionError" in caplog.text


def test_a_full_process_answers_429_and_recovers() -> None:
    may_commit = threading.Event()
    arrived = threading.Event()

    def store(events: Sequence[Event]) -> None:
        arrived.set()
        assert may_commit.wait(10)

    door = make_door(store, queue=3)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(request(door, BATCH).status))
    first.start()
    wait_until(arrived.is_set)
    refused = request(door, BATCH)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    may_commit.set()
    first.join(10)
    assert answers == [200]
    assert request(door, BATCH).status == 200


def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    assert request(make_door(Kept(), queue=1), BATCH).status == 200
