"""The words of a timeline: rows go in, entries that people can read come out. No database, no clock."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from channels import wording
from channels.answers import Answer
from channels.models import CauseKind, Message, MessageClass
from channels.tracking.feedback import RESUBSCRIBED, UNSUBSCRIBED
from journeys.graph import Box
from journeys.models import JourneyInstance, JourneyVersion, ReEntry
from offers.models import Decision
from profiles.models import Channel, Consent, EventKind, Source

SHOWN_FEEDBACK = 20
SHOWN_ATTRIBUTES = 8
SHOWN_PROPERTIES = 3
SHOWN_LETTERS = 60


class Kind(enum.StrEnum):
    EVENT = "event"  # the person did something
    JOURNEY = "journey"  # a step of a walk, or where a walk stands now
    MESSAGE = "message"
    DECISION = "decision"  # an offer was chosen
    CONSENT = "consent"
    PROFILE = "profile"  # a profile of the person began


@dataclass(frozen=True, slots=True)
class Note:
    """A line under an entry. Without a time it belongs to the entry's own."""

    text: str
    at: datetime | None = None
    icon: str = "subdirectory_arrow_right"
    instance_id: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `tone` is "", info, success, warning or danger; `data` is what the event carried."""

    key: str
    """Where it stands: `timeline(before=key)` gives what is older."""
    kind: Kind
    at: datetime
    icon: str
    title: str
    text: str = ""
    tone: str = ""
    notes: Sequence[Note] = ()
    profile_id: int = 0
    """Whose it was then: another than the one that was asked for when that one was merged into it."""
    event_id: UUID | None = None
    instance_id: int | None = None
    journey_key: str | None = None
    message_id: int | None = None
    decision_id: UUID | None = None
    data: Mapping[str, Any] | None = field(default=None, repr=False)


# --- events --------------------------------------------------------------------------------------------------


class EventRow(NamedTuple):
    occurred_at: datetime
    id: UUID
    profile_id: int
    event_type_id: int
    name: str
    kind: int
    hops: int
    source_id: int
    source: str | None
    user_id: str | None
    anonymous_id: str | None
    properties: Any
    context: Any


def of_event(row: EventRow, key: str, notes: Sequence[Note]) -> Entry:
    properties = row.properties if isinstance(row.properties, dict) else {}
    icon, title, text = _event_words(row, properties)
    came = _came(row)
    return Entry(
        key=key,
        kind=Kind.EVENT,
        at=row.occurred_at,
        icon=icon,
        title=title,
        text=f"{text} · {came}" if text else came,
        notes=notes,
        profile_id=row.profile_id,
        event_id=row.id,
        data={
            "id": str(row.id),
            "event": row.name,
            "occurred_at": row.occurred_at.isoformat(),
            "source": row.source,
            "user_id": row.user_id,
            "anonymous_id": row.anonymous_id,
            "properties": row.properties,
            "context": row.context,
        },
    )


def _came(row: EventRow) -> str:
    if row.source_id == Source.OWN:
        return _("noted by the product itself")
    return _("%(call)s call from %(source)s") % {
        "call": EventKind(row.kind).label.lower(),
        "source": row.source or _("a source that was deleted"),
    }


def _event_words(row: EventRow, properties: Mapping[str, Any]) -> tuple[str, str, str]:
    """(icon, title, text)."""
    name = str(properties.get("name") or "")
    match row.kind:
        case EventKind.IDENTIFY:
            names = sorted(properties)
            listed = ", ".join(names[:SHOWN_ATTRIBUTES])
            if (more := len(names) - SHOWN_ATTRIBUTES) > 0:
                listed += _(" and %(count)s more") % {"count": more}
            return "badge", _("Attributes arrived"), listed
        case EventKind.PAGE:
            return "web", _("Viewed the page %(name)s") % {"name": name or properties.get("url") or ""}, ""
        case EventKind.SCREEN:
            return "smartphone", _("Viewed the screen %(name)s") % {"name": name}, ""
        case EventKind.GROUP:
            return "groups", _("Joined a group"), str(properties.get("groupId") or "")
        case EventKind.ALIAS:
            return "link", _("Turned out to be %(id)s too") % {"id": properties.get("previousId") or "?"}, ""
    channel = _channel_of(properties)
    if row.name == UNSUBSCRIBED:
        return "unsubscribe", _("Unsubscribed from %(channel)s") % {"channel": channel}, ""
    if row.name == RESUBSCRIBED:
        return "mark_email_read", _("Subscribed to %(channel)s again") % {"channel": channel}, ""
    return "bolt", row.name, _excerpt(properties)


def _excerpt(properties: Mapping[str, Any]) -> str:
    """The first few plain values: enough to tell one event from its neighbour."""
    plain = [(key, value) for key, value in properties.items() if isinstance(value, str | int | float)]
    shown = ", ".join(f"{key}: {str(value)[:SHOWN_LETTERS]}" for key, value in plain[:SHOWN_PROPERTIES])
    return f"{shown}, …" if len(plain) > SHOWN_PROPERTIES else shown


def _channel_of(properties: Mapping[str, Any]) -> str:
    """Feedback names its channel by number or by name."""
    value = properties.get("channel")
    if isinstance(value, int) and value in Channel.values:
        return wording.channel_name(value)
    return str(value or _("a channel")).lower().replace("_", "-")


# --- what an event did to journeys ---------------------------------------------------------------------------


class Door(NamedTuple):
    """A running version that people enter by an event."""

    journey_id: int
    journey: str
    number: int
    state: str
    re_entry: str
    event_type_id: int
    published_at: datetime | None
    audience: str | None
    """Whose changes let people in, when it is those of an audience."""


class Stay(NamedTuple):
    """A walk of the person in the journey of a door."""

    id: int
    journey_id: int
    entry_event_id: UUID | None
    entered_at: datetime
    ended_at: datetime | None


def concerns(event: EventRow, door: Door) -> bool:
    """Whether the event could have let somebody in: that of another audience could not."""
    properties = event.properties if isinstance(event.properties, dict) else {}
    return door.audience is None or properties.get("audience") == door.audience


def came_too_early(event: EventRow, door: Door, stays: Sequence[Stay]) -> bool:
    """Whether the event let nobody in because the version was published after it."""
    if any(stay.entry_event_id == event.id or stay.entered_at <= event.occurred_at for stay in stays):
        return False
    return door.published_at is not None and event.occurred_at < door.published_at


def at_the_door(event: EventRow, door: Door, stays: Sequence[Stay], zone: ZoneInfo, *, max_hops: int) -> Note:
    """What the event did there: it let the person in, or why it did not, as far as that is recorded.

    `stays` are the person's walks in the journey, oldest first.
    """
    values = {"journey": door.journey}
    for stay in stays:
        if stay.entry_event_id == event.id:
            text = _("Let them into the journey “%(journey)s”.") % values
            return Note(text, icon="login", instance_id=stay.id)
    before = [stay for stay in stays if stay.entered_at <= event.occurred_at]
    inside = [stay for stay in before if stay.ended_at is None or stay.ended_at > event.occurred_at]
    instance_id = None
    if event.hops >= max_hops:
        why = _("Our own reactions led to this event, one after the other, so it lets nobody in.")
    elif door.re_entry == ReEntry.NEVER and before:
        instance_id = before[-1].id
        why = _("People enter it once in a lifetime, and they did on %(day)s.") % {
            "day": wording.day(before[-1].entered_at, zone)
        }
    elif door.re_entry == ReEntry.AFTER_END and inside:
        instance_id = inside[-1].id
        why = _("They were already inside, since %(day)s.") % {
            "day": wording.day(inside[-1].entered_at, zone)
        }
    elif came_too_early(event, door, stays) and door.published_at:
        why = _("Version %(number)s was published later, on %(moment)s.") % {
            "number": door.number, "moment": wording.moment(door.published_at, zone)
        }  # fmt: skip
    elif door.state == JourneyVersion.State.PAUSED:
        why = _("The journey is paused, and then nobody enters.")
    else:
        why = _("Nothing recorded says why; the journey may have been paused then.")
    text = _("Did not let them into the journey “%(journey)s”.") % values
    return Note(f"{text} {why}", icon="block", instance_id=instance_id)


# --- walks ---------------------------------------------------------------------------------------------------


class StepRow(NamedTuple):
    """A line of the step log; or, when `outcome` is None, the wait that stands now."""

    at: datetime
    instance_id: int
    visit: int
    activity: str
    outcome: str | None
    detail: str
    profile_id: int
    version_id: int
    state: int
    last_visit: int
    since: datetime | None
    """When the walk came to this box."""
    due_at: datetime | None
    event_name: str | None


class VersionRow(NamedTuple):
    id: int
    number: int
    state: str
    journey: str
    journey_key: str
    boxes: Mapping[str, Box]
    """Empty when the version cannot be read any more."""


_LEFT = {
    "failed": ("error", gettext_lazy("Failed in the journey “%(journey)s”"), "danger"),
    "stopped": ("stop_circle", gettext_lazy("Taken out of the journey “%(journey)s”"), "warning"),
    "left early": ("logout", gettext_lazy("Left the journey “%(journey)s” early"), "warning"),
    "merged": ("call_merge", gettext_lazy("Taken out of the journey “%(journey)s”"), "warning"),
}


def of_step(row: StepRow, version: VersionRow, key: str, zone: ZoneInfo) -> Entry:
    box = version.boxes.get(row.activity)
    label = str(box.activity.label) if box else row.activity
    values = {"journey": version.journey, "box": label}
    icon, title, text, tone = box.activity.icon if box else "route", "", "", ""
    if row.outcome is None:
        title, text, tone = (
            _("Waits in the journey “%(journey)s”") % values,
            _standing(row, version, zone),
            "info",
        )
    elif row.outcome in _LEFT:
        icon, lazy, tone = _LEFT[row.outcome]
        title, text = str(lazy) % values, f"{label}: {row.detail}" if row.outcome == "failed" else row.detail
    elif row.visit == 1 and box is not None and box.activity.is_entry:
        icon, title = "login", _("Entered the journey “%(journey)s”") % values
        if names := box.activity.event_names(box.config):
            text = _("The event “%(event)s” let them in.") % {"event": names[0]}
    elif row.outcome == "ended":
        icon, tone = "flag", "success"
        title, text = _("Reached the end of the journey “%(journey)s”") % values, row.detail
    else:
        title, text = f"{version.journey}: {label}", _passed(row, box, zone)
    is_last = row.visit == row.last_visit and row.state == JourneyInstance.State.ENDED
    if is_last and row.outcome not in {None, *_LEFT, "ended"}:
        text = f"{text} {_('The walk ended here, since nothing follows.')}".strip()
    return Entry(
        key=key,
        kind=Kind.JOURNEY,
        at=row.at,
        icon=icon,
        title=title,
        text=text,
        tone=tone,
        profile_id=row.profile_id,
        instance_id=row.instance_id,
        journey_key=version.journey_key,
    )


def _standing(row: StepRow, version: VersionRow, zone: ZoneInfo) -> str:
    due = wording.moment(row.due_at, zone) if row.due_at else ""
    if row.event_name and due:
        text = _("Waits for the event “%(event)s”, at most until %(due)s.") % {
            "event": row.event_name, "due": due
        }  # fmt: skip
    elif row.event_name:
        text = _("Waits for the event “%(event)s”.") % {"event": row.event_name}
    else:
        text = _("Waits until %(due)s.") % {"due": due}
    if version.state == JourneyVersion.State.PAUSED:
        text += " " + _("The journey is paused: they stand still until it is resumed.")
    return text


def _passed(row: StepRow, box: Box | None, zone: ZoneInfo) -> str:
    """The way that was taken and the reason, in that order."""
    said = []
    if box is not None and box.activity.may_park and row.since:
        said.append(_waited(row, box))
    elif box is not None and (port := box.activity.port_label(box.config, row.outcome or "")):
        said.append(_("Took the way “%(port)s”.") % {"port": port})
    elif row.outcome != "next":
        said.append(_("Took the way “%(port)s”.") % {"port": row.outcome})
    if row.detail:
        said.append(row.detail)
    if not said and box is not None:
        said.append(box.activity.summary(box.config))
    return " ".join(said)


def _waited(row: StepRow, box: Box) -> str:
    waited = (row.at - row.since) if row.since else timedelta()
    values = {"time": length(waited), "port": ""}
    if row.outcome == "next":
        if waited < timedelta(seconds=1):
            return _("Went on at once: there was nothing to wait for.")
        return _("Waited %(time)s.") % values
    values["port"] = box.activity.port_label(box.config, row.outcome or "") or str(row.outcome)
    return _("After %(time)s: %(port)s.") % values


def length(time: timedelta) -> str:
    """How long, in its two greatest units: 2 days, 3 hours."""
    seconds = int(time.total_seconds())
    if seconds < 60:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    start = datetime(2001, 1, 1)  # any month of 31 days: a length has no calendar
    return timesince(start, start + time).replace("\xa0", " ")


# --- messages ------------------------------------------------------------------------------------------------


class MessageRow(NamedTuple):
    id: int
    created_at: datetime
    profile_id: int
    cause_kind: int
    author: str | None
    """The name of the campaign or notice."""
    cause_id: int
    visit: int
    message_class: int
    content: str | None
    subject: str | None
    """Rendered for the person; None when it cannot be."""
    fate: wording.Fate


def of_message(row: MessageRow, answers: Sequence[Answer], key: str, zone: ZoneInfo) -> Entry:
    fate = row.fate
    notes = [Note(each.text, each.occurred_at, icon=each.icon) for each in answers[:SHOWN_FEEDBACK]]
    if more := len(answers) - len(notes):
        notes.append(Note(_("%(count)s more answers") % {"count": more}, icon="more_horiz"))
    title = _("%(channel)s: %(content)s") % {
        "channel": Channel(fate.channel).label,
        "content": row.content or _("content that was deleted"),
    }
    said = [f"{wording.verdict(fate, zone)}."]
    if row.subject:
        said.insert(0, f"“{row.subject}”")
    said.append(
        _("A %(class)s message, caused by %(cause)s.") % {
            "class": MessageClass(row.message_class).label.lower(), "cause": _cause(row)
        }
    )  # fmt: skip
    return Entry(
        key=key,
        kind=Kind.MESSAGE,
        at=row.created_at,
        icon="mail" if fate.channel == Channel.EMAIL else "chat",
        title=title,
        text=" ".join(said),
        tone=wording.TONES[Message.State(fate.state)],
        notes=notes,
        profile_id=row.profile_id,
        message_id=row.id,
        instance_id=row.cause_id if row.cause_kind == CauseKind.JOURNEY_INSTANCE else None,
    )


def _cause(row: MessageRow) -> str:
    kind = CauseKind(row.cause_kind)
    return str(_AUTHORED[kind]) % {"name": row.author} if row.author else str(_CAUSES[kind])


_AUTHORED = {
    CauseKind.CAMPAIGN_RUN: gettext_lazy("the campaign “%(name)s”"),
    CauseKind.API_REQUEST: gettext_lazy("a call of the campaign “%(name)s”"),
    CauseKind.NOTICE: gettext_lazy("the notice “%(name)s”"),
}
_CAUSES = {
    CauseKind.JOURNEY_INSTANCE: gettext_lazy("a journey"),
    CauseKind.CAMPAIGN_RUN: gettext_lazy("a campaign"),
    CauseKind.API_REQUEST: gettext_lazy("an API call"),
    CauseKind.NOTICE: gettext_lazy("a notice"),
}


# --- consent and profiles ------------------------------------------------------------------------------------


class ConsentRow(NamedTuple):
    profile_id: int
    channel: int
    state: int
    changed_at: datetime
    reason: str
    by: str | None = None
    """Who set it by hand."""


def of_consent(row: ConsentRow, key: str) -> Entry:
    is_out = row.state == Consent.State.OPTED_OUT
    values = {"channel": wording.channel_name(row.channel), "by": row.by}
    title = _("Opted out of %(channel)s") if is_out else _("Opted in to %(channel)s")
    said = [_("Set by hand by %(by)s.") % values] if row.by else []
    said += [row.reason] if row.reason else []
    return Entry(
        key=key,
        kind=Kind.CONSENT,
        at=row.changed_at,
        icon="do_not_disturb_on" if is_out else "check_circle",
        title=title % values,
        text=" ".join(said),
        tone="warning" if is_out else "success",
        profile_id=row.profile_id,
    )


def of_beginning(profile_id: int, created_at: datetime, key: str, *, is_former: bool) -> Entry:
    if is_former:
        title = _("Another profile of this person began")
        text = _(
            "It was profile %(id)s; later it turned out to be the same person and was merged into this one."
        )
    else:
        title, text = _("The profile began"), _("It is profile %(id)s.")
    return Entry(
        key=key,
        kind=Kind.PROFILE,
        at=created_at,
        icon="call_merge" if is_former else "person_add",
        title=title,
        text=text % {"id": profile_id},
        profile_id=profile_id,
    )


# --- decisions -----------------------------------------------------------------------------------------------


class DecisionRow(NamedTuple):
    id: UUID
    profile_id: int
    decided_at: datetime
    is_fallback: bool
    door: int
    policy: str | None
    placement: str | None
    offers: Sequence[str]


def of_decision(row: DecisionRow, key: str) -> Entry:
    where = {
        "policy": row.policy or _("a policy that was deleted"),
        "placement": row.placement or _("a placement that was deleted"),
        "door": Decision.Door(row.door).label.lower(),
    }
    text = _("%(policy)s, for %(placement)s, asked by %(door)s") % where
    title = _("Offer chosen: %(names)s") % {"names": ", ".join(row.offers)}
    return Entry(
        key=key,
        kind=Kind.DECISION,
        at=row.decided_at,
        icon="sell",
        title=title if row.offers else _("No offer was left"),
        text=_("%(text)s; it was the fallback") % {"text": text} if row.is_fallback else text,
        tone="" if row.offers else "warning",
        profile_id=row.profile_id,
        decision_id=row.id,
    )
