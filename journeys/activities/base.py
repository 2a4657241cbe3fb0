"""What a journey activity is: it takes many walks that stand on the same box of the same version, and says for each
where it goes."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID

from rest_framework import serializers

if TYPE_CHECKING:
    from channels.delivery import Draft
    from profiles.consumers import StreamEvent


class Wake(enum.Enum):
    """Why a walk is looked at now."""

    ARRIVED = "arrived"  # it has just come to this box
    CLOCK = "clock"  # it was parked here, and its time has come
    EVENT = "event"  # it was parked here, and `Walk.event` came first


class Walk(NamedTuple):
    """One instance standing on an activity. (A named tuple: millions are made, and it is the cheapest value.)"""

    instance_id: int
    profile_id: int
    visit: int
    entry_event_id: UUID | None = None
    hops: int = 0
    wake: Wake = Wake.ARRIVED
    event: StreamEvent | None = None
    """The event at hand: the one that let the person in or ended the wait, until the next wait. None after a clock."""
    trail: int = 0
    """The runner's: its number for what the walk has done in this batch."""


class Finding(NamedTuple):
    """What only the whole system can find wrong with the settings of a box."""

    message: str
    """A sentence with the remedy."""
    field: str = ""
    """The setting, nested ones with dots: paths.0.expression."""
    is_warning: bool = False
    """It can be published all the same, but probably does not do what was meant."""


class Park(NamedTuple):
    """Wait on this activity until a time, for an event, or for whichever comes first."""

    walk: Walk
    due_at: datetime | None = None
    event_type_id: int | None = None
    correlation: str | None = None
    """What `Activity.wakes` compares with the event, in the activity's own notation."""


@dataclass(slots=True)
class Outcome:
    """Where the walks of a batch go. Every walk of the batch stands, as it came, in exactly one of moved, parked, left,
    failed."""

    moved: dict[str, Sequence[Walk]] = field(default_factory=dict)
    """Port → the walks that leave by it."""
    parked: list[Park] = field(default_factory=list)
    left: Sequence[Walk] = ()
    """The walks that end here as they should."""
    failed: dict[int, str] = field(default_factory=dict)
    """Instance id → what could not be done, as a sentence; the walk ends as failed."""
    messages: list[Draft] = field(default_factory=list)
    """To be put into the outbox in the same transaction; a draft's cause_id is the instance id."""
    details: dict[int, str] = field(default_factory=dict)
    """Instance id → a sentence for the step log."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Port → the sentence for everybody who leaves by it and has none in `details`."""
    updates: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Profile id → attributes to set, None to remove one. Written before the next box is asked, which sees them."""

    def count(self) -> int:
        """How many walks it speaks of."""
        moved = sum(len(walks) for walks in self.moved.values())
        return moved + len(self.parked) + len(self.left) + len(self.failed)


@dataclass(frozen=True, slots=True)
class Place:
    """The box that a batch stands on."""

    journey_id: int
    version_id: int
    activity: str
    config: Mapping[str, Any]
    """The settings as Config validated them."""
    pins: Mapping[str, int]
    """Content key → id of the content version that was current at publishing."""
    prepared: Any = None
    """What `Activity.prepare` made of the settings, once per process."""


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
    """People come in here and go on at once: an entry parks nobody."""
    is_exit: ClassVar[bool] = False
    """No way leads here or on. Whoever waits anywhere in the journey comes here, and leaves, by an event that it
    admits."""
    may_park: ClassVar[bool] = False
    """Walks may wait here."""
    optional_ports: ClassVar[frozenset[str]] = frozenset()
    """Exits that may stay unconnected: a walk that leaves by one ends there."""
    uses_database: ClassVar[bool] = True
    """False when `step` makes no statement: then it needs no savepoint to survive bad data."""

    def ports(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The exits, in the order in which they are drawn. An end has none."""
        return ("next",)

    def port_label(self, config: Mapping[str, Any], port: str) -> str:
        """What the canvas writes on the line that leaves by `port`; empty for an only exit."""
        return ""

    def summary(self, config: Mapping[str, Any]) -> str:
        """What the box does, in a few words for the canvas, such as “Tuesday 09:00, their clock”."""
        return ""

    def rests(self, config: Mapping[str, Any]) -> bool:
        """Does everybody wait here for a while, however often they come? Only a loop with such a box is allowed."""
        return self.may_park

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        """What validation of the settings alone cannot see: asked at publish, may read the database."""
        return ()

    def content_keys(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The contents that it uses; publishing pins their current versions."""
        return ()

    def event_names(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The events that it listens to; publishing makes sure that they have an event type. An entry names one."""
        return ()

    def prepare(self, place: Place) -> Any:
        """What `step` needs of a published version again and again, found once per process (may read the database)."""
        return None

    def let_in_at_once(self, config: Mapping[str, Any]) -> str:
        """Of an entry that a business event opens: the key of the audience that comes in. Empty for all others."""
        return ""

    def admits(self, event: StreamEvent, place: Place) -> bool:
        """Of an entry or an exit: does this event, which has the name that it listens to, let the person in, or out?"""
        return True

    def wakes(self, event: StreamEvent, correlation: str | None, place: Place) -> bool:
        """Does this event, which has the type that the walk waits for, end its wait?"""
        return correlation is None

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        """Decide for many walks at once, in a constant number of statements. Raise only on a bug."""
        raise NotImplementedError
