"""When an event happened, by the sender's clock corrected with ours. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(minutes=5)


def moment(value: object) -> datetime | None:
    """The aware time that an ISO 8601 text names (UTC where it names no zone).

    None for anything else, and for times before 1970: those are unset clocks (Go's zero time is in the year 1).
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at if at >= EARLIEST else None


def occurred_at(timestamp: datetime | None, sent_at: datetime | None, received_at: datetime) -> datetime:
    """The time to store: received − (sent − timestamp), so that a wrong clock at the sender cancels out.

    Without `sent_at` the timestamp counts as it is; without a usable result the event happened when it was received.
    Never later than five minutes after that.
    """
    if timestamp is None:
        return received_at
    if sent_at is not None:
        try:
            timestamp = received_at - (sent_at - timestamp)
        except OverflowError:
            return received_at
        if timestamp < EARLIEST:
            return received_at
    return min(timestamp, received_at + FUTURE_TOLERANCE)
