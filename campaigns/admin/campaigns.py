"""Campaigns in the administration: a list with numbers, one page for each campaign, one for each of its runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from campaigns import reports, runs, services
from campaigns import schedule as schedules
from campaigns.admin.forms import CampaignForm, NewCampaignForm, ScheduleForm
from campaigns.models import Campaign, CampaignRun
from channels import wording
from channels.goal_forms import GoalForm
from channels.models import CauseKind, ChannelConfiguration, Message
from channels.reach import reach
from profiles.models import Audience

State = Campaign.State
RUNS_SHOWN = 20
RECIPIENTS_SHOWN = 50
DATES_SHOWN = 10
COMMENT_LENGTH = 1_000

_COLORS = {
    State.IN_REVIEW.label: "info",
    State.LIVE.label: "success",
    State.PAUSED.label: "warning",
    State.STOPPED.label: "danger",
}
_RUN_TONES = {
    CampaignRun.State.FREEZING: "info",
    CampaignRun.State.SENDING: "info",
    CampaignRun.State.PAUSED: "warning",
    CampaignRun.State.FINISHED: "success",
    CampaignRun.State.STOPPED: "danger",
    CampaignRun.State.SKIPPED: "warning",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done to a campaign in some states, with words that say what will happen then."""

    key: str
    label: Any
    permission: str
    states: tuple[str, ...]
    words: Any
    act: Callable[..., object]
    """Called with the campaign, who acts, and when."""
    done: Any
    is_primary: bool = False
    is_grave: bool = False
    asks_comment: bool = False
    """Whether `act` takes a comment, which is asked for."""


