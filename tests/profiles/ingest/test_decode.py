from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.ingest.decode import (
    MAX_DEPTH,
    Event,
    Problem,
    RequestRefused,
    decode_events,
    open_envelope,
)
from profiles.models import SEGMENT_CALLS, EventKind
from tests.profiles.ingest.client import track

RECEIVED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def decode(body: bytes, kind: EventKind | None = None) -> tuple[list[Event], list[Problem]]:
    return decode_events(open_envelope(body, kind), source_id=7, received_at=RECEIVED, max_bytes=32 * 1024)


def one(call: dict[str, Any] | bytes, kind: EventKind | None = None) -> Event:
    raw = call if isinstance(call, bytes) else json.dumps(call).encode()
    events, problems = decode(raw if kind else b'{"batch": [' + raw + b"]}", kind)
    assert problems == []
    return events[0]


def problem(call: dict[str, Any] | bytes) -> Problem:
    raw = call if isinstance(call, bytes) else json.dumps(call).encode()
    events, problems = decode(b'{"batch": [' + raw + b"]}")
    assert events == []
    return problems[0]


# --- what is kept --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "name", "properties"),
    [
        (track(properties={"a": 1}), EventKind.TRACK, "Signed Up", {"a": 1}),
        (track(properties=None), EventKind.TRACK, "Signed Up", {}),
        (track(), EventKind.TRACK, "Signed Up", {}),
        (
            {"type": "identify", "userId": "u", "traits": {"email": "a@b.c"}},
            2,
            "$identify",
            {"email": "a@b.c"},
        ),
        ({"type": "identify", "userId": "u", "context": {"traits": {"a": 1}}}, 2, "$identify", {"a": 1}),
        (
            {"type": "identify", "userId": "u", "traits": {"a": 1}, "context": {"traits": {"b": 2}}},
            2,
            "$identify",
            {"a": 1},
        ),
        ({"type": "identify", "userId": "u", "traits": None, "context": {"ip": "::1"}}, 2, "$identify", {}),
        ({"type": "page", "userId": "u", "name": "Home"}, 3, "$page", {"name": "Home"}),
        (
            {"type": "page", "userId": "u", "name": "Home", "category": "Docs", "properties": {"url": "/"}},
            3,
            "$page",
            {"name": "Home", "category": "Docs", "url": "/"},
        ),
        (
            {"type": "page", "userId": "u", "name": "A", "properties": {"name": "B"}},
            3,
            "$page",
            {"name": "B"},
        ),
        ({"type": "page", "userId": "u", "name": None, "category": "", "properties": {}}, 3, "$page", {}),
        ({"type": "screen", "userId": "u", "name": "Cart"}, 4, "$screen", {"name": "Cart"}),
        (
            {"type": "group", "userId": "u", "groupId": "g", "traits": {"n": 1}},
            5,
            "$group",
            {"groupId": "g", "traits": {"n": 1}},
        ),
        ({"type": "group", "userId": "u", "groupId": 12}, 5, "$group", {"groupId": "12", "traits": {}}),
        ({"type": "alias", "userId": "u", "previousId": 'a"\\'}, 6, "$alias", {"previousId": 'a"\\'}),
    ],
)
def test_every_call_has_a_kind_a_name_and_properties(
    call: dict[str, Any], kind: int, name: str, properties: dict[str, Any]
) -> None:
    event = one(call)
    assert (event.kind, event.type_name, json.loads(event.properties)) == (kind, name, properties)


def test_properties_and_context_stay_the_text_that_came_in() -> None:
    event = one(
        b'{"type":"track","event":"A","userId":"u","properties":{"p": 1.10, "q":1e2 },"context":{"ip" : "::1"}}'
    )
    assert event.properties == '{"p": 1.10, "q":1e2 }'
    assert event.context == '{"ip" : "::1"}'
    assert one(track(context=None)).context is None


