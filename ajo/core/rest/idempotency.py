"""`Idempotency-Key`: who repeats a POST that acted gets its answer again, and nothing is done twice.

`idempotent`: key, action and answer are one transaction. A repeat that comes at the same time waits at the key's unique
index for the first one's commit; a crash or a server error rolls the key back with the action, so the repeat acts.

`at_most_once`: for what no transaction can undo, such as a call to a mail server. The key is committed first and the
answer after it; a repeat that finds no answer is refused, since nobody knows whether it was done.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.models import ApiKey, IdempotencyKey
from ajo.core.rest import problems
from ajo.lib import sql

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_LENGTH = 255
KEEP_HOURS = 24

_CLAIM = """
INSERT INTO core_idempotencykey (actor, key, request_hash, created_at) VALUES (%b, %b, %b, clock_timestamp())
ON CONFLICT (actor, key) DO NOTHING RETURNING id
"""
_STORE = "UPDATE core_idempotencykey SET status = %b, answer = %b WHERE id = %b"
_PURGE = """
DELETE FROM core_idempotencykey
WHERE id = ANY(ARRAY(
    SELECT id FROM core_idempotencykey WHERE created_at < clock_timestamp() - make_interval(hours => %b)
    ORDER BY created_at LIMIT %b FOR UPDATE SKIP LOCKED))
"""
_PURGE_BATCH = 5_000

Handler = Callable[..., Response]


def idempotent(handler: Handler) -> Handler:
    """Decorates a view method that acts on POST: it runs in one transaction with its Idempotency-Key, if it has one.

    What the handler refuses is rolled back, and its answer is kept like any other. It must be able to run in an open
    transaction.
    """

    @functools.wraps(handler)
    def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            with transaction.atomic():
                return handler(view, request, *args, **kwargs)
        _check(key)
        body_hash = _hash(request)
        with transaction.atomic():
            key_id = _claim(_actor(request), key, body_hash)
            if key_id is None:
                return _replay(_actor(request), key, body_hash)
            response = _act(view, functools.partial(handler, view, request, *args, **kwargs))
            _store(key_id, response)
            return response

    answer.is_idempotent = True  # type: ignore[attr-defined]
    return answer


def at_most_once(handler: Handler) -> Handler:
    """Decorates a view method that acts on POST outside of a transaction: see the module."""

    @functools.wraps(handler)
    def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(view, request, *args, **kwargs)
        _check(key)
        body_hash = _hash(request)
        key_id = _claim(_actor(request), key, body_hash)
        if key_id is None:
            return _replay(_actor(request), key, body_hash)
        response = _answered(view, functools.partial(handler, view, request, *args, **kwargs))
        _store(key_id, response)
        return response

    answer.is_idempotent = True  # type: ignore[attr-defined]
    return answer


def purge() -> int:
    """Delete the keys that are older than a day, one batch. Returns how many."""
    with sql.cursor() as cur:
        cur.execute(_PURGE, [KEEP_HOURS, _PURGE_BATCH])
        return cur.rowcount


def _check(key: str) -> None:
    if not (1 <= len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        raise ValidationError(
            {
                HEADER: _("An Idempotency-Key has 1 to %(max)d printable ASCII characters.")
                % {"max": MAX_LENGTH}
            }
        )


def _actor(request: Request) -> str:
    return f"key:{request.auth.prefix}" if isinstance(request.auth, ApiKey) else f"user:{request.user.pk}"


def _hash(request: Request) -> bytes:
    """Of what was asked: method, address with query, body."""
    asked = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(asked + request._request.body).digest()


def _claim(actor: str, key: str, body_hash: bytes) -> int | None:
    """The id of the new key, or None when it is there already: a statement that waits for whoever is writing it."""
    with sql.cursor() as cur:
        cur.execute(_CLAIM, [actor, key, body_hash])
        row = cur.fetchone()
    return row.id if row else None


def _replay(actor: str, key: str, body_hash: bytes) -> Response:
    row = IdempotencyKey.objects.filter(actor=actor, key=key).first()
    if row is None:  # purged between the two statements
        raise problems.Unavailable
    if bytes(row.request_hash) != body_hash:
        raise problems.KeyReused
    if row.status is None:
        raise problems.Refused(
            _(
                "The first request with this key has no answer yet, or broke off: it may have been done."
                " Look, and use a new key to do it again."
            ),
            code="unknown_outcome",
        )
    is_problem = (row.status or 0) >= 400
    return Response(
        row.answer,
        row.status,
        headers={REPLAYED: "true"},
        content_type=problems.CONTENT_TYPE if is_problem else None,
    )


def _act(view: Any, act: Callable[[], Response]) -> Response:
    """The handler's answer; a refusal undoes what it did and is an answer too. A server error goes on upwards."""

    def in_savepoint() -> Response:
        with transaction.atomic():
            return act()

    return _answered(view, in_savepoint)


def _answered(view: Any, act: Callable[[], Response]) -> Response:
    try:
        return act()
    except Exception as error:
        response: Response = view.handle_exception(error)
        if response.status_code >= 500:
            raise
        return response


def _store(key_id: int, response: Response) -> None:
    answer = json.loads(JSONRenderer().render(response.data) or b"null")
    with sql.cursor() as cur:
        cur.execute(_STORE, [response.status_code, Jsonb(answer), key_id])
