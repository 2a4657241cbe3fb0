"""What decides: placements, collections, selection strategies and decision policies, each a list and a page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from offers import authoring, explaining, reports, usage
from offers.admin import expressions, people
from offers.admin.forms import CollectionForm, PlacementForm, PolicyForm, StrategyForm
from offers.admin.items import cards_of
from offers.admin.pages import ThingAdmin
from offers.decide import NOBODY, Ask, simulate
from offers.models import Collection, DecisionPolicy, OfferItem, Placement, PolicyStrategy, SelectionStrategy
from offers.plans import trial_plan


@admin.register(Placement)
class PlacementAdmin(ThingAdmin):
    page_template = "admin/offers/placement/page.html"
    list_display = ["name", "channel", "content_type", "shown_items", "key"]
    list_filter = ["channel"]
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Placement]:
        return Placement.objects.annotate(n=Count("representations"))

    @display(description=gettext_lazy("Items"), ordering="n")
    def shown_items(self, placement: Placement) -> int:
        return placement.n  # type: ignore[attr-defined,no-any-return]

    def forms_of(self, request: HttpRequest, thing: Placement, data: Any = None) -> PlacementForm:
        return PlacementForm(data, instance=thing)

    def save(self, request: HttpRequest, thing: Placement, forms: PlacementForm) -> Placement:
        user: Any = request.user
        return authoring.save_placement(placement=thing, fields=forms.cleaned_data, user=user)

    def context_of(self, request: HttpRequest, thing: Placement) -> dict[str, Any]:
        return {
            "uses": usage.uses_of_placement(thing),
            "items_url": f"{reverse('admin:offers_offeritem_changelist')}?placement={thing.key}",
        }


@admin.register(Collection)
class CollectionAdmin(ThingAdmin):
    page_template = "admin/offers/collection/page.html"
    list_display = ["name", "kind", "shown_items", "key"]
    list_filter = ["kind"]
    search_fields = ["name", "key"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Counts the items of all collections of the page at once."""
        page = super().get_changelist_instance(request)
        members = reports.members_of(list(page.result_list), timezone.now())
        for collection in page.result_list:
            collection.n = len(members.get(collection.pk, ()))
        return page

    @display(description=gettext_lazy("Items"))
    def shown_items(self, collection: Collection) -> int:
        return collection.n  # type: ignore[attr-defined,no-any-return]

    def forms_of(self, request: HttpRequest, thing: Collection, data: Any = None) -> CollectionForm:
        return CollectionForm(data, instance=thing)

    def save(self, request: HttpRequest, thing: Collection, forms: CollectionForm) -> Collection:
        user: Any = request.user
        return authoring.save_collection(collection=thing, user=user, **forms.read)

    def page(
        self, request: HttpRequest, thing: Collection, forms: CollectionForm, *, may_change: bool
    ) -> HttpResponse:
        answer = super().page(request, thing, forms, may_change=may_change)
        offers = OfferItem.objects.exclude(state=OfferItem.State.ARCHIVED).order_by("name")
        offers = offers.prefetch_related("representations__placement", "capping_rules")
        answer.context_data |= {  # type: ignore[attr-defined]
            "cards": cards_of(list(offers), timezone.now()),
            "picked": set(forms["offers"].value() or ()),
            "attribute_names": expressions.known_attributes(),
        }
        return answer

    def context_of(self, request: HttpRequest, thing: Collection) -> dict[str, Any]:
        return {
            "uses": usage.uses_of_collection(thing),
            "n": len(reports.members_of([thing], timezone.now()).get(thing.pk, ())),
            "items_url": f"{reverse('admin:offers_offeritem_changelist')}?collection={thing.key}",
        }


@admin.register(SelectionStrategy)
class StrategyAdmin(ThingAdmin):
    page_template = "admin/offers/selectionstrategy/page.html"
    list_display = ["name", "collection", "method", "shown_for", "shown_policies", "key"]
    list_select_related = ["collection"]
    list_filter = ["method"]
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SelectionStrategy]:
        return SelectionStrategy.objects.select_related("collection").annotate(n=Count("places"))

    @display(description=gettext_lazy("For"))
    def shown_for(self, strategy: SelectionStrategy) -> str:
        return strategy.eligibility or _("everybody")

    @display(description=gettext_lazy("Policies"), ordering="n")
    def shown_policies(self, strategy: SelectionStrategy) -> int:
        return strategy.n  # type: ignore[attr-defined,no-any-return]

    def forms_of(self, request: HttpRequest, thing: SelectionStrategy, data: Any = None) -> StrategyForm:
        return StrategyForm(data, instance=thing)

    def save(self, request: HttpRequest, thing: SelectionStrategy, forms: StrategyForm) -> SelectionStrategy:
        user: Any = request.user
        return authoring.save_strategy(strategy=thing, user=user, **forms.read)

    def page(
        self, request: HttpRequest, thing: SelectionStrategy, forms: StrategyForm, *, may_change: bool
    ) -> HttpResponse:
        answer = super().page(request, thing, forms, may_change=may_change)
        answer.context_data["groups"] = expressions.nameable()  # type: ignore[attr-defined,index]
        return answer

    def context_of(self, request: HttpRequest, thing: SelectionStrategy) -> dict[str, Any]:
        return {"uses": usage.uses_of_strategy(thing), **_sample(request, thing)}


def _sample(request: HttpRequest, strategy: SelectionStrategy) -> dict[str, Any]:
    """How the stored strategy ranks for the person whom `?profile=` or `?person=` names, else for somebody unknown."""
    placements = list(Placement.objects.filter(representations__offer__isnull=False).distinct())
    asked = request.GET.get("placement", "")
    placement = next((one for one in placements if one.key == asked), placements[0] if placements else None)
    choice = people.choose(request)
    found: dict[str, Any] = {"choice": choice, "placements": placements, "placement": placement}
    if placement is not None:
        asks = [Ask(choice.person.pk if choice.person else NOBODY)]
        (decided,) = simulate(asks, trial_plan(strategy, placement, timezone.now()), timezone.now())
        if decided is not None:
            found["sample"] = explaining.explain(decided.candidates)
    return found


@admin.register(DecisionPolicy)
class PolicyAdmin(ThingAdmin):
    page_template = "admin/offers/decisionpolicy/page.html"
    list_display = ["name", "shown_strategies", "items", "fallback", "key"]
    list_select_related = ["fallback"]
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DecisionPolicy]:
        places = PolicyStrategy.objects.select_related("strategy").order_by("position")
        return DecisionPolicy.objects.select_related("fallback").prefetch_related(Prefetch("places", places))

    @display(description=gettext_lazy("Asks in order"))
    def shown_strategies(self, policy: DecisionPolicy) -> str:
        return " → ".join(place.strategy.name for place in policy.places.all()) or "–"

    def forms_of(self, request: HttpRequest, thing: DecisionPolicy, data: Any = None) -> PolicyForm:
        return PolicyForm(data, instance=thing)

    def save(self, request: HttpRequest, thing: DecisionPolicy, forms: PolicyForm) -> DecisionPolicy:
        user: Any = request.user
        return authoring.save_policy(policy=thing, user=user, **forms.read)

    def context_of(self, request: HttpRequest, thing: DecisionPolicy) -> dict[str, Any]:
        return {
            "uses": usage.uses_of_policy(thing),
            "example_placement": Placement.objects.values_list("key", flat=True).first() or "email-hero",
            "simulate_url": f"{reverse('offers-simulate')}?policy={thing.key}",
            "decisions_url": f"{reverse('admin:offers_decision_changelist')}?policy={thing.key}",
        }
