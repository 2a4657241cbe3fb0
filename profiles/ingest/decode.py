"""From the body of a request to events, or to sentences about what is wrong with it. Pure.

Two steps, because the write key may stand in the body: `open_envelope` reads what surrounds the events, `decode_events`
reads the events themselves. Properties and context stay the raw JSON text that came in: parsed floats would lose cents.
Neither raises anything but `RequestRefused`, whatever the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from ajo.lib import json_values
from profiles.ingest import json_shape
from profiles.ingest.clock import moment, occurred_at
from profiles.models import RESERVED_EVENT_TYPES, SEGMENT_CALLS, EventKind

MAX_ID_LENGTH: Final = 255
MAX_NAME_LENGTH: Final = 200
MAX_DEPTH: Final = 64
MAX_EXPONENT: Final = 308
OWN_NAME: Final = "$"
"""How the names begin that a write key, which is public, must not be able to send."""

NULL: Final = msgspec.Raw(b"null")
_KINDS: Final = {kind.name.lower(): kind for kind in SEGMENT_CALLS}


class RequestRefused(Exception):
    """The whole request is answered with `status`; nothing of it was stored."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why one event of a batch was not accepted, as the sender reads it."""

    index: int
    code: str
    message: str
    field: str | None = None


class Event(msgspec.Struct, gc=False):
    """One event on its way into the table. The door fills in `event_type_id`; the writer sets `refusal`."""

    index: int
    source_id: int
    key_hash: bytes
    kind: int
    type_name: str
    occurred_at: datetime
    user_id: str | None
    anonymous_id: str | None
    properties: str
    context: str | None
    event_type_id: int = 0
    hops: int = 0
    refusal: str | None = None
    """What PostgreSQL said when it would not take this event."""


class Envelope(msgspec.Struct):
    """What surrounds the events. `is_single`: one call of its own, whose problem is the request's problem."""

    events: list[msgspec.Raw]
    kind: EventKind | None
    write_key: str | None
    sent_at: datetime | None

    @property
    def is_single(self) -> bool:
        return self.kind is not None


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw]
    write_key: Any = None
    sent_at: Any = None


class _Single(msgspec.Struct, rename="camel"):
    write_key: Any = None


class _Call(msgspec.Struct, rename="camel"):
    """An event as clients send it. Types are checked by hand: an odd timestamp is no reason to lose an event."""

    type: Any = None
    message_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = NULL
    traits: msgspec.Raw = NULL
    context: msgspec.Raw = NULL


class _Context(msgspec.Struct):
    traits: msgspec.Raw = NULL


class _EventRefused(Exception):
    def __init__(self, code: str, field: str | None, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


def _number(text: str) -> float:
    """A few bytes like 1e-16000 would become sixteen thousand digits once PostgreSQL prints them."""
    _, mark, exponent = text.lower().partition("e")
    if mark and (len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT):
        raise ValueError(f"A number is out of range; exponents reach from -{MAX_EXPONENT} to {MAX_EXPONENT}")
    return 0.0


_batch_decoder = msgspec.json.Decoder(_Batch)
_single_decoder = msgspec.json.Decoder(_Single)
_call_decoder = msgspec.json.Decoder(_Call)
_context_decoder = msgspec.json.Decoder(_Context)
_object_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=_number)
_encode = msgspec.json.Encoder().encode


# --- the envelope --------------------------------------------------------------------------------------------


def open_envelope(body: bytes, kind: EventKind | None) -> Envelope:
    """Read a request's body: one event of `kind`, or `{"batch": […]}` when `kind` is None."""
    if kind is not None:
        try:
            single = _single_decoder.decode(body)
        except json_shape.PARSE_ERRORS as error:
            raise _malformed(error, body) from None
        return Envelope([msgspec.Raw(body)], kind, _text_or_none(single.write_key), None)
    try:
        batch = _batch_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestRefused(
            400, "invalid_batch", f'The body must be {{"batch": [events]}}: {error}.'
        ) from None
    except json_shape.PARSE_ERRORS as error:
        batch = _salvage(body, error)
    return Envelope(batch.batch, None, _text_or_none(batch.write_key), moment(batch.sent_at))


