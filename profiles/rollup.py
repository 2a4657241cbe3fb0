"""The money of an event, which the daily rollup adds up. Pure."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

import msgspec

MAX_TOTAL = Decimal("9999999999999999.9999")
"""What the column holds; sums stop there."""
_SMALLEST = Decimal("0.0001")
_ZERO = Decimal(0)


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
        if value is not None and (number := _number(value)) is not None:
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
