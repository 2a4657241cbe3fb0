"""The tables of the people room.

Hot tables (ingest, stream) are written by set-based SQL; their models here are for reading and for migrations. Above
each stands its unique key, its lock order, and the two processes that may meet on one row.
"""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.lookups.columns import validate_columns


def make_write_key() -> str:
    return f"wk_{secrets.token_urlsafe(24)}"


class Channel(models.IntegerChoices):
    """The ways to reach a person. Consent is kept for each."""

    EMAIL = 1, _("Email")
    SMS = 2, _("SMS")
    PUSH = 3, _("Push")
    IN_APP = 4, _("In-app")
    WEB = 5, _("Web")
    WHATSAPP = 6, _("WhatsApp")
    DIRECT_MAIL = 7, _("Direct mail")
    WEBHOOK = 8, _("Webhook")


class Source(models.Model):
    """Where events come from: a website, an app, a server. Its write key is public and can only ingest."""

    OWN = 0
    """The source id of events that the product itself writes. There is no such row, so no key can open it."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    write_key = models.CharField(max_length=100, unique=True, default=make_write_key)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class EventType(models.Model):
    """The name of a kind of event, and the small number that the hot tables store instead."""

    name = models.CharField(max_length=200, unique=True)
    first_seen_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class EventKind(models.IntegerChoices):
    """The call of Segment's spec by which an event came."""

    TRACK = 1
    IDENTIFY = 2
    PAGE = 3
    SCREEN = 4
    GROUP = 5
    ALIAS = 6
    BUSINESS = 7  # no call of Segment's: it is about nobody in particular


SEGMENT_CALLS = tuple(kind for kind in EventKind if kind != EventKind.BUSINESS)
"""What a source may send."""

# The event types of the calls that have no name of their own.
RESERVED_EVENT_TYPES = {
    EventKind.IDENTIFY: "$identify",
    EventKind.PAGE: "$page",
    EventKind.SCREEN: "$screen",
    EventKind.GROUP: "$group",
    EventKind.ALIAS: "$alias",
}


class IngestBatch(models.Model):
    """One committed flush of events, and the unit that the stream step claims.

    Key: id. Locks: taken first, with SKIP LOCKED, in id order. Met by: two stream workers (one skips).
    """

    class State(models.IntegerChoices):
        WAITING = 0  # the stream step has not seen it
        DONE = 1
        QUARANTINED = 2  # killed its worker again and again; its events stay stored and react to nothing

    source_id = models.IntegerField()
    n = models.IntegerField()
    first_id = models.UUIDField()
    last_id = models.UUIDField()
    received_at = models.DateTimeField()
    state = models.SmallIntegerField(choices=State.choices, db_default=State.WAITING)
    attempt = models.SmallIntegerField(db_default=0)
    claimed_at = models.DateTimeField(null=True, help_text=_("When a worker last took it."))

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(state=0), name="ingest_batch_waiting")]


class EventKey(models.Model):
    """The dedupe table: one row for each (source, message id), kept AJO_EVENT_KEY_DAYS.

    Key: (source_id, key_hash). Locks: inserted in key order, or retried flushes deadlock. Met by: two flushes of the
    same repeat (the second waits for the first one's commit, so its answer is durable too) and the purge.
    """

    pk = models.CompositePrimaryKey("source_id", "key_hash")
    source_id = models.IntegerField()
    key_hash = models.BinaryField(max_length=16)
    event_id = models.UUIDField()


class Event(models.Model):
    """What happened, as it came in. Append-only, partitioned by day of its UUIDv7; it knows no profile.

    Key: id. Met by: nobody (one writer each).
    """

    id = models.UUIDField(primary_key=True)
    batch_id = models.BigIntegerField()
    source_id = models.IntegerField()
    event_type = models.ForeignKey(EventType, models.DO_NOTHING, db_constraint=False, db_index=False)
    kind = models.SmallIntegerField(choices=EventKind.choices)
    hops = models.SmallIntegerField(db_default=0, help_text=_("How many of our own reactions led to it."))
    occurred_at = models.DateTimeField()
    user_id = models.TextField(null=True)
    anonymous_id = models.TextField(null=True)
    properties = models.JSONField()
    context = models.JSONField(null=True)

    class Meta:
        db_table = "event"


class BusinessEvent(models.Model):
    """Something that happened and is about no single person; its properties stand in the `event` with its id.

    Key: id, and message_id. Met by: two reports of the same (the second waits
    for the first one's commit).
    """

    id = models.UUIDField(primary_key=True)
    message_id = models.CharField(max_length=200, unique=True)
    event_type = models.ForeignKey(EventType, models.PROTECT, related_name="+")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        db_table = "business_event"
        permissions = [("report_businessevent", _("Can report a business event"))]


class ProfileQuerySet(models.QuerySet["Profile"]):
    def living(self) -> ProfileQuerySet:
        """Without those that were merged into another."""
        return self.filter(merged_into=None)


