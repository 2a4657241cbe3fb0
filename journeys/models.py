"""The tables of the journeys room. Above each hot table stands its unique key, its lock order and its races."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from channels.models import Goal
from profiles.models import Audience, EventType, Profile


class Journey(models.Model):
    """A map that people walk through, with a stable key; its editions are versions."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    goal = models.OneToOneField(Goal, models.SET_NULL, null=True, editable=False, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, editable=False
    )

    class Meta:
        ordering = ["name"]
        permissions = [
            ("publish_journey", _("Can publish a journey")),
            ("operate_journey", _("Can pause, resume, close and stop a journey")),
        ]

    def __str__(self) -> str:
        return self.name


class ReEntry(models.TextChoices):
    """May a profile walk the journey again?"""

    NEVER = "never", _("Once in a lifetime")
    AFTER_END = "after_end", _("Again once the last walk has ended")
    ALWAYS = "always", _("Every time, also side by side")


class JourneyVersion(models.Model):
    """One edition of a journey. A draft is edited; publishing freezes it and pins the content versions it uses.

    `graph` is {"activities": [{"id", "kind", "config"}], "links": [{"from", "port", "to"}]}; `pins` maps a content key
    to the id of the content version that was published when the journey was.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        LIVE = "live", _("Live")
        PAUSED = "paused", _("Paused")  # people inside stand still, nobody enters
        CLOSED = "closed", _("Closed")  # people inside walk on, nobody enters
        FINISHED = "finished", _("Finished")  # closed, and the last person has left
        STOPPED = "stopped", _("Stopped")  # everybody was taken out

    MOVES = {
        State.DRAFT: {State.LIVE},
        State.LIVE: {State.PAUSED, State.CLOSED, State.STOPPED},
        State.PAUSED: {State.LIVE, State.STOPPED},
        State.CLOSED: {State.FINISHED, State.STOPPED},
    }

    journey = models.ForeignKey(Journey, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    graph = models.JSONField(default=dict)
    re_entry = models.CharField(max_length=20, choices=ReEntry.choices, default=ReEntry.NEVER)
    pins = models.JSONField(default=dict, editable=False)
    entry_event_type = models.ForeignKey(
        EventType,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Written by publishing: the event whose arrival lets people in."),
    )
    revision = models.PositiveIntegerField(default=1, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["journey", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["journey", "number"], name="journey_version_number"),
            models.UniqueConstraint(
                fields=["journey"], condition=models.Q(state="draft"), name="one_draft_per_journey"
            ),
            models.UniqueConstraint(
                fields=["journey"],
                condition=models.Q(state__in=["live", "paused"]),
                name="one_live_version_per_journey",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.journey} v{self.number}"


class JourneyInstance(models.Model):
    """One profile's walk.

    Key: (journey, profile, entry_no), entry_no counting that profile's walks from 1. `visit` counts the steps of the
    walk; every advance checks it, so what follows a claim happens once. Locks: under the profile's lock. Met by: the
    journey clock and the stream step. No index names a changing column and half of each page is free, so updates stay
    HOT.
    """

    class State(models.IntegerChoices):
        ACTIVE = 0, _("Active")
        ENDED = 1, _("Ended")  # reached an end
        FAILED = 2, _("Failed")  # an activity could not be done; the step log says why
        STOPPED = 3, _("Stopped")  # its version was stopped
        MERGED = 4, _("Merged")  # the profile became another's; the older walk went on

    journey = models.ForeignKey(Journey, models.DO_NOTHING, db_constraint=False, db_index=False)
    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    entry_no = models.IntegerField()
    activity = models.CharField(max_length=60)
    visit = models.IntegerField()
    state = models.SmallIntegerField(choices=State.choices, db_default=State.ACTIVE)
    entry_event_id = models.UUIDField(null=True)
    hops = models.SmallIntegerField(db_default=0)
    entered_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "journey_instance"
        constraints = [
            models.UniqueConstraint(fields=["profile", "journey", "entry_no"], name="journey_entry_once"),
        ]


class JourneyWait(models.Model):
    """Where a waiting instance stands. Inserted and deleted, never updated: deleting it is the claim. It carries what a
    walk goes on with, so that the claim reads no other table.

    Key: instance. Locks: the clock locks waits with SKIP LOCKED and then their profiles, skipping busy ones; the stream
    step holds the profile and then waits for the wait. Met by: clock and event on the same instance.
    """

    instance = models.OneToOneField(JourneyInstance, models.DO_NOTHING, db_constraint=False, primary_key=True)
    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    activity = models.CharField(max_length=60)
    visit = models.IntegerField()
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    due_at = models.DateTimeField(null=True)
    event_type = models.ForeignKey(
        EventType, models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )
    correlation = models.TextField(null=True)
    entry_event_id = models.UUIDField(null=True)
    hops = models.SmallIntegerField(db_default=0)

    class Meta:
        db_table = "journey_wait"
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(due_at__isnull=False), name="journey_wait_due"
            ),
            models.Index(
                fields=["profile", "event_type"],
                condition=models.Q(event_type__isnull=False),
                name="journey_wait_event",
            ),
        ]


class AudienceReading(models.Model):
    """A whole audience on its way into a version, because a business event came: how far it has been let in.

    Key: (version, event). Locks: first of all, with SKIP LOCKED, then profiles in id order. Met by: two workers (one
    skips). `read_through` is the last profile that was let in, and moves in the transaction that lets in the next.
    """

    version = models.ForeignKey(JourneyVersion, models.CASCADE, related_name="readings")
    event_id = models.UUIDField()
    event_type = models.ForeignKey(EventType, models.PROTECT, related_name="+")
    audience = models.ForeignKey(Audience, models.PROTECT, related_name="+")
    read_through = models.BigIntegerField(db_default=0)
    entered = models.IntegerField(db_default=0)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audience_reading"
        constraints = [
            models.UniqueConstraint(fields=["version", "event_id"], name="audience_read_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(ended_at=None), name="audience_reading_open"),
        ]


class JourneyTrail(models.Model):
    """One step that walks made together: a trail is what some walks of a batch did, from one wait to the next.

    Key: (trail_id, nth), the id from the sequence journey_trail_id, so that no two batches write the same row. Written
    once. Met by: nobody.
    """

    pk = models.CompositePrimaryKey("trail_id", "nth")
    trail_id = models.BigIntegerField()
    nth = models.SmallIntegerField()
    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    activity = models.CharField(max_length=60)
    outcome = models.CharField(max_length=60)
    detail = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "journey_trail"


class JourneyPassage(models.Model):
    """That a walk went a trail, whose first step was its `visit`. Append-only.

    Key: (instance, visit). Met by: nobody but the holder of the profile's lock. The same statement writes the trail
    and counts its steps in a StepCountDelta.
    """

    pk = models.CompositePrimaryKey("instance_id", "visit")
    instance = models.ForeignKey(JourneyInstance, models.DO_NOTHING, db_constraint=False, db_index=False)
    visit = models.IntegerField()
    trail_id = models.BigIntegerField()

    class Meta:
        db_table = "journey_passage"


class StepLog(models.Model):
    """What one step of one walk did, and why: a view of the passages and their trails.

    Key: (instance, visit).
    """

    class Word(models.TextChoices):
        """What stands for the outcome of a step that left by no exit; an exit may not have such a name."""

        WAITS_AGAIN = "waits again", _("Waits again")  # on the same box
        LEFT_EARLY = "left early", _("Left early")  # an exit took the walk away from where it waited
        ENDED = "ended", _("Ended")
        FAILED = "failed", _("Failed")
        STOPPED = "stopped", _("Stopped")
        MERGED = "merged", _("Merged")

    pk = models.CompositePrimaryKey("instance_id", "visit")
    instance = models.ForeignKey(JourneyInstance, models.DO_NOTHING, db_constraint=False, db_index=False)
    visit = models.IntegerField()
    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    activity = models.CharField(max_length=60)
    outcome = models.CharField(
        max_length=60, help_text=_("The port that was left by, or why the walk stood or ended.")
    )
    detail = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "step_log"
        managed = False


class StepCountDelta(models.Model):
    """How many rows a batch wrote to the step log, by what they say: appended with them, added up by a task.

    No key but its id. Met by: a batch that appends and the fold, which takes what it can lock and deletes it.
    """

    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    activity = models.CharField(max_length=60)
    outcome = models.CharField(max_length=60)
    day = models.DateField()
    n = models.IntegerField()

    class Meta:
        db_table = "step_count_delta"


class StepCount(models.Model):
    """The step log, counted: with the deltas that are not folded yet it equals a count over its rows.

    Key: (version, activity, outcome, day in UTC). Locks: upserted in key order. Met by: two folds.
    """

    pk = models.CompositePrimaryKey("version_id", "activity", "outcome", "day")
    version = models.ForeignKey(JourneyVersion, models.DO_NOTHING, db_constraint=False, db_index=False)
    activity = models.CharField(max_length=60)
    outcome = models.CharField(max_length=60)
    day = models.DateField()
    n = models.BigIntegerField()

    class Meta:
        db_table = "step_count"
