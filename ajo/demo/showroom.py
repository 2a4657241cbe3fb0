"""What the three stories need, made as people would make it: by the services of each room, with their audit lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group

from ajo.core.models import User
from ajo.demo import closed_ride, late_parcels, parking_lot, welcome
from ajo.demo.catalogue import CURRENCY, PARKS, PRODUCTS
from ajo.demo.drafts import SITE, AudienceDraft, OfferDraft
from ajo.notices.models import LiveView
from campaigns import services as campaigns
from campaigns.models import Campaign, Notice
from channels import services as contents
from channels.goals import Wanted
from channels.models import ChannelConfiguration, Content, MessageClass
from journeys import services as journeys
from journeys.models import Journey, ReEntry
from offers import authoring as offers
from offers.models import Collection, DecisionPolicy, OfferItem, Placement, SelectionStrategy
from offers.services import approve_offer
from profiles.audiences import authoring as audiences
from profiles.audiences import services as audience_services
from profiles.lookups import authoring as lookups
from profiles.lookups.columns import Row
from profiles.models import AttributeDefinition, Audience, Channel

OPERATIONS = "operations"
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is taken for something else


def begin_late_parcels(user: User, now: datetime) -> None:
    """Activate the audience of the apology while nobody is there: whoever comes to fit it from here on enters it, by an
    event that journeys hear."""
    for draft in late_parcels.AUDIENCES:
        if draft.key == late_parcels.DELAYED:
            _make_audience(draft, user)
    while audience_services.evaluate_range(now=now):
        pass


def furnish(user: User, *, seed: int, url: str, now: datetime) -> None:
    """All the rest, once the people and the ways to send are there. The order is that of what names what."""
    _fill_lookups(user, url=url, now=now)
    _fill_pool(user, seed=seed)
    for draft in (*late_parcels.AUDIENCES, *parking_lot.AUDIENCES, *closed_ride.AUDIENCES):
        if draft.key != late_parcels.DELAYED:
            _make_audience(draft, user)
    _make_offers(user, url=url)
    _publish_contents(user, url=url, now=now)
    _publish_journey(
        late_parcels.JOURNEY,
        "Late parcels",
        "Says sorry with a code of their own, and follows up until the parcel is there.",
        late_parcels.graph(),
        late_parcels.GOAL,
        user,
        now,
    )
    _publish_journey(
        parking_lot.JOURNEY,
        "The parking lot",
        "Greets loyal customers at the shop with what is back in their size.",
        parking_lot.graph(),
        parking_lot.GOAL,
        user,
        now,
    )
    _prepare_survey(user, now)
    _prepare_notices()
    _show_live_views()
    audience_services.evaluate_all()


def make_operator(password: str) -> User:
    """Somebody who may send notices and nothing else."""
    user = User.objects.filter(username=OPERATIONS).first() or User(username=OPERATIONS)
    user.email = f"{OPERATIONS}@example.com"
    user.first_name, user.last_name = "Ola", "Nordmann"
    user.is_staff = user.is_superuser = False
    user.set_password(password)
    user.save()
    user.groups.set(Group.objects.filter(name=OPERATIONS))
    return user


def _make_audience(draft: AudienceDraft, user: User) -> None:
    audience = audiences.create(
        key=draft.key,
        name=draft.name,
        kind=Audience.Kind.RULE,
        description=draft.description,
        rule=draft.rule,
        user=user,
    )
    audiences.activate(audience=audience, user=user)


def _fill_lookups(user: User, *, url: str, now: datetime) -> None:
    money = {"currency": CURRENCY}
    tables: list[tuple[str, str, str, str, dict[str, str], list[tuple[str, dict[str, Any]]]]] = [
        (
            "products",
            "Products",
            "What the shops sell, by article number.",
            "Article number",
            {
                "name": "text",
                "category": "text",
                "price": "money",
                "price_text": "text",
                "picture": "text",
                "link": "text",
            },
            [
                (
                    each.id,
                    {
                        "name": each.name,
                        "category": each.category,
                        "price": {"amount": f"{each.price:.2f}", **money},
                        "price_text": each.price_text,
                        "picture": f"{url}{each.picture}",
                        "link": each.link,
                    },
                )
                for each in PRODUCTS
            ],
        ),
        (
            "stock",
            "Stock",
            "Pieces in the warehouse, by article number and size.",
            "Article and size",
            {"product": "text", "size": "text", "on_hand": "number"},
            [
                (f"{each.id}-{size}", {"product": each.id, "size": size, "on_hand": pieces})
                for each in PRODUCTS
                for size, pieces in each.stock.items()
            ],
        ),
        (
            "rides",
            "Rides",
            "The rides of both parks and whether they run.",
            "Ride",
            {"name": "text", "park": "text", "kind": "text", "state": "text", "min_height_cm": "number"},
            [
                (
                    ride.key,
                    {
                        "name": ride.name,
                        "park": park.name,
                        "kind": ride.kind,
                        "state": ride.state,
                        "min_height_cm": ride.min_height_cm,
                    },
                )
                for park in PARKS
                for ride in park.rides
            ],
        ),
    ]
    for key, name, description, key_label, types, rows in tables:
        lookup = lookups.create_lookup(
            key=key,
            name=name,
            description=description,
            key_label=key_label,
            columns=[{"name": column, "type": type_} for column, type_ in types.items()],
            user=user,
        )
        given = [Row(line, row_key, values) for line, (row_key, values) in enumerate(rows, start=1)]
        lookups.import_rows(lookup=lookup, given=given, mode="replace", now=now, user=user)


def _fill_pool(user: User, *, seed: int) -> None:
    pool = lookups.create_pool(
        key=late_parcels.POOL,
        name="Sorry, 20 percent",
        description="For people whose parcel is late. Each works once.",
        low_water=200,
        user=user,
    )
    lookups.import_codes(pool=pool, given=codes(seed, late_parcels.CODES), user=user)


def codes(seed: int, count: int) -> Iterator[str]:
    """Codes such as SORRY-7KQM-R4XB, all of them different."""
    chance = random.Random(f"codes of {seed}")
    seen: set[str] = set()
    while len(seen) < count:
        letters = "".join(chance.choices(_CODE_LETTERS, k=8))
        if letters not in seen:
            seen.add(letters)
            yield f"SORRY-{letters[:4]}-{letters[4:]}"


def _make_offers(user: User, *, url: str) -> None:
    for key, name, channel in [
        (late_parcels.PLACEMENT, "Three products in an email", Channel.EMAIL),
        (parking_lot.PLACEMENT, "Push on the phone", Channel.PUSH),
    ]:
        fields = {"key": key, "name": name, "channel": channel, "content_type": Placement.ContentType.TEXT}
        offers.save_placement(placement=Placement(), fields=fields, user=user)
    made = {
        draft.key: _make_offer(draft, user, url=url) for draft in (*late_parcels.OFFERS, *parking_lot.OFFERS)
    }
    _make_policy(
        late_parcels.POLICY,
        "Three things for them",
        'offer.shelf == "recommended"',
        user,
        items=3,
        method=SelectionStrategy.Method.LEARNED,
    )
    _make_policy(
        parking_lot.POLICY,
        "At the shop",
        'offer.shelf == "back-in-stock"',
        user,
        items=1,
        method=SelectionStrategy.Method.PRIORITY,
        fallback=made[parking_lot.COFFEE],
    )


def _make_offer(draft: OfferDraft, user: User, *, url: str) -> OfferItem:
    representation = {
        "placement": draft.placement,
        "title": draft.title,
        "body": draft.body,
        "image_url": f"{url}{draft.picture}",
        "link_url": draft.link,
    }
    offer = offers.save_offer(
        offer=OfferItem(),
        fields={
            "key": draft.key,
            "name": draft.name,
            "priority": draft.priority,
            "attributes": draft.attributes,
            "eligibility": draft.eligibility,
        },
        representations=[representation],
        capping_rules=draft.caps,
        user=user,
    )
    approve_offer(offer=offer, user=user)
    return offer


def _make_policy(
    key: str,
    name: str,
    rule: str,
    user: User,
    *,
    items: int,
    method: str,
    fallback: OfferItem | None = None,
) -> None:
    """A policy with one strategy over the offers that fit the rule; all three have the same key and name."""
    words = {"key": key, "name": name}
    offers.save_collection(
        collection=Collection(),
        fields={**words, "kind": Collection.Kind.RULE, "rule": rule},
        offers=[],
        user=user,
    )
    offers.save_strategy(
        strategy=SelectionStrategy(), fields={**words, "method": method}, collection=key, user=user
    )
    offers.save_policy(
        policy=DecisionPolicy(),
        fields={**words, "items": items},
        strategies=[key],
        fallback=fallback.key if fallback else None,
        user=user,
    )


def _publish_contents(user: User, *, url: str, now: datetime) -> None:
    for draft in (*late_parcels.CONTENTS, *parking_lot.CONTENTS, *closed_ride.CONTENTS):
        words = {
            name: text.replace(SITE, url) if isinstance(text, str) else text
            for name, text in draft.words.items()
        }
        version = contents.save_draft(
            key=draft.key, name=draft.name, channel=draft.channel, variants=[words], user=user
        )
        contents.publish_content(content=version.content, user=user, now=now)


def _publish_journey(
    key: str, name: str, description: str, graph: dict[str, Any], goal: Wanted, user: User, now: datetime
) -> None:
    """Whoever tries the demo twice shall see two messages, so people may enter again."""
    journey = journeys.create_journey(key=key, name=name, user=user, description=description)
    journeys.save_draft(
        journey=journey,
        graph=graph,
        re_entry=ReEntry.AFTER_END,
        revision=journey.versions.get().revision,
        user=user,
    )
    journeys.publish_journey(journey=journey, user=user, now=now)
    journeys.set_goal(journey=journey, wanted=goal, user=user)


def _prepare_survey(user: User, now: datetime) -> None:
    """Ready to be approved: that is the first tap of the tour."""
    campaign = campaigns.create_campaign(
        key=late_parcels.SURVEY,
        name="How was your order?",
        kind=Campaign.Kind.SCHEDULED,
        user=user,
        description="To last week’s buyers, except those who wait for a late parcel: they get an apology instead.",
        content=Content.objects.get(key=late_parcels.SURVEY),
        configuration=ChannelConfiguration.objects.get(key=welcome.CONFIGURATION_KEY),
        audience=Audience.objects.get(key=late_parcels.BUYERS),
        exclusions=[Audience.objects.get(key=late_parcels.DELAYED)],
    )
    campaigns.set_goal(campaign=campaign, wanted=late_parcels.SURVEY_GOAL, user=user)
    campaigns.submit_for_review(campaign=campaign, user=user, now=now)


def _prepare_notices() -> None:
    content = Content.objects.in_bulk(field_name="key")
    audience = Audience.objects.in_bulk(field_name="key")
    sender = ChannelConfiguration.objects.in_bulk(field_name="key")
    rides: Sequence[Notice] = [
        Notice(
            key=closed_ride.notice_of(park),
            name=f"A ride is closed · {park.name}",
            description=f"A push to everybody who is in {park.name} now.",
            content=content[closed_ride.CLOSED],
            all_clear_content=content[closed_ride.RUNNING],
            configuration=sender["demo-push"],
            message_class=MessageClass.TRANSACTIONAL,
            audience=audience[closed_ride.audience_of(park)],
            fields=closed_ride.ride_fields(park),
            is_ready=True,
        )
        for park in PARKS
    ]
    early = Notice(
        key=closed_ride.EARLY,
        name="The parks close early",
        description="A text message to everybody who is in one of the parks now.",
        content=content[closed_ride.EARLY],
        configuration=sender["demo-sms"],
        message_class=MessageClass.TRANSACTIONAL,
        audience=audience[closed_ride.IN_A_PARK],
        fields=closed_ride.EARLY_FIELDS,
        is_ready=True,
    )
    Notice.objects.bulk_create([*rides, early])


def _show_live_views() -> None:
    first_name = AttributeDefinition.objects.get(key="first_name")
    labels = {
        welcome.KEY: "Welcome to new members",
        late_parcels.JOURNEY: "Parcels that are still on their way",
    }
    for journey in Journey.objects.filter(key__in=labels):
        LiveView.objects.create(journey=journey, label=labels[journey.key], named_by=first_name)
