"""What somebody would get now, and why they would not get everything else. Nothing is decided and no cap is used."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from offers import explaining
from offers.admin import people
from offers.decide import NOBODY, Ask, simulate
from offers.models import DecisionPolicy, Placement
from offers.plans import PlanMissing, current_plan

ROWS = 20


@require_safe
def simulate_view(request: HttpRequest) -> HttpResponse:
    """`?policy=`, `?placement=` (keys), a person, and `?name=…&value=…` for each thing that comes with the request."""
    if not request.user.has_perm("offers.view_decisionpolicy"):
        raise PermissionDenied
    policies, placements = list(DecisionPolicy.objects.all()), list(Placement.objects.all())
    policy = _asked(request, "policy", policies)
    placement = _asked(request, "placement", placements)
    rows = _rows(request)
    choice = people.choose(request)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Simulate"),
        "policies": policies,
        "placements": placements,
        "policy": policy,
        "placement": placement,
        "choice": choice,
        "rows": [*rows, ("", "")],
        "may_see_people": request.user.has_perm("profiles.view_profile"),
        "is_asked": "policy" in request.GET,
    }
    if context["is_asked"] and policy and placement and not choice.is_unknown and not choice.several:
        context |= _simulated(policy, placement, choice.person.pk if choice.person else NOBODY, rows)
    return TemplateResponse(request, "admin/offers/simulate.html", context)


def _simulated(
    policy: DecisionPolicy, placement: Placement, profile_id: int, rows: list[tuple[str, str]]
) -> dict[str, Any]:
    now = timezone.now()
    try:
        plan = current_plan(policy.key, placement.key, now)
    except PlanMissing as missing:  # deleted since it was chosen
        return {"problem": str(missing)}
    (decided,) = simulate([Ask(profile_id, _nested(rows))], plan, now)
    if decided is None:
        return {"problem": _("This profile was merged into another one just now. Choose the person again.")}
    return {
        "decided": decided,
        "groups": explaining.explain(decided.candidates, [one.key for one in plan.strategies]),
    }


def _asked(request: HttpRequest, name: str, things: list[Any]) -> Any:
    """The thing with the key of the query, or the first one."""
    key = request.GET.get(name)
    return next((one for one in things if one.key == key), things[0] if things else None)


def _rows(request: HttpRequest) -> list[tuple[str, str]]:
    pairs = zip_longest(request.GET.getlist("name"), request.GET.getlist("value"), fillvalue="")
    rows = [(name.strip(), value.strip()) for name, value in pairs]
    return [(name, value) for name, value in rows if name][:ROWS]


def _nested(rows: list[tuple[str, str]]) -> dict[str, Any]:
    """What expressions read as context: `event.sku` stands inside `event`; numbers, true and false are such."""
    found: dict[str, Any] = {}
    for name, value in rows:
        *path, last = name.removeprefix("context.").split(".")
        inner = found
        for part in path:
            below = inner.setdefault(part, {})
            if not isinstance(below, dict):
                below = inner[part] = {}
            inner = below
        inner[last] = _read(value)
    return found


def _read(value: str) -> Any:
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, bool | int | float) else value
