"""How our views describe themselves in OpenAPI: summary from the docstring, the query, and every problem answer."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, get_doc

from ajo.core.rest import problems
from ajo.core.rest.idempotency import HEADER, KEEP_HOURS, MAX_LENGTH, REPLAYED
from ajo.core.rest.serializers import ProblemSerializer
from ajo.core.rest.views import Door

_ANSWERS = {
    "400": "A field, a parameter or the body itself is wrong; `errors` names it.",
    "401": "No API key and no login, or a bad key.",
    "403": "The key lacks the scope, or the person the permission.",
    "404": "What the address names does not exist.",
    "406": "Another answer than JSON was asked for.",
    "409": "It cannot be done in the present state, or somebody else was quicker.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The Idempotency-Key came before with another request.",
    "503": "The database is busy or away.",
}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "ajo.core.rest.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key ` and the key, which is shown once when it is made.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "ajo.core.rest.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The login of the pages; what changes something needs `X-CSRFToken` too.",
        }


class StrictBody(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A body has no other fields than these."""

    target_class = "ajo.core.rest.serializers.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        if direction == "request":
            schema["additionalProperties"] = False
        if not force_instance(self.target).__class__.__doc__:
            schema.pop("description", None)  # that of Strict is for those who write shapes
        return schema


class DoorSchema(AutoSchema):
    """The description of an operation. Of a view that is no Door it is drf-spectacular's own."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(
            path, path_regex, path_prefix, method, registry
        )
        if operation is None or not isinstance(self.view, Door):
            return operation
        if getattr(self._handler(), "is_idempotent", False):
            operation.setdefault("parameters", []).append(_idempotency_header())
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})[REPLAYED] = {
                    "description": "`true` when this is the answer of an earlier request with the same key.",
                    "schema": {"type": "string"},
                }
        component = self.resolve_serializer(ProblemSerializer, "response")
        for status in self._problem_statuses(operation):
            operation["responses"][status] = {
                "description": _ANSWERS[status],
                "content": {problems.CONTENT_TYPE: {"schema": component.ref}},
            }
        if scope := self.view.scopes.get(self._deed()):
            operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
        return operation

    def get_summary(self) -> str | None:
        if not isinstance(self.view, Door):
            return super().get_summary()  # type: ignore[no-any-return]
        doc = get_doc(self._handler()).partition("\n\n")[0].replace("\n", " ").strip()
        if not doc:
            raise ImproperlyConfigured(f"{self.view.__class__.__name__}.{self._deed()} lacks a docstring.")
        return str(doc).rstrip(".")

    def get_description(self) -> str:
        if not isinstance(self.view, Door):
            return str(super().get_description())
        return str(get_doc(self._handler()).partition("\n\n")[2])

    def get_override_parameters(self) -> list[Any]:
        if isinstance(self.view, Door) and (filters := self.view.filters.get(self._deed())):
            return [filters]
        return []

    def _deed(self) -> str:
        return getattr(self.view, "action", None) or self.method.lower()

    def _handler(self) -> Any:
        return getattr(self.view, self._deed())

    def _problem_statuses(self, operation: dict[str, Any]) -> list[str]:
        parameters = operation.get("parameters", [])
        statuses = ["400", "401", "403", "406", "503"]
        if any(parameter["in"] == "path" for parameter in parameters):
            statuses.append("404")
        if self.method != "GET":
            statuses += ["409", "413", "415"]
        if any(parameter["name"] == HEADER for parameter in parameters):
            statuses.append("422")
        return sorted(statuses)


def _idempotency_header() -> dict[str, Any]:
    return {
        "name": HEADER,
        "in": "header",
        "description": f"A repeat with the same key gets the first answer again, for {KEEP_HOURS} hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "^[ -~]+$"},
    }
