"""The tables of the channels room. `Message` is the outbox.

Above each hot table stands its unique key, its lock order, and the two processes that may meet on one row.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.providers import registry
from offers.models import Decision
from profiles.models import Channel, EventType, Profile

# A line break in a header would let its author write headers of his own.
one_line = RegexValidator(
    r"^[^\r\n\x00\u2028\u2029]*$", _("This text goes into a header: write it on one line.")
)


def named_values(value: object) -> None:
    """Refuse what is not a list of [name, Liquid] pairs of texts."""
    is_fit = isinstance(value, list) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in value
    )
    if not is_fit:
        raise ValidationError(_("Write a list of pairs: a name and its value."))


def provider_choices() -> list[tuple[str, str]]:
    """Callable, so that a new kind of provider needs no migration."""
    return registry.choices()


class ChannelConfiguration(models.Model):
    """A provider with its settings, a sender and a channel."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    channel = models.SmallIntegerField(choices=Channel.choices)
    provider = models.CharField(max_length=60, choices=provider_choices)
    settings = models.JSONField(default=dict, blank=True)
    sender_name = models.CharField(max_length=200, blank=True, validators=[one_line])
    sender_address = models.CharField(
        max_length=320,
        blank=True,
        validators=[one_line],
        help_text=_(
            "An email address, or the number or name that an SMS comes from. Other channels need none."
        ),
    )
    reply_to = models.CharField(max_length=320, blank=True, validators=[one_line])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.channel in {Channel.EMAIL, Channel.SMS} and not self.sender_address.strip():
            raise ValidationError(
                {"sender_address": _("Email and SMS come from somewhere. Give the address of the sender.")}
            )


class Content(models.Model):
    """Authored words with a stable key. Journeys and campaigns refer to it; publishing pins a version."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    channel = models.SmallIntegerField(choices=Channel.choices, default=Channel.EMAIL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("content")
        permissions = [
            ("publish_content", _("Can publish content")),
            ("send_proof", _("Can send a proof to an address")),
        ]

    def __str__(self) -> str:
        return self.name


class ContentVersion(models.Model):
    """One edition of a content: a draft may be edited, a published one is frozen."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")

    content = models.ForeignKey(Content, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["content", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["content", "number"], name="content_version_number"),
            models.UniqueConstraint(
                fields=["content"], condition=models.Q(state="draft"), name="one_draft_per_content"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.content} v{self.number}"


class Variant(models.Model):
    """The words of one version for a treatment and a locale, in Liquid. A message stores which one it was."""

    version = models.ForeignKey(ContentVersion, on_delete=models.CASCADE, related_name="variants")
    treatment = models.SlugField(max_length=60, blank=True, default="")
    locale = models.CharField(max_length=20, blank=True, default="")
    subject = models.CharField(
        max_length=500, blank=True, validators=[one_line], help_text=_("Of a push: its title.")
    )
    preheader = models.CharField(max_length=500, blank=True)
    mjml = models.TextField(
        blank=True, db_default="", help_text=_("When it is there, the HTML is made from it at each save.")
    )
    html = models.TextField(blank=True)
    text = models.TextField(blank=True, help_text=_("Of a webhook: its JSON."))
    image_url = models.CharField(max_length=2000, blank=True, db_default="", validators=[one_line])
    link_url = models.CharField(max_length=2000, blank=True, db_default="", validators=[one_line])
    columns = models.JSONField(
        blank=True,
        default=list,
        db_default=models.Value([], models.JSONField()),
        validators=[named_values],
        help_text=_("Of direct mail its columns, of a push what the app is given: a list of [name, Liquid]."),
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "treatment", "locale"], name="variant_of_version"),
        ]

    def __str__(self) -> str:
        return self.subject or gettext("Variant %(id)s") % {"id": self.pk}


class Link(models.Model):
    """A link in the HTML of a variant whose clicks are counted. A click names it by number, never by its address.

    Key: (variant, number), numbered from 0 in the order of the HTML. Written when the variant is first compiled for
    sending. Met by: two senders that compile it at once (the second inserts nothing; both find the same links).
    """

    pk = models.CompositePrimaryKey("variant_id", "number")
    variant = models.ForeignKey(Variant, models.DO_NOTHING, db_constraint=False, db_index=False)
    number = models.SmallIntegerField()
    url = models.TextField(help_text=_("As authored: it may hold Liquid."))


