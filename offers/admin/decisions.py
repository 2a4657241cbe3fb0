"""Decisions: who got what, newest first, and the page that explains one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from ajo.core.admin_mixins import LookOnly
from ajo.core.models import AuditEvent
from ajo.lib.ids import uuid_floor
from offers import explaining, usage
from offers.admin import people
from offers.decide import Candidate
from offers.explaining import Line
from offers.models import (
    Decision,
    DecisionOutcome,
    DecisionPolicy,
    OfferItem,
    Placement,
    PolicyStrategy,
    Representation,
)
from profiles.models import Profile

Kind = DecisionOutcome.Kind
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A decision in the list. What it names may be gone: its tables have no foreign keys."""

    decision: Decision
    person: Profile | None
    policy: DecisionPolicy | None
    placement: Placement | None
    offers: Sequence[OfferItem]
    outcomes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Got:
    """A chosen item on the page of a decision: how it looks there now, and what became of it."""

    line: Line
    look: Representation | None
    outcomes: Sequence[tuple[str, datetime | None]]


@admin.register(Decision)
class DecisionAdmin(LookOnly, ModelAdmin):
    """The engine writes them; people read why."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A person, `?policy=`, `?placement=` (keys), `?day=` and older, `?before=` (an id): newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        choice = people.choose(request)
        policies, placements = list(DecisionPolicy.objects.all()), list(Placement.objects.all())
        decisions = _found(request, choice, policies, placements)
        found = [] if choice.is_unknown or choice.several else list(decisions[: SHOWN + 1])
        names = ("profile", "person", "kept", "policy", "placement", "day")
        keep = {name: request.GET[name] for name in names if request.GET.get(name)}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Decisions"),
            "rows": _rows(found[:SHOWN], policies, placements),
            "next": found[SHOWN - 1].pk if len(found) > SHOWN else None,
            "choice": choice,
            "policies": policies,
            "placements": placements,
            "asked": request.GET,
            "query": urlencode(keep),
            "is_narrowed": bool(keep),
            "may_see_people": request.user.has_perm("profiles.view_profile"),
        }
        return TemplateResponse(request, "admin/offers/decision/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        try:
            decision = get_object_or_404(Decision, pk=UUID(object_id))
        except ValueError:
            raise Http404 from None
        policy = DecisionPolicy.objects.filter(pk=decision.policy_id).first()
        places = policy.places.order_by("position") if policy else PolicyStrategy.objects.none()
        order = list(places.values_list("strategy__key", flat=True))
        candidates = msgspec.convert(decision.candidates, list[Candidate])
        groups = explaining.explain(candidates, order)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Decision of %(when)s")
            % {"when": timezone.localtime(decision.decided_at).strftime("%Y-%m-%d %H:%M:%S")},
            "decision": decision,
            "person": Profile.objects.filter(pk=decision.profile_id).first(),
            "policy": policy,
            "placement": Placement.objects.filter(pk=decision.placement_id).first(),
            "edition": _edition(policy, decision.decided_at) if policy else None,
            "groups": groups,
            "got": _got(decision, groups),
            "weighed": len(candidates),
            "messages_shown": usage.messages.uses_of([str(decision.pk)]).get(str(decision.pk), []),
            "walks": _walks(decision),
            "may_see_people": request.user.has_perm("profiles.view_profile"),
        }
        return TemplateResponse(request, "admin/offers/decision/page.html", context)


def _found(
    request: HttpRequest,
    choice: people.Choice,
    policies: Sequence[DecisionPolicy],
    placements: Sequence[Placement],
) -> QuerySet[Decision]:
    """Ids tell the time, so the newest ones, and those before a day, are found by the key."""
    decisions = Decision.objects.defer("candidates", "model_versions").order_by("-pk")
    if choice.person is not None:
        decisions = decisions.filter(profile=choice.person)
    for name, things in (("policy", policies), ("placement", placements)):
        if key := request.GET.get(name):
            decisions = decisions.filter(**{f"{name}__in": [one.pk for one in things if one.key == key]})
    if (day := _day(request.GET.get("day", ""))) is not None:
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))
        decisions = decisions.filter(pk__lt=uuid_floor(end))
    try:
        return decisions.filter(pk__lt=UUID(request.GET["before"]))
    except (KeyError, ValueError):
        return decisions


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _rows(
    decisions: Sequence[Decision], policies: Sequence[DecisionPolicy], placements: Sequence[Placement]
) -> list[Row]:
    """Three statements for all of them."""
    people_by_id = Profile.objects.in_bulk({one.profile_id for one in decisions})
    ids = {offer_id for one in decisions for offer_id in one.offers}
    offers = OfferItem.objects.in_bulk(ids)
    outcomes = _outcomes([one.pk for one in decisions])
    policy_of, placement_of = {one.pk: one for one in policies}, {one.pk: one for one in placements}
    return [
        Row(
            one,
            people_by_id.get(one.profile_id),
            policy_of.get(one.policy_id),
            placement_of.get(one.placement_id),
            [offers[offer_id] for offer_id in one.offers if offer_id in offers],
            [
                str(kind.label)
                for kind in Kind
                if any((one.pk, offer_id, kind) in outcomes for offer_id in one.offers)
            ],
        )
        for one in decisions
    ]


def _outcomes(decision_ids: Sequence[UUID]) -> dict[tuple[UUID, int, int], datetime]:
    rows = DecisionOutcome.objects.filter(decision__in=decision_ids)
    return {
        (decision_id, offer_id, kind): at
        for decision_id, offer_id, kind, at in rows.values_list("decision", "offer", "kind", "occurred_at")
    }


def _got(decision: Decision, groups: Sequence[explaining.Group]) -> list[Got]:
    outcomes = _outcomes([decision.pk])
    looks = {
        one.offer_id: one
        for one in Representation.objects.filter(
            offer__in=decision.offers, placement=decision.placement_id
        ).select_related("placement")
    }
    lines = {line.offer.pk: line for line in explaining.chosen(groups) if line.offer}
    return [
        Got(
            lines[offer_id],
            looks.get(offer_id),
            [(str(kind.label), outcomes.get((decision.pk, offer_id, kind))) for kind in Kind],
        )
        for offer_id in decision.offers
        if offer_id in lines
    ]


@dataclass(frozen=True, slots=True)
class Edition:
    """As what the policy stood then: its n-th save, by whom and when, and how often it was saved since."""

    number: int
    saved: AuditEvent | None
    since: int


def _edition(policy: DecisionPolicy, at: datetime) -> Edition:
    """Read from the audit trail, in which every save of it stands."""
    saves = AuditEvent.objects.filter(
        object_kind="offers.decisionpolicy", object_key=policy.key, action="save_decisionpolicy"
    )
    before = saves.filter(at__lte=at)
    return Edition(before.count(), before.select_related("user").first(), saves.filter(at__gt=at).count())


def _walks(decision: Decision) -> list[Any]:
    if decision.door != Decision.Door.WALK:
        return []
    key = str(decision.cause_id)
    return usage.walks.uses_of([key]).get(key, [])
