"""The pages of no room: home, health, documentation; and what every page knows about the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from axes.helpers import get_cool_off
from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from ajo import documentation, health, reports
from ajo.core.admin_mixins import HIDDEN, changes_of
from ajo.core.forms import AccountForm
from ajo.core.models import AuditEvent
from ajo.core.rest import problems
from ajo.demo import WELCOME_EVENT, WELCOME_JOURNEY
from ajo.notices.forms import SEND_NOTICE
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
        (_("Home"), reverse("admin:index" if request.user.is_staff else "home")),
        (_("Docs"), reverse("docs-index")),
        (_("API"), reverse("api-docs")),
    ]
    if settings.AJO_MAILBOX_URL and is_trusted(request):
        pages.insert(1, (_("Mailbox"), reverse("mailbox")))
    return [NavItem(label, url, _is_current(request.path, url)) for label, url in pages]


def _is_current(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url))


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Staff go to the shell's home, operations to their notices; everybody else reads what this is.

    On one's own machine a stranger sees the day in numbers and how to send a first event.
    """
    if request.user.is_staff:
        return redirect("admin:index")
    if request.user.has_perm(SEND_NOTICE):
        return redirect("notices")
    if request.user.is_authenticated or not settings.AJO_MAILBOX_OPEN:
        return render(request, "welcome.html")
    overview = reports.overview()
    return render(
        request,
        "home.html",
        {
            "overview": overview,
            "source": Source.objects.filter(is_active=True).order_by("id").first(),
            "welcome_event": WELCOME_EVENT,
            "has_welcome": any(journey.key == WELCOME_JOURNEY for journey in overview.journeys),
            "public_url": settings.AJO_PUBLIC_URL,
            "has_mailbox": bool(settings.AJO_MAILBOX_URL),
        },
    )


def sign_in(request: HttpRequest) -> HttpResponse:
    """The one page to sign in. Who is in already, and may send notices but not enter the admin, goes on to them."""
    user = request.user
    if request.method == "GET" and user.has_perm(SEND_NOTICE) and not user.is_staff:
        return redirect("notices")
    return admin.site.login(request)


@require_http_methods(["GET", "POST"])
@never_cache
@transaction.atomic
def account(request: HttpRequest) -> HttpResponse:
    """Everybody's own name, address and time zone; inside the admin's shell."""
    user: Any = request.user
    form = AccountForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        if changes := changes_of(user, form):
            AuditEvent.record("change_user", user, user=user, name=str(user), changes=changes)
        messages.success(request, _("Saved."))
        return redirect("account")
    context = admin.site.each_context(request)
    return render(request, "admin/account.html", {**context, "title": _("My account"), "form": form})


@transaction.atomic
def password_change(request: HttpRequest) -> HttpResponse:
    """The admin's own page for one's password, with a line in the audit trail."""
    answer = admin.site.password_change(request)
    if request.method == "POST" and answer.status_code == 302:
        user: Any = request.user
        changes = {"password": [HIDDEN, HIDDEN]}
        AuditEvent.record("change_user", user, user=user, name=str(user), changes=changes)
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer to a bug, which Django has logged: a problem document for callers of the API, else a page."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    detail = _("Something went wrong here; it was logged. Nothing of this request was done. Try it again.")
    body = problems.document(500, code="server_error", detail=detail)
    return JsonResponse(body, status=500, content_type=problems.CONTENT_TYPE)


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """The answer to a sign-in after too many wrong passwords: how long to wait, and what else helps."""
    cool_off = get_cool_off(request)
    minutes = round(cool_off.total_seconds() / 60) if cool_off else 0
    context = admin.site.each_context(request)
    return render(
        request,
        "admin/locked_out.html",
        {**context, "title": _("Too many attempts"), "minutes": minutes},
        status=429,
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
