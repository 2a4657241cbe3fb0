"""What a journey activity is: it takes many walks that stand on the same box of the same version, and says for each
where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from rest_framework import serializers

if TYPE_CHECKING:
    from channels.delivery import Draft


@dataclass(frozen=True, slots=True)
class Walk:
    """One instance standing on an activity."""

    instance_id: int
    profile_id: int
    visit: int
    entry_event_id: UUID | None = None
    hops: int = 0


@dataclass(slots=True)
class Outcome:
    """Where the walks of a batch go. Every instance id of the batch stands in exactly one of moved, parked, left."""

    moved: dict[str, list[int]] = field(default_factory=dict)
    """Port → instance ids."""
    parked: list[Park] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)
    """Instance id → why the walk ended here."""
    failed: dict[int, str] = field(default_factory=dict)
    """Instance id → what could not be done; the walk ends as failed."""
    messages: list[Draft] = field(default_factory=list)
    """To be put into the outbox in the same transaction."""
    details: dict[int, str] = field(default_factory=dict)
    """Instance id → a sentence for the step log."""


@dataclass(frozen=True, slots=True)
class Park:
    """Wait on this activity until a time, for an event, or for whichever comes first."""

    instance_id: int
    due_at: datetime | None = None
    event_type_id: int | None = None
    correlation: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The box that a batch stands on."""

    journey_id: int
    version_id: int
    activity: str
    config: Mapping[str, Any]
    pins: Mapping[str, int]


class Activity:
    """One kind of box. Activities never write; the runner applies their outcome as a handful of statements."""

    kind: ClassVar[str]
    label: ClassVar[Any]
    category: ClassVar[str]
    icon: ClassVar[str] = "circle"
    help: ClassVar[Any] = ""
    Config: ClassVar[type[serializers.Serializer[Any]]]
    """Validates the activity's settings; gives the API schema and the form that the canvas draws."""
    is_entry: ClassVar[bool] = False

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The exits, in the order in which they are drawn. An end has none."""
        return ("next",)

    def problems(self, config: Mapping[str, Any]) -> Sequence[str]:
        """What validation of the settings alone cannot see, as sentences: asked at publish."""
        return ()

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        """Decide for many walks at once, in a constant number of statements. Raise only on a bug."""
        raise NotImplementedError
