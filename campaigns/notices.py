"""Notices: what was prepared is filled in, sent to everybody in its audience, and followed by an all-clear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from ajo.core.models import AuditEvent
from campaigns import reports, runs
from campaigns.models import CampaignRun, Notice, NoticeSending
from channels import readiness
from channels.models import Content
from channels.reach import reach


class NoticeRefused(Exception):
    """What was asked cannot be done with this notice now; the sentence says why and what to do."""


def obstacles(notice: Notice, content: Content | None = None) -> list[str]:
    """Why the notice, or its all-clear when that `content` is given, cannot be sent; sentences."""
    found = [
        obstacle.message
        for obstacle in readiness.obstacles(
            content=(content or notice.content).key,
            configuration=notice.configuration.key,
            message_class=notice.message_class,
        )
    ]
    if content is None and (problem := runs.unusable_audience([notice.audience, *notice.exclusions.all()])):
        found.append(problem)
    return found


def send_notice(
    *, notice: Notice, values: Mapping[str, Any], form_id: UUID, user: Any, now: datetime
) -> NoticeSending:
    """Send a prepared notice with what was filled in. The same form sent again finds its first sending.

    Raises NoticeRefused with a sentence. Whether `values` fit the notice's fields is asked by the form.
    """
    if sent := NoticeSending.objects.filter(form_id=form_id).first():
        return sent
    if not notice.is_ready:
        raise NoticeRefused(f"{notice} is not ready to be sent. Ask whoever prepares notices to finish it.")
    if problems := obstacles(notice):
        raise NoticeRefused(" ".join(problems))
    return _send(notice, CampaignRun.Kind.NOTICE, notice.content, values, form_id, user, now)


def send_all_clear(
    *, sending: NoticeSending, values: Mapping[str, Any], form_id: UUID, user: Any, now: datetime
) -> NoticeSending:
    """Send the all-clear to everybody whom a notice reached, and stop what is still going out of it.

    One for each notice that was sent: asked again, it is the first one.
    """
    if found := NoticeSending.objects.filter(all_clear_of=sending).first():
        return found
    notice = sending.notice
    if sending.all_clear_of_id is not None:
        raise NoticeRefused("This is an all-clear itself. Send a new notice when there is more to say.")
    if notice.all_clear_content is None:
        raise NoticeRefused(
            f"{notice} has no words for an all-clear. Ask whoever prepares notices to add them."
        )
    if problems := obstacles(notice, notice.all_clear_content):
        raise NoticeRefused(" ".join(problems))
    if not sending.run.is_over:
        runs.stop_run(run=sending.run, now=now, user=user)
    return _send(
        notice, CampaignRun.Kind.ALL_CLEAR, notice.all_clear_content, values, form_id, user, now, sending
    )


def _reached(notice: Notice, all_clear_of: NoticeSending | None, now: datetime) -> int:
    """How many people get it, as far as is known at this moment."""
    if all_clear_of is not None:
        counts = reports.run_counts([all_clear_of.run_id])[all_clear_of.run_id]
        return counts.sent + counts.uncertain
    return reach(
        audience_id=notice.audience_id,
        exclusion_ids=list(notice.exclusions.values_list("pk", flat=True)),
        channel=notice.configuration.channel,
        message_class=notice.message_class,
        now=now,
        provider=notice.configuration.provider,
    ).reached


def _send(
    notice: Notice,
    kind: str,
    content: Content,
    values: Mapping[str, Any],
    form_id: UUID,
    user: Any,
    now: datetime,
    all_clear_of: NoticeSending | None = None,
) -> NoticeSending:
    version = readiness.current_version(content.key)
    assert version is not None  # the obstacles were asked
    try:
        with transaction.atomic():
            run = runs.start_run(
                kind=kind,
                audience=None if all_clear_of else notice.audience,
                exclusions=() if all_clear_of else notice.exclusions.order_by("pk"),
                source_run=all_clear_of.run if all_clear_of else None,
                configuration=notice.configuration,
                variant=readiness.default_variant(version.pk),
                message_class=notice.message_class,
                context=values,
                now=now,
            )
            sending = NoticeSending.objects.create(
                notice=notice,
                fields=dict(values),
                run=run,
                all_clear_of=all_clear_of,
                form_id=form_id,
                sent_by=user,
            )
            AuditEvent.record(
                f"send_{kind}",
                notice,
                user=user,
                sending=sending.pk,
                fields=dict(values),
                reach=_reached(notice, all_clear_of, now),
            )
    except IntegrityError:  # the second click came while the first one was being written
        same = (
            NoticeSending.objects.filter(all_clear_of=all_clear_of) if all_clear_of else NoticeSending.objects
        )
        return same.get() if all_clear_of else same.get(form_id=form_id)
    return sending
