"""Decisions for those who ask over HTTP: what a request says, and many of them answered at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.utils.translation import gettext as _

from offers.decide import Ask, Candidate, Code, Decided, decide, key_of
from offers.plans import Plan, PlanMissing, current_plan
from profiles.models import IdentityNamespace
from profiles.services import living_profiles, profiles_by_identity

HELD = timedelta(minutes=30)
"""What is not reported as shown by then is given back to the caps that count what is shown."""
MAX_REQUEST_ID = 255


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """A profile by its id, or by an identity."""

    id: str | None = None
    namespace: str | None = None
    value: str | None = None


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for a decision."""

    profile: Named
    policy: str
    placement: str
    context: dict[str, Any] = {}
    request_id: str = ""
    explain: bool = False


class ShownItem(msgspec.Struct):
    """A chosen offer item in the words of the placement."""

    offer: str
    name: str
    title: str
    body: str
    image_url: str
    link_url: str
    attributes: Mapping[str, Any]
    score: float | None


class Answer(msgspec.Struct):
    """A decision as the API tells it."""

    id: UUID
    profile: str
    policy: str
    placement: str
    decided_at: datetime
    items: list[ShownItem]
    is_fallback: bool
    is_exploration: bool
    candidates: Sequence[Candidate] | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no decision: a sentence, and the field that it stands in."""

    status: int
    code: str
    field: str
    message: str


@dataclass(slots=True)
class Call:
    """One request on its way through a flush, which sets `answer` or `error`. Its request_id belongs to `actor`."""

    asked: Asked
    actor: str
    answer: Answer | Refusal | None = None
    is_repeat: bool = False
    error: Exception | None = None
    key: UUID | None = field(init=False)

    def __post_init__(self) -> None:
        self.key = key_of("request", self.actor, self.asked.request_id) if self.asked.request_id else None


def read(data: Any) -> Asked | Refusal:
    """A decoded body as a request."""
    try:
        asked = msgspec.convert(data, Asked)
    except msgspec.ValidationError as error:
        message, _sep, path = str(error).partition(" - at `$")
        name = path.rstrip("`").lstrip(".")
        return Refusal(400, "invalid", name, _("%(what)s. Correct it.") % {"what": message})
    named = asked.profile
    if (named.id is None) == (named.namespace is None or named.value is None):
        return Refusal(
            400,
            "invalid",
            "profile",
            _("Name the profile by its id, or by a namespace and a value, and not by both."),
        )
    if named.id is not None and not (named.id.isascii() and named.id.isdigit() and len(named.id) < 19):
        return Refusal(400, "invalid", "profile.id", _("This is no id. An id is a whole number as text."))
    if len(asked.request_id) > MAX_REQUEST_ID:
        sentence = _("A request_id has at most %(max)d characters.") % {"max": MAX_REQUEST_ID}
        return Refusal(400, "invalid", "request_id", sentence)
    return asked


def answer(calls: Sequence[Call], now: datetime) -> None:
    """Answer every call, in a constant number of statements for each policy and placement that they name.

    A request_id that came before gets the answer of then.
    """
    profiles = _find_profiles([call.asked.profile for call in calls])
    groups: dict[tuple[str, str], list[tuple[Call, int]]] = defaultdict(list)
    for call, profile_id in zip(calls, profiles, strict=True):
        if profile_id is None:
            sentence = _("There is no such profile. Send an event of this person first, or check the name.")
            call.answer = Refusal(400, "unknown_profile", "profile", sentence)
        else:
            groups[call.asked.policy, call.asked.placement].append((call, profile_id))
    for (policy, placement), group in sorted(groups.items()):
        try:
            plan = current_plan(policy, placement, now)
        except PlanMissing as missing:
            for call, _profile_id in group:
                call.answer = Refusal(400, "invalid", missing.field, str(missing))
        else:
            _decide(group, plan, now)


def _find_profiles(named: Sequence[Named]) -> list[int | None]:
    """The living profile of each; one statement, and one for each namespace that is named."""
    living = living_profiles(int(one.id) for one in named if one.id is not None)
    asked: dict[str, set[str]] = defaultdict(set)
    for one in named:
        if one.namespace is not None and one.value is not None:
            asked[one.namespace].add(one.value)
    namespaces = dict(IdentityNamespace.objects.values_list("key", "pk")) if asked else {}
    owners = {
        key: profiles_by_identity(namespaces[key], values)
        for key, values in asked.items()
        if key in namespaces
    }
    return [
        living.get(int(one.id))
        if one.id is not None
        else owners.get(one.namespace or "", {}).get(one.value or "")
        for one in named
    ]


def _decide(group: Sequence[tuple[Call, int]], plan: Plan, now: datetime) -> None:
    asks = [Ask(profile_id, call.asked.context, call.key) for call, profile_id in group]
    for (call, profile_id), decided in zip(
        group, decide(asks, plan, now, held_until=now + HELD), strict=True
    ):
        if decided is None:  # merged since it was found
            call.answer = Refusal(
                409,
                "profile_merged",
                "profile",
                _("The profile was merged just now. Send the request again."),
            )
        elif decided.is_repeat and not _is_same(decided, plan, profile_id):
            call.answer = Refusal(
                422,
                "key_reused",
                "request_id",
                _("This request_id came before for another profile, policy or placement. Use a new one."),
            )
        else:
            call.answer, call.is_repeat = told(decided, call.asked), decided.is_repeat


def _is_same(decided: Decided, plan: Plan, profile_id: int) -> bool:
    """Whether a repeat asks for what was decided then; the profile may have been merged since."""
    if (decided.policy_id, decided.placement_id) != (plan.policy_id, plan.placement_id):
        return False
    return (
        decided.profile_id == profile_id
        or living_profiles([decided.profile_id]).get(decided.profile_id) == profile_id
    )


def told(decided: Decided, asked: Asked) -> Answer:
    scores = {one.offer: one.score for one in decided.candidates if one.code == Code.CHOSEN}
    return Answer(
        id=decided.id,
        profile=str(decided.profile_id),
        policy=asked.policy,
        placement=asked.placement,
        decided_at=decided.decided_at,
        items=[
            ShownItem(
                item.key,
                item.name,
                item.shown.title if item.shown else "",
                item.shown.body if item.shown else "",
                item.shown.image_url if item.shown else "",
                item.shown.link_url if item.shown else "",
                item.attributes,
                scores.get(item.key),
            )
            for item in decided.items
        ],
        is_fallback=decided.is_fallback,
        is_exploration=decided.is_exploration,
        candidates=decided.candidates if asked.explain else msgspec.UNSET,
    )
