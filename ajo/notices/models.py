from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from journeys.models import Journey
from profiles.models import AttributeDefinition


class LiveView(models.Model):
    """A journey that operations may watch: how many are where, and who does not get on."""

    journey = models.OneToOneField(Journey, models.CASCADE, related_name="+")
    label = models.CharField(
        _("title"), max_length=100, help_text=_("What operations read, such as “Onboarding of new staff”.")
    )
    stuck_after_hours = models.PositiveIntegerField(
        _("stuck after (hours)"),
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 366)],
        help_text=_("Who waits longer than this at one box is listed."),
    )
    named_by = models.ForeignKey(
        AttributeDefinition,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        limit_choices_to={"sensitivity__in": ["none", "personal"]},
        help_text=_("The attribute that names people in the view. Without one they appear as numbers."),
    )
    is_shown = models.BooleanField(_("shown"), default=True, help_text=_("Operations see it."))
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    AUDIT_KEY = "label"

    class Meta:
        db_table = "live_view"
        ordering = ["label"]

    def __str__(self) -> str:
        return self.label
