"""What must hold when a story is over, as sentences about what does not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A message or a taken code, as the API tells it."""


def once_each(
    what: str, messages: Iterable[Row], *, must: Collection[str], may: Collection[str]
) -> list[str]:
    """Everybody in `must` has exactly one of these messages, nobody has two, and nobody outside of `may` has any.

    People are named by their profile's id. Between the two are those for whom time changed the answer meanwhile.
    """
    counts = Counter(str(message["profile"]) for message in messages)
    missing = sorted(set(must) - counts.keys(), key=int)
    twice = sorted((profile for profile, n in counts.items() if n > 1), key=int)
    strangers = sorted(counts.keys() - set(may), key=int)
    return [
        *_told(f"did not get {what} and must", missing),
        *_told(f"got {what} more than once", twice),
        *_told(f"got {what} and must not", strangers),
    ]


def own_codes(messages: Iterable[Row], taken: Iterable[Row]) -> list[str]:
    """Each of these messages has a code, and no code was ever given twice."""
    rows = list(taken)
    codes = Counter(str(row["code"]) for row in rows)
    of_message = {str(row["message"]): row for row in rows}
    without = [str(message["profile"]) for message in messages if str(message["id"]) not in of_message]
    return [
        *_told("got an apology without a code", without),
        *(f"The code {code} was given {n} times." for code, n in codes.items() if n > 1),
    ]


def settled(messages: Iterable[Row]) -> bool:
    """Whether nothing of them is still on its way."""
    return all(message["state"] not in ("queued", "sending") for message in messages)


def failed(what: str, messages: Iterable[Row]) -> list[str]:
    """Those that went wrong, rather than out or withheld."""
    return [
        f"{what} to profile {message['profile']} is {message['state']}: {message['reason']}"
        for message in messages
        if message["state"] in ("failed", "expired", "bounced", "uncertain")
    ]


def quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """p50 and p95 by the nearest rank."""
    ordered = sorted(seconds)
    return tuple(ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in (50, 95))  # type: ignore[return-value]


def _told(what: str, profiles: Sequence[str]) -> list[str]:
    if not profiles:
        return []
    shown = ", ".join(profiles[:5]) + (" …" if len(profiles) > 5 else "")
    return [f"{len(profiles)} {'profile' if len(profiles) == 1 else 'profiles'} {what}: {shown}."]
