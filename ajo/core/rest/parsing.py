from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from ajo.lib.json_values import is_deeper, path_of_nul

MAX_DEPTH = 64


class StrictJsonParser(JSONParser):
    """JSON that PostgreSQL can store: no NaN, no lone surrogate, no NUL, nothing nested without end. 400 otherwise.

    Reads through `HttpRequest.body`, which refuses more than DATA_UPLOAD_MAX_MEMORY_SIZE.
    """

    def parse(
        self,
        stream: BinaryIO,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body: bytes = parser_context["request"]._request.body if parser_context else stream.read()
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise ParseError(
                _("The body is no valid JSON: %(reason)s.") % {"reason": _reason(error)}
            ) from None
        if is_deeper(value, MAX_DEPTH):
            raise ParseError(_("The body is nested more than %(depth)d deep.") % {"depth": MAX_DEPTH})
        if (path := path_of_nul(value, "")) is not None:
            raise ParseError(
                _("The body holds the character NUL in %(path)s, which cannot be stored. Remove it.")
                % {"path": path.lstrip(".") or _("its text")}
            )
        return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return _("it is nested too deeply")
    return str(error).removeprefix("JSON is malformed: ")