class MessageClass(models.IntegerChoices):
    MARKETING = 1, _("Marketing")
    TRANSACTIONAL = 2, _("Transactional")  # sent whatever the consent; never to a suppressed address


class CauseKind(models.IntegerChoices):
    """What made us write: its id is `cause_id`. Rooms above are named by number, never by a foreign key."""

    JOURNEY_INSTANCE = 1, _("Journey")
    CAMPAIGN_RUN = 2, _("Campaign")
    API_REQUEST = 3, _("API")
    NOTICE = 4, _("Notice")


class Message(models.Model):
    """One communication to one profile on one channel: the outbox, and the record of what was sent.

    Key: (profile, cause_kind, cause_id, activity, visit, channel), no address: who asks twice gets the first
    message. Locks: rows in id order, waiting, never skipping; no index names a changing column, so updates stay HOT.
    Met by: two senders (the reservation of `message_due` parts them, the token fences a zombie); an unsubscribe.
    """

    class State(models.IntegerChoices):
        QUEUED = 0, _("Queued")
        SENDING = 1, _("Sending")  # fenced: a call to the provider may be on its way
        SENT = 2, _("Sent")  # the provider accepted it
        DELIVERED = 3, _("Delivered")
        BOUNCED = 4, _("Bounced")
        COMPLAINED = 5, _("Complained")
        WITHHELD = 6, _("Withheld")
        FAILED = 7, _("Failed")
        EXPIRED = 8, _("Expired")
        UNCERTAIN = (
            9,
            _("Uncertain"),
        )  # the provider may or may not have accepted it; never sent again by itself
        QUARANTINED = 10, _("Quarantined")  # killed its process three times

    class Reason(models.TextChoices):
        """Why it was withheld, failed or waits, in a word that groups; `reason` is the sentence."""

        OPTED_OUT = "opted_out", _("Opted out")
        SUPPRESSED = "suppressed", _("Address suppressed")
        NO_ADDRESS = "no_address", _("No usable address")
        MERGED = "merged", _("Profile merged")
        REPEATED = "repeated", _("The person gets it already")
        STOPPED = "stopped", _("Stopped by its author")
        LEFT = "left", _("Left the journey early")
        FREQUENCY_CAP = "frequency_cap", _("Frequency cap reached")
        QUIET_HOURS = "quiet_hours", _("Quiet hours")
        CONTENT = "content", _("Content could not be rendered")
        REFUSED = "refused", _("Refused by the provider")

    MOVES = {
        State.QUEUED: {State.SENDING, State.WITHHELD, State.EXPIRED, State.FAILED, State.QUARANTINED},
        State.SENDING: {State.SENT, State.FAILED, State.QUEUED, State.UNCERTAIN},
        State.SENT: {State.DELIVERED, State.BOUNCED, State.COMPLAINED},
        State.UNCERTAIN: {State.DELIVERED, State.BOUNCED, State.COMPLAINED},
        State.DELIVERED: {State.BOUNCED, State.COMPLAINED},
        State.BOUNCED: {State.COMPLAINED},
    }

    profile = models.ForeignKey(
        Profile, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="messages"
    )
    cause_kind = models.SmallIntegerField(choices=CauseKind.choices)
    cause_id = models.BigIntegerField()
    activity = models.CharField(max_length=60)
    visit = models.IntegerField()
    channel = models.SmallIntegerField(choices=Channel.choices)
    # What authored it (journey version, campaign run): for holds and reports, without looking upwards.
    origin_id = models.BigIntegerField()
    configuration = models.ForeignKey(
        ChannelConfiguration, models.DO_NOTHING, db_constraint=False, db_index=False
    )
    variant = models.ForeignKey(Variant, models.DO_NOTHING, db_constraint=False, db_index=False)
    message_class = models.SmallIntegerField(choices=MessageClass.choices)
    event_id = models.UUIDField(null=True, help_text=_("The event whose properties the content may use."))
    context = models.JSONField(null=True, help_text=_("Values given by an API call."))
    hops = models.SmallIntegerField(db_default=0)
    state = models.SmallIntegerField(choices=State.choices, db_default=State.QUEUED)
    feedback = models.SmallIntegerField(
        db_default=0,
        help_text=_(
            "The highest state that the provider reported; it may do so before its answer is recorded."
        ),
    )
    reason = models.CharField(max_length=300, blank=True, db_default="")
    reason_code = models.CharField(max_length=20, choices=Reason.choices, blank=True, db_default="")
    token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempt = models.SmallIntegerField(db_default=0)
    address = models.TextField(blank=True, db_default="")
    provider_id = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text=_("When a person, no machine, first opened it."))
    clicked_at = models.DateTimeField(
        null=True, help_text=_("When a person, no machine, first clicked in it.")
    )
    opened_by_machine_at = models.DateTimeField(null=True)
    clicked_by_machine_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(
        null=True, help_text=_("When the person opted out by a link in it.")
    )
    converted_at = models.DateTimeField(
        null=True, help_text=_("When the person first did what its author had set as the goal.")
    )

    class Meta:
        db_table = "message"
        constraints = [
            models.UniqueConstraint(
                fields=["profile", "cause_kind", "cause_id", "activity", "visit", "channel"],
                name="message_once",
            )
        ]
        indexes = [
            # The recipients of a run, in the order in which an all-clear follows them. Others do not pay for it.
            models.Index(
                fields=["cause_id", "profile"],
                condition=models.Q(cause_kind=CauseKind.CAMPAIGN_RUN),
                name="message_of_run",
            )
        ]

    def __str__(self) -> str:
        return gettext("Message %(id)s") % {"id": self.pk}


