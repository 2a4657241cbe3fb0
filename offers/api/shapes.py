"""The JSON shapes of offers. Things name each other by key."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ajo.core.rest.serializers import IdField, Strict, WordField
from offers.models import CappingRule, Collection, DecisionOutcome, OfferItem, Placement, SelectionStrategy
from offers.requests import MAX_REQUEST_ID
from profiles.language.nodes import MAX_TEXT
from profiles.models import Channel

MAX_NUMBER = 2**31 - 1
CODES = [
    *("chosen", "fallback", "ranked_below", "not_needed", "already_weighed", "cap_reached", "not_eligible"),
    *("not_now", "not_showable", "no_score"),
]


def _key(help_text: str = "") -> serializers.SlugField:
    return serializers.SlugField(max_length=60, help_text=help_text)


def _name() -> serializers.CharField:
    return serializers.CharField(max_length=200)


def _expression(help_text: str) -> serializers.CharField:
    return serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MAX_TEXT, help_text=help_text
    )


class PlacementFieldsSerializer(Strict):
    name = _name()
    channel = WordField(Channel)
    content_type = serializers.ChoiceField(Placement.ContentType.choices, default="html")


class NewPlacementSerializer(PlacementFieldsSerializer):
    key = _key("Never changes.")


class PlacementSerializer(NewPlacementSerializer):
    pass


class RepresentationSerializer(Strict):
    """What an item looks like in a placement."""

    placement = _key("Key of the placement.")
    title = serializers.CharField(required=False, allow_blank=True, default="", max_length=300)
    body = serializers.CharField(required=False, allow_blank=True, default="", max_length=100_000)
    image_url = serializers.URLField(required=False, allow_blank=True, default="", max_length=2000)
    link_url = serializers.URLField(required=False, allow_blank=True, default="", max_length=2000)


class CappingRuleSerializer(Strict):
    """How often it may be proposed. A rule that stays keeps what it has counted, also with another limit."""

    scope = serializers.ChoiceField(CappingRule.Scope.choices, default="profile")
    period = serializers.ChoiceField(CappingRule.Period.choices, default="lifetime")
    time_zone = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    limit = serializers.IntegerField(min_value=0, max_value=MAX_NUMBER)
    event = serializers.ChoiceField(CappingRule.Event.choices, default="decided")


class OfferFieldsSerializer(Strict):
    name = _name()
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)
    priority = serializers.IntegerField(default=0, min_value=-MAX_NUMBER, max_value=MAX_NUMBER)
    lever = serializers.IntegerField(
        default=0, min_value=-99, max_value=1000, help_text="Percent added to the score of learned ranking."
    )
    attributes = serializers.DictField(
        required=False, default=dict, help_text="What expressions read as offer.…."
    )
    eligibility = _expression('Such as profile.tier == "gold"; empty: everybody.')
    valid_from = serializers.DateTimeField(required=False, allow_null=True, default=None)
    valid_until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    representations = RepresentationSerializer(many=True, required=False, default=list, max_length=50)
    capping_rules = CappingRuleSerializer(many=True, required=False, default=list, max_length=10)

    def validate_representations(self, representations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        places = [one["placement"] for one in representations]
        if len(set(places)) < len(places):
            raise serializers.ValidationError("There are two for one placement. Leave one of them.")
        return representations


class NewOfferSerializer(OfferFieldsSerializer):
    key = _key("Never changes: decisions name it.")


class OfferSerializer(NewOfferSerializer):
    state = serializers.ChoiceField(OfferItem.State.choices)
    created_at = serializers.DateTimeField()

    def to_representation(self, offer: Any) -> dict[str, Any]:
        plain = {
            name: getattr(offer, name)
            for name in (
                "key",
                "name",
                "description",
                "priority",
                "lever",
                "attributes",
                "eligibility",
                "state",
            )
        }
        times = {
            name: self.fields[name].to_representation(value) if (value := getattr(offer, name)) else None
            for name in ("valid_from", "valid_until", "created_at")
        }
        texts = ("title", "body", "image_url", "link_url")
        rule_fields = ("scope", "period", "time_zone", "limit", "event")
        return {
            **plain,
            **times,
            "representations": [
                {"placement": one.placement.key, **{name: getattr(one, name) for name in texts}}
                for one in sorted(offer.representations.all(), key=lambda one: one.placement.key)
            ],
            "capping_rules": [
                {name: getattr(rule, name) for name in rule_fields}
                for rule in sorted(offer.capping_rules.all(), key=lambda rule: rule.pk)
            ],
        }


class CollectionFieldsSerializer(Strict):
    name = _name()
    kind = serializers.ChoiceField(Collection.Kind.choices, default="static")
    rule = _expression('Of a collection by rule, such as offer.category == "shoes".')
    offers = serializers.ListField(
        child=_key(), required=False, default=list, max_length=1_000, help_text="Keys of the items of a list."
    )


class NewCollectionSerializer(CollectionFieldsSerializer):
    key = _key("Never changes.")


class CollectionSerializer(NewCollectionSerializer):
    def to_representation(self, collection: Any) -> dict[str, Any]:
        plain = {name: getattr(collection, name) for name in ("key", "name", "kind", "rule")}
        return {**plain, "offers": sorted(offer.key for offer in collection.offers.all())}


class StrategyFieldsSerializer(Strict):
    name = _name()
    collection = _key("Key of the collection.")
    eligibility = _expression("Who it is for; empty: everybody.")
    method = serializers.ChoiceField(SelectionStrategy.Method.choices, default="priority")
    formula = _expression("Of ranking by a formula: the score.")
    context_weight = _expression("Of learned ranking: how well it fits the request; empty: 1.")
    value = _expression("Of learned ranking: what it is worth when taken; empty: 1.")
    reward = serializers.ChoiceField(
        SelectionStrategy.Reward.choices,
        default="clicked",
        help_text="What learned ranking learns to bring about.",
    )
    propensity_weight = serializers.FloatField(default=1.0, min_value=0.0, max_value=10.0)
    exploration = serializers.FloatField(
        default=0.05,
        min_value=0.0,
        max_value=1.0,
        help_text="Share of decisions that learned ranking makes by lot.",
    )


class NewStrategySerializer(StrategyFieldsSerializer):
    key = _key("Never changes.")


class StrategySerializer(NewStrategySerializer):
    collection = serializers.SlugField(source="collection.key")


class PolicyFieldsSerializer(Strict):
    name = _name()
    items = serializers.IntegerField(
        default=1, min_value=1, max_value=30, help_text="How many items it chooses."
    )
    strategies = serializers.ListField(
        child=_key(), max_length=20, help_text="Keys, in the order in which they are asked."
    )
    fallback = serializers.SlugField(
        required=False, allow_null=True, default=None, max_length=60, help_text="Key of an item."
    )


class NewPolicySerializer(PolicyFieldsSerializer):
    key = _key("Never changes: content and requests name it.")


class PolicySerializer(NewPolicySerializer):
    def to_representation(self, policy: Any) -> dict[str, Any]:
        places = sorted(policy.places.all(), key=lambda place: place.position)
        return {
            "key": policy.key,
            "name": policy.name,
            "items": policy.items,
            "strategies": [place.strategy.key for place in places],
            "fallback": policy.fallback.key if policy.fallback else None,
        }


# --- decisions -----------------------------------------------------------------------------------------------


class NamedProfileSerializer(Strict):
    """A profile by its id, or by an identity: one of the two."""

    id = serializers.CharField(required=False, allow_null=True, max_length=18)
    namespace = serializers.CharField(required=False, allow_null=True, help_text="user_id, email and so on.")
    value = serializers.CharField(required=False, allow_null=True)


class DecisionRequestSerializer(Strict):
    """Described here, read by `offers.requests`, which the hot door reads it with too."""

    profile = NamedProfileSerializer()
    policy = serializers.CharField()
    placement = serializers.CharField()
    context = serializers.DictField(required=False, help_text="What expressions read as context.….")
    request_id = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_REQUEST_ID,
        help_text="A repeat with the same one gets the first decision again. Idempotency-Key says the same.",
    )
    explain = serializers.BooleanField(required=False, help_text="With every candidate and its reason.")


class CandidateSerializer(serializers.Serializer[Any]):
    offer = serializers.CharField()
    strategy = serializers.CharField(allow_blank=True)
    code = serializers.ChoiceField(CODES)
    reason = serializers.CharField(help_text="Why it won or lost, a sentence.")
    rank = serializers.IntegerField(required=False)
    score = serializers.FloatField(required=False, allow_null=True)
    factors = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="Logarithms whose sum is that of the score."
    )
    sums = serializers.ListField(
        child=serializers.FloatField(), required=False, help_text="How often it had been shown and taken."
    )


class ShownItemSerializer(serializers.Serializer[Any]):
    offer = serializers.CharField(help_text="Its key.")
    name = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    body = serializers.CharField(allow_blank=True)
    image_url = serializers.CharField(allow_blank=True)
    link_url = serializers.CharField(allow_blank=True)
    attributes = serializers.DictField()
    score = serializers.FloatField(allow_null=True)


class DecisionAnswerSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    profile = IdField()
    policy = serializers.CharField()
    placement = serializers.CharField()
    decided_at = serializers.DateTimeField()
    items = ShownItemSerializer(many=True, help_text="Best first.")
    is_fallback = serializers.BooleanField()
    is_exploration = serializers.BooleanField(help_text="Ranked by lot, to learn.")
    candidates = CandidateSerializer(many=True, required=False, help_text="Of a request with `explain`.")


class OutcomeSerializer(Strict):
    """What became of a decision that a page or an app shows itself."""

    outcome = serializers.ChoiceField([(kind.name.lower(), kind.label) for kind in DecisionOutcome.Kind])
    offer = serializers.SlugField(
        required=False,
        allow_blank=True,
        default="",
        max_length=60,
        help_text="Key of the item; of shown: all of them.",
    )


class DecisionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    profile = IdField(source="profile_id")
    policy = serializers.CharField(help_text="Its key; empty when it was deleted since.", allow_blank=True)
    placement = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField()
    offers = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of the chosen items, best first."
    )
    is_fallback = serializers.BooleanField()
    is_exploration = serializers.BooleanField()
    model_versions = serializers.DictField(child=serializers.CharField())
    candidates = CandidateSerializer(many=True)