VERBS = (
    Verb(
        "submit",
        gettext_lazy("Submit for review"),
        "campaigns.change_campaign",
        (State.DRAFT,),
        gettext_lazy(
            "Somebody who may approve it looks at it. Until then nobody changes it and nothing is sent."
        ),
        lambda campaign, user, now: services.submit_for_review(campaign=campaign, user=user, now=now),
        gettext_lazy("Submitted for review."),
        is_primary=True,
    ),
    Verb(
        "approve",
        gettext_lazy("Approve"),
        "campaigns.approve_campaign",
        (State.IN_REVIEW,),
        gettext_lazy("It goes live with the words that are published now."),
        lambda campaign, user, now: services.approve(campaign=campaign, user=user, now=now),
        gettext_lazy("Approved: it is live."),
        is_primary=True,
    ),
    Verb(
        "send-back",
        gettext_lazy("Send back"),
        "campaigns.approve_campaign",
        (State.IN_REVIEW,),
        gettext_lazy("It becomes a draft again, and its author can change it. Nothing is sent."),
        lambda campaign, user, now, comment: services.send_back(
            campaign=campaign, user=user, comment=comment
        ),
        gettext_lazy("Sent back to its author."),
        asks_comment=True,
    ),
    Verb(
        "pause",
        gettext_lazy("Pause"),
        "campaigns.operate_campaign",
        (State.LIVE,),
        gettext_lazy("Nothing more is sent until it is resumed, and no new run begins. Nobody is lost."),
        lambda campaign, user, now: services.pause(campaign=campaign, user=user),
        gettext_lazy("Paused."),
    ),
    Verb(
        "resume",
        gettext_lazy("Resume"),
        "campaigns.operate_campaign",
        (State.PAUSED,),
        gettext_lazy("It goes on where it stood: nobody is skipped, and nobody gets it twice."),
        lambda campaign, user, now: services.resume(campaign=campaign, user=user, now=now),
        gettext_lazy("Resumed."),
        is_primary=True,
    ),
    Verb(
        "stop",
        gettext_lazy("Stop for good"),
        "campaigns.operate_campaign",
        (State.LIVE, State.PAUSED),
        gettext_lazy("It ends, and it cannot be started again. What is still waiting is withheld."),
        lambda campaign, user, now: services.stop(campaign=campaign, user=user, now=now),
        gettext_lazy("Stopped."),
        is_grave=True,
    ),
)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with its numbers."""

    run: CampaignRun
    counts: reports.RunCounts

    @property
    def tone(self) -> str:
        return _RUN_TONES[CampaignRun.State(self.run.state)]

    @property
    def withheld(self) -> list[tuple[str, int]]:
        return reports.in_words(self.counts.withheld)

    @property
    def failed(self) -> list[tuple[str, int]]:
        return reports.in_words(self.counts.failed)

    def share(self, n: int) -> int:
        return round(100 * n / self.counts.sent) if self.counts.sent else 0

    @property
    def delivered_share(self) -> int:
        return self.share(self.counts.delivered)

    @property
    def opened_share(self) -> int:
        return self.share(self.counts.opened)

    @property
    def clicked_share(self) -> int:
        return self.share(self.counts.clicked)

    @property
    def converted_share(self) -> int:
        return self.share(self.counts.converted)

    @property
    def percent(self) -> int:
        if self.run.is_over:
            return 100
        done, all_of_them = self.counts.done, self.counts.targeted
        return min(99, 100 * done // all_of_them) if all_of_them and self.run.frozen_at else 0


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    """A short form makes a campaign; its page is written here, and every change goes through the services."""

    form = NewCampaignForm
    list_display = ["name", "shown_state", "kind", "next_run_at", "shown_last_run", "shown_numbers"]
    list_filter = ["state", "kind"]
    search_fields = ["name", "key"]
    fields = ["name", "key", "kind"]
    prepopulated_fields = {"key": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return False  # its messages refer to it: stop it instead

    # --- the list --------------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Finds the last runs of all rows of the page, and their numbers, at once."""
        page = super().get_changelist_instance(request)
        last = {
            run.campaign_id: run
            for run in CampaignRun.objects.filter(campaign__in=list(page.result_list))
            .order_by("campaign_id", "-number")
            .distinct("campaign_id")
        }
        counts = reports.run_counts(run.pk for run in last.values())
        for campaign in page.result_list:
            run = last.get(campaign.pk)
            campaign.last_run = RunRow(run, counts[run.pk]) if run else None
        return page

    @display(description=gettext_lazy("State"), label=_COLORS)
    def shown_state(self, campaign: Campaign) -> str:
        return str(campaign.get_state_display())

    @display(description=gettext_lazy("Last run"))
    def shown_last_run(self, campaign: Campaign) -> datetime | str:
        row: RunRow | None = campaign.last_run  # type: ignore[attr-defined]
        return row.run.due_at if row else "–"

    @display(description=gettext_lazy("It reached"))
    def shown_numbers(self, campaign: Campaign) -> str:
        row: RunRow | None = campaign.last_run  # type: ignore[attr-defined]
        if row is None:
            return "–"
        return _("%(sent)s of %(targeted)s") % {"sent": row.counts.sent, "targeted": row.counts.targeted}

    # --- a new one -------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        user: Any = request.user
        made = services.create_campaign(key=obj.key, name=obj.name, kind=obj.kind, user=user)
        obj.pk = made.pk

    def response_add(
        self, request: HttpRequest, obj: Campaign, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_change", args=[obj.pk]))

    # --- its page --------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        def at(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"campaigns_campaign_{name}")

        return [
            at("<int:pk>/reach/", self.reach_view, "reach"),
            at("<int:pk>/dates/", self.dates_view, "dates"),
            at("<int:pk>/runs/", self.runs_view, "runs"),
            at("<int:pk>/goal/", self.goal_view, "goal"),
            at("<int:pk>/do/<slug:verb>/", self.act_view, "act"),
            at("runs/<int:pk>/", self.run_view, "run"),
            at("runs/<int:pk>/numbers/", self.run_numbers_view, "run_numbers"),
            at("runs/<int:pk>/stop/", self.stop_run_view, "run_stop"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything about one campaign; a draft is changed here."""
        campaign = self._campaign(request, int(object_id) if object_id.isdecimal() else 0)
        may_change = campaign.state == State.DRAFT and self.has_change_permission(request, campaign)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            return self._save(request, campaign)
        return self._page(request, campaign, CampaignForm(instance=campaign), ScheduleForm(campaign.schedule))

    def _save(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        user: Any = request.user
        revision = campaign.revision
        form = CampaignForm(request.POST, instance=campaign)
        schedule = _schedule_form(campaign, request)
        if form.is_valid() and schedule.is_valid():
            changes = {name: form.cleaned_data[name] for name in form.fields if name != "revision"}
            if campaign.kind == Campaign.Kind.SCHEDULED:
                changes["schedule"] = schedule.schedule
            try:
                services.update_campaign(
                    campaign=Campaign.objects.get(pk=campaign.pk),
                    revision=form.cleaned_data["revision"],
                    user=user,
                    changes=changes,
                )
            except services.CampaignRefused as refusal:
                messages.error(request, str(refusal))
            else:
                messages.success(request, _("Saved."))
                return redirect("admin:campaigns_campaign_change", campaign.pk)
        campaign.revision = revision
        return self._page(request, campaign, form, schedule)

    def _page(
        self,
        request: HttpRequest,
        campaign: Campaign,
        form: CampaignForm,
        schedule: ScheduleForm,
        goal: GoalForm | None = None,
    ) -> HttpResponse:
        may_change = campaign.state == State.DRAFT and self.has_change_permission(request, campaign)
        problems = (
            services.problems(campaign, timezone.now())
            if campaign.state in (State.DRAFT, State.IN_REVIEW)
            else []
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": campaign,
            "title": campaign.name,
            "campaign": campaign,
            "state_tone": _COLORS.get(State(campaign.state).label, "default"),
            "form": form,
            "schedule": schedule,
            "may_change": may_change,
            "problems": problems,
            "problems_of": {problem.field: problem.message for problem in problems},
            "verbs": list(_verbs(request, campaign)),
            "sent_back": services.sent_back(campaign) if campaign.state == State.DRAFT else None,
            "comment_length": COMMENT_LENGTH,
            "rows": _run_rows(campaign),
            "is_over": campaign.state in (State.STOPPED, State.FINISHED),
            "is_triggered": campaign.kind == Campaign.Kind.TRIGGERED,
            "example": _example(campaign),
            "goal": goal or GoalForm(campaign.goal),
            "goal_url": reverse("admin:campaigns_campaign_goal", args=[campaign.pk]),
            "may_set_goal": self.has_change_permission(request, campaign),
        }
        return TemplateResponse(request, "admin/campaigns/campaign/page.html", context)

    def _campaign(self, request: HttpRequest, pk: int) -> Campaign:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        rows = Campaign.objects.select_related(
            "content", "configuration", "audience", "created_by", "approved_by", "goal__event_type"
        )
        return get_object_or_404(rows, pk=pk)

    def act_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Do one of the verbs and say what became of it."""
        campaign = self._campaign(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = next((each for each in VERBS if each.key == verb), None)
        if found is None or not request.user.has_perm(found.permission):
            raise PermissionDenied
        comment = [request.POST.get("comment", "").strip()[:COMMENT_LENGTH]] if found.asks_comment else []
        try:
            found.act(campaign, request.user, timezone.now(), *comment)
        except services.CampaignRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, str(found.done))
        return redirect("admin:campaigns_campaign_change", campaign.pk)

    # --- parts that refresh ----------------------------------------------------------------------------------

    def reach_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How many people it reaches now, and who would be withheld: by the form that was posted, else as it is."""
        campaign = self._campaign(request, pk)
        target = _posted(request) if request.method == "POST" else _stored(campaign)
        context: dict[str, Any] = {"audience": target.audience, "configuration": target.configuration}
        if target.audience is not None and target.configuration is not None:
            context["problem"] = problem = runs.unusable_audience([target.audience, *target.exclusions])
            if not problem:
                found = reach(
                    audience_id=target.audience.pk,
                    exclusion_ids=[exclusion.pk for exclusion in target.exclusions],
                    channel=target.configuration.channel,
                    message_class=target.message_class,
                    now=timezone.now(),
                    provider=target.configuration.provider,
                )
                withheld = [(wording.reason(reason), n) for reason, n in found.withheld.items()]
                context |= {"reach": found, "withheld": withheld}
        return TemplateResponse(request, "admin/campaigns/campaign/reach.html", context)

    def dates_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The next dates: of the form that was posted, else of the campaign as it is."""
        campaign = self._campaign(request, pk)
        schedule: dict[str, Any] = campaign.schedule
        errors: Any = {}
        if request.method == "POST":
            form = ScheduleForm(campaign.schedule, request.POST)
            is_valid, errors = form.is_valid(), form.errors
            schedule = form.schedule if is_valid else {}
        dates = schedules.next_dates(schedule, timezone.now(), DATES_SHOWN) if schedule else []
        context = {
            "schedule": schedule,
            "errors": errors,
            "dates": dates,
            "zone": schedule.get("zone", "UTC"),
        }
        return TemplateResponse(request, "admin/campaigns/campaign/dates.html", context)

    def runs_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        campaign = self._campaign(request, pk)
        context = {"campaign": campaign, "rows": _run_rows(campaign)}
        return TemplateResponse(request, "admin/campaigns/campaign/runs.html", context)

    def goal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Set the goal, at any time; what is wrong with it stands beside its fields."""
        campaign = self._campaign(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied
        user: Any = request.user
        goal = GoalForm(campaign.goal, request.POST)
        if goal.save(lambda wanted: services.set_goal(campaign=campaign, wanted=wanted, user=user)):
            messages.success(request, _("The goal counts from now on."))
            return redirect("admin:campaigns_campaign_change", campaign.pk)
        form = CampaignForm(instance=campaign)
        return self._page(request, campaign, form, ScheduleForm(campaign.schedule), goal)

    # --- a run -----------------------------------------------------------------------------------------------

    def run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The results of one run and its recipients."""
        row = self._run(request, pk)
        may_see_people = request.user.has_perm("channels.view_message")
        state = _number(request.GET.get("state")) if request.GET.get("state") else None
        recipients = _recipients(row.run, state, _number(request.GET.get("after")))[: RECIPIENTS_SHOWN + 1]
        found = list(recipients) if may_see_people else []
        shown = found[:RECIPIENTS_SHOWN]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Run %(number)s") % {"number": row.run.number},
            "original": row.run.campaign,
            "row": row,
            "recipients": [(message, wording.TONES[Message.State(message.state)]) for message in shown],
            "next_after": shown[-1].pk if len(found) > len(shown) else None,
            "may_see_people": may_see_people,
            "states": [
                (value, label) for value, label in Message.State.choices
                if (row.counts.marks.get(value) if value != Message.State.QUEUED else row.counts.waiting)
            ],
            "state": state,
            "may_stop": request.user.has_perm("campaigns.operate_campaign") and not row.run.is_over,
        }  # fmt: skip
        return TemplateResponse(request, "admin/campaigns/campaign/run.html", context)

    def run_numbers_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return TemplateResponse(
            request, "admin/campaigns/campaign/run_numbers.html", {"row": self._run(request, pk)}
        )

    def stop_run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._run(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("campaigns.operate_campaign"):
            raise PermissionDenied
        try:
            runs.stop_run(run=row.run, now=timezone.now(), user=request.user)
        except runs.RunRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("Stopped. Nobody else gets it."))
        return redirect("admin:campaigns_campaign_run", row.run.pk)

    def _run(self, request: HttpRequest, pk: int) -> RunRow:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        rows = CampaignRun.objects.select_related(
            "campaign", "configuration", "audience", "variant__version__content"
        )
        run = get_object_or_404(rows, pk=pk, kind=CampaignRun.Kind.CAMPAIGN)
        return RunRow(run, reports.run_counts([run.pk])[run.pk])


@dataclass(frozen=True, slots=True)
class _Target:
    """Who is written to and by whom, as far as it is chosen."""

    audience: Audience | None
    exclusions: list[Audience]
    configuration: ChannelConfiguration | None
    message_class: int


def _stored(campaign: Campaign) -> _Target:
    exclusions = list(campaign.exclusions.all())
    return _Target(campaign.audience, exclusions, campaign.configuration, campaign.message_class)


def _posted(request: HttpRequest) -> _Target:
    def one(model: Any, name: str) -> Any:
        return model.objects.filter(pk=_number(request.POST.get(name))).first()

    chosen = [_number(value) for value in request.POST.getlist("exclusions")]
    return _Target(
        audience=one(Audience, "audience"),
        exclusions=list(Audience.objects.filter(pk__in=chosen)),
        configuration=one(ChannelConfiguration, "configuration"),
        message_class=_number(request.POST.get("message_class")),
    )


def _schedule_form(campaign: Campaign, request: HttpRequest) -> ScheduleForm:
    """A triggered campaign has no schedule to fill in: its form is the stored one."""
    if campaign.kind == Campaign.Kind.TRIGGERED:
        return ScheduleForm({"kind": "now"}, {"schedule-when": "now"})
    return ScheduleForm(campaign.schedule, request.POST)


def _verbs(request: HttpRequest, campaign: Campaign) -> Iterator[tuple[Verb, str]]:
    """What the reader may do now, each with what will happen."""
    for verb in VERBS:
        if campaign.state in verb.states and request.user.has_perm(verb.permission):
            yield verb, " ".join(_consequences(verb, campaign))


def _consequences(verb: Verb, campaign: Campaign) -> Iterator[str]:
    yield str(verb.words)
    if verb.key == "approve" and campaign.kind == Campaign.Kind.SCHEDULED:
        first = schedules.first_run(campaign.schedule, timezone.now())
        if campaign.schedule.get("kind") == "now":
            yield _("It is sent at once.")
        elif first is not None:
            yield _("Its first run is on %(date)s.") % {
                "date": timezone.localtime(first).strftime("%Y-%m-%d %H:%M")
            }
    if verb.key in {"pause", "stop"}:
        waiting = sum(row.counts.waiting for row in _run_rows(campaign) if not row.run.is_over)
        if waiting:
            yield ngettext(
                "%(n)d message waits now.", "%(n)d messages wait now.", waiting
            ) % {"n": waiting}  # fmt: skip


def _run_rows(campaign: Campaign) -> list[RunRow]:
    """The newest runs with their numbers: two statements."""
    found = list(campaign.runs.order_by("-number")[:RUNS_SHOWN])
    counts = reports.run_counts(run.pk for run in found)
    return [RunRow(run, counts[run.pk]) for run in found]


def _recipients(run: CampaignRun, state: int | None, after: int) -> QuerySet[Message]:
    rows = Message.objects.filter(
        Q(cause_kind=CauseKind.CAMPAIGN_RUN.value), cause_id=run.pk, pk__gt=after
    ).select_related("profile")
    return (rows if state is None else rows.filter(state=state)).order_by("pk")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


def _example(campaign: Campaign) -> str:
    """A request that sends a triggered campaign to one person, to be pasted into a terminal."""
    body = {
        "request_id": "order-1001",
        "recipients": [
            {
                "identity": {"namespace": "email", "value": "ada@example.com"},
                "context": campaign.context or {"order": "1001"},
            }
        ],
    }
    url = f"{settings.AJO_PUBLIC_URL}/api/v1/campaigns/{campaign.key}/requests/"
    text = json.dumps(body, indent=2, ensure_ascii=False).replace("'", "'\\''")
    return (
        f"curl {url} \\\n  -H 'Authorization: Api-Key YOUR_KEY' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    )
