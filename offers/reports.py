"""Figures about offer items for people: sums of what is counted elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection as Group
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Sum

from ajo.lib import sql
from offers import capping, plans
from offers.models import CapCounter, CappingRule, Collection, OfferItem, OfferStat

DAYS = 30


class Figures(NamedTuple):
    """How often something became of an offer item in the last 30 days in UTC."""

    decided: int = 0
    shown: int = 0
    clicked: int = 0
    converted: int = 0

    @property
    def click_rate(self) -> float | None:
        """Clicks in percent of what was shown."""
        return 100 * self.clicked / self.shown if self.shown else None


def figures_of(offer_ids: Iterable[int], now: datetime) -> dict[int, Figures]:
    """One statement; an item of which nothing is known is missing."""
    first = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    rows = OfferStat.objects.filter(offer__in=list(offer_ids), day__gte=first).values_list("offer")
    sums = rows.annotate(*(Sum(name) for name in Figures._fields))
    return {offer_id: Figures(*counts) for offer_id, *counts in sums}


def taken_of(rules: Iterable[CappingRule], now: datetime) -> dict[int, int]:
    """Rule → how much of it is taken in its period of now, of rules in total; one statement."""
    totals = [rule for rule in rules if rule.scope == CappingRule.Scope.TOTAL]
    periods = {
        rule.pk: capping.period_of(rule.period, now, ZoneInfo(rule.time_zone or settings.AJO_BRAND_TIME_ZONE))
        for rule in totals
    }
    with sql.cursor() as cur:
        used = capping.read_used(cur, periods.items(), [CapCounter.TOTAL])
    return {rule: used.get((rule, CapCounter.TOTAL, period), 0) for rule, period in periods.items()}


def members_of(collections: Group[Collection], now: datetime) -> dict[int, list[int]]:
    """Collection → the ids of its items that are not archived, by name; three statements at most."""
    if not collections:
        return {}
    found: dict[int, list[int]] = defaultdict(list)
    listed = OfferItem.collections.through.objects.filter(
        collection__in=[one.pk for one in collections if one.kind == Collection.Kind.STATIC]
    ).exclude(offeritem__state=OfferItem.State.ARCHIVED)
    for collection_id, offer_id in listed.order_by("offeritem__name").values_list("collection", "offeritem"):
        found[collection_id].append(offer_id)
    by_rule = [one for one in collections if one.kind == Collection.Kind.RULE]
    if by_rule:
        offers = OfferItem.objects.exclude(state=OfferItem.State.ARCHIVED).order_by("name")
        rows = list(offers.values_list("pk", "attributes"))
        for one in by_rule:
            found[one.pk] = plans.fitting(one.rule, rows, now)
    return dict(found)
