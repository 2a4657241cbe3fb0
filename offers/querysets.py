"""Which offer items, by the word for their state and dates."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from offers.models import OfferItem

Standing = OfferItem.Standing


def standing(offers: QuerySet[OfferItem], word: str, now: datetime) -> QuerySet[OfferItem]:
    """Those of which `OfferItem.standing` says this word."""
    begun = Q(valid_from=None) | Q(valid_from__lte=now)
    going = Q(valid_until=None) | Q(valid_until__gt=now)
    match word:
        case Standing.LIVE:
            return offers.filter(begun, going, state=OfferItem.State.APPROVED)
        case Standing.SCHEDULED:
            return offers.filter(~begun, state=OfferItem.State.APPROVED)
        case Standing.ENDED:
            return offers.filter(begun, ~going, state=OfferItem.State.APPROVED)
    return offers.filter(state=word)
