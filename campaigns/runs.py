"""Runs: begun when they are due, their recipients frozen piece by piece, paused, resumed, stopped, finished.

Locks: audiences' own lock → campaign → run → messages; who holds profiles shares runs after them. Nobody waits for a
message while holding a run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, models, transaction

from ajo.core.models import AuditEvent
from ajo.lib import doorbell, sql
from ajo.lib.chaos import point
from campaigns import schedule as schedules
from campaigns.models import Campaign, CampaignRun
from channels import delivery, goals, readiness
from channels.delivery import Crowd
from channels.models import CauseKind, ChannelConfiguration, Message, SendHold, Variant
from channels.reports import Origin
from profiles.audiences.services import hold_stream
from profiles.models import Audience

logger = logging.getLogger(__name__)

State = CampaignRun.State
FREEZE_TASK = "campaigns.tasks.freeze_recipients"
CATCH_UP = timedelta(hours=1)
"""How late a run may begin. What was due earlier while nothing worked is recorded as skipped."""
MAX_SKIPPED = 50
"""How many missed dates are written down one by one, the newest."""

_CAUSE = CauseKind.CAMPAIGN_RUN.value
_NEXT = """
SELECT r.id FROM campaign_run r WHERE r.state = 'freezing' AND NOT EXISTS (
    SELECT FROM audience a WHERE a.id = ANY(r.exclusion_ids || r.audience_id)
        AND a.state = 'active' AND a.evaluated_at IS NULL
) AND NOT EXISTS (
    SELECT FROM message m WHERE r.frozen_through = 0 AND m.cause_kind = %(cause)b AND m.cause_id = r.source_run_id
        AND m.state = ANY(%(open)b::smallint[]))
ORDER BY r.kind = 'campaign', r.id LIMIT 1 FOR NO KEY UPDATE OF r SKIP LOCKED
"""
_MEMBERS = """
picked AS MATERIALIZED (
    SELECT m.profile_id FROM audience_membership m
    WHERE m.audience_id = %(audience_id)b AND m.profile_id > %(after)b ORDER BY m.profile_id LIMIT %(limit)b
), recipient AS (
    SELECT p.id AS profile_id FROM picked JOIN profile p ON p.id = picked.profile_id AND p.merged_into IS NULL
    WHERE NOT EXISTS (SELECT FROM audience_membership x
        WHERE x.profile_id = picked.profile_id AND x.audience_id = ANY(%(exclusion_ids)b::bigint[]))
)
"""
# Who was reached and became somebody else since then is that person now.
_REACHED = """
picked AS MATERIALIZED (
    SELECT m.profile_id, m.state FROM message m
    WHERE m.cause_kind = %(source_kind)b AND m.cause_id = %(source_id)b AND m.profile_id > %(after)b
    ORDER BY m.profile_id LIMIT %(limit)b
), chain AS (
    SELECT p.id, p.merged_into FROM picked JOIN profile p ON p.id = picked.profile_id
    WHERE picked.state = ANY(%(reached)b::smallint[])
    UNION ALL SELECT p.id, p.merged_into FROM chain JOIN profile p ON p.id = chain.merged_into
), recipient AS (SELECT DISTINCT id AS profile_id FROM chain WHERE merged_into IS NULL)
"""
_CHECKPOINT = """
UPDATE campaign_run r SET
    frozen_through = coalesce((SELECT max(profile_id) FROM picked), r.frozen_through),
    targeted = r.targeted + (SELECT count(*) FROM made),
    state = CASE WHEN (SELECT count(*) FROM picked) < %(limit)b THEN 'sending' ELSE r.state END,
    frozen_at = CASE WHEN (SELECT count(*) FROM picked) < %(limit)b THEN %(now)b END
WHERE r.id = %(run_id)b
RETURNING (SELECT count(*) FROM picked) AS taken
"""
_LOCK_OPEN = """
SELECT id FROM campaign_run WHERE state IN ('freezing', 'paused') AND frozen_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""
_PASSED_OVER = """
recipient AS (
    SELECT DISTINCT m.profile_id FROM unnest(%(losers)b::bigint[], %(survivors)b::bigint[]) AS t(loser, survivor)
    JOIN audience_membership m ON m.profile_id = t.survivor AND m.audience_id = %(audience_id)b
    WHERE t.survivor <= %(through)b AND t.loser > %(through)b AND NOT EXISTS (SELECT FROM audience_membership x
        WHERE x.profile_id = t.survivor AND x.audience_id = ANY(%(exclusion_ids)b::bigint[]))
)
"""
_ADD = "UPDATE campaign_run r SET targeted = r.targeted + (SELECT count(*) FROM made) WHERE r.id = %(run_id)b"
_IS_BUSY = """
SELECT EXISTS (SELECT FROM message_due d JOIN message m ON m.id = d.message_id
    WHERE m.cause_kind = %b AND m.origin_id = %b) AS is_busy
"""
_OPEN_STATES = [Message.State.QUEUED.value, Message.State.SENDING.value]
_REACHED_STATES = [Message.State.SENT.value, Message.State.DELIVERED.value, Message.State.UNCERTAIN.value]
STOPPED_REASON = "It was stopped before this message was sent."


