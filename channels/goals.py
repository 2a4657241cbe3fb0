"""Goals: what an author wants people to do after a message. `conversions` notes who did.

    goal = set_goal(goal, Wanted("Order Completed", "event.total > 50", days=7), origins)
    follow(goal_id, origins)      the messages of these origins have this goal from now on

Whoever calls holds the lock of the author (a journey, a campaign), so its goal is changed by one at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction

from channels.models import Goal, GoalOrigin
from channels.reports import Origin
from profiles.catalog import read_catalog
from profiles.language import LanguageError, Type, parse
from profiles.models import EventType

DOCUMENTS = frozenset({"profile", "event"})
"""What a condition may name."""
MAX_DAYS = 90
MAX_EVENT = 200
MAX_CONDITION = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A goal as its author says it: the name of an event, a condition on it (CEL) or nothing, and within how many days
    of 24 hours after the message was sent."""

    event: str
    condition: str = ""
    days: int = 7


class GoalProblem(NamedTuple):
    """A sentence about one field of a `Wanted`."""

    field: str
    message: str


class GoalRefused(Exception):
    """There can be no such goal, so nothing was changed; `problems` says why, field by field."""

    def __init__(self, problems: Collection[GoalProblem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = tuple(problems)


def find_problems(wanted: Wanted) -> list[GoalProblem]:
    """Why there can be no such goal; empty when there can."""
    found = []
    if not wanted.event.strip() or len(wanted.event) > MAX_EVENT or "\0" in wanted.event:
        sentence = f"The goal needs the name of an event, of at most {MAX_EVENT} characters, such as Order Completed."
        found.append(GoalProblem("event", sentence))
    if not 1 <= wanted.days <= MAX_DAYS:
        found.append(
            GoalProblem(
                "days", f"A goal counts for 1 to {MAX_DAYS} days after a message was sent. Change the days."
            )
        )
    if len(wanted.condition) > MAX_CONDITION or "\0" in wanted.condition:
        sentence = (
            f"The condition of the goal has more than {MAX_CONDITION:,} characters, or a NUL. Shorten it."
        )
        found.append(GoalProblem("condition", sentence))
    elif wanted.condition.strip():
        try:
            parse(wanted.condition, read_catalog(DOCUMENTS), expects=Type.BOOLEAN)
        except LanguageError as error:
            found.append(GoalProblem("condition", f"The condition of the goal cannot be used. {error}"))
    return found


@transaction.atomic
def set_goal(goal: Goal | None, wanted: Wanted | None, origins: Iterable[Origin]) -> Goal | None:
    """Change an author's goal into what is wanted, make a new one for these origins, or take it away with None.

    What was counted stays counted. Raises GoalRefused.
    """
    if wanted is None:
        if goal is not None:
            goal.delete()
        return None
    if problems := find_problems(wanted):
        raise GoalRefused(problems)
    goal = goal or Goal()
    goal.event_type = EventType.objects.get_or_create(name=wanted.event.strip())[0]
    goal.condition, goal.days = wanted.condition.strip(), wanted.days
    goal.save()
    follow(goal.pk, origins)
    return goal


def follow(goal_id: int, origins: Iterable[Origin]) -> None:
    """The messages of these origins have this goal, also if they had it before."""
    rows = [GoalOrigin(cause_kind=kind, origin_id=id, goal_id=goal_id) for kind, id in sorted(set(origins))]
    GoalOrigin.objects.bulk_create(rows, ignore_conflicts=True)


def said(goal: Goal | None) -> Wanted | None:
    """A stored goal as its author said it."""
    return None if goal is None else Wanted(goal.event_type.name, goal.condition, goal.days)
