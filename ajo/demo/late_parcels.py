"""The first story: who bought lately is asked how it was, and who waits for a late parcel gets an apology instead."""

from __future__ import annotations

from typing import Any

from ajo.demo.catalogue import ONE_SIZE, PRODUCTS
from ajo.demo.drafts import AudienceDraft, ContentDraft, OfferDraft, box, link, mjml_words
from channels.goals import Wanted
from profiles.models import Channel

BUYERS, DELAYED = "recent-buyers", "delayed-parcels"
SURVEY, APOLOGY, SEARCHING = "survey", "late-parcel", "parcel-not-found"
POOL = "sorry"
CODES = 2_000
POLICY, PLACEMENT = "recommended", "email-products"
JOURNEY = "late-parcels"
ANSWER_EVENT = "Survey Answered"
DELAY_EVENT, ORDER_EVENT, DELIVERY_EVENT = "Order Delayed", "Order Completed", "Order Delivered"

GOAL = Wanted(ORDER_EVENT, days=30)  # they order again, with the code
SURVEY_GOAL = Wanted(ANSWER_EVENT, days=7)

AUDIENCES = (
    AudienceDraft(
        DELAYED,
        "Waiting for a late parcel",
        "A parcel of theirs was reported late in the last seven days.",
        f'count("{DELAY_EVENT}", duration("7d")) >= 1',
    ),
    AudienceDraft(
        BUYERS,
        "Last week’s buyers",
        "They ordered something in the last seven days.",
        f'count("{ORDER_EVENT}", duration("7d")) >= 1',
    ),
)
CONTENTS = (
    ContentDraft(
        SURVEY,
        "How was your order?",
        Channel.EMAIL,
        mjml_words(
            "survey",
            subject='How did we do, {{ profile.first_name | default: "friend" }}?',
            preheader="One tap tells us. It takes less time than tying a bowline.",
        ),
    ),
    ContentDraft(
        APOLOGY,
        "Sorry, your parcel is late",
        Channel.EMAIL,
        mjml_words(
            "apology",
            subject='Your parcel is late, {{ profile.first_name | default: "friend" }}. We are sorry.',
            preheader="It is on its way again, and 20 percent of your next order is on us.",
        ),
    ),
    ContentDraft(
        SEARCHING,
        "We are looking for your parcel",
        Channel.SMS,
        {
            "text": "Harbour & Pine: your parcel is still not with you, and we are looking for it."
            " Call 01632 960123 and we send everything again today."
        },
    ),
)

# What goes with anything: of clothing only what lies in the warehouse in the person's size.
_IN_STOCK = (
    'coalesce(lookup("stock", concat(offer.product, "-", profile.clothing_size), "on_hand"),'
    f' lookup("stock", concat(offer.product, "-{ONE_SIZE}"), "on_hand"), 0) > 0'
)
_RECOMMENDED = ("HP-1002", "HP-1004", "HP-1005", "HP-2001", "HP-2002", "HP-2003", "HP-3001", "HP-3003")
OFFERS = tuple(
    OfferDraft(
        key=f"recommend-{product.id.lower()}",
        name=product.name,
        placement=PLACEMENT,
        title=product.name,
        body=f"{product.name}, {product.price_text}",
        picture=product.picture,
        link=product.link,
        attributes={"product": product.id, "category": product.category, "shelf": "recommended"},
        eligibility=_IN_STOCK,
    )
    for product in PRODUCTS
    if product.id in _RECOMMENDED
)


def graph() -> dict[str, Any]:
    """Parcel late → apology → until it is delivered, else a text message."""
    return {
        "activities": [
            box("parcel-late", "audience_entry", "Parcel is late", audience=DELAYED, change="entered"),
            box(
                "apology",
                "message",
                "Apology with a code",
                content=APOLOGY,
                configuration="demo-email",
                message_class="marketing",
            ),
            box(
                "until-delivered",
                "wait_for_event",
                "Until it is delivered",
                event=DELIVERY_EVENT,
                timeout_amount=10,
                timeout_unit="days",
            ),
            box(
                "searching",
                "message",
                "We are looking for it",
                content=SEARCHING,
                configuration="demo-sms",
                message_class="transactional",
            ),
            box("end", "end"),
        ],
        "links": [
            link("parcel-late", "next", "apology"),
            link("apology", "next", "until-delivered"),
            link("until-delivered", "event", "end"),
            link("until-delivered", "timeout", "searching"),
            link("searching", "next", "end"),
        ],
    }
