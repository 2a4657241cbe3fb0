"""The pages of operations. They work without a script; with one, numbers refresh by themselves.

A notice: choose → fill in (`compose`) → look at it and at how many it reaches (`check`) → send → watch (`sending`).
The check is a GET with the values in its address, so that a reload, a way back and a second tab are harmless; only a
POST sends, and the id of the checked form makes a second POST find the sending of the first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ajo.notices.forms import SEND_NOTICE, ConfirmForm, NoticeForm
from ajo.notices.live import journey_now
from ajo.notices.models import LiveView
from ajo.notices.preview import preview
from campaigns import notices, reports, runs
from campaigns.models import CampaignRun, Notice, NoticeSending
from channels import wording
from channels.reach import reach
from profiles.models import Channel, Membership

SHOWN = 12
REPEAT_MINUTES = 60
"""Whoever sends a notice again so soon is told of the last one."""
# An email has styles of its own and pictures from anywhere; its frame inherits the policy of the page around it.
_PREVIEW_POLICY = {"style-src": [UNSAFE_INLINE], "img-src": ["https:", "http:"]}

View = Callable[..., HttpResponse]


def _for_operations(view: View) -> View:
    """Only those who may send notices; a stranger is asked to sign in first."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.has_perm(SEND_NOTICE):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return never_cache(guarded)


@dataclass(frozen=True, slots=True)
class Share:
    """Some of the people of a run and what is true of them."""

    text: str
    n: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sending is."""

    sending: NoticeSending
    counts: reports.RunCounts

    @property
    def run(self) -> CampaignRun:
        return self.sending.run

    @property
    def is_all_clear(self) -> bool:
        return self.run.kind == CampaignRun.Kind.ALL_CLEAR

    @property
    def sender(self) -> str:
        return _name_of(self.sending)

    @property
    def state(self) -> str:
        return str(self.run.get_state_display())

    @property
    def tone(self) -> str:
        if self.run.state == CampaignRun.State.FINISHED:
            return "ok"
        return "warn" if self.run.is_over or self.run.state == CampaignRun.State.PAUSED else "busy"

    @property
    def percent(self) -> int:
        """Only what is over counts as whole: the last message may be long in coming."""
        if self.run.is_over:
            return 100
        if self.run.state == CampaignRun.State.FREEZING or not self.counts.targeted:
            return 0
        return min(99, 100 * self.counts.done // self.counts.targeted)

    @property
    def may_stop(self) -> bool:
        return not self.run.is_over

    @property
    def may_all_clear(self) -> bool:
        """Also while the notice is going out, which its all-clear stops."""
        return self.awaits_all_clear and self.reached > 0

    @property
    def awaits_all_clear(self) -> bool:
        return (
            not self.is_all_clear
            and self.sending.notice.all_clear_content_id is not None
            and not hasattr(self.sending, "all_clear")
        )

    @property
    def reached(self) -> int:
        """Those who got it, or may have."""
        return self.counts.sent + self.counts.uncertain

    @property
    def withheld(self) -> Sequence[Share]:
        return _shares(reports.in_words(self.counts.withheld))

    @property
    def failed(self) -> Sequence[Share]:
        return _shares(reports.in_words(self.counts.failed))


def _shares(reasons: Iterable[tuple[str, int]]) -> Sequence[Share]:
    return [Share(text, n) for text, n in reasons]


def _name_of(sending: NoticeSending) -> str:
    """Who sent it."""
    if sending.sent_by is None:
        return _("somebody who is no user any more")
    return sending.sent_by.get_full_name() or sending.sent_by.get_username()


def _standings(sendings: Iterable[NoticeSending]) -> list[Standing]:
    rows = list(sendings)
    counts = reports.run_counts(row.run_id for row in rows)
    return [Standing(row, counts[row.run_id]) for row in rows]


def _sendings() -> Any:
    return NoticeSending.objects.select_related(
        "notice", "run__configuration", "sent_by", "all_clear", "all_clear_of__run"
    ).order_by("-id")


@require_safe
@_for_operations
def index(request: HttpRequest) -> HttpResponse:
    """What one can send, what was sent last, what one can watch."""
    ready = Notice.objects.filter(is_ready=True).select_related("configuration", "audience")
    context = {
        "notices": [(notice, Channel(notice.configuration.channel).label) for notice in ready],
        "standings": _standings(_sendings()[:SHOWN]),
        "live_views": LiveView.objects.filter(is_shown=True).select_related("journey"),
    }
    return render(request, "notices/index.html", context)


@require_safe
@_for_operations
def compose(request: HttpRequest, key: str) -> HttpResponse:
    """The fields of one notice; those who come back from the check find what they had filled in."""
    notice = _ready(key)
    form = NoticeForm(notice.fields, initial=_filled_in(request, notice))
    return render(request, "notices/compose.html", {"notice": notice, "form": form})


def _filled_in(request: HttpRequest, notice: Notice) -> dict[str, str]:
    names = [field["name"] for field in notice.fields]
    return {name: request.GET[f"notice-{name}"] for name in names if f"notice-{name}" in request.GET}


@csp_update(_PREVIEW_POLICY)
@require_http_methods(["GET", "HEAD", "POST"])
@_for_operations
def check(request: HttpRequest, key: str) -> HttpResponse:
    """The message as one of its readers gets it and the number of people it reaches now. A POST sends it."""
    notice = _ready(key)
    form = NoticeForm(notice.fields, request.GET)
    if not form.is_valid():
        return render(request, "notices/compose.html", {"notice": notice, "form": form}, status=422)
    if request.method == "POST":
        return _send(request, notice, form.values)
    last = _sent_lately(notice, timezone.now())
    found = reach(
        audience_id=notice.audience_id,
        exclusion_ids=list(notice.exclusions.values_list("pk", flat=True)),
        channel=notice.configuration.channel,
        message_class=notice.message_class,
        now=timezone.now(),
        provider=notice.configuration.provider,
    )
    context = {
        "notice": notice,
        "form": form,
        "values": [(form[name].label, form.cleaned_data[name]) for name in form.values],
        "confirm": ConfirmForm(),
        "reach": found,
        "withheld": _shares((wording.reason(said), n) for said, n in found.withheld.items()),
        "not_reached": found.total - found.reached,
        "preview": preview(
            content=notice.content,
            configuration=notice.configuration,
            context=form.values,
            profile_id=_somebody(notice),
        ),
        "last": last,
        "last_sender": _name_of(last) if last else "",
    }
    return render(request, "notices/check.html", context)


def _ready(key: str) -> Notice:
    rows = Notice.objects.select_related("content", "all_clear_content", "configuration", "audience")
    return get_object_or_404(rows, key=key, is_ready=True)


def _somebody(notice: Notice) -> int | None:
    """One of the audience, whose name may stand in the preview."""
    members = Membership.objects.filter(audience=notice.audience_id, profile__merged_into=None)
    return members.order_by("profile_id").values_list("profile_id", flat=True).first()


def _sent_lately(notice: Notice, now: datetime) -> NoticeSending | None:
    since = now - timedelta(minutes=REPEAT_MINUTES)
    rows = _sendings().filter(notice=notice, all_clear_of=None, created_at__gt=since)
    found: NoticeSending | None = rows.first()
    return found


def _send(request: HttpRequest, notice: Notice, values: dict[str, Any]) -> HttpResponse:
    confirm = ConfirmForm(request.POST)
    if not confirm.is_valid():
        messages.error(request, _("Nothing was sent: the page was incomplete. Look at it again and send."))
        return redirect(request.get_full_path())
    try:
        sent = notices.send_notice(
            notice=notice,
            values=values,
            form_id=confirm.cleaned_data["form_id"],
            user=request.user,
            now=timezone.now(),
        )
    except notices.NoticeRefused as refusal:
        messages.error(request, str(refusal))
        return redirect(request.get_full_path())
    return redirect("notice-sending", sent.pk)


@require_safe
@_for_operations
def sending(request: HttpRequest, pk: int) -> HttpResponse:
    """One notice on its way, or where it came to; the numbers refresh until nothing of it is left to do."""
    return render(request, "notices/sending.html", _context(pk))


@require_safe
@_for_operations
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of that page which changes."""
    return render(request, "notices/progress.html", _context(pk))


