"""The pages of no room: home, health, documentation; and what every page knows about the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ajo import documentation, health, reports
from ajo.demo import WELCOME_EVENT, WELCOME_JOURNEY
from ajo.version import VERSION
from profiles.models import Source


@dataclass(frozen=True, slots=True)
class NavItem:
    label: str
    url: str
    is_current: bool


def is_trusted(request: HttpRequest) -> bool:
    """Staff, or anybody while the product answers this machine alone."""
    return bool(settings.AJO_MAILBOX_OPEN or request.user.is_staff)


def product(request: HttpRequest) -> dict[str, Any]:
    """Context processor: name, version and the ways onward of every page."""
    return {
        "product_name": _("Journey optimizer"),
        "product_version": VERSION,
        "nav_items": SimpleLazyObject(lambda: _nav_items(request)),  # API and admin responses never ask
    }


def _nav_items(request: HttpRequest) -> list[NavItem]:
    pages = [
        (_("Home"), reverse("home")),
        (_("Docs"), reverse("docs-index")),
        (_("API"), reverse("api-docs")),
    ]
    if settings.AJO_MAILBOX_URL and is_trusted(request):
        pages.insert(1, (_("Mailbox"), reverse("mailbox")))
    if request.user.is_staff:
        pages.append((_("Admin"), reverse("admin:index")))
    return [NavItem(label, url, _is_current(request.path, url)) for label, url in pages]


def _is_current(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url))


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Signed in, or on one's own machine: the day in numbers and the way to a first event. Else: what this is."""
    if not (request.user.is_authenticated or settings.AJO_MAILBOX_OPEN):
        return render(request, "welcome.html")
    overview = reports.overview()
    source = Source.objects.filter(is_active=True).order_by("id").first() if is_trusted(request) else None
    return render(
        request,
        "home.html",
        {
            "overview": overview,
            "source": source,
            "welcome_event": WELCOME_EVENT,
            "has_welcome": any(journey.key == WELCOME_JOURNEY for journey in overview.journeys),
            "public_url": settings.AJO_PUBLIC_URL,
            "has_mailbox": bool(settings.AJO_MAILBOX_URL) and is_trusted(request),
        },
    )


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Plain text, a line per part: 200 when all work, else 503 with a sentence for each that does not."""
    parts = health.check()
    lines = [f"{part.name} {'ok' if part.is_ok else f'failed: {part.problem}'}\n" for part in parts]
    return HttpResponse(
        "".join(lines),
        status=200 if all(part.is_ok for part in parts) else 503,
        content_type="text/plain; charset=utf-8",
    )


@require_safe
def docs_index(request: HttpRequest) -> HttpResponse:
    """The first page of the documentation; `?q=` lists the pages that hold all these words."""
    query = request.GET.get("q", "").strip()
    if query:
        hits = list(documentation.search(query))
        return render(
            request, "docs/search.html", {"query": query, "hits": hits, "pages": documentation.pages()}
        )
    return docs_page(request, documentation.INDEX)


@require_safe
def docs_page(request: HttpRequest, slug: str) -> HttpResponse:
    page = documentation.page(slug)
    if page is None:
        raise Http404(_("There is no such page in the documentation."))
    return render(request, "docs/page.html", {"page": page, "pages": documentation.pages()})
