"""The map of a journey as data: what is wrong with it, and its compiled form. No database, no clock.

A graph is {"activities": [{"id", "kind", "config"}], "links": [{"from", "port", "to"}]}.
An activity may have a "label", its name on the map.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeGuard

from journeys.activities import registry
from journeys.activities.base import Activity
from journeys.models import StepLog

MAX_ACTIVITIES = 500
MAX_LABEL = 80
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z", re.ASCII)


class Level(enum.StrEnum):
    ERROR = "error"  # it cannot be published
    WARNING = "warning"  # it can, but probably does not do what was meant


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, as a sentence with its consequence and its remedy."""

    level: Level
    activity: str
    """The id of the box; empty when it is the graph as a whole."""
    message: str
    field: str = ""
    """The setting of the box, as Config names it (nested ones with dots)."""


@dataclass(frozen=True, slots=True)
class Box:
    """One activity of a plan, with its settings validated."""

    id: str
    activity: Activity
    config: Mapping[str, Any]
    ports: tuple[str, ...]
    links: Mapping[str, str]
    """Port → id of the box that follows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A valid graph, ready to be walked."""

    entry: str
    boxes: Mapping[str, Box]

    def exits(self) -> list[Box]:
        return [box for box in self.boxes.values() if box.activity.is_exit]

    def content_keys(self) -> set[str]:
        return {key for box in self.boxes.values() for key in box.activity.content_keys(box.config)}

    def event_names(self) -> set[str]:
        return {name for box in self.boxes.values() for name in box.activity.event_names(box.config)}

    def entry_event(self) -> str:
        """The name of the event that lets people in."""
        box = self.boxes[self.entry]
        return box.activity.event_names(box.config)[0]


