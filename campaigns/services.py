"""What people do with campaigns: write, submit, approve, send back, pause, resume, stop.

Each is one transaction with its audit line, and refuses with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, transaction

from ajo.core.models import AuditEvent, User
from ajo.lib import doorbell, lifecycle, sql
from campaigns import runs
from campaigns import schedule as schedules
from campaigns.models import Campaign, CampaignRun
from channels import delivery, goals, readiness
from channels.goals import Wanted
from channels.models import CauseKind, MessageClass, SendHold
from channels.reports import Origin

State = Campaign.State
WORDS = ("name", "description")
"""What can be changed at any time; everything else only in a draft."""
FIELDS = (
    *WORDS, "content", "configuration", "message_class", "audience", "exclusions", "schedule", "context",
)  # fmt: skip
_OPEN_RUNS = (CampaignRun.State.FREEZING, CampaignRun.State.SENDING, CampaignRun.State.PAUSED)
_CALLED = CauseKind.API_REQUEST.value
START_TASK = "campaigns.tasks.start_due_runs"


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence about what stands in the way of sending. `field` is one of FIELDS or like `schedule.zone`."""

    field: str
    message: str


class CampaignRefused(Exception):
    """What was asked cannot be done with this campaign now; the sentence says why and what to do."""

    def __init__(self, sentence: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(sentence)
        self.problems = tuple(problems)


class StaleRevision(CampaignRefused):
    """Somebody else changed the campaign in the meantime, so it was not overwritten."""


def create_campaign(*, key: str, name: str, kind: str, user: User | None, **fields: Any) -> Campaign:
    """A draft. `fields` as in `update_campaign`; a triggered campaign is transactional unless they say otherwise."""
    if kind == Campaign.Kind.TRIGGERED:
        fields.setdefault("message_class", MessageClass.TRANSACTIONAL)
    exclusions = fields.pop("exclusions", ())
    taken = CampaignRefused(
        f"There is already a campaign with the key {key!r}. Choose another key.",
        [Problem("key", f"There is already a campaign with the key {key!r}. Choose another key.")],
    )
    try:
        with transaction.atomic():
            campaign = Campaign.objects.create(key=key, name=name, kind=kind, created_by=user, **fields)
            campaign.exclusions.set(exclusions)
            AuditEvent.record("create_campaign", campaign, user=user, name=name)
    except IntegrityError:
        raise taken from None
    except DataError:
        raise _unstorable() from None
    return campaign


def update_campaign(
    *, campaign: Campaign, revision: int | None, user: User | None, changes: Mapping[str, Any]
) -> Campaign:
    """Change what FIELDS names; beyond WORDS only in a draft.

    `revision` is the one that the author has read; None writes whatever is there. Refuses when it is not the current
    one, so that nobody overwrites a colleague's work unseen.
    """
    try:
        with transaction.atomic():
            campaign = _locked(campaign)
            if revision is not None and revision != campaign.revision:
                raise StaleRevision(
                    f"{campaign} is no longer at revision {revision}: somebody changed it in the meantime, and nothing"
                    " was overwritten. Load it again and repeat your changes."
                )
            if campaign.state != State.DRAFT and (closed := changes.keys() - set(WORDS)):
                raise CampaignRefused(
                    f"{campaign} is {campaign.get_state_display().lower()}: only a draft can be changed. "
                    + (
                        "Send it back first."
                        if campaign.state == State.IN_REVIEW
                        else "Make a new campaign for what is different."
                    ),
                    [Problem(field, "This can be changed in a draft only.") for field in sorted(closed)],
                )
            rest = {name: value for name, value in changes.items() if name != "exclusions"}
            for name, value in rest.items():
                setattr(campaign, name, value)
            if "exclusions" in changes:
                campaign.exclusions.set(changes["exclusions"])
            campaign.revision += 1
            campaign.save(update_fields=[*rest, "revision"])
            AuditEvent.record("save_campaign", campaign, user=user, revision=campaign.revision)
    except DataError:
        raise _unstorable() from None
    return campaign


def set_goal(*, campaign: Campaign, wanted: Wanted | None, user: User | None) -> Campaign:
    """What its messages should bring about, in all runs, also those to come; None for nothing. Raises GoalRefused.

    A goal is a measure: it can be set at any time, and counts from then on.
    """
    with transaction.atomic():
        campaign = _locked(campaign)
        campaign.goal = goals.set_goal(campaign.goal, wanted, origins(campaign))
        campaign.save(update_fields=["goal"])
        AuditEvent.record("set_goal", campaign, user=user, **(asdict(wanted) if wanted else {}))
    return campaign


def origins(campaign: Campaign) -> list[Origin]:
    """What its messages name as their origin: its runs, or itself when calls trigger it."""
    if campaign.kind == Campaign.Kind.TRIGGERED:
        return [Origin(CauseKind.API_REQUEST.value, campaign.pk)]
    return [Origin(CauseKind.CAMPAIGN_RUN.value, id) for id in campaign.runs.values_list("pk", flat=True)]


def problems(campaign: Campaign, now: datetime) -> list[Problem]:
    """Everything that stands in the way of sending it; nothing when it can be submitted."""
    found = []
    if campaign.content is None:
        found.append(Problem("content", "There is nothing to send. Choose a content."))
    if campaign.configuration is None:
        found.append(Problem("configuration", "There is no sender. Choose a channel configuration."))
    if campaign.content is not None and campaign.configuration is not None:
        found += [
            Problem(obstacle.field, obstacle.message)
            for obstacle in readiness.obstacles(
                content=campaign.content.key,
                configuration=campaign.configuration.key,
                message_class=campaign.message_class,
            )
        ]
    if not isinstance(campaign.context, dict):
        found.append(Problem("context", "The context must be an object: names and their values."))
    if campaign.kind == Campaign.Kind.SCHEDULED:
        found += _problems_of_scheduled(campaign, now)
    return found


def _problems_of_scheduled(campaign: Campaign, now: datetime) -> list[Problem]:
    found = []
    if problem := runs.unusable_audience([campaign.audience]):
        found.append(Problem("audience", problem))
    exclusions = list(campaign.exclusions.order_by("pk"))
    if problem := runs.unusable_audience(exclusions):
        found.append(Problem("exclusions", problem))
    if campaign.audience in exclusions:
        found.append(
            Problem("exclusions", f"{campaign.audience} is excluded from itself, so nobody would get it.")
        )
    wrong = schedules.problems(campaign.schedule)
    found += [Problem(f"schedule.{problem.field}", problem.message) for problem in wrong]
    if not wrong and schedules.first_run(campaign.schedule, now) is None:
        found.append(
            Problem("schedule", "The schedule has no date left: all of them have passed. Choose a later one.")
        )
    return found


def submit_for_review(*, campaign: Campaign, user: User | None, now: datetime) -> Campaign:
    """Ask for approval. Until it is sent back, nobody changes it."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _check(campaign, "submitted", now)
        _move(campaign, State.DRAFT, State.IN_REVIEW)
        AuditEvent.record("submit_campaign", campaign, user=user)
    return campaign


def approve(*, campaign: Campaign, user: User | None, now: datetime) -> Campaign:
    """Pin the words that are published now and go live: its first run begins when the schedule says."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _check(campaign, "approved", now)
        assert campaign.content is not None
        is_scheduled = campaign.kind == Campaign.Kind.SCHEDULED
        _move(
            campaign,
            State.IN_REVIEW,
            State.LIVE,
            pinned_version=readiness.current_version(campaign.content.key),
            next_run_at=schedules.first_run(campaign.schedule, now) if is_scheduled else None,
            approved_by=user,
            approved_at=now,
        )
        AuditEvent.record("approve_campaign", campaign, user=user, version=campaign.pinned_version_id)
    doorbell.ring_on_commit(START_TASK)
    return campaign


def send_back(*, campaign: Campaign, user: User | None, comment: str = "") -> Campaign:
    """It becomes a draft again; `comment` tells its author why."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _move(campaign, State.IN_REVIEW, State.DRAFT)
        AuditEvent.record("send_back_campaign", campaign, user=user, comment=comment)
    return campaign


def sent_back(campaign: Campaign) -> AuditEvent | None:
    """The line of the audit that says why it was sent back, if that is the last that came of its review."""
    lines = AuditEvent.objects.filter(object_kind=campaign._meta.label_lower, object_key=campaign.key)
    of_review = lines.filter(action__in=["submit_campaign", "send_back_campaign"])
    last = of_review.select_related("user").order_by("-id").first()
    is_answered = last is None or last.action == "submit_campaign" or not last.data.get("comment")
    return None if is_answered else last


def pause(*, campaign: Campaign, user: User | None) -> Campaign:
    """No run begins and no call is taken; the runs that have begun stand still, and what calls have queued waits."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _move(campaign, State.LIVE, State.PAUSED)
        for run in _runs(campaign, CampaignRun.State.FREEZING, CampaignRun.State.SENDING):
            runs.pause_run(run=run, user=user)
        _hold(campaign)
        AuditEvent.record("pause_campaign", campaign, user=user)
    return campaign


def resume(*, campaign: Campaign, user: User | None, now: datetime) -> Campaign:
    """It goes on, and its runs where they stopped. Dates that passed meanwhile are skipped, as after an outage."""
    with transaction.atomic():
        campaign = _locked(campaign)
        _move(campaign, State.PAUSED, State.LIVE)
        for run in _runs(campaign, CampaignRun.State.PAUSED):
            runs.resume_run(run=run, now=now, user=user)
        _release(campaign)
        _look_again(campaign, now)
        AuditEvent.record("resume_campaign", campaign, user=user)
    doorbell.ring_on_commit(START_TASK)
    return campaign


def stop(*, campaign: Campaign, user: User | None, now: datetime) -> Campaign:
    """End it for good; what is queued is withheld. What is just being sent cannot be called back."""
    # Durable: the locks must be gone before messages are waited for.
    with transaction.atomic(durable=True):
        campaign = begin_stop(campaign=campaign, user=user)
    finish_stop(campaign=campaign, now=now)
    return campaign


def begin_stop(*, campaign: Campaign, user: User | None) -> Campaign:
    """The first half of `stop`, for a caller with a transaction of its own: `finish_stop` comes after it."""
    with transaction.atomic():
        campaign = _locked(campaign)
        if campaign.state not in (State.LIVE, State.PAUSED):
            raise _wrong_state(campaign, [State.LIVE, State.PAUSED], State.STOPPED)
        _move(campaign, campaign.state, State.STOPPED, next_run_at=None)
        for run in _runs(campaign, *_OPEN_RUNS):
            runs.begin_stop(run=run, user=user)
        _hold(campaign)  # nothing goes out between the two halves
        AuditEvent.record("stop_campaign", campaign, user=user)
    return campaign


def finish_stop(*, campaign: Campaign, now: datetime) -> None:
    """Withhold what a stopped campaign still has queued."""
    for run in CampaignRun.objects.filter(campaign=campaign, state=CampaignRun.State.STOPPED, ended_at=None):
        runs.finish_stop(run=run, now=now)
    with transaction.atomic():
        delivery.withhold_origin(cause_kind=_CALLED, origin_id=campaign.pk, reason=runs.STOPPED_REASON)
        _release(campaign)
        Campaign.objects.filter(pk=campaign.pk, ended_at=None).update(ended_at=now)
    campaign.refresh_from_db(fields=["ended_at"])


def settle(now: datetime) -> int:
    """Finish stops that were interrupted, runs of which everything has gone out, and campaigns that have no date and no
    run left. Returns how many."""
    settled = 0
    for campaign in Campaign.objects.filter(state=State.STOPPED, ended_at=None):
        finish_stop(campaign=campaign, now=now)
        settled += 1
    return settled + runs.settle_runs(now)


def _hold(campaign: Campaign) -> None:
    """Hold what calls have queued; the messages of runs are held with their runs."""
    if campaign.kind == Campaign.Kind.TRIGGERED:
        SendHold.objects.get_or_create(
            scope=SendHold.Scope.TRIGGERED_CAMPAIGN,
            ref=campaign.pk,
            defaults={"reason": f"{campaign} is paused or stopped."[:200]},
        )


def _release(campaign: Campaign) -> None:
    SendHold.objects.filter(scope=SendHold.Scope.TRIGGERED_CAMPAIGN, ref=campaign.pk).delete()


def _look_again(campaign: Campaign, now: datetime) -> None:
    """What calls have queued goes at once."""
    if campaign.kind == Campaign.Kind.TRIGGERED and campaign.configuration is not None:
        channel = campaign.configuration.channel
        with sql.cursor() as cur:
            delivery.release_origin(cur, cause_kind=_CALLED, origin_id=campaign.pk, channel=channel, now=now)


def _check(campaign: Campaign, participle: str, now: datetime) -> None:
    if found := problems(campaign, now):
        sentences = " ".join(problem.message for problem in found)
        raise CampaignRefused(f"{campaign} cannot be {participle}. {sentences}", found)


def _runs(campaign: Campaign, *states: str) -> Iterable[CampaignRun]:
    return CampaignRun.objects.filter(campaign=campaign, state__in=states).order_by("pk")


def _locked(campaign: Campaign) -> Campaign:
    return Campaign.objects.select_for_update(of=("self",)).get(pk=campaign.pk)


def _move(campaign: Campaign, source: str, target: str, **changes: Any) -> None:
    """One arrow of Campaign.MOVES."""
    try:
        lifecycle.move(campaign, to=target, moves={source: Campaign.MOVES[State(source)]}, **changes)
    except lifecycle.MoveRefused:
        raise _wrong_state(campaign, [source], target) from None


def _wrong_state(campaign: Campaign, sources: Sequence[str], target: str) -> CampaignRefused:
    wanted = " or ".join(str(State(source).label).lower() for source in sources)
    return CampaignRefused(
        f"{campaign} is {campaign.get_state_display().lower()}; only one that is {wanted} can become"
        f" {str(State(target).label).lower()}."
    )


def _unstorable() -> CampaignRefused:
    return CampaignRefused("A text holds a character that cannot be stored, such as NUL. Remove it.")