def _salvage(body: bytes, error: Exception) -> _Batch:
    """The batch of a body that is no JSON as a whole, so that the event at fault is refused alone."""
    pairs = json_shape.fields(body)
    events = json_shape.members(pairs.pop("batch", b"")) if pairs else None
    if pairs is None or events is None:
        raise _malformed(error, body)
    try:
        rest = {name: msgspec.json.decode(value) for name, value in pairs.items()}
    except json_shape.PARSE_ERRORS:
        raise _malformed(error, body) from None
    return _Batch([msgspec.Raw(event) for event in events], rest.get("writeKey"), rest.get("sentAt"))


def _malformed(error: Exception, body: bytes) -> RequestRefused:
    if isinstance(error, msgspec.ValidationError):
        return RequestRefused(400, "invalid_body", f"The body must be a JSON object: {error}.")
    field = json_shape.blame(body)
    where = f" in {field}" if field else ""
    return RequestRefused(400, "malformed_json", f"The body is not JSON{where}: {json_shape.reason(error)}.")


# --- the events ----------------------------------------------------------------------------------------------


def decode_events(
    envelope: Envelope, *, source_id: int, received_at: datetime, max_bytes: int
) -> tuple[list[Event], list[Problem]]:
    """The events that can be stored, in their order, and a problem for each of the others."""
    events: list[Event] = []
    problems: list[Problem] = []
    for index, raw in enumerate(envelope.events):
        try:
            if len(raw) > max_bytes:
                raise _EventRefused(
                    "event_too_large",
                    None,
                    f"The event has {len(raw)} bytes; at most {max_bytes} are accepted. Send fewer properties.",
                )
            events.append(_decode_event(raw, index, envelope, source_id, received_at))
        except _EventRefused as refused:
            problems.append(Problem(index, refused.code, refused.message, refused.field))
    return events, problems


def _decode_event(
    raw: msgspec.Raw, index: int, envelope: Envelope, source_id: int, received_at: datetime
) -> Event:
    try:
        call = _call_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _EventRefused("invalid_event", None, f"An event must be a JSON object: {error}.") from None
    except json_shape.PARSE_ERRORS as error:
        raise _EventRefused(
            "malformed_json",
            json_shape.blame(bytes(raw)),
            f"The event is not JSON: {json_shape.reason(error)}.",
        ) from None
    kind = envelope.kind or _kind(call.type)
    type_name, properties = _READERS[kind](call)
    user_id = _id(call.user_id, "userId")
    anonymous_id = _id(call.anonymous_id, "anonymousId")
    if user_id is None and anonymous_id is None:
        raise _EventRefused("missing_id", "userId", "An event needs a userId or an anonymousId.")
    return Event(
        index=index,
        source_id=source_id,
        key_hash=_key_hash(call.message_id),
        kind=kind.value,
        type_name=type_name,
        occurred_at=occurred_at(
            moment(call.timestamp) or moment(call.original_timestamp),
            moment(call.sent_at) or envelope.sent_at,
            received_at,
        ),
        user_id=user_id,
        anonymous_id=anonymous_id,
        properties=properties,
        context=None if call.context == NULL else _document(call.context, "context")[0],
    )


def _kind(value: object) -> EventKind:
    kind = _KINDS.get(value) if isinstance(value, str) else None
    if kind is None:
        known = ", ".join(_KINDS)
        raise _EventRefused("unknown_type", "type", f"The type of an event must be one of {known}.")
    return kind


def _track(call: _Call) -> tuple[str, str]:
    name = call.event
    if not isinstance(name, str) or not name.strip():
        raise _EventRefused(
            "missing_event", "event", "A track call needs the name of what happened in `event`."
        )
    if len(name) > MAX_NAME_LENGTH:
        raise _EventRefused(
            "name_too_long", "event", f"The name of an event has at most {MAX_NAME_LENGTH} characters."
        )
    if name.startswith(OWN_NAME):
        raise _EventRefused(
            "reserved_name",
            "event",
            "Names that begin with $ are for events of the product itself. Choose another name.",
        )
    return _without_nul(name, "event"), _document(call.properties, "properties")[0]


def _view(kind: EventKind) -> Callable[[_Call], tuple[str, str]]:
    def read(call: _Call) -> tuple[str, str]:
        text, properties = _document(call.properties, "properties")
        given = {"name": call.name, "category": call.category}
        added = {
            key: _without_nul(value, key)
            for key, value in given.items()
            if isinstance(value, str) and value and key not in properties
        }
        if added:
            opening = _encode(added).decode()[:-1]
            text = f"{opening},{text.lstrip()[1:]}" if properties else f"{opening}}}"
        return RESERVED_EVENT_TYPES[kind], text

    return read


