"""A loyal customer's phone reports the shop's geofence; within a second a push offers what is back in their size."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from ajo.demo.catalogue import SWEATER
from ajo.demo.parking_lot import ARRIVAL_EVENT, PLACEMENT, POLICY, SWEATER_OFFER
from ajo.stories import judging
from ajo.stories.cast import Person, people, profile_of
from ajo.stories.product import Broken, Product, wait_for
from ajo.stories.telling import about, some_of_each, where

TITLE = "The parking lot"
SIZE, SOLD_OUT = "M", "L"
SHOP = "Harbour & Pine Whitby"
GOAL_SECONDS = 1.0
EARLY, OTHER_SIZE, NOT_LOYAL, OUT, LOYAL = (
    "Gold, M, before the delivery",
    "Silver, L, sold out",
    "Member, M",
    "Gold, M, no pushes",
    "Silver, M",
)
_SWEATER = f"The {SWEATER.name}"


def parts(count: int) -> list[tuple[str, str, str]]:
    return [
        (EARLY, "Gold", SIZE),
        (OTHER_SIZE, "Silver", SOLD_OUT),
        (NOT_LOYAL, "Member", SIZE),
        (OUT, "Gold", SIZE),
        *[(LOYAL, "Silver", SIZE)] * max(1, count - 4),
    ]


def tell(product: Product, count: int, telling: str, say: Callable[[str], None]) -> list[float]:
    """The seconds from each geofence event to its push. Raises Broken."""
    cast = people(telling, 2, parts(count))
    _deliver(product, {SIZE: 0, SOLD_OUT: 0})
    product.send([person.introduction() for person in cast])
    profiles = product.profile_ids(cast)
    early, other, stranger, out, *loyal = cast
    product.opt_out(profile_of(profiles, out), "push")

    seen = _arrive(product, early)
    _expect(early, seen, without=_SWEATER)
    say(about(early, f"“{seen}” And not the sweater: {_why_not_the_sweater(product, early)}"))
    _deliver(product, {SIZE: 24})
    say(
        f"A delivery: 24 pieces of the {SWEATER.name} in {SIZE}. {len(loyal)} loyal customers who wear it arrive."
    )

    seconds, told = [], []
    for person in loyal:
        begun = time.perf_counter()
        seen = _arrive(product, person, poll=0.005)
        seconds.append(time.perf_counter() - begun)
        _expect(person, seen, with_=_SWEATER)
        told.append((person, f"“{seen}”"))
    for line in some_of_each(told):
        say(line)

    seen = _arrive(product, other)
    _expect(other, seen, without=_SWEATER)
    say(about(other, f"“{seen}” And not the sweater: {_why_not_the_sweater(product, other)}"))
    for person in (stranger, out):
        product.send([_arrival(person)])
    for person in (stranger, out):
        profile_id = profile_of(profiles, person)
        entries = wait_for(partial(_walk, product, profile_id), f"the end of {person.name}'s walk")
        if product.pushes(person.token):
            raise Broken(f"{person.name} ({person.part}) got a push and must not.")
        say(about(person, f"nothing: {_why(product, person, profile_id, entries)}"))
    for person in loyal:
        if len(product.pushes(person.token)) != 1:
            raise Broken(f"{person.name} has not exactly one push.")

    p50, p95 = judging.quantiles(seconds)
    verdict = "within" if p95 < GOAL_SECONDS else "beyond"
    say(
        f"From the geofence event to the push on the phone: p50 {p50:.2f} s, p95 {p95:.2f} s of {len(seconds)},"
        f" {verdict} the second that is promised for an idle machine."
    )
    say(where("Why they got it", product.person_page(profile_of(profiles, loyal[0]))))
    say(where("The push itself", f"{product.url}/mailbox/phones/?to={loyal[0].token}"))
    return seconds


def _deliver(product: Product, pieces: dict[str, int]) -> None:
    for size, on_hand in pieces.items():
        row = {"key": f"{SWEATER.id}-{size}", "values": {"on_hand": on_hand}}
        product.put("/lookups/stock/rows/", row)


def _arrival(person: Person) -> dict[str, object]:
    return person.does(ARRIVAL_EVENT, {"shop": SHOP})


def _arrive(product: Product, person: Person, poll: float = 0.1) -> str:
    """Report the geofence and wait for the push; its words."""
    before = len(product.pushes(person.token))
    product.send([_arrival(person)])
    pushes = wait_for(
        lambda: (found := product.pushes(person.token))[: len(found) - before],
        f"the push to {person.name}",
        poll=poll,
    )
    return f"{pushes[0]['title']}: {pushes[0]['text']}"


def _why_not_the_sweater(product: Product, person: Person) -> str:
    """As a decision for them, made now, says it."""
    decision = product.post(
        "/decisions/",
        {
            "profile": {"namespace": "user_id", "value": person.user_id},
            "policy": POLICY,
            "placement": PLACEMENT,
            "explain": True,
        },
    )
    return next(each["reason"] for each in decision["candidates"] if each["offer"] == SWEATER_OFFER)


def _expect(person: Person, seen: str, *, with_: str = "", without: str = "") -> None:
    if with_ and not (with_ in seen and f"In {person.size}," in seen):
        raise Broken(
            f"The push to {person.name} ({person.part}) does not offer {with_} in {person.size}: “{seen}”"
        )
    if without and without in seen:
        raise Broken(
            f"The push to {person.name} ({person.part}) offers {without}, which is sold out: “{seen}”"
        )


def _walk(product: Product, profile_id: str) -> list[dict[str, str]]:
    """The journey entries of a person's timeline, once the walk is over and no message is on its way."""
    entries = product.get(f"/profiles/{profile_id}/timeline/", kind="journey")["results"]
    is_over = any(entry["title"].startswith("Reached the end") for entry in entries)
    return entries if is_over and judging.settled(product.messages(profile=profile_id)) else []


def _why(product: Product, person: Person, profile_id: str, entries: list[dict[str, str]]) -> str:
    """In the words of the message's reason, else of the box where the ways parted. Raises Broken."""
    messages = product.messages(profile=profile_id)
    if bool(messages) != (person.part == OUT):
        raise Broken(f"{person.name} ({person.part}) has {len(messages)} messages.")
    if messages:
        return f"the push is withheld. {messages[0]['reason']}"
    return next(entry["text"] for entry in entries if "Condition" in entry["title"])