class MessageDue(models.Model):
    """Work on a message that is due: queue row, reservation and lease in one narrow row.

    Key: message. Locks: picked with SKIP LOCKED by due time, before any message is locked. Met by: two senders (one
    skips). Inserted with its message, moved by a reservation or a retry, deleted when the message is final.
    """

    message = models.OneToOneField(
        Message, models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="due"
    )
    lane = models.SmallIntegerField(help_text=_("The channel."))
    due_at = models.DateTimeField()
    reservations = models.SmallIntegerField(db_default=0)

    class Meta:
        db_table = "message_due"
        indexes = [models.Index(fields=["lane", "due_at"], name="message_due_lane")]


class Device(models.Model):
    """A phone or a browser that takes pushes of a profile. Whoever signs in on it last has it.

    Key: digest, of provider and token. Met by: the stream's consumer and the API, which write it in digest order; a
    merge; the sender, which switches it off when its service says that it is gone.
    """

    profile = models.ForeignKey(
        Profile, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="devices"
    )
    provider = models.CharField(max_length=60, help_text=_("The kind of provider that reaches it."))
    digest = models.BinaryField(max_length=16, unique=True)
    token = models.TextField(help_text=_("What the service calls it; for Web Push its address."))
    keys = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        help_text=_("Web Push: p256dh and auth."),
    )
    platform = models.CharField(max_length=40, blank=True, db_default="")
    locale = models.CharField(max_length=20, blank=True, db_default="")
    is_active = models.BooleanField(db_default=True)
    last_seen_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "device"
        indexes = [models.Index(fields=["profile"], name="device_profile")]

    def __str__(self) -> str:
        return gettext("Device %(id)s") % {"id": self.pk}