class InvalidGraph(ValueError):
    """The graph has errors; they stand in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = tuple(problems)


def problems(graph: Any) -> list[Problem]:
    """Everything that is wrong with any JSON value that claims to be a graph; errors first. Never raises."""
    found = _Reading(graph).problems
    return sorted(found, key=lambda problem: problem.level is Level.WARNING)


def boxes(graph: Any) -> Mapping[str, Box]:
    """Those boxes of any JSON value that claims to be a graph whose settings can be used, by id. Never raises."""
    return _Reading(graph).boxes


def compiled(graph: Any) -> Plan:
    """The plan of a graph without errors; raises InvalidGraph for any other."""
    reading = _Reading(graph)
    errors = [problem for problem in reading.problems if problem.level is Level.ERROR]
    if errors:
        raise InvalidGraph(errors)
    (entry,) = (box.id for box in reading.boxes.values() if box.activity.is_entry)
    return Plan(entry=entry, boxes=reading.boxes)


class _Reading:
    """One pass over a graph, which collects boxes and problems. A part that cannot be read is left out of the rest."""

    def __init__(self, graph: Any) -> None:
        self.problems: list[Problem] = []
        self.boxes: dict[str, Box] = {}
        self._ids: set[str] = (
            set()
        )  # also those of boxes that could not be read: links to them are not dangling
        self._labels: dict[str, str] = {}
        if not isinstance(graph, dict):
            self._error("", 'A graph must be an object with the lists "activities" and "links".')
            return
        self._read_activities(self._list_of(graph, "activities"))
        links = self._read_links(self._list_of(graph, "links"))
        self._check_entry(links)
        self._check_ports()
        self._check_reach()
        self._check_loops()

    def _error(self, activity: str, message: str, field: str = "") -> None:
        self.problems.append(Problem(Level.ERROR, activity, message, field))

    def _warning(self, activity: str, message: str, field: str = "") -> None:
        self.problems.append(Problem(Level.WARNING, activity, message, field))

    def _list_of(self, graph: dict[str, Any], name: str) -> list[dict[str, Any]]:
        value = graph.get(name, [])
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
        self._error(
            "", f'"{name}" must be a list of objects, so nothing in it could be read. Save the journey again.'
        )
        return []

    def _read_activities(self, items: list[dict[str, Any]]) -> None:
        if len(items) > MAX_ACTIVITIES:
            self._error(
                "",
                f"The journey has {len(items)} activities, but at most {MAX_ACTIVITIES} can be drawn and run."
                " Move a part of it into another journey.",
            )
            return
        for item in items:
            box_id, kind, config = item.get("id"), item.get("kind"), item.get("config", {})
            if not isinstance(box_id, str) or not _ID.match(box_id):
                self._error(
                    "",
                    f"An activity has the id {box_id!r}, so nothing could refer to it. Use up to 60 small letters,"
                    " digits, hyphens and underscores.",
                )
            elif box_id in self._ids:
                self._error(
                    box_id,
                    f"Two activities have the id {box_id!r}, so links to it have two meanings. Rename one.",
                )
            else:
                self._ids.add(box_id)
                self._read_label(box_id, item.get("label", ""))
                if not isinstance(kind, str) or kind not in registry:
                    self._error(
                        box_id,
                        f"{self._name(box_id)} is of the unknown kind {kind!r}, so nobody knows what to do there."
                        f" Known kinds: {', '.join(sorted(cls.kind for cls in registry))}.",
                    )
                elif not isinstance(config, dict):
                    self._error(
                        box_id,
                        f"The settings of {self._name(box_id)} must be an object. Fill in the form again.",
                    )
                else:
                    self._read_config(box_id, registry.get(kind)(), config)

    def _read_label(self, box_id: str, label: Any) -> None:
        if isinstance(label, str) and len(label) <= MAX_LABEL:
            self._labels[box_id] = label.strip()
        else:
            self._error(
                box_id,
                f"The name of {box_id!r} on the map is no text of at most {MAX_LABEL} characters. Shorten it.",
                "label",
            )

    def _name(self, end: Any) -> str:
        """What people call a box: its name on the map, else its id."""
        return repr((self._labels.get(end) if isinstance(end, str) else None) or end)

    def _read_config(self, box_id: str, activity: Activity, config: dict[str, Any]) -> None:
        serializer = activity.Config(data=config)
        if not serializer.is_valid():
            for field, sentence in _flattened(serializer.errors):
                self._error(
                    box_id, f"{self._name(box_id)} cannot run with its setting {field!r}: {sentence}", field
                )
            return
        for name in sorted(config.keys() - serializer.fields.keys()):
            self._warning(
                box_id,
                f"{activity.label} has no setting {name!r}, so it does nothing. Remove it or correct it.",
                name,
            )
        settings = dict(serializer.validated_data)
        self.boxes[box_id] = Box(
            id=box_id, activity=activity, config=settings, ports=tuple(activity.ports(settings)), links={}
        )

    def _read_links(self, items: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Fills the links of the boxes; returns (from, to) of those that connect two known boxes."""
        pairs = []
        for item in items:
            source, port, target = item.get("from"), item.get("port", "next"), item.get("to")
            if not self._is_known(source) or not self._is_known(target):
                stranger = target if self._is_known(source) else source
                self._error(
                    source if self._is_known(source) else "",
                    f"A link leads from {self._name(source)} to {self._name(target)}, but there is no activity"
                    f" {self._name(stranger)}, so people could not follow it. Delete the link or connect it again.",
                )
                continue
            pairs.append((source, target))
            if (box := self.boxes.get(source)) is None:
                continue
            if port not in box.ports:
                self._error(
                    source,
                    f"A link leaves {self._name(source)} by {port!r}, an exit that it does not have, so nobody would"
                    f" ever follow it. Its exits are: {', '.join(box.ports) or 'none'}.",
                )
            elif port in box.links:
                self._error(
                    source,
                    f"Two links leave {self._name(source)} by {port!r}, so it would be chance where people"
                    " go. Delete one.",
                )
            else:
                box.links[port] = target  # type: ignore[index]
        return pairs

    def _is_known(self, end: Any) -> TypeGuard[str]:
        return isinstance(end, str) and end in self._ids

    def _check_entry(self, links: list[tuple[str, str]]) -> None:
        entries = [box.id for box in self.boxes.values() if box.activity.is_entry]
        if not entries and len(self.boxes) == len(self._ids):
            self._error("", "The journey has no entry, so nobody could ever come in. Add one.")
        for extra in entries[1:]:
            self._error(
                extra,
                f"The journey has {len(entries)} entries, but people come in at one place. Delete"
                f" {self._name(extra)}, or draw another journey for it.",
            )
        exits = [box.id for box in self.boxes.values() if box.activity.is_exit]
        for source, target in links:
            if target in exits:
                self._error(
                    source,
                    f"A link leads from {self._name(source)} to the exit {self._name(target)}, which takes people from"
                    " wherever they wait, so no way leads to it. Delete the link, or use an end.",
                )
            if target in entries:
                self._error(
                    source,
                    f"A link leads from {self._name(source)} back to the entry {self._name(target)}, where only new"
                    " people stand. Connect it to an activity after the entry.",
                )

    def _check_ports(self) -> None:
        for box in self.boxes.values():
            for port in box.ports:
                if port in StepLog.Word:
                    self._error(
                        box.id,
                        f"{self._name(box.id)} has an exit {port!r}, a word that says in the step log how a walk"
                        " ended. Choose another key for it.",
                    )
                if port not in box.links and port not in box.activity.optional_ports:
                    self._error(
                        box.id,
                        f"Nothing follows {self._name(box.id)} by its exit {port!r}, so people would stand there"
                        " for ever. Connect it to the next activity or to an end.",
                    )

    def _check_reach(self) -> None:
        """Boxes that no way leads to; silent while there is no entry to start from or a part could not be read."""
        frontier = [box.id for box in self.boxes.values() if box.activity.is_entry]
        if not frontier or len(self.boxes) < len(self._ids):
            return
        reached = set(frontier)
        while frontier:
            following = set(self.boxes[frontier.pop()].links.values()) - reached
            reached |= following
            frontier.extend(following)
        for box_id in self.boxes:
            activity = self.boxes[box_id].activity
            if box_id not in reached and not activity.is_entry and not activity.is_exit:
                self._warning(
                    box_id,
                    f"No way leads to {self._name(box_id)}, so nobody will ever come there. Connect it or delete it.",
                )

    def _check_loops(self) -> None:
        """Loops in which nobody ever waits: they would turn for ever within one second."""
        restless = {
            box.id: {target for target in box.links.values() if self._is_restless(target)}
            for box in self.boxes.values()
            if self._is_restless(box.id)
        }
        while True:
            try:
                TopologicalSorter(restless).prepare()
            except CycleError as error:
                loop = list(dict.fromkeys(reversed(error.args[1])))
                self._error(
                    loop[0],
                    f"{' → '.join([*loop, loop[0]])} is a loop without a wait, so people would run round it without"
                    " end. Put a wait into it.",
                )
                for box_id in loop:
                    del restless[box_id]
                restless = {box_id: targets - set(loop) for box_id, targets in restless.items()}
            else:
                return

    def _is_restless(self, box_id: str) -> bool:
        box = self.boxes.get(box_id)
        return box is not None and not box.activity.rests(box.config)


def _flattened(errors: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(field, sentence) of a serializer's errors, however deep."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            yield from _flattened(inner, f"{path}.{name}".lstrip(".") if name != "non_field_errors" else path)
    elif isinstance(errors, list):
        for index, inner in enumerate(errors):
            is_nested = isinstance(inner, Mapping | list)
            yield from _flattened(inner, f"{path}.{index}".lstrip(".") if is_nested else path)
    else:
        yield path, str(errors)