def _context(pk: int) -> dict[str, Any]:
    row = get_object_or_404(_sendings(), pk=pk)
    (standing,) = _standings([row])
    labels = {field["name"]: field.get("label") or field["name"] for field in row.notice.fields}
    return {
        "standing": standing,
        "sending": row,
        "notice": row.notice,
        "values": [(labels.get(name, name), value) for name, value in row.fields.items()],
    }


@require_POST
@_for_operations
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Whoever has not got it yet does not get it."""
    row = get_object_or_404(_sendings(), pk=pk)
    try:
        runs.stop_run(run=row.run, now=timezone.now(), user=request.user)
    except runs.RunRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Stopped. Nobody else gets it."))
    return redirect("notice-sending", row.pk)


@csp_update(_PREVIEW_POLICY)
@require_http_methods(["GET", "HEAD", "POST"])
@_for_operations
def all_clear(request: HttpRequest, pk: int) -> HttpResponse:
    """The all-clear to those who got the notice: its words and their number; a POST sends it."""
    row = get_object_or_404(_sendings(), pk=pk)
    (standing,) = _standings([row])
    if request.method == "POST":
        return _send_all_clear(request, row)
    if not standing.may_all_clear:
        return redirect("notice-sending", pk)
    context = {
        "sending": row,
        "notice": row.notice,
        "standing": standing,
        "confirm": ConfirmForm(),
        "preview": preview(
            content=row.notice.all_clear_content,
            configuration=row.run.configuration,
            context=row.fields,
            profile_id=_somebody(row.notice),
        ),
    }
    return render(request, "notices/all_clear.html", context)


def _send_all_clear(request: HttpRequest, row: NoticeSending) -> HttpResponse:
    confirm = ConfirmForm(request.POST)
    if not confirm.is_valid():
        messages.error(request, _("Nothing was sent: the page was incomplete. Look at it again and send."))
        return redirect("notice-all-clear", row.pk)
    try:
        sent = notices.send_all_clear(
            sending=row,
            values=row.fields,
            form_id=confirm.cleaned_data["form_id"],
            user=request.user,
            now=timezone.now(),
        )
    except notices.NoticeRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("notice-sending", row.pk)
    return redirect("notice-sending", sent.pk)


@require_safe
@_for_operations
def live(request: HttpRequest, key: str) -> HttpResponse:
    """One journey: how many are where, who does not get on, who came last."""
    return render(request, "notices/live.html", _live_context(key))


@require_safe
@_for_operations
def live_now(request: HttpRequest, key: str) -> HttpResponse:
    """The part of that page which changes."""
    return render(request, "notices/live_now.html", _live_context(key))


def _live_context(key: str) -> dict[str, Any]:
    views = LiveView.objects.select_related("journey", "named_by")
    view = get_object_or_404(views, journey__key=key, is_shown=True)
    now = timezone.now()
    return {"view": view, "now_there": journey_now(view, now), "looked_at": now}
