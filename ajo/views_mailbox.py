"""The page that shows what the mailbox process received: per person, as a stream, and as JSON.

The process is asked over HTTP at `AJO_MAILBOX_URL`; nothing is stored here. Open to everyone while
`AJO_MAILBOX_OPEN` or `DEBUG` says so (the product then answers this machine only), else to staff.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parseaddr
from functools import wraps
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

LIST_LIMIT: Final = 100
TIMEOUT_SECONDS: Final = 3

# The mailbox is on this machine: a proxy of the environment must not see its messages.
_opener = build_opener(ProxyHandler({}))

# Links of a message open beside the page; the sandbox keeps scripts, forms and our origin away from it.
_LINKS_OPEN_BESIDE: Final = '<base target="_blank">'

# The frame of a message inherits the policy of the page; messages have styles of their own and pictures from anywhere.
_MESSAGE_POLICY: Final = {"style-src": [UNSAFE_INLINE], "img-src": ["https:", "http:"]}

View = Callable[..., HttpResponse]


class MailboxUnavailable(Exception):
    """The mailbox is not configured or does not answer; the text is for people."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def mailbox_door(*, speaks_json: bool, takes_post: bool = False) -> Callable[[View], View]:
    """Let in who may read the mailbox, and say in a page or in JSON why there is nothing to read."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not (settings.DEBUG or settings.AJO_MAILBOX_OPEN or request.user.is_staff):
                if speaks_json:
                    return JsonResponse({"detail": _("Log in as staff to read the mailbox.")}, status=403)
                if request.user.is_authenticated:
                    raise PermissionDenied
                return redirect_to_login(request.get_full_path())
            try:
                return view(request, *args, **kwargs)
            except MailboxUnavailable as error:
                if speaks_json:
                    return JsonResponse({"detail": str(error)}, status=error.status)
                return render(request, "mailbox/unavailable.html", {"text": str(error)}, status=error.status)

        return never_cache((require_POST if takes_post else require_safe)(guarded))

    return decorate


@csp_update(_MESSAGE_POLICY)
@mailbox_door(speaks_json=False)
def mailbox(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """The page: the stream or the people on the left, one message on the right.

    Query: `to` (an address), `q` (words), `view=people`.
    """
    to, query = request.GET.get("to", "").strip(), request.GET.get("q", "").strip()
    is_people = request.GET.get("view") == "people"
    newest = ask_json("/messages.json", to=to, q=query, limit=1 if is_people else LIST_LIMIT)
    people: dict[str, Any] = {"people": [], "count": 0}
    if is_people:
        people = ask_json("/people.json", q=query, limit=LIST_LIMIT)
    for entry in newest["messages"]:
        entry["received_at"] = datetime.fromisoformat(entry["received_at"])
    for person in people["people"]:
        person["last_at"] = datetime.fromisoformat(person["last_at"])
        person["query"] = urlencode({"to": person["address"]})
    context = {
        "entries": newest["messages"],
        "people": people["people"],
        "count": people["count"] if is_people else newest["count"],
        "newest_id": newest["messages"][0]["id"] if newest["messages"] else "0",
        "is_people": is_people,
        "to": to,
        "q": query,
        "query": urlencode({name: value for name, value in (("to", to), ("q", query)) if value}),
        "list_limit": LIST_LIMIT,
        "smtp": settings.AJO_MAILBOX_SMTP,
        "message": None if number is None else _message(number),
    }
    return render(request, "mailbox/mailbox.html", context)


@mailbox_door(speaks_json=True)
def messages_json(request: HttpRequest) -> HttpResponse:
    """What arrived, newest first, as the mailbox process tells it.

    Query: `to` (an address, the case does not matter), `q` (words in subject, sender, recipients or message id),
    `after` (only ids above this one), `limit` (50 unless told, at most 500), `bodies=0` leaves text and html out.

        {"count": 1, "messages": [{
            "id": "17", "received_at": "2026-11-21T10:00:00.123456+00:00", "message_id": "<…>",
            "from": "Brand <hello@brand.example>", "envelope_from": "bounce@brand.example",
            "to": ["ada@people.example"], "subject": "Welcome", "snippet": "Good to see …",
            "size": 2048, "has_html": true, "text": "…" or null, "html": "…" or null}]}

    `count` counts all that match. Errors are `{"detail": sentence}` with 400, 403, 404 (there is no mailbox in
    this deployment) or 503 (it does not answer).
    """
    asked = {name: request.GET.get(name, "") for name in ("to", "q", "after", "limit")}
    bodies = "0" if request.GET.get("bodies") == "0" else "1"
    return HttpResponse(ask("/messages.json", **asked, bodies=bodies), content_type="application/json")


@mailbox_door(speaks_json=False)
def source(request: HttpRequest, number: int) -> HttpResponse:
    """The raw message as a file; never shown as a page, because it comes from outside."""
    return HttpResponse(
        ask(f"/messages/{number}.eml"),
        content_type="message/rfc822",
        headers={"Content-Disposition": f'attachment; filename="message-{number}.eml"'},
    )


def _message(number: int) -> dict[str, Any]:
    """One message with what the template needs beside the mailbox's own answer."""
    message: dict[str, Any] = ask_json(f"/messages/{number}.json")
    message["received_at"] = datetime.fromisoformat(message["received_at"])
    name, address = parseaddr(message["from"])
    message["sender_name"] = name or address or message["from"]
    message["sender_address"] = address if name else ""
    if message["html"] is not None:
        message["page"] = _LINKS_OPEN_BESIDE + message["html"]
    return message


def ask_json(path: str, **query: object) -> Any:
    """The mailbox's answer in JSON; see `ask`."""
    return json.loads(ask(path, **query))


def ask(path: str, **query: object) -> bytes:
    """The body of the mailbox's answer; Http404 for a message it does not have, MailboxUnavailable otherwise."""
    return _call(f"{path}?{urlencode({name: value for name, value in query.items() if value})}")


def tell(path: str, data: Mapping[str, Any]) -> None:
    """Give the mailbox something as JSON; see `ask`."""
    _call(path, json.dumps(data).encode())


def _call(path: str, body: bytes | None = None) -> bytes:
    if not settings.AJO_MAILBOX_URL:
        raise MailboxUnavailable(
            HTTPStatus.NOT_FOUND,
            _(
                "This deployment has no mailbox. “make run” starts one; AJO_MAILBOX_URL points to one elsewhere."
            ),
        )
    try:
        headers = {"X-Mailbox-Token": settings.AJO_MAILBOX_TOKEN}
        request = Request(f"{settings.AJO_MAILBOX_URL}{path}", body, headers)
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return bytes(response.read())
    except HTTPError as error:
        with error:
            detail = _detail(error)
        if error.code == HTTPStatus.NOT_FOUND:
            raise Http404(detail) from error
        if error.code in {HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_GATEWAY}:
            raise MailboxUnavailable(HTTPStatus(error.code), detail) from error
        raise MailboxUnavailable(HTTPStatus.SERVICE_UNAVAILABLE, detail) from error
    except (OSError, HTTPException) as error:
        raise MailboxUnavailable(
            HTTPStatus.SERVICE_UNAVAILABLE,
            _("The mailbox does not answer. “manage.py doctor” says whether its process runs."),
        ) from error


def _detail(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return _("The mailbox gave an answer that makes no sense. Is AJO_MAILBOX_URL right?")
