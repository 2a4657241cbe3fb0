"""Offer items: a grid with pictures and figures, and one page on which an item is written and published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext_lazy

from offers import authoring, querysets, reports, services, usage
from offers.admin import expressions
from offers.admin.forms import ItemForms
from offers.admin.pages import ThingAdmin
from offers.models import CappingRule, Collection, OfferItem, Placement, Representation

State, Standing = OfferItem.State, OfferItem.Standing
PER_PAGE = 24
TONES = {
    Standing.LIVE: "success",
    Standing.SCHEDULED: "info",
    Standing.ENDED: "warning",
    Standing.DRAFT: "default",
    Standing.ARCHIVED: "danger",
}


@dataclass(frozen=True, slots=True)
class Cap:
    """A capping rule, and how much of it is taken: None for one per person, of whom each has their own count."""

    rule: CappingRule
    taken: int | None

    @property
    def percent(self) -> int:
        return min(100, round(100 * (self.taken or 0) / self.rule.limit)) if self.rule.limit else 100


@dataclass(frozen=True, slots=True)
class Card:
    """An offer item in the grid."""

    offer: OfferItem
    standing: OfferItem.Standing
    caps: list[Cap]
    figures: reports.Figures

    @property
    def tone(self) -> str:
        return TONES[self.standing]

    @property
    def picture(self) -> str:
        looks = sorted(self.offer.representations.all(), key=lambda one: one.pk)
        return next((one.image_url for one in looks if one.image_url), "")

    @property
    def places(self) -> list[str]:
        return sorted(one.placement.name for one in self.offer.representations.all())


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done to an item in some states, with words that say what will happen then."""

    key: str
    label: Any
    states: tuple[str, ...]
    words: Any
    act: Callable[..., None]
    done: Any
    is_primary: bool = False
    is_grave: bool = False


VERBS = (
    Verb(
        "publish",
        gettext_lazy("Publish"),
        (State.DRAFT,),
        gettext_lazy("From now on it is weighed wherever a collection has it, within its dates and caps."),
        services.approve_offer,
        gettext_lazy("Published: it can be proposed now."),
        is_primary=True,
    ),
    Verb(
        "withdraw",
        gettext_lazy("Withdraw"),
        (State.APPROVED,),
        gettext_lazy(
            "Nobody is offered it any more. It becomes a draft, and its caps keep what they counted."
        ),
        services.withdraw_offer,
        gettext_lazy("Withdrawn: it is a draft again, and nobody is offered it."),
    ),
    Verb(
        "archive",
        gettext_lazy("Archive"),
        (State.DRAFT, State.APPROVED),
        gettext_lazy("It is never proposed again, and that cannot be undone. Past decisions still name it."),
        services.archive_offer,
        gettext_lazy("Archived."),
        is_grave=True,
    ),
)