def test_a_page_keeps_the_text_of_its_properties() -> None:
    event = one(b'{"type":"page","userId":"u","name":"Home","properties": { "price": 1.10} }')
    assert event.properties == '{"name":"Home", "price": 1.10}'


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"userId": "u", "anonymousId": None}, ("u", None)),
        ({"userId": None, "anonymousId": "a"}, (None, "a")),
        ({"userId": "", "anonymousId": "a"}, (None, "a")),
        ({"userId": "  ", "anonymousId": "a"}, (None, "a")),
        ({"userId": 17, "anonymousId": "a"}, ("17", "a")),
        ({"userId": 2**70}, (str(2**70), None)),
        ({"userId": "Ünï\u0301 😀"}, ("Ünï\u0301 😀", None)),
        ({"userId": "x" * 255}, ("x" * 255, None)),
    ],
)
def test_ids_are_text_or_null(ids: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    event = one({"type": "track", "event": "A", **ids})
    assert (event.user_id, event.anonymous_id) == expected


def test_the_same_message_id_has_the_same_key() -> None:
    assert one(track(messageId="x")).key_hash == one(track(messageId="x")).key_hash
    assert one(track(messageId="x")).key_hash != one(track(messageId="y")).key_hash
    assert one(track(messageId=5)).key_hash == one(track(messageId="5")).key_hash


@pytest.mark.parametrize("missing", [None, "", " "])
def test_an_event_without_a_message_id_is_never_a_repeat(missing: str | None) -> None:
    assert one(track(messageId=missing)).key_hash != one(track(messageId=missing)).key_hash


@pytest.mark.parametrize(
    ("times", "batch_sent_at", "minutes"),
    [
        ({"timestamp": "2026-11-21T11:30:00Z"}, None, -30),
        ({"originalTimestamp": "2026-11-21T11:30:00Z"}, None, -30),
        ({"timestamp": "nonsense", "originalTimestamp": "2026-11-21T11:30:00Z"}, None, -30),
        ({"timestamp": "2026-11-21T09:30:00Z", "sentAt": "2026-11-21T10:00:00Z"}, None, -30),
        ({"timestamp": "2026-11-21T09:30:00Z"}, "2026-11-21T10:00:00Z", -30),
        (
            {"timestamp": "2026-11-21T09:30:00Z", "sentAt": "2026-11-21T10:00:00Z"},
            "2026-11-21T11:00:00Z",
            -30,
        ),
        ({"timestamp": 1795262400}, None, 0),
        ({"timestamp": {}}, {"a": []}, 0),
        ({}, None, 0),
    ],
)
def test_times_are_corrected_by_the_time_of_sending(
    times: dict[str, Any], batch_sent_at: Any, minutes: int
) -> None:
    body = {"batch": [track(**times)], "sentAt": batch_sent_at}
    events, _ = decode(json.dumps(body).encode())
    assert events[0].occurred_at == RECEIVED + timedelta(minutes=minutes)


@pytest.mark.parametrize("kind", SEGMENT_CALLS)
def test_a_single_call_is_of_the_kind_of_its_path(kind: EventKind) -> None:
    call = track(type="whatever", groupId="g", previousId="p", writeKey="wk")
    assert one(call, kind).kind == kind
    assert open_envelope(json.dumps(call).encode(), kind).write_key == "wk"


def test_unknown_fields_are_ignored() -> None:
    event = one(track(channel="server", integrations={"All": True}, _metadata={"bundled": []}, version=2))
    assert event.type_name == "Signed Up"


# --- what is refused, by index -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        ({"type": "track", "event": "A"}, "missing_id", "userId"),
        ({"type": "track", "event": "A", "userId": None, "anonymousId": ""}, "missing_id", "userId"),
        (track(userId=True), "invalid_id", "userId"),
        (track(userId=1.5), "invalid_id", "userId"),
        (track(anonymousId=["a"]), "invalid_id", "anonymousId"),
        (track(userId="x" * 256), "id_too_long", "userId"),
        (track(messageId="x" * 256), "id_too_long", "messageId"),
        (track(messageId={}), "invalid_id", "messageId"),
        (track(userId="a\0b"), "nul_character", "userId"),
        (track(event=None), "missing_event", "event"),
        (track(event=""), "missing_event", "event"),
        (track(event=" \t"), "missing_event", "event"),
        (track(event=5), "missing_event", "event"),
        (track(event="x" * 201), "name_too_long", "event"),
        (track(event="a\0"), "nul_character", "event"),
        (track(event="$message_opened"), "reserved_name", "event"),
        (track(event="$identify"), "reserved_name", "event"),
        (track(type="Track"), "unknown_type", "type"),
        (track(type=None), "unknown_type", "type"),
        (track(type=["track"]), "unknown_type", "type"),
        (track(type="delete"), "unknown_type", "type"),
        (track(type="business"), "unknown_type", "type"),
        (track(properties=[1]), "invalid_object", "properties"),
        (track(properties="x"), "invalid_object", "properties"),
        (track(context=3), "invalid_object", "context"),
        (track(properties={"a": {"b": "\0"}}), "nul_character", "properties.a.b"),
        (track(context={"page": {"\0": 1}}), "nul_character", "context.page"),
        ({"type": "page", "userId": "u", "name": "\0"}, "nul_character", "name"),
        ({"type": "identify", "userId": "u", "traits": []}, "invalid_object", "traits"),
        ({"type": "identify", "userId": "u", "context": {"traits": 1}}, "invalid_object", "context.traits"),
        ({"type": "identify", "userId": "u", "context": []}, "invalid_context", "context"),
        ({"type": "group", "userId": "u"}, "missing_group", "groupId"),
        ({"type": "alias", "userId": "u"}, "missing_previous", "previousId"),
        ({"type": "alias", "previousId": "p"}, "missing_id", "userId"),
        (track(properties={"x": "y" * 33_000}), "event_too_large", None),
        (b"3", "invalid_event", None),
        (b"null", "invalid_event", None),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":NaN}}',
            "malformed_json",
            "properties.a",
        ),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":-Infinity}}',
            "malformed_json",
            "properties.a",
        ),
        (
            rb'{"type":"track","event":"A","userId":"u","properties":{"a":"\ud83d"}}',
            "malformed_json",
            "properties.a",
        ),
        (rb'{"type":"track","event":"A","userId":"\udc00"}', "malformed_json", "userId"),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":"\xff"}}',
            "malformed_json",
            "properties",
        ),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":1e400}}',
            "invalid_object",
            "properties",
        ),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":1e-16000}}',
            "invalid_object",
            "properties",
        ),
        (
            b'{"type":"track","event":"A","userId":"u","properties":{"a":'
            + b"[" * 5000
            + b"]" * 5000
            + b"}}",
            "malformed_json",
            "properties.a",
        ),
        (
            b'{"type":"track","event":"A","userId":"u","properties":'
            + b'{"a":' * (MAX_DEPTH + 1)
            + b"1"
            + b"}" * (MAX_DEPTH + 1)
            + b"}",
            "too_deep",
            "properties",
        ),
        (b'{"type":"track" "event":"A"}', "malformed_json", "type"),
    ],
)
def test_a_bad_event_is_named_by_its_index_and_its_neighbours_are_kept(
    call: dict[str, Any] | bytes, code: str, field: str | None
) -> None:
    raw = call if isinstance(call, bytes) else json.dumps(call).encode()
    good = json.dumps(track()).encode()
    events, problems = decode(b'{"batch": [' + good + b", " + raw + b"," + good + b'], "sentAt": null}')
    assert [event.index for event in events] == [0, 2]
    assert [(found.index, found.code, found.field) for found in problems] == [(1, code, field)]
    assert problems[0].message.endswith(".")