class RunRefused(Exception):
    """What was asked cannot be done with this run now; the sentence says why and what to do."""


# --- begun ---------------------------------------------------------------------------------------------------


def start_due_runs(now: datetime) -> int:
    """Begin every run that is due; returns how many. A campaign that somebody else works on is left for the next call.

    Of the dates that were missed the newest is run when it is not older than CATCH_UP; the others are recorded as
    skipped, each with the reason.
    """
    due = Campaign.objects.filter(
        kind=Campaign.Kind.SCHEDULED, state=Campaign.State.LIVE, next_run_at__lte=now
    )
    begun = 0
    for campaign_id in list(due.order_by("next_run_at").values_list("pk", flat=True)[:100]):
        try:
            with transaction.atomic():
                hold_stream()
                campaign = (
                    due.select_for_update(skip_locked=True, of=("self",)).filter(pk=campaign_id).first()
                )
                if campaign is not None:
                    begun += _start(campaign, now)
        except OperationalError:
            raise
        except Exception:  # whatever is wrong with one campaign, the others begin in time
            logger.exception("The campaign %s could not begin its run.", campaign_id)
    return begun


def _start(campaign: Campaign, now: datetime) -> int:
    """Write the runs that are due of a campaign that is locked, and when the next one is."""
    assert campaign.next_run_at is not None
    number = campaign.runs.aggregate(last=models.Max("number"))["last"] or 0
    missed = schedules.dates_until(campaign.schedule, campaign.next_run_at, now, done=number)
    newest = missed[-1]
    exclusions = list(campaign.exclusions.order_by("pk"))
    runs = []
    for at in missed[-MAX_SKIPPED:]:
        number += 1
        reason = _why_skipped(campaign, exclusions, at, newest, now)
        runs.append(_new_run(campaign, exclusions, number, at, reason))
    CampaignRun.objects.bulk_create(runs)
    if campaign.goal_id is not None:
        goals.follow(campaign.goal_id, [Origin(_CAUSE, run.pk) for run in runs])
    campaign.next_run_at = schedules.next_after(campaign.schedule, newest, done=number)
    campaign.save(update_fields=["next_run_at"])
    doorbell.ring_on_commit(FREEZE_TASK)
    return sum(run.state == State.FREEZING for run in runs)


def _why_skipped(
    campaign: Campaign, exclusions: Sequence[Audience], at: datetime, newest: datetime, now: datetime
) -> str:
    if now - at > CATCH_UP:
        return (
            f"It was due at {at:%Y-%m-%d %H:%M} UTC, and nothing could begin it within an hour of that."
            " The next date is run as usual."
        )
    if at < newest:
        return "A later date was due already when this one could have begun, so only that one was run."
    return unusable_audience([campaign.audience, *exclusions])


def unusable_audience(audiences: Iterable[Audience | None]) -> str:
    """Why nobody can be counted in one of these; empty when all can."""
    for audience in audiences:
        if audience is None:
            return "There is no audience, so nobody would get it. Choose one."
        if audience.state != Audience.State.ACTIVE:
            return (
                f"The audience {audience.key} is {audience.get_state_display().lower()}, so nobody is counted in it."
                " Activate it first."
            )
    return ""


def _new_run(
    campaign: Campaign, exclusions: Sequence[Audience], number: int, at: datetime, reason: str
) -> CampaignRun:
    assert campaign.pinned_version_id is not None
    assert campaign.configuration_id is not None
    return CampaignRun(
        campaign=campaign,
        number=number,
        due_at=at,
        state=State.SKIPPED if reason else State.FREEZING,
        reason=reason[:300],
        audience=campaign.audience,
        exclusion_ids=[audience.pk for audience in exclusions],
        configuration_id=campaign.configuration_id,
        variant=readiness.default_variant(campaign.pinned_version_id),
        message_class=campaign.message_class,
        context=campaign.context,
    )


