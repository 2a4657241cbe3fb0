from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.db.models import Model, Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.models import ApiKey
from ajo.core.rest import problems
from ajo.core.rest.idempotency import HEADER, REPLAYED, idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import SLUG, View, ViewSet
from offers import authoring, outcomes, requests, services
from offers.api import shapes
from offers.decide import Candidate, Code
from offers.models import (
    Collection,
    Decision,
    DecisionOutcome,
    DecisionPolicy,
    OfferItem,
    Placement,
    PolicyStrategy,
    Representation,
    SelectionStrategy,
)
from offers.outcomes import Taken
from offers.requests import Answer, Call, Refusal
from offers.wsgi import encode, refusal_document, with_header


class _Things(ViewSet):
    """Lists, shows, makes and rewrites things that are named by key."""

    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    scopes = {
        **dict.fromkeys(["list", "retrieve"], "offers:read"),
        **dict.fromkeys(["create", "update"], "offers:write"),
    }
    fields: ClassVar[type[serializers.Serializer[Any]]]
    new: ClassVar[type[serializers.Serializer[Any]]]

    def save(self, thing: Any, asked: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _created(self) -> Response:
        return Response(self._saved(self.queryset.model(), self.read(self.new)), HTTPStatus.CREATED)

    def _updated(self) -> Response:
        return Response(self._saved(self.get_object(), self.read(self.fields)))

    def _saved(self, thing: Any, asked: dict[str, Any]) -> Any:
        try:
            saved = self.save(thing, asked)
        except services.OfferRefused as refused:
            raise ValidationError(_nested(refused)) from None
        return self.get_serializer(self.get_queryset().get(pk=saved.pk)).data


def _nested(refused: services.OfferRefused) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for problem in refused.problems:
        errors.setdefault(problem.field or "non_field_errors", []).append(problem.message)
    return errors


@extend_schema(tags=["offers"])
class OfferViewSet(_Things):
    serializer_class = shapes.OfferSerializer
    fields, new = shapes.OfferFieldsSerializer, shapes.NewOfferSerializer
    queryset = OfferItem.objects.none()
    scopes = {**_Things.scopes, **dict.fromkeys(["approve", "withdraw", "archive"], "offers:approve")}

    def get_queryset(self) -> QuerySet[OfferItem]:
        representations = Representation.objects.select_related("placement")
        return OfferItem.objects.prefetch_related(
            Prefetch("representations", queryset=representations), "capping_rules"
        )

    def save(self, thing: OfferItem, asked: dict[str, Any]) -> OfferItem:
        representations, rules = asked.pop("representations"), asked.pop("capping_rules")
        return authoring.save_offer(
            offer=thing,
            fields=asked,
            representations=representations,
            capping_rules=rules,
            user=self.person(),
        )

    def list(self, request: Request) -> Response:
        """All offer items, by key."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=shapes.NewOfferSerializer,
        responses={201: shapes.OfferSerializer},
        examples=[
            OpenApiExample(
                "A sweater for gold members, twice a person at most",
                {
                    "key": "sweater",
                    "name": "Lambswool sweater",
                    "priority": 5,
                    "attributes": {"category": "knitwear", "margin": 21},
                    "eligibility": 'profile.tier == "gold"',
                    "representations": [{"placement": "email-hero", "title": "Back in your size"}],
                    "capping_rules": [{"scope": "profile", "period": "month", "limit": 2, "event": "shown"}],
                },
                request_only=True,
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new offer item, which is a draft until it is approved."""
        return self._created()

    def retrieve(self, request: Request, key: str) -> Response:
        """One offer item with its representations and capping rules."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.OfferFieldsSerializer)
    def update(self, request: Request, key: str) -> Response:
        """Give an offer item all its fields anew; it keeps its state, and its caps what they have counted."""
        return self._updated()

    @extend_schema(request=None, responses=shapes.OfferSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request: Request, key: str) -> Response:
        """Let it be proposed from now on."""
        return self._move(services.approve_offer)

    @extend_schema(request=None, responses=shapes.OfferSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def withdraw(self, request: Request, key: str) -> Response:
        """Make it a draft again: it is no longer proposed."""
        return self._move(services.withdraw_offer)

    @extend_schema(request=None, responses=shapes.OfferSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def archive(self, request: Request, key: str) -> Response:
        """Never propose it again."""
        return self._move(services.archive_offer)

    def _move(self, move: Callable[..., None]) -> Response:
        try:
            move(offer=self.get_object(), user=self.person())
        except services.OfferRefused as refused:
            errors = [
                {"field": problem.field, "code": "problem", "message": problem.message}
                for problem in refused.problems
            ]
            raise Refused(str(refused), errors=errors) from None
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(tags=["offers"])
class PlacementViewSet(_Things):
    serializer_class = shapes.PlacementSerializer
    fields, new = shapes.PlacementFieldsSerializer, shapes.NewPlacementSerializer
    queryset = Placement.objects.none()

    def get_queryset(self) -> QuerySet[Placement]:
        return Placement.objects.all()

    def save(self, thing: Placement, asked: dict[str, Any]) -> Placement:
        return authoring.save_placement(placement=thing, fields=asked, user=self.person())

    def list(self, request: Request) -> Response:
        """All placements, by key."""
        return self.page(self.get_queryset())

    @extend_schema(request=shapes.NewPlacementSerializer, responses={201: shapes.PlacementSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """A new placement."""
        return self._created()

    def retrieve(self, request: Request, key: str) -> Response:
        """One placement."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.PlacementFieldsSerializer)
    def update(self, request: Request, key: str) -> Response:
        """Give a placement all its fields anew."""
        return self._updated()


@extend_schema(tags=["offers"])
class CollectionViewSet(_Things):
    serializer_class = shapes.CollectionSerializer
    fields, new = shapes.CollectionFieldsSerializer, shapes.NewCollectionSerializer
    queryset = Collection.objects.none()

    def get_queryset(self) -> QuerySet[Collection]:
        return Collection.objects.prefetch_related("offers")

    def save(self, thing: Collection, asked: dict[str, Any]) -> Collection:
        offers = asked.pop("offers")
        return authoring.save_collection(collection=thing, fields=asked, offers=offers, user=self.person())

    def list(self, request: Request) -> Response:
        """All collections, by key."""
        return self.page(self.get_queryset())

    @extend_schema(request=shapes.NewCollectionSerializer, responses={201: shapes.CollectionSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """A new collection: a list of items, or all whose attributes fit a rule."""
        return self._created()

    def retrieve(self, request: Request, key: str) -> Response:
        """One collection."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.CollectionFieldsSerializer)
    def update(self, request: Request, key: str) -> Response:
        """Give a collection all its fields anew."""
        return self._updated()


@extend_schema(tags=["offers"])
class StrategyViewSet(_Things):
    serializer_class = shapes.StrategySerializer
    fields, new = shapes.StrategyFieldsSerializer, shapes.NewStrategySerializer
    queryset = SelectionStrategy.objects.none()

    def get_queryset(self) -> QuerySet[SelectionStrategy]:
        return SelectionStrategy.objects.select_related("collection")

    def save(self, thing: SelectionStrategy, asked: dict[str, Any]) -> SelectionStrategy:
        collection = asked.pop("collection")
        return authoring.save_strategy(
            strategy=thing, fields=asked, collection=collection, user=self.person()
        )

    def list(self, request: Request) -> Response:
        """All selection strategies, by key."""
        return self.page(self.get_queryset())

    @extend_schema(request=shapes.NewStrategySerializer, responses={201: shapes.StrategySerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """A new selection strategy: a collection, who it is for, and how it is ranked."""
        return self._created()

    def retrieve(self, request: Request, key: str) -> Response:
        """One selection strategy."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.StrategyFieldsSerializer)
    def update(self, request: Request, key: str) -> Response:
        """Give a selection strategy all its fields anew."""
        return self._updated()


@extend_schema(tags=["offers"])
class PolicyViewSet(_Things):
    serializer_class = shapes.PolicySerializer
    fields, new = shapes.PolicyFieldsSerializer, shapes.NewPolicySerializer
    queryset = DecisionPolicy.objects.none()

    def get_queryset(self) -> QuerySet[DecisionPolicy]:
        places = PolicyStrategy.objects.select_related("strategy")
        return DecisionPolicy.objects.select_related("fallback").prefetch_related(
            Prefetch("places", queryset=places)
        )

    def save(self, thing: DecisionPolicy, asked: dict[str, Any]) -> DecisionPolicy:
        strategies, fallback = asked.pop("strategies"), asked.pop("fallback")
        return authoring.save_policy(
            policy=thing, fields=asked, strategies=strategies, fallback=fallback, user=self.person()
        )

    def list(self, request: Request) -> Response:
        """All decision policies, by key."""
        return self.page(self.get_queryset())

    @extend_schema(request=shapes.NewPolicySerializer, responses={201: shapes.PolicySerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """A new decision policy: how many items, from which strategies, and what when there is nothing."""
        return self._created()

    def retrieve(self, request: Request, key: str) -> Response:
        """One decision policy."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.PolicyFieldsSerializer)
    def update(self, request: Request, key: str) -> Response:
        """Give a decision policy all its fields anew."""
        return self._updated()


@extend_schema(tags=["decisions"])
class DecisionsView(View):
    scopes = {"post": "offers:decide"}

    @extend_schema(
        request=shapes.DecisionRequestSerializer,
        responses=shapes.DecisionAnswerSerializer,
        operation_id="decisions_create",
        examples=[
            OpenApiExample(
                "The hero of the front page",
                {
                    "profile": {"namespace": "user_id", "value": "ada"},
                    "policy": "front-page",
                    "placement": "web-hero",
                    "context": {"weather": "rain"},
                    "request_id": "9f0c3d1e",
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Choose the best offers for a profile.

        With an API key this call has a door of its own that answers many at once; it is the same decision.
        """
        asked = requests.read(request.data)
        if isinstance(asked, Refusal):
            return _refused(asked)
        auth = request.auth
        actor = f"key:{auth.prefix}" if isinstance(auth, ApiKey) else f"user:{request.user.pk}"
        call = Call(with_header(asked, request.headers.get(HEADER)), actor)
        requests.answer([call], timezone.now())
        if not isinstance(call.answer, Answer):
            assert call.answer is not None
            return _refused(call.answer)
        body = msgspec.json.decode(encode(call.answer))
        return Response(body, headers={REPLAYED: "true"} if call.is_repeat else None)

    post.is_idempotent = True  # type: ignore[attr-defined]


@extend_schema(tags=["decisions"])
class DecisionView(View):
    scopes = {"get": "decisions:read"}

    @extend_schema(responses=shapes.DecisionSerializer, operation_id="decisions_retrieve")
    def get(self, request: Request, decision_id: UUID) -> Response:
        """One decision, with every candidate and the reason why it won or lost."""
        decision = Decision.objects.filter(pk=decision_id).first()
        if decision is None:
            raise NotFound(_("There is no decision %(id)s. Check the id.") % {"id": decision_id})
        candidates = msgspec.convert(decision.candidates, list[Candidate])
        chosen = [one.offer for one in candidates if one.code in {Code.CHOSEN, Code.FALLBACK}]
        return Response(
            {
                "id": str(decision.pk),
                "profile": str(decision.profile_id),
                "policy": _key_of(DecisionPolicy, decision.policy_id),
                "placement": _key_of(Placement, decision.placement_id),
                "decided_at": decision.decided_at,
                "offers": chosen,
                "is_fallback": decision.is_fallback,
                "is_exploration": decision.is_exploration,
                "model_versions": decision.model_versions,
                "candidates": decision.candidates,
            }
        )


@extend_schema(tags=["decisions"])
class OutcomesView(View):
    scopes = {"post": "offers:decide"}

    @extend_schema(
        request=shapes.OutcomeSerializer, responses={204: None}, operation_id="decisions_outcomes_create"
    )
    @idempotent
    def post(self, request: Request, decision_id: UUID) -> Response:
        """Report that what was decided is shown, or that an item of it was clicked or led to a conversion.

        Each counts once, however often it is reported. What is not reported as shown within half an hour is given back
        to the caps that count what is shown.
        """
        asked = self.read(shapes.OutcomeSerializer)
        kind = DecisionOutcome.Kind[asked["outcome"].upper()]
        decision = Decision.objects.filter(pk=decision_id).first()
        if decision is None:
            raise NotFound(_("There is no decision %(id)s. Check the id.") % {"id": decision_id})
        if kind == DecisionOutcome.Kind.SHOWN:
            outcomes.note_shown([decision_id], timezone.now())
            return Response(status=HTTPStatus.NO_CONTENT)
        offer = OfferItem.objects.filter(key=asked["offer"], pk__in=decision.offers).first()
        if offer is None:
            raise ValidationError(
                {"offer": [_("This decision did not choose that item. Name one that it chose.")]}
            )
        outcomes.note_taken([Taken(decision_id, offer.pk)], kind, timezone.now())
        return Response(status=HTTPStatus.NO_CONTENT)


def _key_of(model: type[Model], pk: int) -> str:
    return str(model._default_manager.filter(pk=pk).values_list("key", flat=True).first() or "")


def _refused(refusal: Refusal) -> Response:
    return Response(refusal_document(refusal), refusal.status, content_type=problems.CONTENT_TYPE)