class MessageDevice(models.Model):
    """What became of a message on one device.

    Key: (message, device). Written by the sender that holds the message's token, before the message itself.
    """

    pk = models.CompositePrimaryKey("message_id", "device_id")
    message = models.ForeignKey(
        Message, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="devices"
    )
    device = models.ForeignKey(Device, models.DO_NOTHING, db_constraint=False, db_index=False)
    state = models.SmallIntegerField(
        choices=Message.State.choices,
        help_text=_("Sent, failed, uncertain; queued when it is tried again with its message."),
    )
    provider_id = models.TextField(blank=True, db_default="")
    reason = models.CharField(max_length=300, blank=True, db_default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "message_device"


class MessageMark(models.IntegerChoices):
    """What a report counts messages by. A message has every mark that is true of its row, each once.

    Those of a state have its number; sent holds of whatever the provider accepted, delivered of complaints too.
    """

    TARGETED = 0, _("Targeted")  # every message
    SENT = Message.State.SENT.value, _("Sent")
    DELIVERED = Message.State.DELIVERED.value, _("Delivered")
    BOUNCED = Message.State.BOUNCED.value, _("Bounced")
    COMPLAINED = Message.State.COMPLAINED.value, _("Complained")
    WITHHELD = Message.State.WITHHELD.value, _("Withheld")
    FAILED = Message.State.FAILED.value, _("Failed")
    EXPIRED = Message.State.EXPIRED.value, _("Expired")
    UNCERTAIN = Message.State.UNCERTAIN.value, _("Uncertain")
    QUARANTINED = Message.State.QUARANTINED.value, _("Quarantined")
    OPENED = 11, _("Opened")
    OPENED_BY_MACHINE = 12, _("Opened by a machine")
    CLICKED = 13, _("Clicked")
    CLICKED_BY_MACHINE = 14, _("Clicked by a machine")
    UNSUBSCRIBED = 15, _("Unsubscribed")
    CONVERTED = 16, _("Converted")


class MessageCountDelta(models.Model):
    """How many messages got, or lost, a mark: appended by the triggers of `message` with every statement that changes
    it, so that no way of a message can forget to count; added up by a task.

    No key but its id. Met by: a statement that appends and the fold, which takes what it can lock and deletes it.
    """

    cause_kind = models.SmallIntegerField(choices=CauseKind.choices)
    origin_id = models.BigIntegerField()
    activity = models.CharField(max_length=60)
    channel = models.SmallIntegerField(choices=Channel.choices)
    variant = models.ForeignKey(Variant, models.DO_NOTHING, db_constraint=False, db_index=False)
    mark = models.SmallIntegerField(choices=MessageMark.choices)
    reason_code = models.CharField(max_length=20, help_text=_("Of those withheld or failed."))
    day = models.DateField()
    n = models.IntegerField()

    class Meta:
        db_table = "message_count_delta"


class MessageCount(models.Model):
    """The messages, counted: with the deltas that are not folded yet it equals a count over the rows of `message`.

    Key: (cause_kind, origin, activity, channel, variant, mark, reason_code, day in UTC). The day is that of the time
    which the message has for the mark (created, sent, opened, …); where it has none, the day it got the mark. Locks:
    upserted in key order. Met by: two folds.
    """

    pk = models.CompositePrimaryKey(
        "cause_kind", "origin_id", "activity", "channel", "variant_id", "mark", "reason_code", "day"
    )
    cause_kind = models.SmallIntegerField(choices=CauseKind.choices)
    origin_id = models.BigIntegerField()
    activity = models.CharField(max_length=60)
    channel = models.SmallIntegerField(choices=Channel.choices)
    variant = models.ForeignKey(Variant, models.DO_NOTHING, db_constraint=False, db_index=False)
    mark = models.SmallIntegerField(choices=MessageMark.choices)
    reason_code = models.CharField(max_length=20)
    day = models.DateField()
    n = models.BigIntegerField()

    class Meta:
        db_table = "message_count"
        indexes = [models.Index(fields=["day"], name="message_count_day")]


class Goal(models.Model):
    """What an author wants people to do after a message: an event within some days, perhaps under a condition.

    Rooms above point to the goal of a journey or a campaign. Locks: the author first, then its goal. Met by: a stream
    step, which reads it as of its statement.
    """

    event_type = models.ForeignKey(EventType, models.PROTECT, related_name="+")
    condition = models.TextField(
        blank=True, help_text=_("Such as event.total > 50. Empty: every such event.")
    )
    days = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(90)],
        help_text=_("Of 24 hours each, from the moment of sending."),
    )

    class Meta:
        db_table = "goal"
        default_permissions = ()

    def __str__(self) -> str:
        return self.event_type.name


class GoalOrigin(models.Model):
    """That the messages of an origin (journey version, campaign run, triggered campaign) have this goal.

    Key: (cause_kind, origin). Written by whoever holds the lock of the author. Met by: a stream step, which reads it.
    """

    pk = models.CompositePrimaryKey("cause_kind", "origin_id")
    cause_kind = models.SmallIntegerField(choices=CauseKind.choices)
    origin_id = models.BigIntegerField()
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="origins")

    class Meta:
        db_table = "goal_origin"
        default_permissions = ()


class MessageDecision(models.Model):
    """Which decision a message shows in a slot (policy and placement) of its content, by the slot's number.

    Key: (message, number). Inserted by the sender before it renders, never changed: rendered again, a message shows the
    same. Met by: nobody; a reservation parts two senders.
    """

    pk = models.CompositePrimaryKey("message_id", "number")
    message = models.ForeignKey(
        Message, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="decisions"
    )
    number = models.SmallIntegerField()
    decision = models.ForeignKey(Decision, models.DO_NOTHING, db_constraint=False, db_index=False)

    class Meta:
        db_table = "message_decision"
        default_permissions = ()