def start_run(
    *,
    kind: str,
    audience: Audience | None,
    exclusions: Iterable[Audience] = (),
    source_run: CampaignRun | None = None,
    configuration: ChannelConfiguration,
    variant: Variant,
    message_class: int,
    context: Mapping[str, Any],
    now: datetime,
) -> CampaignRun:
    """Begin a run without a campaign: to an audience, or with `source_run` to everybody whom that one reached."""
    with transaction.atomic():
        hold_stream()
        run = CampaignRun.objects.create(
            kind=kind,
            due_at=now,
            audience=audience,
            exclusion_ids=[each.pk for each in exclusions],
            source_run=source_run,
            configuration=configuration,
            variant=variant,
            message_class=message_class,
            context=dict(context),
        )
        doorbell.ring_on_commit(FREEZE_TASK)
    return run


# --- recipients ----------------------------------------------------------------------------------------------


def freeze_next(now: datetime, limit: int | None = None) -> int:
    """The next piece of a run that collects its recipients, of AJO_CAMPAIGN_PIECE members unless said otherwise; 0 when
    none does. Notices go before campaigns."""
    with transaction.atomic():
        with sql.cursor() as cur:
            cur.execute(_NEXT, {"cause": _CAUSE, "open": _OPEN_STATES})
            found = cur.fetchone()
        return 0 if found is None else 1 + freeze_piece(found.id, now, limit or settings.AJO_CAMPAIGN_PIECE)


def freeze_piece(run_id: int, now: datetime, limit: int) -> int:
    """Write the messages of the next members, and in the same statement how far it came; returns how many it looked at.

    One transaction. 0 when the run does not collect recipients now. Who is in an exclusion, or was merged into somebody
    else, gets none.
    """
    with sql.unit_of_work() as cur:
        # A statement of its own: the next one sees what a merge committed while this one waited for it.
        run = (
            CampaignRun.objects.select_for_update(no_key=True).filter(pk=run_id, state=State.FREEZING).first()
        )
        if run is None:
            return 0
        if problem := _lost_audience(run):
            _change(run, state=State.PAUSED, reason=problem)
            return 0
        delivery.enqueue_members(
            cur,
            crowd(run),
            recipients=_REACHED if run.source_run_id else _MEMBERS,
            then=_CHECKPOINT,
            parameters={
                "run_id": run.pk,
                "audience_id": run.audience_id,
                "exclusion_ids": run.exclusion_ids,
                "source_kind": _CAUSE,
                "source_id": run.source_run_id,
                "reached": _REACHED_STATES,
                "after": run.frozen_through,
                "limit": limit,
            },
            now=now,
        )
        taken = int(cur.fetchall()[0].taken)
        point("after_freeze")
    return taken


def _lost_audience(run: CampaignRun) -> str:
    """Why the run cannot go on: an exclusion that counts nobody any more would let everybody through."""
    if run.source_run_id:
        return ""
    wanted = [run.audience_id, *run.exclusion_ids]
    found = Audience.objects.in_bulk(wanted)
    return unusable_audience(found.get(pk) for pk in wanted)


def crowd(run: CampaignRun) -> Crowd:
    """What all messages of a run have in common."""
    return Crowd(
        cause_kind=_CAUSE,
        cause_id=run.pk,
        origin_id=run.pk,
        channel=run.configuration.channel,
        configuration_id=run.configuration_id,
        variant_id=run.variant_id,
        message_class=run.message_class,
        context=run.context,
    )


def lock_for_merge(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]]) -> None:
    """Before a merge: no run writes recipients while people become others, and what it wrote before is seen."""
    cur.execute(_LOCK_OPEN)


def follow_merge(cur: psycopg.Cursor[Any], pairs: Sequence[tuple[int, int]], now: datetime) -> None:
    """The merge hook: who moves to a place that a run has passed already would be passed over, and gets it now."""
    cur.execute(_LOCK_OPEN)
    for run in CampaignRun.objects.filter(
        pk__in=[row.id for row in cur], source_run=None, frozen_through__gt=0
    ).select_related("configuration"):
        delivery.enqueue_members(
            cur,
            crowd(run),
            recipients=_PASSED_OVER,
            then=_ADD,
            parameters={
                "run_id": run.pk,
                "losers": [loser for loser, _ in pairs],
                "survivors": [survivor for _, survivor in pairs],
                "audience_id": run.audience_id,
                "exclusion_ids": run.exclusion_ids,
                "through": run.frozen_through,
            },
            now=now,
        )


# --- held, stopped, finished ---------------------------------------------------------------------------------


def pause_run(*, run: CampaignRun, user: Any = None) -> CampaignRun:
    """Nothing of it is sent from now on, and nobody is added. When it returns, no piece of it is under way."""
    with transaction.atomic():
        run = _locked(run)
        if run.state not in (State.FREEZING, State.SENDING):
            raise RunRefused(f"{run} cannot be paused: it is {run.get_state_display().lower()}.")
        _change(run, state=State.PAUSED, reason="")
        _hold(run)
        AuditEvent.record("pause_run", run, user=user)
    return run


