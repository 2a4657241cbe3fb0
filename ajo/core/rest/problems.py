"""What a call is refused with: `application/problem+json` (RFC 9457) whose `detail` is a sentence with the remedy.

{"type", "title", "status", "code", "detail", "errors": [{"field", "code", "message"}]}
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from rest_framework import exceptions
from rest_framework.response import Response

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
DOCUMENTATION = "/docs/api/#problems"


class Refused(exceptions.APIException):
    """What was asked cannot be done in the present state; the sentence says why and what to do."""

    status_code = 409
    default_code = "refused"

    def __init__(
        self, detail: str, *, code: str = default_code, errors: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(detail, code)
        self.errors = [dict(error) for error in errors]


class KeyReused(exceptions.APIException):
    status_code = 422
    default_code = "key_reused"
    default_detail = gettext_lazy(
        "This Idempotency-Key came before with another request, so nothing was done. Use a new key for each action."
    )


class TooLarge(exceptions.APIException):
    status_code = 413
    default_code = "too_large"
    default_detail = gettext_lazy("The body is too large, so nothing of it was read. Send less at once.")


class Unavailable(exceptions.APIException):
    status_code = 503
    default_code = "unavailable"
    default_detail = gettext_lazy("The database is busy or away. Send the request again in a few seconds.")


def handle(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None for a bug, which Django logs and answers with 500."""
    known = _known(exception)
    if known is None:
        return None
    headers = {}
    if header := getattr(known, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(known, "wait", None):
        headers["Retry-After"] = str(int(wait))
    detail, code, errors = _said(known, context)
    return response(known.status_code, code=code, detail=detail, errors=errors, headers=headers)


def response(
    status: int,
    *,
    code: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = document(status, code=code, detail=detail, errors=errors)
    return Response(body, status, headers=dict(headers or {}), content_type=CONTENT_TYPE)


def document(
    status: int, *, code: str, detail: str, errors: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """The body of every refusal."""
    return {
        "type": DOCUMENTATION,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "errors": list(errors),
    }


def _known(exception: Exception) -> exceptions.APIException | None:
    if isinstance(exception, Http404):
        return exceptions.NotFound()
    if isinstance(exception, DjangoPermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return TooLarge()
    if isinstance(exception, OperationalError):
        logger.error("A request found the database busy or away.", exc_info=exception)
        return Unavailable()
    return exception if isinstance(exception, exceptions.APIException) else None


def _said(
    exception: exceptions.APIException, context: dict[str, Any]
) -> tuple[str, str, Sequence[Mapping[str, str]]]:
    """(detail, code, errors)."""
    if isinstance(exception, exceptions.ValidationError):
        errors = list(flattened(exception.get_full_details()))
        return _summary(errors), "invalid", errors
    code = str(getattr(exception.detail, "code", exception.default_code))
    is_plain = exception.detail == exception.default_detail
    sentence = _REMEDIES.get(type(exception), exception.detail) if is_plain else exception.detail
    if isinstance(exception, exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        sentence = _("This address does not answer %(method)s. It answers: %(allowed)s.") % {
            "method": context["request"].method,
            "allowed": allowed,
        }
    elif isinstance(exception, exceptions.UnsupportedMediaType):
        sentence = _("The body is not JSON. Send it as `Content-Type: application/json`.")
    return str(sentence), code, getattr(exception, "errors", ())


_REMEDIES: dict[type[exceptions.APIException], Any] = {
    exceptions.NotAuthenticated: gettext_lazy(
        "This call needs an API key (`Authorization: Api-Key …`) or a login. Make a key under Administration."
    ),
    exceptions.PermissionDenied: gettext_lazy("You may not do this. Ask an administrator."),
    exceptions.NotFound: gettext_lazy("There is nothing at this address. Every address ends with a slash."),
    exceptions.NotAcceptable: gettext_lazy(
        "The answer is JSON. Send `Accept: application/json`, or no Accept."
    ),
    exceptions.Throttled: gettext_lazy("Too many requests. Send it again after `Retry-After` seconds."),
}


def flattened(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """{field, code, message} of a ValidationError's full details, however deep.

    The field is dotted, and empty for the whole.
    """
    if _is_message(details):
        yield {"field": path, "code": str(details["code"]), "message": str(details["message"])}
    elif isinstance(details, Mapping):
        for name, inner in details.items():
            yield from flattened(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    else:
        for index, inner in enumerate(details):
            yield from flattened(inner, path if _is_message(inner) else f"{path}.{index}".lstrip("."))


def _is_message(details: Any) -> bool:
    """Not two fields that happen to be called so."""
    return (
        isinstance(details, Mapping)
        and details.keys() == {"message", "code"}
        and isinstance(details["message"], str)
    )


def _summary(errors: Sequence[Mapping[str, str]]) -> str:
    if len(errors) == 1:
        [error] = errors
        return f"{error['field']}: {error['message']}" if error["field"] else error["message"]
    return ngettext(
        "Nothing was done: %(count)d field is wrong. Correct it and send the request again.",
        "Nothing was done: %(count)d fields are wrong. Correct what `errors` names and send the request again.",
        len(errors),
    ) % {"count": len(errors)}
