"""Somebody without marketing rights tells every visitor now in the park that a ride is closed, from one form."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import requests

from ajo.demo.catalogue import PARKS
from ajo.demo.closed_ride import CLOSED, RUNNING, audience_of, notice_of
from ajo.stories import judging
from ajo.stories.cast import Person, people, playing, profile_of
from ajo.stories.product import Broken, Pages, Product, Row, as_query, judge, wait_for, words_of
from ajo.stories.telling import some_of_each, where

TITLE = "The closed ride"
PARK = PARKS[0]
RIDE, INSTEAD = PARK.open_rides[0].name, PARK.open_rides[4].name
INSIDE, LEFT, OUT, LATER = "in the park", "went home an hour ago", "in the park, no pushes", "comes in later"
REFUSED_PAGES = (
    "/admin/",
    "/admin/journeys/journey/",
    "/admin/campaigns/campaign/",
    "/admin/profiles/profile/",
)
REFUSED_CALLS = ("/profiles/", "/campaigns/", "/journeys/", "/audiences/", "/messages/")


def parts(count: int) -> list[tuple[str, str, str]]:
    chosen = (*[INSIDE] * max(1, count - 3), OUT, LEFT, LATER)
    return [(part, "Member", "M") for part in chosen]


def tell(
    product: Product, count: int, telling: str, say: Callable[[str], None], *, login: str, password: str
) -> None:
    """Raises Broken."""
    cast = people(telling, 3, parts(count))
    product.send([person.introduction() for person in cast])
    profiles = product.profile_ids(cast)
    for profile_id in playing(profiles, OUT):
        product.opt_out(profile_id, "push")
    _enter(product, [person for person in cast if person.part != LATER])
    audience = audience_of(PARK)
    came = playing(profiles, INSIDE, OUT)
    wait_for(lambda: came <= product.members(audience), "the visitors in their audience")
    inside = product.members(audience)
    say(f"{len(inside)} people are in {PARK.name} now, {len(came)} of them came just now.")

    since, begun = datetime.now(UTC), time.monotonic()
    operator = Pages(product, login, password)
    _check_refusals(product, operator)
    until = f"{since + timedelta(hours=2):%H:%M}"
    filled_in = as_query({"ride": RIDE, "until": until, "instead": INSTEAD})
    check = operator.open(f"/notices/prepared/{notice_of(PARK)}/check/", **filled_in)
    announced = _announced(words_of(check))
    sending = operator.send(check)
    sent = _gone_out(product, operator, sending, since, CLOSED)
    inside_then = product.members(audience)
    judge(
        [
            *judging.once_each("the notice", sent, must=inside & inside_then, may=inside | inside_then),
            *judging.failed("The notice", sent),
            # Somebody who goes home in this very moment may have been counted and not reached, or the other way round.
            *(_not_as_announced(announced, sent) if inside == inside_then else []),
        ]
    )
    say(f"{login} writes “{RIDE}, until {until}”. The page says {announced} people, and {len(sent)} get it.")

    leaver = next(person for person in cast if person.part == INSIDE)
    _enter(product, [person for person in cast if person.part == LATER])
    product.send([leaver.does("Park Left", {"park": PARK.name})])
    say(f"Then {leaver.name} goes home, somebody else comes in, and {login} gives the all-clear.")
    wait_for(lambda: playing(profiles, LATER) <= product.members(audience), "the visitor who came later")
    wait_for(lambda: profile_of(profiles, leaver) not in product.members(audience), "the visitor who left")
    all_clear = operator.send(operator.open(f"{_path(product, sending)}all-clear/"))
    cleared = _gone_out(product, operator, all_clear, since, RUNNING)
    seconds = time.monotonic() - begun
    told = {message["profile"] for message in sent}
    judge(judging.once_each("the all-clear", cleared, must=told, may=told))
    for line in some_of_each([(person, _got(product, person)) for person in cast]):
        say(line)
    say(f"From login to all-clear: {seconds:.1f} s. Every other page and the API refuse {login}.")
    say(where("The notices", f"{product.url}/notices/ for {login}"))
    say(where("A phone", f"{product.url}/mailbox/phones/?to={leaver.token}"))


def _enter(product: Product, cast: list[Person]) -> None:
    """They come in through the gate; who is to have left leaves again."""
    now = datetime.now(UTC)
    park = {"park": PARK.name}
    for person in cast:
        has_left = person.part == LEFT
        came_at = now - timedelta(hours=2) if has_left else now
        events = [person.does("Park Entered", {**park, "gate": "North"}, came_at)]
        if has_left:
            events.append(person.does("Park Left", park, now - timedelta(hours=1)))
        product.send(events)


def _check_refusals(product: Product, operator: Pages) -> None:
    """Whoever sends notices may open nothing else, neither by address nor by API."""
    for page in REFUSED_PAGES:
        status = operator.status(page)
        if status not in (302, 403):
            raise Broken(f"{page} answers operations with {status}; it must be refused.")
    for call in REFUSED_CALLS:
        status = product.api_status(call, operator.session)
        if status not in (401, 403):
            raise Broken(f"/api/v1{call} answers operations with {status}; it must be refused.")


def _gone_out(
    product: Product, operator: Pages, sending: requests.Response, since: datetime, content: str
) -> list[Row]:
    """The messages with these words since then, once the page of the sending says that it is over."""
    path = _path(product, sending)
    wait_for(lambda: "Finished" in words_of(operator.open(path)), f"the end of {path}")
    found = product.messages(channel="push", after=since.isoformat())
    return [message for message in found if message["content"] == content]


def _path(product: Product, page: requests.Response) -> str:
    return page.url.removeprefix(product.url)


def _announced(text: str) -> int:
    found = re.search(r"([\d,]+) (?:person gets|people get) it now", text)
    if found is None:
        raise Broken(f"The page does not say how many people the notice reaches: {text[:300]}")
    return int(found[1].replace(",", ""))


def _not_as_announced(announced: int, sent: list[Row]) -> list[str]:
    gone = sum(message["state"] in ("sent", "delivered") for message in sent)
    return [] if gone == announced else [f"The page said {announced} people; {gone} got the notice."]


def _got(product: Product, person: Person) -> str:
    """What is on the phone of a person. Raises Broken when it is something else than it must be."""
    titles = [push["title"] for push in reversed(product.pushes(person.token))]
    wanted = [f"{RIDE} is closed", f"{RIDE} is open again"] if person.part in (INSIDE, OUT) else []
    if titles != wanted:
        raise Broken(f"{person.name} ({person.part}) has {titles} on the phone, and must have {wanted}.")
    return ", then ".join(f"“{title}”" for title in titles) or "nothing"
