"""The forms of the campaign's page. What they cannot know (is the content published?) the services say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns import schedule as schedules
from campaigns.models import Campaign
from channels.models import ChannelConfiguration, Content
from profiles.models import Audience

_LAST = "last"
WEEKDAYS = (
    (1, _("Mon")),
    (2, _("Tue")),
    (3, _("Wed")),
    (4, _("Thu")),
    (5, _("Fri")),
    (6, _("Sat")),
    (7, _("Sun")),
)


class NewCampaignForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no arguments when it runs
    """Name, key and what sets it off; everything else is on its page."""

    class Meta:
        model = Campaign
        fields = ("name", "key", "kind")
        widgets = {"kind": UnfoldAdminRadioSelectWidget}


class CampaignForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is sent to whom. Everything may stay open in a draft."""

    revision = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = Campaign
        fields = (
            "name",
            "description",
            "configuration",
            "content",
            "message_class",
            "audience",
            "exclusions",
        )
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            "configuration": UnfoldAdminSelectWidget,
            "content": UnfoldAdminSelectWidget,
            "message_class": UnfoldAdminSelectWidget,
            "audience": UnfoldAdminSelectWidget,
            "exclusions": UnfoldAdminCheckboxSelectMultipleWidget,
        }
        labels = {
            "configuration": _("Send with"),
            "content": _("Content"),
            "message_class": _("Class"),
            "audience": _("To"),
            "exclusions": _("But not to"),
        }
        help_texts = {
            "configuration": _("The provider and the sender that people see."),
            "message_class": _("Marketing asks for consent; transactional goes out without."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["revision"] = self.instance.revision
        audiences = Audience.objects.exclude(state=Audience.State.ARCHIVED).order_by("name")
        choices = {
            "configuration": ChannelConfiguration.objects.filter(is_active=True),
            "content": Content.objects.order_by("name"),
            "audience": audiences,
            "exclusions": audiences,
        }
        for name, queryset in choices.items():
            self.fields[name].queryset = queryset  # type: ignore[attr-defined]
        if self.instance.kind == Campaign.Kind.TRIGGERED:
            del self.fields["audience"], self.fields["exclusions"]


class ScheduleForm(forms.Form):
    """A schedule, field by field; `schedule` is the JSON that `campaigns.schedule` reads."""

    when = forms.ChoiceField(
        label=_("When"),
        choices=(
            ("now", _("As soon as it is approved")),
            ("at", _("At a time")),
            ("recurring", _("Again and again")),
        ),
        widget=UnfoldAdminRadioSelectWidget,
    )
    at_day = forms.DateField(
        label=_("Day"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    every = forms.ChoiceField(
        label=_("Every"),
        required=False,
        choices=(("day", _("Day")), ("week", _("Week")), ("month", _("Month"))),
        widget=UnfoldAdminSelectWidget,
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=_("On"),
        required=False,
        coerce=int,
        choices=WEEKDAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    day = forms.ChoiceField(
        label=_("On day"),
        required=False,
        choices=[(str(n), str(n)) for n in range(1, 32)] + [(_LAST, _("the last one"))],
        widget=UnfoldAdminSelectWidget,
    )
    time = forms.TimeField(
        label=_("Time"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "time"}),
    )
    zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        choices=lambda: [(name, name.replace("_", " ")) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelectWidget,
    )
    start = forms.DateField(
        label=_("From"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    end = forms.DateField(
        label=_("Until"), required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    count = forms.IntegerField(
        label=_("At most so often"), required=False, widget=UnfoldAdminIntegerFieldWidget
    )

    def __init__(self, schedule: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "schedule", "initial": _initial(schedule), **kwargs})

    @property
    def schedule(self) -> dict[str, Any]:
        """What was filled in, without what does not belong to its kind; it may still have problems."""
        cleaned = self.cleaned_data
        at = _clock(cleaned.get("time"))
        match cleaned.get("when"):
            case "at":
                day = cleaned.get("at_day")
                return {
                    "kind": "at",
                    "at": f"{day}T{at}" if day and at else None,
                    "zone": cleaned.get("zone"),
                }
            case "recurring":
                every = cleaned.get("every")
                found = {"kind": "recurring", "every": every, "time": at, "zone": cleaned.get("zone")}
                if every == "week":
                    found["weekdays"] = cleaned.get("weekdays") or []
                if every == "month":
                    day = cleaned.get("day") or "1"
                    found["day"] = day if day == _LAST else int(day)
                optional = {
                    "start": cleaned.get("start") and cleaned["start"].isoformat(),
                    "end": cleaned.get("end") and cleaned["end"].isoformat(),
                    "count": cleaned.get("count"),
                }
                return found | {name: value for name, value in optional.items() if value is not None}
        return {"kind": "now"}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        self.cleaned_data = cleaned
        if not self.errors:
            for problem in schedules.problems(self.schedule):
                name = {"kind": "when", "at": "at_day"}.get(problem.field, problem.field)
                self.add_error(name if name in self.fields else None, problem.message)
        return cleaned


def _clock(at: time | None) -> str | None:
    return f"{at:%H:%M}" if at else None


def _initial(schedule: Mapping[str, Any]) -> dict[str, Any]:
    day, _separator, at = str(schedule.get("at") or "").partition("T")
    return {
        "when": schedule.get("kind", "now"),
        "at_day": day or None,
        "every": schedule.get("every", "week"),
        "weekdays": schedule.get("weekdays", [1]),
        "day": str(schedule.get("day", 1)),
        "time": at or schedule.get("time", "09:00"),
        "zone": schedule.get("zone", settings.AJO_BRAND_TIME_ZONE),
        "start": schedule.get("start"),
        "end": schedule.get("end"),
        "count": schedule.get("count"),
    }
