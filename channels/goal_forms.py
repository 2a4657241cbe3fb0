"""A goal as people fill it in: on a page of the administration, and over the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from ajo.core.rest.serializers import Strict
from channels.goals import MAX_CONDITION, MAX_DAYS, MAX_EVENT, GoalRefused, Wanted, said
from channels.models import Goal
from profiles.models import EventType

SUGGESTED = 300


class GoalForm(forms.Form):
    """`offered` are names of events to choose from; another can be written."""

    event = forms.CharField(
        label=_("People should do"),
        max_length=MAX_EVENT,
        help_text=_("The name of an event as your sources send it."),
        widget=UnfoldAdminTextInputWidget(attrs={"list": "goal-events", "placeholder": "Order Completed"}),
    )
    days = forms.IntegerField(
        label=_("Within days"),
        min_value=1,
        max_value=MAX_DAYS,
        help_text=_("Of 24 hours each, after the message was sent."),
        widget=UnfoldAdminIntegerFieldWidget,
    )
    condition = forms.CharField(
        label=_("Only when"),
        required=False,
        max_length=MAX_CONDITION,
        help_text=_("A condition on the event and the profile, such as event.total > 50. Empty: every time."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"}),
    )

    def __init__(self, goal: Goal | None, posted: Mapping[str, Any] | None = None) -> None:
        wanted = said(goal)
        super().__init__(posted, initial=asdict(wanted) if wanted else {"days": 7}, prefix="goal")
        self.is_set = goal is not None

    def offered(self) -> list[str]:
        return list(EventType.objects.order_by("name").values_list("name", flat=True)[:SUGGESTED])

    def save(self, set_goal: Callable[[Wanted | None], object]) -> bool:
        """Set the goal as it was filled in, or take it away when that was pressed; False when something is wrong."""
        if "remove" in self.data:
            set_goal(None)
            return True
        if not self.is_valid():
            return False
        try:
            set_goal(Wanted(**self.cleaned_data))
        except GoalRefused as refused:
            for problem in refused.problems:
                self.add_error(problem.field, problem.message)
            return False
        return True


class GoalSerializer(Strict):
    event = serializers.CharField(max_length=MAX_EVENT, help_text="What people should do.")
    condition = serializers.CharField(
        max_length=MAX_CONDITION,
        allow_blank=True,
        default="",
        help_text="On `event` and `profile`, such as `event.total > 50`.",
    )
    days = serializers.IntegerField(
        min_value=1, max_value=MAX_DAYS, default=7, help_text="Of 24 hours each, after the message was sent."
    )


def goal_json(goal: Goal | None) -> dict[str, Any] | None:
    wanted = said(goal)
    return asdict(wanted) if wanted else None


def wanted_of(asked: Mapping[str, Any] | None) -> Wanted | None:
    """What a GoalSerializer read, or null."""
    return Wanted(**asked) if asked else None


def errors_of(refused: GoalRefused) -> list[dict[str, str]]:
    """Of a problem of the API whose field is called goal."""
    return [
        {"field": f"goal.{problem.field}", "code": "problem", "message": problem.message}
        for problem in refused.problems
    ]
