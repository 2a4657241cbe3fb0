"""The tables of the offers room. Above each hot table stands its unique key, its lock order and its races.

Expressions are CEL text of `profiles.language`. What each may name: eligibility `profile`, `offer` and `context` (the
values that came with the request); formulas the same; the rule of a collection `offer` alone.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from ajo.core.models import known_zone
from profiles.models import Channel, Profile


class OfferItem(models.Model):
    """A thing to propose. Only an approved one, inside its dates, is ever weighed."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        APPROVED = "approved", _("Approved")
        ARCHIVED = "archived", _("Archived")  # never proposed again; past decisions still name it

    class Standing(models.TextChoices):
        """Its state and its dates as one word, at a moment."""

        LIVE = "live", _("Live")
        SCHEDULED = "scheduled", _("Scheduled")  # approved, its dates not begun
        ENDED = "ended", _("Ended")  # approved, its dates over
        DRAFT = "draft", _("Draft")
        ARCHIVED = "archived", _("Archived")

    MOVES: dict[str, set[str]] = {
        State.DRAFT: {State.APPROVED, State.ARCHIVED},
        State.APPROVED: {State.DRAFT, State.ARCHIVED},
    }

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    priority = models.IntegerField(
        default=0, help_text=_("The higher goes first, also where ranking finds two equal.")
    )
    lever = models.SmallIntegerField(
        default=0,
        validators=[MinValueValidator(-99), MaxValueValidator(1000)],
        help_text=_("Percent that a person adds to the score of learned ranking; 0 changes nothing."),
    )
    attributes = models.JSONField(
        default=dict, blank=True, help_text=_("What expressions read as offer.…, such as category or margin.")
    )
    eligibility = models.TextField(
        blank=True, help_text=_('Who may have it, such as profile.tier == "gold". Empty: everybody.')
    )
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, editable=False
    )

    class Meta:
        ordering = ["name"]
        permissions = [("approve_offeritem", _("Can approve an offer item"))]
        constraints = [
            models.CheckConstraint(condition=models.Q(lever__gte=-99), name="offer_lever_leaves_something"),
            models.CheckConstraint(
                condition=models.Q(valid_from__lt=models.F("valid_until")), name="offer_begins_before_it_ends"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def standing(self, now: datetime) -> OfferItem.Standing:
        if self.state != self.State.APPROVED:
            return self.Standing(self.state)
        if self.valid_from is not None and now < self.valid_from:
            return self.Standing.SCHEDULED
        if self.valid_until is not None and now >= self.valid_until:
            return self.Standing.ENDED
        return self.Standing.LIVE


class Placement(models.Model):
    """Where an offer item is shown: a place in one channel that takes one kind of content."""

    class ContentType(models.TextChoices):
        TEXT = "text", _("Text")
        HTML = "html", _("HTML")
        JSON = "json", _("JSON")
        IMAGE = "image", _("Image with a link")

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    channel = models.SmallIntegerField(choices=Channel.choices)
    content_type = models.CharField(max_length=20, choices=ContentType.choices, default=ContentType.HTML)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Representation(models.Model):
    """What an offer item looks like in a placement. Without one it cannot be shown there."""

    offer = models.ForeignKey(OfferItem, on_delete=models.CASCADE, related_name="representations")
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="representations")
    title = models.CharField(max_length=300, blank=True)
    body = models.TextField(blank=True, help_text=_("In the placement's kind of content."))
    image_url = models.URLField(max_length=2000, blank=True)
    link_url = models.URLField(max_length=2000, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["offer", "placement"], name="one_representation_per_placement")
        ]

    def __str__(self) -> str:
        return f"{self.offer} · {self.placement}"


class Collection(models.Model):
    """A group of offer items: a list, or all whose attributes fit a rule."""

    class Kind(models.TextChoices):
        STATIC = "static", _("A list")
        RULE = "rule", _("By rule")

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.STATIC)
    rule = models.TextField(blank=True, help_text=_('Such as offer.category == "shoes".'))
    offers = models.ManyToManyField(OfferItem, blank=True, related_name="collections")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CappingRule(models.Model):
    """How often an offer item may be proposed, in total or to one profile, in a period of the calendar."""

    class Scope(models.TextChoices):
        PROFILE = "profile", _("Per profile")
        TOTAL = "total", _("In total")

    class Period(models.TextChoices):
        DAY = "day", _("Each day")
        WEEK = "week", _("Each week, from Monday")
        MONTH = "month", _("Each month")
        LIFETIME = "lifetime", _("Ever")

    class Event(models.TextChoices):
        DECIDED = "decided", _("It was decided for")
        SHOWN = "shown", _("It was shown")  # held at the decision, given back when it was not shown after all

    offer = models.ForeignKey(OfferItem, on_delete=models.CASCADE, related_name="capping_rules")
    scope = models.CharField(max_length=20, choices=Scope.choices, default=Scope.PROFILE)
    period = models.CharField(max_length=20, choices=Period.choices, default=Period.LIFETIME)
    time_zone = models.CharField(
        max_length=60,
        blank=True,
        validators=[known_zone],
        help_text=_("Where its days begin and end. Empty: in the brand's zone."),
    )
    limit = models.PositiveIntegerField()
    event = models.CharField(max_length=20, choices=Event.choices, default=Event.DECIDED)

    class Meta:
        ordering = ["offer", "id"]

    def __str__(self) -> str:
        return f"{self.limit} × {self.get_scope_display()}, {self.get_period_display()}"


