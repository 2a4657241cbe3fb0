"""The second story: a loyal customer arrives at a shop, and the phone says what is back in their size."""

from __future__ import annotations

from typing import Any

from ajo.demo.catalogue import HOMEPAGE, PRODUCTS, SWEATER
from ajo.demo.drafts import AudienceDraft, ContentDraft, OfferDraft, box, link
from channels.goals import Wanted
from profiles.models import Channel

LOYAL = "loyal"
LOYAL_TIERS = ("Silver", "Gold")
ARRIVAL_EVENT = "Geofence Entered"
PUSH = "back-in-stock"
POLICY, PLACEMENT = "at-the-shop", "phone"
JOURNEY = "parking-lot"
SWEATER_OFFER, COFFEE = "sweater-is-back", "coffee-on-us"
GOAL = Wanted("Order Completed", days=1)  # they came in and bought

_TIERS = f'["{LOYAL_TIERS[0]}", "{LOYAL_TIERS[1]}"]'
AUDIENCES = (
    AudienceDraft(
        LOYAL,
        "Loyal customers",
        "Their card is silver or gold.",
        f"profile.loyalty_tier in {_TIERS}",
    ),
)
_OFFER = f'{{% offer "{POLICY}" placement: "{PLACEMENT}" as pick %}}'
CONTENTS = (
    ContentDraft(
        PUSH,
        "At the shop",
        Channel.PUSH,
        {
            "subject": f"{_OFFER}{{{{ pick.title }}}}{{% endoffer %}}",
            "text": f"{_OFFER}{{{{ pick.body }}}}{{% if pick.attributes.product %}}"
            " In {{ profile.clothing_size | default: 'your size' }},"
            " {{ lookups.products[pick.attributes.product].price_text }}, at"
            " {{ event.shop | default: profile.favourite_shop }}.{% endif %}{% endoffer %}",
            "image_url": f"{_OFFER}{{{{ pick.image_url }}}}{{% endoffer %}}",
            "link_url": f"{_OFFER}{{{{ pick.link_url }}}}{{% endoffer %}}",
        },
    ),
)
_IN_THEIR_SIZE = 'lookup("stock", concat(offer.product, "-", profile.clothing_size), "on_hand") > 0'
_ONCE_A_WEEK = {"scope": "profile", "period": "week", "limit": 1, "event": "shown", "time_zone": ""}
_RAINCOAT = next(product for product in PRODUCTS if product.id == "HP-1007")
OFFERS = (
    OfferDraft(
        key=SWEATER_OFFER,
        name="Sweater, back in their size",
        placement=PLACEMENT,
        title="It is back, and in your size",
        body="The Skipper Wool Sweater is on the shelf again.",
        picture=SWEATER.picture,
        link=SWEATER.link,
        attributes={"product": SWEATER.id, "category": SWEATER.category, "shelf": "back-in-stock"},
        eligibility=_IN_THEIR_SIZE,
        priority=100,
        caps=(_ONCE_A_WEEK,),
    ),
    OfferDraft(
        key="raincoat-is-back",
        name="Raincoat, back in their size",
        placement=PLACEMENT,
        title="It is back, and in your size",
        body="The Squall Raincoat is on the rail again.",
        picture=_RAINCOAT.picture,
        link=_RAINCOAT.link,
        attributes={"product": _RAINCOAT.id, "category": _RAINCOAT.category, "shelf": "back-in-stock"},
        eligibility=_IN_THEIR_SIZE,
        priority=50,
        caps=(_ONCE_A_WEEK,),
    ),
    OfferDraft(
        key=COFFEE,
        name="A coffee on us",
        placement=PLACEMENT,
        title="Good to see you",
        body="Show your card at the counter: the coffee is on us.",
        picture="/static/demo/coffee.svg",
        link=f"{HOMEPAGE}/coffee",
        attributes={"shelf": "always"},
    ),
)


def graph() -> dict[str, Any]:
    """Arrival → loyal? → best offer for them → push."""
    loyal = {"id": "loyal", "label": "Loyal", "expression": f"profile.loyalty_tier in {_TIERS}"}
    return {
        "activities": [
            box("arrival", "event_entry", "Arrives at a shop", event=ARRIVAL_EVENT),
            box("is-loyal", "condition", "Loyal?", paths=[loyal]),
            box("best-offer", "offer", "Best offer for them", policy=POLICY, placement=PLACEMENT),
            box(
                "push", "message", "Push", content=PUSH, configuration="demo-push", message_class="marketing"
            ),
            box("end", "end"),
        ],
        "links": [
            link("arrival", "next", "is-loyal"),
            link("is-loyal", "loyal", "best-offer"),
            link("is-loyal", "else", "end"),
            link("best-offer", "offered", "push"),
            link("best-offer", "nothing", "end"),
            link("push", "next", "end"),
        ],
    }
