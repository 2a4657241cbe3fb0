"""The floor of `decide`: Django with one view, which inserts one row and answers after the commit."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

get_wsgi_application()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import re_path  # noqa: E402


def view(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cur:
        cur.execute("INSERT INTO bench_row (body) VALUES (%s)", [request.body.decode()])
    return JsonResponse({"ok": True})


class _Urls:
    urlpatterns = [re_path("", view)]


class _Bare(WSGIHandler):
    """Without middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = self._get_response
        self._view_middleware = self._template_response_middleware = self._exception_middleware = []

    def get_response(self, request: HttpRequest) -> HttpResponse:
        request.urlconf = _Urls  # type: ignore[attr-defined]
        return super().get_response(request)


with connection.cursor() as _cur:
    _cur.execute("CREATE TABLE IF NOT EXISTS bench_row (id bigserial PRIMARY KEY, body text)")

application = _Bare()