class SelectionStrategy(models.Model):
    """How candidates are found and ranked: a collection, who may have anything of it, and a ranking method.

    Learned ranking scores propensity ^ propensity_weight × context weight × value × (1 + lever of the offer / 100). The
    propensity is drawn from what is known of the strategy's offers (ModelStat); `exploration` is the share of
    decisions that it ranks at random, so that what ranking gains can always be measured.
    """

    class Method(models.TextChoices):
        PRIORITY = "priority", _("By priority")
        FORMULA = "formula", _("By a formula")
        LEARNED = "learned", _("Learned from what people do")

    class Reward(models.TextChoices):
        CLICKED = "clicked", _("A click")
        CONVERTED = "converted", _("A conversion")

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    collection = models.ForeignKey(Collection, on_delete=models.PROTECT, related_name="strategies")
    eligibility = models.TextField(blank=True, help_text=_("Who it is for. Empty: everybody."))
    method = models.CharField(max_length=20, choices=Method.choices, default=Method.PRIORITY)
    formula = models.TextField(
        blank=True, help_text=_("The score, such as offer.margin * 2; the highest goes first.")
    )
    context_weight = models.TextField(
        blank=True, help_text=_("For learned ranking: how well it fits this request. Empty: 1.")
    )
    value = models.TextField(
        blank=True,
        help_text=_("For learned ranking: what it is worth when taken, such as offer.margin. Empty: 1."),
    )
    propensity_weight = models.FloatField(
        default=1.0, validators=[MinValueValidator(0.0), MaxValueValidator(10.0)]
    )
    reward = models.CharField(
        max_length=20,
        choices=Reward.choices,
        default=Reward.CLICKED,
        help_text=_("For learned ranking: what it learns to bring about."),
    )
    exploration = models.FloatField(default=0.05, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)])

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("selection strategies")

    def __str__(self) -> str:
        return self.name


class DecisionPolicy(models.Model):
    """The plan that content uses: how many items, from which strategies in order, and what when there is nothing."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    items = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(30)]
    )
    fallback = models.ForeignKey(
        OfferItem,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Shown when nothing else is left; its eligibility, dates and caps are not asked."),
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("decision policies")

    def __str__(self) -> str:
        return self.name


class PolicyStrategy(models.Model):
    """A strategy's place in a policy: the next is asked for what the ones before it left open."""

    policy = models.ForeignKey(DecisionPolicy, on_delete=models.CASCADE, related_name="places")
    strategy = models.ForeignKey(SelectionStrategy, on_delete=models.PROTECT, related_name="places")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["policy", "position"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "position"], name="one_strategy_at_a_position"),
            models.UniqueConstraint(fields=["policy", "strategy"], name="a_strategy_once_in_a_policy"),
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.position}. {self.strategy}"


class PlanVersion(models.Model):
    """One row whose version is another one after every change of what a plan is made of.

    Triggers of the database write it in the transaction of the change, whoever makes it: so whoever finds the version
    under which they read a plan knows that the plan still holds. Locks: the row, from the change until its commit, so
    authors wait for each other. Met by: two authors.
    """

    id = models.SmallIntegerField(primary_key=True)
    version = models.UUIDField()

    class Meta:
        db_table = "plan_version"
        default_permissions = ()


class CapCounter(models.Model):
    """How much of a cap is used in a period.

    Key: (subject, rule, period); the subject is the profile, or 0 for the total; the period is its first day. Locks:
    last of all and held until the commit, in the order subject descending (the totals, which everybody wants, come
    last), rule, period. Met by: two decisions, a release, a merge of profiles. `granted` is what the last statement
    added: it carries the answer out of the upsert.
    """

    TOTAL = 0

    pk = models.CompositePrimaryKey("subject", "rule_id", "period")
    rule = models.ForeignKey(CappingRule, models.DO_NOTHING, db_constraint=False, db_index=False)
    subject = models.BigIntegerField()
    period = models.DateField()
    n = models.IntegerField()
    cap = models.IntegerField()
    granted = models.IntegerField()

    class Meta:
        db_table = "cap_counter"
        constraints = [models.CheckConstraint(condition=models.Q(n__gte=0), name="cap_counter_not_negative")]


class CapHold(models.Model):
    """A use of a cap that can still be given back: deleting it confirms or releases it, once.

    Key: (decision, rule). Locks: in key order, before any counter. Met by: a confirmation, a release, the release of
    what expired, a merge of profiles.
    """

    pk = models.CompositePrimaryKey("decision_id", "rule_id")
    decision = models.ForeignKey("Decision", models.DO_NOTHING, db_constraint=False, db_index=False)
    rule = models.ForeignKey(CappingRule, models.DO_NOTHING, db_constraint=False, db_index=False)
    subject = models.BigIntegerField()
    period = models.DateField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "cap_hold"
        indexes = [
            models.Index(fields=["expires_at"], name="cap_hold_expiry"),
            models.Index(fields=["subject"], condition=models.Q(subject__gt=0), name="cap_hold_profile"),
        ]


