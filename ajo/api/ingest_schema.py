"""The ingest calls in the OpenAPI description. The hot door is no DRF view, so they are added by hand."""

from __future__ import annotations

from typing import Any

from profiles.models import SEGMENT_CALLS

_PROBLEM = {
    "type": "object",
    "required": ["index", "code", "message"],
    "properties": {
        "index": {"type": "integer", "description": "Which event of the batch, from 0."},
        "code": {"type": "string"},
        "field": {"type": "string"},
        "message": {"type": "string", "description": "What is wrong and the remedy."},
    },
}
_SCHEMAS: dict[str, Any] = {
    "IngestEvent": {
        "type": "object",
        "description": "An event of Segment's spec: with userId or anonymousId; a track names its event.",
        "properties": {
            "type": {"type": "string", "enum": [kind.name.lower() for kind in SEGMENT_CALLS]},
            "messageId": {"type": "string", "maxLength": 255, "description": "Counts once for each source."},
            "userId": {"type": "string", "maxLength": 255, "nullable": True},
            "anonymousId": {"type": "string", "maxLength": 255, "nullable": True},
            "event": {"type": "string", "maxLength": 200},
            "properties": {"type": "object", "additionalProperties": True},
            "traits": {"type": "object", "additionalProperties": True},
            "context": {"type": "object", "additionalProperties": True},
            "groupId": {"type": "string", "maxLength": 255},
            "previousId": {"type": "string", "maxLength": 255},
            "timestamp": {"type": "string", "format": "date-time"},
            "sentAt": {"type": "string", "format": "date-time"},
        },
    },
    "IngestBatch": {
        "type": "object",
        "required": ["batch"],
        "properties": {
            "batch": {"type": "array", "items": {"$ref": "#/components/schemas/IngestEvent"}},
            "sentAt": {"type": "string", "format": "date-time"},
            "writeKey": {"type": "string"},
        },
    },
    "IngestAnswer": {
        "type": "object",
        "required": ["success"],
        "properties": {
            "success": {"type": "boolean"},
            "accepted": {"type": "integer", "description": "Stored, or stored before."},
            "code": {"type": "string"},
            "field": {"type": "string"},
            "message": {"type": "string"},
            "errors": {"type": "array", "items": _PROBLEM},
        },
    },
}
_ANSWERS = {
    "200": "Committed. `errors` lists the events of a batch that were not taken.",
    "400": "The body is no batch, or a single event is wrong.",
    "401": "No write key, an unknown one, or its source is switched off.",
    "413": "The body is larger than 500 KiB, packed or unpacked.",
    "415": "A Content-Encoding other than gzip.",
    "429": "Too many events wait. Send it again after `Retry-After` seconds.",
    "503": "The database is away. Send it again after `Retry-After` seconds.",
}


def add_ingest(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular post-processing hook: adds `/v1/batch` and a path for each single call."""
    result["components"].setdefault("schemas", {}).update(_SCHEMAS)
    result["components"].setdefault("securitySchemes", {})["writeKey"] = {
        "type": "http",
        "scheme": "basic",
        "description": "The write key of a source as the user name, without a password.",
    }
    for call in ("batch", *(kind.name.lower() for kind in SEGMENT_CALLS)):
        result["paths"][f"/v1/{call}"] = {"post": _operation(call)}
    return result


def _operation(call: str) -> dict[str, Any]:
    body = "IngestBatch" if call == "batch" else "IngestEvent"
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/IngestAnswer"}}}
    return {
        "operationId": f"ingest_{call}",
        "summary": "Many events" if call == "batch" else f"One {call} event",
        "tags": ["events"],
        "security": [{"writeKey": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}}},
        },
        "responses": {code: {"description": text, "content": answer} for code, text in _ANSWERS.items()},
    }