class Profile(models.Model):
    """A person as we know them.

    Key: id. Locks: FOR NO KEY UPDATE in id order, in a statement of its own; the stream step waits for them, the
    clock skips busy ones. Met by: stream step, journey clock, merge.
    """

    attributes = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    # attribute → epoch milliseconds of the event that set it; the last writer wins by the event's time
    attribute_times = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    merged_into = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProfileQuerySet.as_manager()

    class Meta:
        db_table = "profile"
        indexes = [
            # History keeps the profile it was written with, so a person's whole past asks who became them.
            models.Index(
                fields=["merged_into"], condition=models.Q(merged_into__isnull=False), name="profile_merged"
            ),
        ]

    def __str__(self) -> str:
        name = " ".join(
            str(self.attributes[k]) for k in ("first_name", "last_name") if self.attributes.get(k)
        )
        return name or str(self.attributes.get("email") or f"#{self.pk}")


class IdentityNamespace(models.Model):
    """The kind of an identifier. The first four are made by a migration and known by number."""

    USER_ID, ANONYMOUS_ID, EMAIL, PHONE = 1, 2, 3, 4

    id = models.SmallIntegerField(primary_key=True)
    key = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.label


class Identity(models.Model):
    """One identifier of one profile, normalised.

    Key: (namespace, value). Locks: inserted in key order before any profile is locked. Met by: two stream workers
    that see a new person at once (the second waits, then resolves again).
    """

    pk = models.CompositePrimaryKey("namespace_id", "value")
    namespace = models.ForeignKey(IdentityNamespace, models.DO_NOTHING, db_constraint=False, db_index=False)
    value = models.TextField()
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, related_name="identities")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "identity"


class AttributeDefinition(models.Model):
    """What an attribute of a profile is called and holds. Undeclared attributes are stored all the same."""

    class Type(models.TextChoices):
        TEXT = "text", _("Text")
        NUMBER = "number", _("Number")
        BOOLEAN = "boolean", _("Yes or no")
        TIME = "time", _("Date and time")
        LIST = "list", _("List")
        MONEY = "money", _("Money")

    class Sensitivity(models.TextChoices):
        NONE = "none", _("Not personal")
        PERSONAL = "personal", _("Personal")
        SENSITIVE = "sensitive", _("Sensitive")

    key = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=200)
    type = models.CharField(max_length=20, choices=Type.choices, default=Type.TEXT)
    sensitivity = models.CharField(max_length=20, choices=Sensitivity.choices, default=Sensitivity.PERSONAL)
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.label


class ProfileEvent(models.Model):
    """Which profile did what, when: the narrow index of events that everything by person reads.

    Partitioned by day of event_id. No key in the database (the stream step writes each event once, in the transaction
    that closes its batch); index (profile, event_type, occurred_at). History keeps its original profile.
    """

    pk = models.CompositePrimaryKey("profile_id", "event_id")
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    event_type = models.ForeignKey(EventType, models.DO_NOTHING, db_constraint=False, db_index=False)
    occurred_at = models.DateTimeField()
    event_id = models.UUIDField()

    class Meta:
        db_table = "profile_event"


class ProfileDaily(models.Model):
    """The rollup: how often a profile did something on a day (UTC) and the sum of the money in it.

    Key: (profile, event_type, day). Locks: under the profile's lock, in key order. Met by: nobody but its holder.
    """

    pk = models.CompositePrimaryKey("profile_id", "event_type_id", "day")
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    event_type = models.ForeignKey(EventType, models.DO_NOTHING, db_constraint=False, db_index=False)
    day = models.DateField()
    n = models.IntegerField()
    total = models.DecimalField(max_digits=20, decimal_places=4, db_default=0)

    class Meta:
        db_table = "profile_daily"


class Consent(models.Model):
    """What a profile allows on a channel. No row: nothing was said.

    Key: (profile, channel). Met by: an unsubscribe and the send fence, which reads it in its own statement.
    """

    class State(models.IntegerChoices):
        OPTED_IN = 1, _("Opted in")
        OPTED_OUT = 2, _("Opted out")

    pk = models.CompositePrimaryKey("profile_id", "channel")
    profile = models.ForeignKey(
        Profile, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="consents"
    )
    channel = models.SmallIntegerField(choices=Channel.choices)
    state = models.SmallIntegerField(choices=State.choices)
    changed_at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "consent"