def _identify(call: _Call) -> tuple[str, str]:
    return RESERVED_EVENT_TYPES[EventKind.IDENTIFY], _traits(call)


def _group(call: _Call) -> tuple[str, str]:
    group_id = _id(call.group_id, "groupId")
    if group_id is None:
        raise _EventRefused("missing_group", "groupId", "A group call needs a groupId.")
    return RESERVED_EVENT_TYPES[
        EventKind.GROUP
    ], f'{{"groupId":{_encode(group_id).decode()},"traits":{_traits(call)}}}'


def _alias(call: _Call) -> tuple[str, str]:
    previous_id = _id(call.previous_id, "previousId")
    if previous_id is None:
        raise _EventRefused("missing_previous", "previousId", "An alias call needs a previousId.")
    return RESERVED_EVENT_TYPES[EventKind.ALIAS], f'{{"previousId":{_encode(previous_id).decode()}}}'


_READERS: Final[dict[EventKind, Callable[[_Call], tuple[str, str]]]] = {
    EventKind.TRACK: _track,
    EventKind.IDENTIFY: _identify,
    EventKind.PAGE: _view(EventKind.PAGE),
    EventKind.SCREEN: _view(EventKind.SCREEN),
    EventKind.GROUP: _group,
    EventKind.ALIAS: _alias,
}


# --- values --------------------------------------------------------------------------------------------------


def _traits(call: _Call) -> str:
    """Some clients send traits under `context.traits`; those beside the ids win."""
    if call.traits == NULL and call.context != NULL:
        try:
            return _document(_context_decoder.decode(call.context).traits, "context.traits")[0]
        except msgspec.ValidationError:
            raise _EventRefused("invalid_context", "context", "`context` must be a JSON object.") from None
    return _document(call.traits, "traits")[0]


def _document(raw: msgspec.Raw, field: str) -> tuple[str, dict[str, Any]]:
    """A JSON object as its text, unchanged, and parsed; `{}` for null. Refuses what could not be stored or read."""
    if raw == NULL:
        return "{}", {}
    try:
        parsed = _object_decoder.decode(raw)
        text = str(raw, "utf-8")
    except msgspec.ValidationError as error:
        said = str(error).partition(" - at ")[0]
        raise _EventRefused("invalid_object", field, f"`{field}` must be a JSON object: {said}.") from None
    except json_shape.PARSE_ERRORS as error:
        raise _EventRefused(
            "malformed_json", field, f"`{field}` is not JSON: {json_shape.reason(error)}."
        ) from None
    could_be_deep = len(text) > 2 * MAX_DEPTH and text.count("{") + text.count("[") > MAX_DEPTH
    if could_be_deep and json_values.is_deeper(parsed, MAX_DEPTH):
        raise _EventRefused("too_deep", field, f"`{field}` nests more than {MAX_DEPTH} levels deep.")
    if "\\u0000" in text and (path := json_values.path_of_nul(parsed, field)):
        raise _EventRefused("nul_character", path, "The character NUL (\\u0000) cannot be stored. Remove it.")
    return text, parsed


def _id(value: object, field: str) -> str | None:
    """An identifier as text; None for null and blank text. Whole numbers are taken as their digits."""
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            raise _EventRefused("invalid_id", field, f"`{field}` must be text.")
        value = str(value)
    if len(value) > MAX_ID_LENGTH:
        raise _EventRefused("id_too_long", field, f"`{field}` has at most {MAX_ID_LENGTH} characters.")
    return _without_nul(value, field) if value.strip() else None


def _key_hash(message_id: object) -> bytes:
    """What a repeat is recognised by. An event without a message id gets one of ours and is never a repeat."""
    text = _id(message_id, "messageId")
    return os.urandom(16) if text is None else blake2b(text.encode(), digest_size=16).digest()


def _without_nul(text: str, field: str) -> str:
    if "\0" in text:
        raise _EventRefused(
            "nul_character", field, "The character NUL (\\u0000) cannot be stored. Remove it."
        )
    return text


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
