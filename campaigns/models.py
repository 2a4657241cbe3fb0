"""The tables of the campaigns room. What they send are rows of `channels.Message`, which name a run or a request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from channels.models import ChannelConfiguration, Content, ContentVersion, Goal, MessageClass, Variant
from profiles.models import Audience


def default_schedule() -> dict[str, Any]:
    return {"kind": "now"}


class Campaign(models.Model):
    """A send that is prepared once: to an audience at scheduled times, or to whom an API call names.

    `schedule` is what `campaigns.schedule` reads. `next_run_at` decides alone when the next run begins. `context` is
    what the content reads as `context`; an API call adds to it.
    """

    class Kind(models.TextChoices):
        SCHEDULED = "scheduled", _("Scheduled")
        TRIGGERED = "triggered", _("Triggered by an API call")

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        IN_REVIEW = "in_review", _("In review")
        LIVE = "live", _("Live")
        PAUSED = "paused", _("Paused")  # no run begins, those that began stand still
        STOPPED = "stopped", _("Stopped")  # for good; what was queued is withheld
        FINISHED = "finished", _("Finished")  # its last run is over

    MOVES = {
        State.DRAFT: {State.IN_REVIEW},
        State.IN_REVIEW: {State.LIVE, State.DRAFT},
        State.LIVE: {State.PAUSED, State.STOPPED, State.FINISHED},
        State.PAUSED: {State.LIVE, State.STOPPED},
    }

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.SCHEDULED)
    state = models.CharField(max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    content = models.ForeignKey(Content, models.PROTECT, null=True, blank=True, related_name="+")
    configuration = models.ForeignKey(
        ChannelConfiguration, models.PROTECT, null=True, blank=True, related_name="+"
    )
    message_class = models.SmallIntegerField(choices=MessageClass.choices, default=MessageClass.MARKETING)
    audience = models.ForeignKey(Audience, models.PROTECT, null=True, blank=True, related_name="+")
    exclusions = models.ManyToManyField(Audience, blank=True, related_name="+")
    schedule = models.JSONField(default=default_schedule, blank=True)
    context = models.JSONField(default=dict, blank=True)
    goal = models.OneToOneField(Goal, models.SET_NULL, null=True, editable=False, related_name="+")
    pinned_version = models.ForeignKey(
        ContentVersion,
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        help_text=_("Written by the approval: the words that were approved."),
    )
    next_run_at = models.DateTimeField(null=True, editable=False, db_index=True)
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "campaign"
        ordering = ["name"]
        permissions = [
            ("approve_campaign", _("Can approve a campaign or send it back")),
            ("operate_campaign", _("Can pause, resume and stop a campaign")),
            ("trigger_campaign", _("Can send a triggered campaign to people")),
        ]

    def __str__(self) -> str:
        return self.name


class CampaignRun(models.Model):
    """One execution: of a campaign, of a notice, or of an all-clear, which goes to whom another run reached.

    Everything that it needs was pinned when it began. Its recipients are its `message` rows (cause and origin: this
    id), written in pieces in the order of profiles; `frozen_through` says how far, in the same statement as the rows.

    Key: (campaign, due_at), so that two beats begin one run. Locks: the run before messages are written for it; a merge
    of profiles holds the profiles and then shares the run. Met by: two workers that freeze it (the second waits and
    goes on where the first stopped), a pause, a merge.
    """

    class Kind(models.TextChoices):
        CAMPAIGN = "campaign", _("Campaign")
        NOTICE = "notice", _("Notice")
        ALL_CLEAR = "all_clear", _("All-clear")

    class State(models.TextChoices):
        FREEZING = "freezing", _("Collecting recipients")
        SENDING = "sending", _("Sending")
        PAUSED = "paused", _("Paused")
        FINISHED = "finished", _("Finished")  # nothing of it is queued any more
        STOPPED = "stopped", _("Stopped")  # what was queued is withheld
        SKIPPED = "skipped", _("Skipped")  # it never began; the reason says why

    MOVES = {
        State.FREEZING: {State.SENDING, State.PAUSED, State.STOPPED},
        State.SENDING: {State.PAUSED, State.STOPPED, State.FINISHED},
        State.PAUSED: {State.FREEZING, State.SENDING, State.STOPPED},
    }

    campaign = models.ForeignKey(Campaign, models.CASCADE, null=True, related_name="runs")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.CAMPAIGN)
    number = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.FREEZING)
    reason = models.CharField(max_length=300, blank=True, db_default="")
    audience = models.ForeignKey(Audience, models.PROTECT, null=True, related_name="+")
    exclusion_ids = ArrayField(models.BigIntegerField(), default=list)
    source_run = models.ForeignKey("self", models.PROTECT, null=True, related_name="all_clears")
    configuration = models.ForeignKey(ChannelConfiguration, models.PROTECT, related_name="+")
    variant = models.ForeignKey(Variant, models.PROTECT, related_name="+")
    message_class = models.SmallIntegerField(choices=MessageClass.choices)
    context = models.JSONField(default=dict)
    frozen_through = models.BigIntegerField(default=0)
    targeted = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    frozen_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "campaign_run"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "due_at"], name="campaign_run_once"),
            models.UniqueConstraint(fields=["campaign", "number"], name="campaign_run_number"),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["freezing", "sending", "paused"]),
                name="campaign_run_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign or self.get_kind_display()} #{self.number}"

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.FINISHED, self.State.STOPPED, self.State.SKIPPED)


class CampaignRequest(models.Model):
    """An API call that asked a triggered campaign to send. Its messages name this id as their cause.

    Key: (campaign, request_id), inserted first. Met by: a call and its repeat, which waits for the first one's commit.
    """

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="requests")
    request_id = models.CharField(max_length=100)
    body_hash = models.BinaryField(max_length=32)
    # For each recipient in the order of the call: {"profile_id", "message_id"} or {"reason"}.
    recipients = models.JSONField(default=list)
    accepted = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "campaign_request"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "request_id"], name="campaign_request_once")
        ]

    def __str__(self) -> str:
        return f"{self.campaign} {self.request_id}"


class Notice(models.Model):
    """A message for an emergency, prepared so that somebody without marketing rights fills in a form and sends it.

    `fields` is a list of {"name", "label", "kind": "text"|"choice"|"time"|"number", "required", "choices",
    "max_length", "help"}; what is filled in is read by the content as `context`.
    """

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    content = models.ForeignKey(Content, models.PROTECT, related_name="+")
    all_clear_content = models.ForeignKey(Content, models.PROTECT, null=True, blank=True, related_name="+")
    configuration = models.ForeignKey(ChannelConfiguration, models.PROTECT, related_name="+")
    message_class = models.SmallIntegerField(choices=MessageClass.choices, default=MessageClass.TRANSACTIONAL)
    audience = models.ForeignKey(Audience, models.PROTECT, related_name="+")
    exclusions = models.ManyToManyField(Audience, blank=True, related_name="+")
    fields = models.JSONField(default=list, blank=True)
    is_ready = models.BooleanField(default=False, help_text=_("Operations see it and may send it."))
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "notice"
        ordering = ["name"]
        permissions = [("send_notice", _("Can send notices and all-clears"))]

    def __str__(self) -> str:
        return self.name


class NoticeSending(models.Model):
    """That somebody sent a notice, or the all-clear of one, with what they filled in."""

    notice = models.ForeignKey(Notice, models.PROTECT, related_name="sendings")
    fields = models.JSONField(default=dict)
    run = models.OneToOneField(CampaignRun, models.PROTECT, related_name="sending")
    all_clear_of = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="all_clear", help_text=_("One all-clear for each.")
    )
    # The form's own id: the second click on the same form finds the sending of the first.
    form_id = models.UUIDField(unique=True)
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "notice_sending"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.notice} {self.created_at:%Y-%m-%d %H:%M}"