def test_the_deepest_document_allowed_is_kept() -> None:
    deep = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert (
        one(b'{"type":"track","event":"A","userId":"u","properties":' + deep + b"}").properties
        == deep.decode()
    )


def test_odd_but_valid_json_is_kept() -> None:
    for odd in [
        b'{"a":1,"a":2}',
        b'{"a":18446744073709551616}',
        rb'{"a":"\\u0000"}',
        rb'{"a":"\uD83D\uDE00"}',
        b'{"a":1e308}',
    ]:
        event = one(b'{"type":"track","event":"A","userId":"u","properties":' + odd + b"}")
        assert event.properties == odd.decode()


# --- what is refused as a whole ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"batch": [', "malformed_json"),
        (b'{"batch": [{}]', "malformed_json"),
        (b'{"batch": [{}]} trailing', "malformed_json"),
        (b'\xef\xbb\xbf{"batch": []}', "malformed_json"),
        (b'{"sentAt": NaN, "batch": []}', "malformed_json"),
        (b"[" * 100_000, "invalid_batch"),
        (b'{"a":' * 100_000, "malformed_json"),
        (b"[]", "invalid_batch"),
        (b"null", "invalid_batch"),
        (b"{}", "invalid_batch"),
        (b'{"batch": null}', "invalid_batch"),
        (b'{"batch": {}}', "invalid_batch"),
        (b'{"type": "track", "event": "A", "userId": "u"}', "invalid_batch"),
    ],
)
def test_a_body_that_is_no_batch_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        open_envelope(body, None)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"{", b'{"userId": NaN}', b"[" * 5000, b'{"a":"\xff"'])
def test_a_body_that_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        open_envelope(body, EventKind.TRACK)
    assert refused.value.status == 400


def test_the_field_at_fault_of_a_single_call_is_named() -> None:
    with pytest.raises(RequestRefused, match=r"in properties\.a: invalid"):
        open_envelope(b'{"properties": {"a": NaN}}', EventKind.TRACK)


# --- nothing else ever happens -------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
FIELDS = [
    *(
        "type",
        "messageId",
        "userId",
        "anonymousId",
        "previousId",
        "groupId",
        "event",
        "name",
        "category",
        "timestamp",
    ),
    *("originalTimestamp", "sentAt", "properties", "traits", "context"),
]
calls = st.dictionaries(
    st.sampled_from(FIELDS),
    values | st.sampled_from([kind.name.lower() for kind in SEGMENT_CALLS]),
    max_size=len(FIELDS),
)
bodies = st.one_of(
    st.binary(),
    st.text(alphabet='{}[]",:\\batchu0123456789eE+-.NI \n').map(str.encode),
    values.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda batch, rest: json.dumps({**rest, "batch": batch}).encode(),
        st.lists(calls | values),
        st.dictionaries(st.sampled_from(["sentAt", "writeKey", "context"]), values),
    ),
)


@given(body=bodies, kind=st.none() | st.sampled_from(SEGMENT_CALLS))
def test_no_body_raises_anything_but_a_refusal(body: bytes, kind: EventKind | None) -> None:
    try:
        envelope = open_envelope(body, kind)
    except RequestRefused:
        return
    events, problems = decode_events(envelope, source_id=7, received_at=RECEIVED, max_bytes=32 * 1024)
    assert sorted([event.index for event in events] + [found.index for found in problems]) == list(
        range(len(envelope.events))
    )
    for event in events:
        assert isinstance(json.loads(event.properties), dict)
        assert "\0" not in f"{event.user_id}{event.anonymous_id}{event.type_name}"