@admin.register(OfferItem)
class OfferItemAdmin(ThingAdmin):
    """Everything that changes an item goes through `authoring` and `services`, which write the audit trail."""

    page_template = "admin/offers/offeritem/page.html"
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OfferItem]:
        looks = Representation.objects.select_related("placement")
        return OfferItem.objects.prefetch_related(Prefetch("representations", looks), "capping_rules")

    def get_urls(self) -> list[URLPattern]:
        return [
            self.door("check/", expressions.check_view, "check"),
            self.door("<int:pk>/do/<slug:verb>/", self.act_view, "act"),
            *super().get_urls(),
        ]

    # --- the grid ------------------------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """`?q=`, `?standing=`, `?collection=` and `?placement=` (keys) narrow it; archived ones only when asked for."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        now = timezone.now()
        asked = {
            name: request.GET.get(name, "").replace("\0", "").strip()
            for name in ("q", "standing", "collection", "placement")
        }
        page = Paginator(self._found(request, asked, now), PER_PAGE).get_page(request.GET.get("page"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.opts.verbose_name_plural.capitalize(),  # type: ignore[union-attr]
            "page": page,
            "cards": cards_of(list(page.object_list), now),
            "asked": asked,
            "query": urlencode({name: value for name, value in asked.items() if value}),
            "is_narrowed": any(asked.values()),
            "standings": Standing.choices,
            "collections": Collection.objects.values_list("key", "name"),
            "placements": Placement.objects.values_list("key", "name"),
            "may_add": self.has_add_permission(request),
            "days": reports.DAYS,
        }
        return TemplateResponse(request, "admin/offers/offeritem/grid.html", context)

    def _found(self, request: HttpRequest, asked: dict[str, str], now: datetime) -> QuerySet[OfferItem]:
        offers = self.get_queryset(request).order_by("name", "pk")
        if asked["standing"] in Standing.values:
            offers = querysets.standing(offers, asked["standing"], now)
        else:
            offers = offers.exclude(state=State.ARCHIVED)
        if asked["q"]:
            offers = offers.filter(Q(name__icontains=asked["q"]) | Q(key__icontains=asked["q"]))
        if asked["placement"]:
            in_it = Representation.objects.filter(placement__key=asked["placement"])
            offers = offers.filter(pk__in=in_it.values("offer"))
        if asked["collection"]:
            chosen = list(Collection.objects.filter(key=asked["collection"]))
            members = reports.members_of(chosen, now)
            offers = offers.filter(pk__in=[pk for ids in members.values() for pk in ids])
        return offers

    # --- the page ------------------------------------------------------------------------------------------------

    def may_change(self, request: HttpRequest, thing: OfferItem) -> bool:
        return thing.state != State.ARCHIVED and self.has_change_permission(request, thing)

    def forms_of(self, request: HttpRequest, thing: OfferItem, data: Any = None) -> ItemForms:
        return ItemForms(thing, data)

    def save(self, request: HttpRequest, thing: OfferItem, forms: ItemForms) -> OfferItem:
        user: Any = request.user
        return authoring.save_offer(offer=thing, user=user, **forms.read)

    def page(
        self, request: HttpRequest, thing: OfferItem, forms: ItemForms, *, may_change: bool
    ) -> HttpResponse:
        answer = super().page(request, thing, forms, may_change=may_change)
        answer.context_data |= {  # type: ignore[attr-defined]
            "groups": expressions.nameable(),
            "attribute_names": expressions.known_attributes(),
            "has_errors": forms.item.is_bound,
        }
        return answer

    def context_of(self, request: HttpRequest, thing: OfferItem) -> dict[str, Any]:
        now = timezone.now()
        (card,) = cards_of([thing], now)
        collections = list(Collection.objects.all())
        members = reports.members_of(collections, now)
        return {
            "card": card,
            "problems": services.check_offer(thing) if thing.state == State.DRAFT else [],
            "verbs": list(_verbs(request, thing)),
            "collections": [one for one in collections if thing.pk in members.get(one.pk, ())],
            "uses": usage.uses_of_offer(thing),
            "days": reports.DAYS,
        }

    def act_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Publish, withdraw or archive it."""
        offer = self.thing(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = next((each for each in VERBS if each.key == verb), None)
        if found is None or not request.user.has_perm("offers.approve_offeritem"):
            raise PermissionDenied
        try:
            found.act(offer=offer, user=request.user)
        except services.OfferRefused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, str(found.done))
        return redirect(usage.page_of(offer))


def cards_of(offers: list[OfferItem], now: datetime) -> list[Card]:
    """Two statements for all of them; their representations and rules are read already."""
    rules = [rule for offer in offers for rule in offer.capping_rules.all()]
    figures, taken = reports.figures_of([offer.pk for offer in offers], now), reports.taken_of(rules, now)
    return [
        Card(
            offer,
            offer.standing(now),
            [
                Cap(rule, taken.get(rule.pk))
                for rule in sorted(offer.capping_rules.all(), key=lambda rule: rule.pk)
            ],
            figures.get(offer.pk, reports.Figures()),
        )
        for offer in offers
    ]


def _verbs(request: HttpRequest, offer: OfferItem) -> Iterator[Verb]:
    if request.user.has_perm("offers.approve_offeritem"):
        yield from (verb for verb in VERBS if offer.state in verb.states)