class DecisionKey(models.Model):
    """The decision that answers whoever asks with this key.

    Key: key, a hash of what asked (`offers.decide.key_of`). Locks: after profiles, before counters, in key order; a
    second one with the same key waits for the first one's commit. Met by: two that ask with one key at once.
    """

    key = models.UUIDField(primary_key=True)
    decision = models.ForeignKey("Decision", models.DO_NOTHING, db_constraint=False, db_index=False)

    class Meta:
        db_table = "decision_key"
        default_permissions = ()


class Decision(models.Model):
    """What was chosen for a profile, and why everything else was not. Append-only; it keeps its original profile.

    Key: id, a UUIDv7 that also seeds the draws of learned ranking. Met by: nobody. `candidates` has one object for each
    offer item that was weighed, as `offers.decide.Candidate` describes it, the chosen ones first.
    """

    class Door(models.IntegerChoices):
        """Who asked for it, and what `cause_id` is the id of."""

        REQUEST = 0, _("A request to the API")
        MESSAGE = 1, _("A message")
        WALK = 2, _("An offer box of a journey")  # a journey instance

    id = models.UUIDField(primary_key=True)
    profile = models.ForeignKey(
        Profile, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="decisions"
    )
    policy = models.ForeignKey(DecisionPolicy, models.DO_NOTHING, db_constraint=False, db_index=False)
    placement = models.ForeignKey(Placement, models.DO_NOTHING, db_constraint=False, db_index=False)
    decided_at = models.DateTimeField()
    offers = ArrayField(
        models.BigIntegerField(), help_text=_("The ids of the chosen offer items, best first.")
    )
    is_fallback = models.BooleanField()
    is_exploration = models.BooleanField(help_text=_("At least one strategy ranked at random."))
    model_versions = models.JSONField(help_text=_("Strategy → version of the model that it ranked with."))
    candidates = models.JSONField()
    door = models.SmallIntegerField(choices=Door.choices, db_default=Door.REQUEST)
    cause_id = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "decision"
        indexes = [models.Index(fields=["profile", "decided_at"], name="decision_profile")]


class DecisionOutcome(models.Model):
    """What became of a chosen offer item, each kind once: the ledger that makes sums and counts safe to repeat.

    Key: (decision, offer, kind). Locks: in key order, before any sum. Met by: two that report the same.
    """

    class Kind(models.IntegerChoices):
        SHOWN = 1, _("Shown")  # the message was sent, or a page says that it shows it
        CLICKED = 2, _("Clicked")  # by a person, no machine
        CONVERTED = 3, _("Converted")

    pk = models.CompositePrimaryKey("decision_id", "offer_id", "kind")
    decision = models.ForeignKey(Decision, models.DO_NOTHING, db_constraint=False, db_index=False)
    offer = models.ForeignKey(OfferItem, models.DO_NOTHING, db_constraint=False, db_index=False)
    kind = models.SmallIntegerField(choices=Kind.choices)
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "decision_outcome"
        default_permissions = ()


class OfferStat(models.Model):
    """How often an offer item was decided, shown, clicked and converted in a placement on a day: counts that are only
    added to. Each equals a count over decisions and their outcomes.

    Key: (offer, placement, day in UTC, part); parts as in ModelStat. Locks: after everything else, in key order. Met
    by: two writers of the same part.
    """

    pk = models.CompositePrimaryKey("offer_id", "placement_id", "day", "part")
    offer = models.ForeignKey(OfferItem, models.DO_NOTHING, db_constraint=False, db_index=False)
    placement = models.ForeignKey(Placement, models.DO_NOTHING, db_constraint=False, db_index=False)
    day = models.DateField()
    part = models.SmallIntegerField()
    decided = models.BigIntegerField(db_default=0)
    shown = models.BigIntegerField(db_default=0)
    clicked = models.BigIntegerField(db_default=0)
    converted = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "offer_stat"
        default_permissions = ()
        indexes = [models.Index(fields=["day"], name="offer_stat_day")]


class ModelStat(models.Model):
    """What people did with the offers of a strategy: sums that are only ever added to.

    Key: (strategy, offer, day in UTC, part). Writers pick a part at random, so that two seldom want one row; reading
    adds the parts up. Locks: in key order. Met by: two writers of the same part.
    """

    PARTS = 16

    pk = models.CompositePrimaryKey("strategy_id", "offer_id", "day", "part")
    strategy = models.ForeignKey(SelectionStrategy, models.DO_NOTHING, db_constraint=False, db_index=False)
    offer = models.ForeignKey(OfferItem, models.DO_NOTHING, db_constraint=False, db_index=False)
    day = models.DateField()
    part = models.SmallIntegerField()
    n = models.BigIntegerField(help_text=_("How often it was shown."))
    r = models.FloatField(help_text=_("The reward: how often it was taken."))

    class Meta:
        db_table = "model_stat"
