from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.rest.idempotency import idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import NUMBER, SLUG, View, ViewSet
from campaigns import reports, requests, runs, services
from campaigns import schedule as schedules
from campaigns.api import serializers as shapes
from campaigns.models import Campaign, CampaignRequest, CampaignRun
from channels.goal_forms import errors_of, wanted_of
from channels.goals import GoalRefused
from channels.models import MessageMark
from channels.reach import reach

_DAILY = {"kind": "recurring", "every": "day", "time": "09:00", "zone": "Europe/Berlin"}
_REQUEST = {
    "request_id": "order-1001",
    "recipients": [
        {"identity": {"namespace": "user_id", "value": "ada"}, "context": {"order": "1001"}},
        {"email": "grace@example.com", "attributes": {"first_name": "Grace"}, "context": {"order": "1002"}},
    ],
    "context": {"shop": "Harbour & Pine"},
}


class SchedulePreviewView(View):
    scopes = {"post": "campaigns:read"}

    @extend_schema(
        tags=["campaigns"],
        operation_id="schedule_preview",
        request=shapes.SchedulePreviewSerializer,
        responses=shapes.DatesSerializer,
        examples=[OpenApiExample("Every day", {"schedule": _DAILY}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """The next ten dates of a schedule, or what is wrong with it. Stores nothing."""
        return Response(_dates(self.read(shapes.SchedulePreviewSerializer)["schedule"]))


@extend_schema(tags=["campaigns"])
class CampaignViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.CampaignSerializer
    queryset = Campaign.objects.none()
    scopes = {
        **dict.fromkeys(["list", "retrieve", "dates", "show_reach", "list_runs", "status"], "campaigns:read"),
        **dict.fromkeys(["create", "partial_update", "submit"], "campaigns:write"),
        **dict.fromkeys(["approve", "send_back"], "campaigns:approve"),
        **dict.fromkeys(
            ["pause", "resume", "stop", "pause_run", "resume_run", "stop_run"], "campaigns:operate"
        ),
        "send": "campaigns:send",
    }

    def get_queryset(self) -> QuerySet[Campaign]:
        found = Campaign.objects.select_related("content", "configuration", "audience", "goal__event_type")
        return found.prefetch_related("exclusions")

    def list(self, request: Request) -> Response:
        """All campaigns, by key."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=shapes.NewCampaignSerializer,
        responses={201: shapes.CampaignDetailSerializer},
        examples=[
            OpenApiExample(
                "Every morning",
                {"key": "survey", "name": "Survey", "audience": "recent-buyers", "schedule": _DAILY},
                request_only=True,
            ),
            OpenApiExample(
                "Sent by a call",
                {"key": "receipt", "name": "Receipt", "kind": "triggered", "content": "receipt"},
                request_only=True,
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new campaign, as a draft, which may still lack things."""
        asked = self.read(shapes.NewCampaignSerializer)
        goal = wanted_of(asked.pop("goal", None))
        with refusals(), transaction.atomic():
            campaign = services.create_campaign(**asked, user=self.person())
            if goal is not None:
                services.set_goal(campaign=campaign, wanted=goal, user=self.person())
        return self._campaign(campaign, HTTPStatus.CREATED)

    @extend_schema(responses=shapes.CampaignDetailSerializer)
    def retrieve(self, request: Request, key: str) -> Response:
        """One campaign, and what stands in the way of sending it."""
        return self._campaign(self.get_object())

    @extend_schema(
        request=shapes.CampaignChangesSerializer,
        responses=shapes.CampaignDetailSerializer,
        examples=[
            OpenApiExample(
                "Another audience", {"audience": "recent-buyers", "revision": 1}, request_only=True
            )
        ],
    )
    def partial_update(self, request: Request, key: str) -> Response:
        """Change a draft; the name, the description and the goal always.

        409 `stale_revision` when somebody was quicker.
        """
        campaign = self.get_object()
        asked = self.read(shapes.CampaignChangesSerializer)
        revision = asked.pop("revision")
        has_goal = "goal" in asked
        goal = wanted_of(asked.pop("goal", None))
        with refusals(), transaction.atomic():
            services.update_campaign(campaign=campaign, revision=revision, user=self.person(), changes=asked)
            if has_goal:
                services.set_goal(campaign=campaign, wanted=goal, user=self.person())
        return self._campaign(campaign)

    @extend_schema(request=None, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def submit(self, request: Request, key: str) -> Response:
        """Ask for approval. 409 names each problem."""
        return self._move(services.submit_for_review, now=timezone.now())

    @extend_schema(request=None, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request: Request, key: str) -> Response:
        """Let it go live: it runs when its schedule says, or takes calls."""
        return self._move(services.approve, now=timezone.now())

    @extend_schema(request=shapes.CommentSerializer, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"], url_path="send-back")
    @idempotent
    def send_back(self, request: Request, key: str) -> Response:
        """Make it a draft again, with a comment for its author."""
        return self._move(services.send_back, **self.read(shapes.CommentSerializer))

    @extend_schema(request=None, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def pause(self, request: Request, key: str) -> Response:
        """No run begins, no call is taken, and runs that have begun stand still."""
        return self._move(services.pause)

    @extend_schema(request=None, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def resume(self, request: Request, key: str) -> Response:
        """It goes on where it stopped; nobody is skipped, nobody gets anything twice."""
        return self._move(services.resume, now=timezone.now())

    @extend_schema(request=None, responses=shapes.CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, key: str) -> Response:
        """End it for good, and withhold what is still queued."""
        campaign, now = self.get_object(), timezone.now()
        with refusals():
            stopped = services.begin_stop(campaign=campaign, user=self.person())
        transaction.on_commit(partial(services.finish_stop, campaign=stopped, now=now))
        return self._campaign(campaign)

    @extend_schema(responses=shapes.DatesSerializer)
    @action(detail=True)
    def dates(self, request: Request, key: str) -> Response:
        """The next ten dates on which it runs, or what is wrong with its schedule."""
        campaign = self.get_object()
        done = campaign.runs.count()
        return Response(_dates(campaign.schedule, done))

    @extend_schema(responses=shapes.ReachSerializer)
    @action(detail=True, url_path="reach")
    def show_reach(self, request: Request, key: str) -> Response:
        """Exactly how many people it would reach now, and why it would not reach the others."""
        campaign = self.get_object()
        if problem := _why_unreached(campaign):
            return Response(
                {"total": 0, "reached": 0, "held": 0, "quiet_until": None, "withheld": [], "problem": problem}
            )
        assert campaign.audience is not None
        assert campaign.configuration is not None
        found = reach(
            audience_id=campaign.audience.pk,
            exclusion_ids=[audience.pk for audience in campaign.exclusions.all()],
            channel=campaign.configuration.channel,
            message_class=campaign.message_class,
            now=timezone.now(),
            provider=campaign.configuration.provider,
        )
        return Response(
            {
                "total": found.total,
                "reached": found.reached,
                "held": found.held,
                "quiet_until": found.quiet_until,
                "withheld": _withheld(found.withheld),
                "problem": "",
            }
        )

    @extend_schema(responses=shapes.RunsSerializer)
    @action(detail=True, url_path="runs")
    def list_runs(self, request: Request, key: str) -> Response:
        """The last hundred runs, newest first, each with its numbers."""
        found = list(self.get_object().runs.order_by("-number")[:100])
        numbers = reports.run_counts([run.pk for run in found])
        return Response({"results": [_run_json(run, numbers[run.pk]) for run in found]})

    @extend_schema(
        request=None,
        responses=shapes.CampaignRunSerializer,
        parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)],
    )
    @action(detail=True, methods=["post"], url_path=f"runs/(?P<number>{NUMBER})/pause")
    @idempotent
    def pause_run(self, request: Request, key: str, number: str) -> Response:
        """Nothing of this run is sent from now on."""
        run = self._run(number)
        with refusals():
            run = runs.pause_run(run=run, user=self.person())
        return Response(_run_json(run, reports.run_counts([run.pk])[run.pk]))

    @extend_schema(
        request=None,
        responses=shapes.CampaignRunSerializer,
        parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)],
    )
    @action(detail=True, methods=["post"], url_path=f"runs/(?P<number>{NUMBER})/resume")
    @idempotent
    def resume_run(self, request: Request, key: str, number: str) -> Response:
        """This run goes on where it stopped."""
        run = self._run(number)
        with refusals():
            run = runs.resume_run(run=run, now=timezone.now(), user=self.person())
        return Response(_run_json(run, reports.run_counts([run.pk])[run.pk]))

    @extend_schema(
        request=None,
        responses=shapes.CampaignRunSerializer,
        parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)],
    )
    @action(detail=True, methods=["post"], url_path=f"runs/(?P<number>{NUMBER})/stop")
    @idempotent
    def stop_run(self, request: Request, key: str, number: str) -> Response:
        """End this run for good, and withhold what is still queued of it."""
        run = self._run(number)
        with refusals():
            run = runs.begin_stop(run=run, user=self.person())
        transaction.on_commit(partial(runs.finish_stop, run=run, now=timezone.now()))
        return Response(_run_json(run, reports.run_counts([run.pk])[run.pk]))

    @extend_schema(
        request=shapes.NewRequestSerializer,
        responses={202: shapes.CampaignRequestSerializer},
        examples=[OpenApiExample("Two receipts", _REQUEST, request_only=True)],
    )
    @action(detail=True, methods=["post"], url_path="requests")
    @idempotent
    def send(self, request: Request, key: str) -> Response:
        """Send a triggered campaign to 1 to 1,000 people.

        Each recipient is accepted or refused by itself. The same request sent again is done once and answered alike;
        another body with the same `request_id` is 409 `request_reused`.
        """
        campaign = self.get_object()
        asked = self.read(shapes.NewRequestSerializer)
        with refusals():
            made = requests.send(
                campaign=campaign,
                request_id=asked["request_id"],
                recipients=[_recipient(each) for each in asked["recipients"]],
                context=asked.get("context", {}),
                body=request.data,
                now=timezone.now(),
            )
        return Response(_request_json(made), HTTPStatus.ACCEPTED)

    @extend_schema(
        responses=shapes.CampaignRequestSerializer,
        parameters=[OpenApiParameter("request_id", str, OpenApiParameter.PATH)],
    )
    @action(detail=True, url_path=f"requests/(?P<request_id>{shapes.REQUEST_ID})")
    def status(self, request: Request, key: str, request_id: str) -> Response:
        """What became of a request: the state of every message now."""
        found = CampaignRequest.objects.filter(campaign=self.get_object(), request_id=request_id).first()
        if found is None:
            raise NotFound(_("There is no request %(id)s of this campaign.") % {"id": request_id})
        return Response(_request_json(found))

    def _move(self, verb: Callable[..., Any], **more: Any) -> Response:
        campaign = self.get_object()
        with refusals():
            verb(campaign=campaign, user=self.person(), **more)
        return self._campaign(campaign)

    def _campaign(self, campaign: Campaign, status: int = HTTPStatus.OK) -> Response:
        campaign = self.get_queryset().get(pk=campaign.pk)
        found = services.problems(campaign, timezone.now()) if _is_open(campaign) else []
        return Response(
            self.get_serializer(campaign).data | {"problems": [_problem_json(each) for each in found]}, status
        )

    def _run(self, number: str) -> CampaignRun:
        run = (
            self.get_object().runs.filter(number=number).first() if int(number) <= shapes.MAX_NUMBER else None
        )
        if run is None:
            raise NotFound(_("There is no run %(number)s of this campaign.") % {"number": number})
        return run


@contextmanager
def refusals() -> Iterator[None]:
    """What the services refuse, as a problem that names the field."""
    try:
        yield
    except services.CampaignRefused as refused:
        errors = [
            {"field": problem.field, "code": "problem", "message": problem.message}
            for problem in refused.problems
        ]
        is_stale = isinstance(refused, services.StaleRevision)
        raise Refused(str(refused), code="stale_revision" if is_stale else "refused", errors=errors) from None
    except GoalRefused as refused:
        raise Refused(str(refused), errors=errors_of(refused)) from None
    except requests.RequestReused as refused:
        raise Refused(str(refused), code="request_reused") from None
    except (requests.RequestRefused, runs.RunRefused) as refused:
        raise Refused(str(refused)) from None


def _why_unreached(campaign: Campaign) -> str:
    if campaign.audience is None or campaign.configuration is None:
        return _("Choose an audience and a channel configuration first: without them nobody is reached.")
    if campaign.audience.evaluated_at is None:
        return _("Nobody is counted in the audience %(key)s yet. Activate it, and ask again in a moment.") % {
            "key": campaign.audience.key
        }
    return ""


def _is_open(campaign: Campaign) -> bool:
    """Whether it can still be changed, so that its problems matter."""
    return campaign.state in (Campaign.State.DRAFT, Campaign.State.IN_REVIEW)


def _problem_json(problem: services.Problem | schedules.ScheduleProblem) -> dict[str, str]:
    return {"field": problem.field, "message": problem.message}


def _dates(schedule: dict[str, Any], done: int = 0) -> dict[str, Any]:
    found = schedules.problems(schedule)
    now = timezone.now()
    dates = [] if found else schedules.next_dates(schedule, now, done=done)
    return {"dates": dates, "problems": [_problem_json(problem) for problem in found]}


def _withheld(reasons: Any) -> list[dict[str, Any]]:
    return [{"reason": reason, "count": count} for reason, count in reasons.items()]


def _run_json(run: CampaignRun, counts: reports.RunCounts) -> dict[str, Any]:
    return shapes.CampaignRunSerializer(
        {
            **{field: getattr(run, field) for field in _RUN_FIELDS},
            "messages": {
                "waiting": counts.waiting,
                **{mark.name.lower(): counts.marks.get(mark, 0) for mark in MessageMark},
            },
            "withheld": [{"reason": said, "count": n} for said, n in reports.in_words(counts.withheld)],
        }
    ).data


_RUN_FIELDS = ("number", "state", "reason", "due_at", "targeted", "frozen_at", "ended_at")


def _recipient(asked: dict[str, Any]) -> requests.Recipient:
    identity = asked.pop("identity", None)
    return requests.Recipient(
        identity=(identity["namespace"], identity["value"]) if identity else None, **asked
    )


def _request_json(request: CampaignRequest) -> dict[str, Any]:
    messages = requests.messages(request)
    rows = []
    for row in request.recipients:
        message = messages.get(int(row.get("message_id", 0)))
        rows.append(
            {
                "is_accepted": "message_id" in row,
                "reason": message.reason if message else row.get("reason", ""),
                "profile": row.get("profile_id"),
                "message": row.get("message_id"),
                "state": message.state if message else None,
            }
        )
    return shapes.CampaignRequestSerializer(
        {
            "id": request.pk,
            "request_id": request.request_id,
            "created_at": request.created_at,
            "accepted": request.accepted,
            "refused": len(rows) - request.accepted,
            "recipients": rows,
        }
    ).data