class MessageOfferDue(models.Model):
    """A message that shows offers and is not settled: whether it went out decides what its caps count.

    Key: message. Locks: picked with SKIP LOCKED before any cap. Met by: two that settle (one skips). Deleted when the
    message is through.
    """

    message = models.OneToOneField(
        Message, models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="+"
    )

    class Meta:
        db_table = "message_offer_due"
        default_permissions = ()


class Suppression(models.Model):
    """An address that is never sent to, normalised.

    Key: (channel, address). Met by: feedback that adds one and the send fence, which reads it in its own statement.
    """

    class Reason(models.TextChoices):
        BOUNCE = "bounce", _("Hard bounce")
        COMPLAINT = "complaint", _("Complaint")
        STOP = "stop", _("Answered STOP")
        MANUAL = "manual", _("Added by hand")

    AUDIT_KEY = "address"

    pk = models.CompositePrimaryKey("channel", "address")
    channel = models.SmallIntegerField(choices=Channel.choices)
    address = models.CharField(max_length=320)
    reason = models.CharField(max_length=20, choices=Reason.choices, default=Reason.MANUAL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "suppression"


class ContactPolicy(models.Model):
    """What people are spared: how many marketing messages they get in some days, and the hours without any.

    The policy of a channel stands instead of the common one, for that channel; where there is none, nothing is limited.
    """

    EVERY_CHANNEL = 0
    AUDIT_KEY = "channel"

    channel = models.SmallIntegerField(
        choices=[(EVERY_CHANNEL, _("All channels")), *Channel.choices],
        default=EVERY_CHANNEL,
        unique=True,
        help_text=_("The policy of a channel stands instead of the common one, for that channel."),
    )
    most = models.PositiveSmallIntegerField(
        _("at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Marketing messages for each person; empty for no limit."),
    )
    days = models.PositiveSmallIntegerField(
        _("within days"),
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(90)],
        help_text=_("Of 24 hours each, back from the moment of sending."),
    )
    quiet_from = models.TimeField(
        null=True,
        blank=True,
        help_text=_("By the person’s clock, or the brand’s where the person’s zone is not known."),
    )
    quiet_until = models.TimeField(
        null=True, blank=True, help_text=_("May be earlier than the beginning: then it is on the next day.")
    )

    class Meta:
        db_table = "contact_policy"
        ordering = ["channel"]
        verbose_name_plural = _("contact policies")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quiet_from=None, quiet_until=None)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False)
                & ~models.Q(quiet_from=models.F("quiet_until")),
                name="quiet_hours_have_two_ends",
                violation_error_message=_("Quiet hours need a beginning and an end that differ."),
            )
        ]

    def __str__(self) -> str:
        return str(self.get_channel_display())


class ContactTally(models.Model):
    """The marketing messages of one person that count against a policy: `message_ids[i]` at `times[i]`, oldest first.

    Key: (profile, scope), the scope being the channel of the policy. Locks: in key order, after messages. Met by: two
    senders that fence messages of one person, a record that gives back, a merge.
    """

    pk = models.CompositePrimaryKey("profile_id", "scope")
    profile = models.ForeignKey(Profile, models.DO_NOTHING, db_constraint=False, db_index=False)
    scope = models.SmallIntegerField()
    message_ids = ArrayField(models.BigIntegerField())
    times = ArrayField(models.DateTimeField())

    class Meta:
        db_table = "contact_tally"


class SendHold(models.Model):
    """A switch that holds messages in the queue: all of them, a channel's, a configuration's, or an origin's."""

    class Scope(models.IntegerChoices):
        EVERYTHING = 0, _("Everything")
        CHANNEL = 1, _("A channel")
        CONFIGURATION = 2, _("A channel configuration")
        JOURNEY_VERSION = 3, _("A journey version")
        CAMPAIGN_RUN = 4, _("A campaign run")  # of a notice too
        TRIGGERED_CAMPAIGN = 5, _("A campaign that calls trigger")

    scope = models.SmallIntegerField(choices=Scope.choices)
    ref = models.BigIntegerField(db_default=0, help_text=_("The id of what is held; 0 for everything."))
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "send_hold"
        constraints = [models.UniqueConstraint(fields=["scope", "ref"], name="one_hold_each")]

    def __str__(self) -> str:
        return self.reason