class Audience(models.Model):
    """Who belongs together: those for whom a rule is true, or a list of profiles that somebody gave.

    Locks: an activation takes the lock of audiences alone and a stream transaction shares it, so no profile is made
    by a transaction that did not know of the audience.
    """

    class Kind(models.TextChoices):
        RULE = "rule", _("Rule")
        LIST = "list", _("List")

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        ACTIVE = "active", _("Active")
        ARCHIVED = "archived", _("Archived")

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.RULE)
    rule = models.TextField(blank=True, help_text=_("The rule as text; a list has none."))
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # The highest profile id that a full evaluation has come to; null when none is under way.
    evaluated_through = models.BigIntegerField(null=True, editable=False)
    evaluated_at = models.DateTimeField(
        null=True, editable=False, help_text=_("When everybody was looked at; before, changes are no events.")
    )

    class Meta:
        db_table = "audience"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """That a profile is in an audience now. Who left has an AudienceExit.

    Key: (audience, profile). Locks: under the profile's lock. Met by: nobody but its holder.
    """

    pk = models.CompositePrimaryKey("audience_id", "profile_id")
    audience = models.ForeignKey(
        Audience, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="memberships"
    )
    profile = models.ForeignKey(
        Profile, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="memberships"
    )
    entered_at = models.DateTimeField()

    class Meta:
        db_table = "audience_membership"
        indexes = [models.Index(fields=["profile", "audience"], name="membership_by_profile")]


class AudienceExit(models.Model):
    """That a profile was in an audience, from when until when. A merge gives it to the survivor.

    No key but the id: who comes back and leaves again has another one. Locks: inserted under the profile's lock. Met
    by: nobody but its holder, and an archiving, which holds the stream.
    """

    audience = models.ForeignKey(
        Audience, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="exits"
    )
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    entered_at = models.DateTimeField()
    left_at = models.DateTimeField()

    class Meta:
        db_table = "audience_exit"
        indexes = [
            models.Index(fields=["audience", "left_at"], name="audience_exit_when"),
            models.Index(fields=["profile"], name="audience_exit_profile"),
        ]


class ProfileRecheck(models.Model):
    """Not later than when mere time could change in which audiences a profile is: a window ends, a date passes.

    Key: profile. Locks: written under the profile's lock. Met by: nobody but its holder.
    """

    profile = models.OneToOneField(
        Profile, models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="+"
    )
    at = models.DateTimeField()

    class Meta:
        db_table = "profile_recheck"
        indexes = [models.Index(fields=["at"], name="profile_recheck_due")]


class Lookup(models.Model):
    """A table that rules and content look values up in, by a key: products with their stock, rides with their state.

    Locks: an import takes the row; readers take nothing. Met by: two imports (the second waits).
    """

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    key_label = models.CharField(
        max_length=200, blank=True, help_text=_("What the key of a row is, such as SKU.")
    )
    columns = models.JSONField(
        default=list,
        validators=[validate_columns],
        help_text=_('A list such as [{"name": "price", "type": "money"}].'),
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_at = models.DateTimeField(null=True, editable=False, help_text=_("When its rows last changed."))

    class Meta:
        db_table = "lookup"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LookupRow(models.Model):
    """The values at one key of a lookup: a JSON object with a member for each column that has a value there.

    Key: (lookup, key). Locks: under the lookup's row. Met by: nobody but its holder; readers see the last commit.
    """

    pk = models.CompositePrimaryKey("lookup_id", "key")
    lookup = models.ForeignKey(
        Lookup, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="rows"
    )
    key = models.CharField(max_length=200)
    values = models.JSONField()

    class Meta:
        db_table = "lookup_row"


class CodePool(models.Model):
    """Codes of which each is given once: discounts, tickets, invitations.

    Locks: the row, by whoever takes or adds codes, for a transaction of a few statements. Met by: two takers (the
    second waits, so it counts on from where the first stopped).
    """

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    low_water = models.PositiveIntegerField(
        default=100, help_text=_("With fewer codes left the pool is shown as running low.")
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "code_pool"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Code(models.Model):
    """A code, given or not. They are given in the order of their numbers: up to the highest taken, all are gone.

    Keys: (pool, number) and (pool, code). Inserted under the pool's row, never changed.
    """

    pk = models.CompositePrimaryKey("pool_id", "number")
    pool = models.ForeignKey(
        CodePool, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="codes"
    )
    number = models.BigIntegerField()
    code = models.CharField(max_length=200)

    class Meta:
        db_table = "code"
        constraints = [models.UniqueConstraint(fields=["pool", "code"], name="code_once")]


class TakenCode(models.Model):
    """That a code was given, and to what: the id of a message, which gets the same code whenever it asks again.
    A merge leaves the profile as it was.

    Keys: (pool, taken_by) and (pool, number), so no code can be given twice. Inserted under the pool's row.
    """

    pk = models.CompositePrimaryKey("pool_id", "taken_by")
    pool = models.ForeignKey(
        CodePool, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="taken"
    )
    taken_by = models.BigIntegerField()
    number = models.BigIntegerField()
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    taken_at = models.DateTimeField()

    class Meta:
        db_table = "code_taken"
        constraints = [models.UniqueConstraint(fields=["pool", "number"], name="code_taken_once")]


class QuarantinedEvent(models.Model):
    """An event that the stream step or one of its consumers could not take. The event itself stays stored."""

    event_id = models.UUIDField()
    batch_id = models.BigIntegerField()
    consumer = models.CharField(max_length=60)
    error = models.TextField()
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
