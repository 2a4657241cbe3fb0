from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from offers.api import views

router = SimpleRouter()
router.register("offers", views.OfferViewSet, basename="api-offer")
router.register("placements", views.PlacementViewSet, basename="api-placement")
router.register("collections", views.CollectionViewSet, basename="api-collection")
router.register("strategies", views.StrategyViewSet, basename="api-strategy")
router.register("policies", views.PolicyViewSet, basename="api-policy")

urlpatterns = [
    path("decisions/", views.DecisionsView.as_view(), name="api-decisions"),
    path("decisions/<uuid:decision_id>/", views.DecisionView.as_view(), name="api-decision"),
    path(
        "decisions/<uuid:decision_id>/outcomes/", views.OutcomesView.as_view(), name="api-decision-outcomes"
    ),
    *router.urls,
]
