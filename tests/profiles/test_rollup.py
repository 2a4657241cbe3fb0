from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from profiles.models import ProfileDaily
from profiles.rollup import MAX_TOTAL, amount
from profiles.stream import take_batch
from tests.factories import NOW
from tests.profiles.store import event_types, store, track


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("{}", "0"),
        ('{"revenue": 19.90}', "19.90"),
        ('{"revenue": "19.90", "total": 5}', "19.90"),
        ('{"revenue": null, "total": 5, "value": 7}', "5"),
        ('{"revenue": "free", "value": 7}', "7"),
        ('{"revenue": true, "total": [1], "value": {"a": 1}}', "0"),
        ('{"value": -3.5}', "-3.5"),
        ('{"value": "NaN"}', "0"),
        ('{"value": "Infinity"}', "0"),
        ('{"value": 0.00004}', "0"),
        ('{"value": 1e300}', str(MAX_TOTAL)),
        ('{"basket": {"revenue": 3}}', "0"),
    ],
)
def test_the_money_of_an_event(properties: str, expected: str) -> None:
    assert amount(properties) == Decimal(expected)


@pytest.mark.django_db
def test_counts_and_sums_by_day() -> None:
    yesterday = NOW - timedelta(days=1)
    store(
        track("ada", "Bought", properties={"revenue": "1.10"}),
        track("ada", "Bought", properties={"revenue": "2.20"}, at=yesterday),
        track("ada", "Viewed"),
        track("bob", "Bought", properties={"revenue": 5}),
    )
    store(track("ada", "Bought", properties={"revenue": 3.30}))
    assert take_batch(limit_events=4) == 4
    assert take_batch() == 1
    types = event_types({"Bought", "Viewed"})
    rows = ProfileDaily.objects.order_by("n", "total").values_list("event_type_id", "day", "n", "total")
    assert list(rows) == [
        (types["Viewed"], date(2026, 11, 21), 1, Decimal("0")),
        (types["Bought"], date(2026, 11, 20), 1, Decimal("2.2")),
        (types["Bought"], date(2026, 11, 21), 1, Decimal("5")),
        (types["Bought"], date(2026, 11, 21), 2, Decimal("4.4")),
    ]


@pytest.mark.django_db
def test_a_sum_stops_at_what_the_column_holds() -> None:
    calls = [track("ada", properties={"value": "9999999999999999"})] * 2
    store(*calls)
    store(*calls)
    take_batch(limit_events=1)
    take_batch()
    assert ProfileDaily.objects.get().total == MAX_TOTAL
