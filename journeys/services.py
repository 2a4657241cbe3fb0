"""What people do with journeys: write, publish, pause, resume, close, stop.

Each is one transaction with its audit line, and refuses with a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, models, transaction

from ajo.core.models import AuditEvent, User
from ajo.lib import doorbell, lifecycle
from channels import delivery, goals, readiness
from channels.goals import Wanted
from channels.models import CauseKind
from channels.reports import Origin
from journeys import graph as graphs
from journeys.graph import Level, Problem
from journeys.models import Journey, JourneyVersion, ReEntry
from journeys.plans import lock_versions
from journeys.querysets import drained_versions, running_versions, stopping_versions
from journeys.runner import stop_batch
from profiles.models import EventType

State = JourneyVersion.State
EMPTY_GRAPH: dict[str, Any] = {"activities": [], "links": []}
STOP_BATCHES = 20
"""How many batches of people one call takes out; the next ticks take out the others."""


class JourneyRefused(Exception):
    """What was asked cannot be done with this journey now; the sentence says why and what to do."""

    def __init__(self, sentence: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(sentence)
        self.problems = tuple(problems)


class StaleRevision(JourneyRefused):
    """Somebody else saved or published the draft in the meantime, so it was not overwritten."""


def create_journey(*, key: str, name: str, user: User | None, description: str = "") -> Journey:
    """A journey with an empty draft."""
    try:
        with transaction.atomic():
            journey = Journey.objects.create(key=key, name=name, description=description, created_by=user)
            JourneyVersion.objects.create(journey=journey, number=1, graph=EMPTY_GRAPH)
            AuditEvent.record("create_journey", journey, user=user, name=name)
    except IntegrityError:
        raise JourneyRefused(
            f"There is already a journey with the key {key!r}. Choose another key."
        ) from None
    return journey


def describe_journey(*, journey: Journey, name: str, description: str, user: User | None) -> None:
    """Give it another name and description; its key never changes."""
    with transaction.atomic():
        journey.name, journey.description = name, description
        journey.save(update_fields=["name", "description"])
        AuditEvent.record("describe_journey", journey, user=user, name=name)


def set_goal(*, journey: Journey, wanted: Wanted | None, user: User | None) -> Journey:
    """What its messages should bring about, in all versions, also those to come; None for nothing. Raises GoalRefused.

    A goal is a measure: it can be set at any time, and counts from then on.
    """
    with transaction.atomic():
        journey = _locked(journey)
        journey.goal = goals.set_goal(journey.goal, wanted, origins(journey))
        journey.save(update_fields=["goal"])
        AuditEvent.record("set_goal", journey, user=user, **(asdict(wanted) if wanted else {}))
    return journey


def origins(journey: Journey) -> list[Origin]:
    """What its messages name as their origin: its versions."""
    ids = journey.versions.values_list("pk", flat=True)
    return [Origin(CauseKind.JOURNEY_INSTANCE.value, id) for id in ids]


def save_draft(
    *, journey: Journey, graph: dict[str, Any], re_entry: str, revision: int | None, user: User | None
) -> JourneyVersion:
    """Write the draft, which may have problems; where there is none, begin the next version.

    `revision` is the one that the author has read, None when there was no draft. Refuses when it is not the current
    one, so that nobody overwrites a colleague's work unseen.
    """
    if not isinstance(graph, dict):
        raise JourneyRefused("A graph must be an object, so nothing was saved.")
    if re_entry not in ReEntry.values:
        raise JourneyRefused(
            f"There is no re-entry rule {re_entry!r}. Choose one of: {', '.join(ReEntry.values)}."
        )
    try:
        with transaction.atomic():
            draft = (
                _new_draft(journey, graph, re_entry)
                if revision is None
                else _changed_draft(journey, graph, re_entry, revision)
            )
            AuditEvent.record(
                "save_journey", journey, user=user, version=draft.number, revision=draft.revision
            )
    except IntegrityError:
        raise StaleRevision(
            f"Somebody else has begun a draft of {journey} in the meantime. Load it and make your changes there."
        ) from None
    except DataError:
        raise JourneyRefused(
            "The graph holds a character that cannot be stored, such as NUL. Remove it."
        ) from None
    return draft


def _new_draft(journey: Journey, graph: dict[str, Any], re_entry: str) -> JourneyVersion:
    last = journey.versions.aggregate(last=models.Max("number"))["last"] or 0
    return JourneyVersion.objects.create(journey=journey, number=last + 1, graph=graph, re_entry=re_entry)


def _changed_draft(journey: Journey, graph: dict[str, Any], re_entry: str, revision: int) -> JourneyVersion:
    found = journey.versions.filter(state=State.DRAFT, revision=revision)
    if not found.update(graph=graph, re_entry=re_entry, revision=revision + 1):
        raise StaleRevision(
            f"The draft of {journey} is no longer at revision {revision}: somebody saved or published it in the"
            " meantime, and nothing was overwritten. Load it again and repeat your changes."
        )
    return journey.versions.get(state=State.DRAFT)


def check_version(version: JourneyVersion) -> list[Problem]:
    """Everything that stands in the way of publishing, and the warnings; errors first."""
    return check_graph(version.graph)


def check_graph(graph: Any) -> list[Problem]:
    """The same for a graph that is not stored. Never raises."""
    found = graphs.problems(graph) + [
        Problem(Level.WARNING if finding.is_warning else Level.ERROR, box.id, finding.message, finding.field)
        for box in graphs.boxes(graph).values()
        for finding in box.activity.problems(box.config)
    ]
    return sorted(found, key=lambda problem: problem.level is Level.WARNING)


def publish_journey(*, journey: Journey, user: User | None, now: datetime) -> JourneyVersion:
    """Freeze the draft and let people in. The version that was live is closed: its people walk on in it."""
    with transaction.atomic():
        journey = _locked(journey)
        draft = journey.versions.select_for_update().filter(state=State.DRAFT).first()
        if draft is None:
            raise JourneyRefused(f"{journey} has no draft, so there is nothing to publish. Edit it first.")
        errors = [problem for problem in check_version(draft) if problem.level is Level.ERROR]
        if errors:
            sentences = " ".join(problem.message for problem in errors)
            raise JourneyRefused(f"{draft} cannot be published. {sentences}", errors)
        plan = graphs.compiled(draft.graph)
        event_types = {
            name: EventType.objects.get_or_create(name=name)[0] for name in sorted(plan.event_names())
        }
        pins = {
            key: version.pk
            for key in sorted(plan.content_keys())
            if (version := readiness.current_version(key)) is not None  # the check has found one for each
        }
        lock_versions()
        previous = journey.versions.filter(state__in=[State.LIVE, State.PAUSED]).first()
        if previous and previous.state == State.PAUSED:
            raise JourneyRefused(
                f"{previous} is paused, and people stand still in it. Resume or stop it before you publish {draft}."
            )
        if previous:
            _move(previous, State.LIVE, State.CLOSED)
        _move(
            draft, State.DRAFT, State.LIVE,
            pins=pins, entry_event_type=event_types[plan.entry_event()], published_at=now,
        )  # fmt: skip
        if journey.goal_id is not None:
            goals.follow(journey.goal_id, origins(journey))
        AuditEvent.record("publish_journey", journey, user=user, version=draft.number, pins=pins)
    return draft


def pause_journey(*, journey: Journey, user: User | None) -> JourneyVersion:
    """Nobody enters, people inside stand still. When it returns, no step is under way."""
    return _switch("pause", journey, State.LIVE, State.PAUSED, user)


def resume_journey(*, journey: Journey, user: User | None) -> JourneyVersion:
    """People enter again; waits that ended in the meantime go on at once."""
    version = _switch("resume", journey, State.PAUSED, State.LIVE, user)
    doorbell.ring_on_commit("journeys.tasks.tick_journeys")
    return version


def close_journey(*, journey: Journey, user: User | None) -> JourneyVersion:
    """Nobody enters any more, people inside walk on; it is finished when the last one has left."""
    return _switch("close", journey, State.LIVE, State.CLOSED, user)


def _switch(verb: str, journey: Journey, source: str, target: str, user: User | None) -> JourneyVersion:
    with transaction.atomic():
        lock_versions()
        version = journey.versions.filter(state=source).first()
        if version is None:
            newest = journey.versions.first()
            raise JourneyRefused(
                f"{journey} cannot be {_PARTICIPLE[verb]}: that needs a {State(source).label.lower()} version, and"
                f" {newest} is {newest.get_state_display().lower() if newest else 'missing'}."
            )
        _move(version, source, target)
        AuditEvent.record(f"{verb}_journey", journey, user=user, version=version.number)
    return version


_PARTICIPLE = {"pause": "paused", "resume": "resumed", "close": "closed"}


def stop_journey(*, journey: Journey, user: User | None, now: datetime) -> list[JourneyVersion]:
    """Take everybody out of all its versions and withhold what is still queued.

    When it returns, no step will be made any more; of a great crowd some are taken out by the next ticks.
    """
    # Durable: within another transaction the people's locks would be held together with the versions'.
    with transaction.atomic(durable=True):
        versions = begin_stop(journey=journey, user=user)
    for version in versions:
        finish_stop(version=version, now=now)
    return versions


def begin_stop(*, journey: Journey, user: User | None) -> list[JourneyVersion]:
    """The first half of `stop_journey`, for a caller with a transaction of its own: `finish_stop` comes after it."""
    with transaction.atomic():
        lock_versions()
        versions = list(running_versions().filter(journey=journey))
        if not versions:
            raise JourneyRefused(f"Nobody can be in {journey}: no version of it is live, paused or closed.")
        for version in versions:
            _move(version, version.state, State.STOPPED)
            AuditEvent.record("stop_journey", journey, user=user, version=version.number)
    return versions


def finish_stop(*, version: JourneyVersion, now: datetime) -> bool:
    """Take out the people of a stopped version, at most STOP_BATCHES batches. True when nobody is left."""
    delivery.withhold_origin(
        cause_kind=CauseKind.JOURNEY_INSTANCE, origin_id=version.pk, reason="The journey was stopped."
    )
    last = 0
    for _ in range(STOP_BATCHES):
        reached = stop_batch(version.pk, now, after=last)
        if reached is None and last == 0:
            JourneyVersion.objects.filter(pk=version.pk, state=State.STOPPED).update(ended_at=now)
            version.ended_at = now
            return True
        last = reached or 0  # from the front again: a merge may have moved somebody behind us
    doorbell.ring("journeys.tasks.settle_versions")
    return False


def settle_versions(*, now: datetime) -> int:
    """Finish what is closed and empty, and go on with stops that were too large or were interrupted."""
    finished = drained_versions().update(state=State.FINISHED, ended_at=now)
    return finished + sum(finish_stop(version=version, now=now) for version in stopping_versions())


def _locked(journey: Journey) -> Journey:
    return (
        Journey.objects.select_for_update(of=("self",), no_key=True).select_related("goal").get(pk=journey.pk)
    )


def _move(version: JourneyVersion, source: str, target: str, **changes: Any) -> None:
    """One arrow of JourneyVersion.MOVES, by compare-and-set."""
    try:
        lifecycle.move(version, to=target, moves={source: JourneyVersion.MOVES[State(source)]}, **changes)
    except lifecycle.MoveRefused as refused:
        raise JourneyRefused(f"Somebody else was quicker: {refused} Load the journey again.") from None
