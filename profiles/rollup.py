"""The daily rollup of a batch: how often each profile did what on which day, and the money in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from profiles.consumers import StreamEvent

MAX_TOTAL = Decimal("9999999999999999.9999")
"""What the column holds; sums stop there."""
_SMALLEST = Decimal("0.0001")
_ZERO = Decimal(0)

Day = tuple[int, int, date]
"""(profile, event type, day in UTC)"""


class _Money(msgspec.Struct):
    revenue: Any = None
    total: Any = None
    value: Any = None


_decoder = msgspec.json.Decoder(_Money, float_hook=Decimal)


def amount(properties: str) -> Decimal:
    """The money of an event: its `revenue`, else `total`, else `value`, as a number or a decimal string; else 0."""
    if '"revenue"' not in properties and '"total"' not in properties and '"value"' not in properties:
        return _ZERO
    try:
        money = _decoder.decode(properties)
    except msgspec.ValidationError:  # a whole number of thousands of digits
        return _ZERO
    for value in (money.revenue, money.total, money.value):
        if (number := _number(value)) is not None:
            return number
    return _ZERO


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and len(value) > 100:
        return None
    try:
        number = Decimal(value)
        return _capped(number).quantize(_SMALLEST) if number.is_finite() else None
    except DecimalException:  # not a number
        return None


def _capped(number: Decimal) -> Decimal:
    return max(min(number, MAX_TOTAL), -MAX_TOTAL)


def roll_up(events: Iterable[StreamEvent]) -> dict[Day, tuple[int, Decimal]]:
    """(number of events, sum of their money) for each profile, event type and day."""
    days: dict[Day, tuple[int, Decimal]] = {}
    for event in events:
        key = (event.profile_id, event.event_type_id, event.occurred_at.date())
        n, total = days.get(key, (0, _ZERO))
        days[key] = (n + 1, _capped(total + amount(event.properties)))
    return days