def resume_run(*, run: CampaignRun, now: datetime, user: Any = None) -> CampaignRun:
    """It goes on where it stopped: nobody is skipped, nobody gets it twice."""
    with transaction.atomic():
        run = _locked(run)
        if run.state != State.PAUSED:
            raise RunRefused(f"{run} cannot be resumed: it is {run.get_state_display().lower()}.")
        if run.campaign is not None and run.campaign.state == Campaign.State.PAUSED:
            raise RunRefused(f"{run.campaign} is paused, and its runs with it. Resume the campaign.")
        _resume(run, now)
        AuditEvent.record("resume_run", run, user=user)
    return run


def _resume(run: CampaignRun, now: datetime) -> None:
    _change(run, state=State.SENDING if run.frozen_at else State.FREEZING, reason="")
    _release(run)
    with sql.cursor() as cur:
        delivery.release_origin(
            cur, cause_kind=_CAUSE, origin_id=run.pk, channel=run.configuration.channel, now=now
        )
    doorbell.ring_on_commit(FREEZE_TASK)


def stop_run(*, run: CampaignRun, now: datetime, user: Any = None) -> CampaignRun:
    """End it for good: what is queued is withheld with the reason. What is just being sent cannot be called back."""
    # Durable: the run's lock must be gone before messages are waited for.
    with transaction.atomic(durable=True):
        run = begin_stop(run=run, user=user)
    finish_stop(run=run, now=now)
    return run


def begin_stop(*, run: CampaignRun, user: Any = None) -> CampaignRun:
    """The first half of `stop_run`, for a caller with a transaction of its own: `finish_stop` comes after it."""
    with transaction.atomic():
        run = _locked(run)
        if run.is_over:
            raise RunRefused(f"{run} cannot be stopped: it is {run.get_state_display().lower()}.")
        _change(run, state=State.STOPPED, reason="")
        _hold(run)  # nothing goes out between the two halves
        AuditEvent.record("stop_run", run, user=user)
    return run


def finish_stop(*, run: CampaignRun, now: datetime) -> None:
    """Withhold what a stopped run still has queued."""
    with transaction.atomic():
        delivery.withhold_origin(cause_kind=_CAUSE, origin_id=run.pk, reason=STOPPED_REASON)
        _release(run)
        CampaignRun.objects.filter(pk=run.pk, ended_at=None).update(ended_at=now)
    run.refresh_from_db(fields=["ended_at"])


def settle_runs(now: datetime) -> int:
    """Finish runs of which nothing is queued any more, and stops that were interrupted; then campaigns without a date
    and without an open run. Returns how many."""
    settled = 0
    for run in CampaignRun.objects.filter(state=State.STOPPED, ended_at=None):
        finish_stop(run=run, now=now)
        settled += 1
    for run in CampaignRun.objects.filter(state=State.SENDING).order_by("pk"):
        with transaction.atomic(), sql.cursor() as cur:
            cur.execute(_IS_BUSY, [_CAUSE, run.pk])
            if not cur.fetchall()[0].is_busy:
                done = CampaignRun.objects.filter(pk=run.pk, state=State.SENDING)
                settled += done.update(state=State.FINISHED, ended_at=now)
    open_runs = CampaignRun.objects.filter(
        campaign=models.OuterRef("pk"), state__in=[State.FREEZING, State.SENDING, State.PAUSED]
    )
    idle = Campaign.objects.filter(
        ~models.Exists(open_runs),
        kind=Campaign.Kind.SCHEDULED,
        state=Campaign.State.LIVE,
        next_run_at=None,
    )
    return settled + idle.update(state=Campaign.State.FINISHED, ended_at=now)


def _locked(run: CampaignRun) -> CampaignRun:
    return CampaignRun.objects.select_for_update(no_key=True, of=("self",)).get(pk=run.pk)


def _change(run: CampaignRun, *, state: str, reason: str) -> None:
    run.state, run.reason = state, reason[:300]
    run.save(update_fields=["state", "reason"])


def _hold(run: CampaignRun) -> None:
    SendHold.objects.get_or_create(
        scope=SendHold.Scope.CAMPAIGN_RUN, ref=run.pk, defaults={"reason": f"{run} is paused or stopped."}
    )


def _release(run: CampaignRun) -> None:
    SendHold.objects.filter(scope=SendHold.Scope.CAMPAIGN_RUN, ref=run.pk).delete()
