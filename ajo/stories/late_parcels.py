"""Everyone who bought in the last week gets the survey, except those whose parcel is late: they get an apology with a
code of their own and three products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ajo.demo.catalogue import PRODUCTS
from ajo.demo.late_parcels import (
    ANSWER_EVENT,
    APOLOGY,
    BUYERS,
    DELAY_EVENT,
    DELAYED,
    ORDER_EVENT,
    POOL,
    SURVEY,
)
from ajo.stories import judging
from ajo.stories.cast import Person, people, playing
from ajo.stories.product import Broken, Product, Row, judge, wait_for
from ajo.stories.telling import some_of_each, where

TITLE = "The late parcels"
LATE, LATE_OUT, LONG_AGO, OUT, BUYER = (
    "parcel is late",
    "parcel is late, no marketing",
    "bought three weeks ago",
    "bought, no marketing",
    "bought this week",
)
_ANSWERS = 2
_PARTS = (LATE, LATE_OUT, LONG_AGO, OUT, BUYER)


def parts(count: int) -> list[tuple[str, str, str]]:
    """One of each part, then two buyers to each late parcel."""
    more = [LATE if number % 3 == 0 else BUYER for number in range(max(0, count - len(_PARTS)))]
    return [(part, "Member", "M") for part in (*_PARTS, *more)]


def tell(product: Product, count: int, telling: str, say: Callable[[str], None]) -> None:
    """Raises Broken."""
    cast = people(telling, 1, parts(count))
    now = datetime.now(UTC)
    product.send([person.introduction() for person in cast])
    profiles = product.profile_ids(cast)
    for profile_id, person in profiles.items():
        if person.part in (LATE_OUT, OUT):
            product.opt_out(profile_id, "email")
    product.send([_order(person, now) for person in cast])
    product.send([_delay(person, now) for person in cast if person.part in (LATE, LATE_OUT)])
    say(f"{len(cast)} people buy something; the parcel of {len(playing(profiles, LATE, LATE_OUT))} is late.")
    wait_for(
        lambda: (
            playing(profiles, LATE, LATE_OUT) <= product.members(DELAYED)
            and playing(profiles, LATE, LATE_OUT, OUT, BUYER) <= product.members(BUYERS)
        ),
        "their audiences",
    )
    buyers, late = product.members(BUYERS), product.members(DELAYED)

    key = _send_survey(product, telling)
    (run,) = wait_for(lambda: _finished(product, key), "the end of the survey's run")
    written = wait_for(lambda: _written(product, now, profiles), "the apologies")
    surveys = [each for each in written if each["content"] == SURVEY]
    apologies = [each for each in written if each["content"] == APOLOGY]
    buyers_then, late_then = product.members(BUYERS), product.members(DELAYED)
    say(
        f"The survey goes to {run['targeted']} of last week's buyers, and to none of the {len(late)} people who wait"
        " for a late parcel."
    )
    taken = list(product.rows(f"/code-pools/{POOL}/taken/"))
    judge(
        [
            *judging.once_each(
                "the survey",
                surveys,
                must=(buyers & buyers_then) - late - late_then,
                may=(buyers | buyers_then) - (late & late_then),
            ),
            *judging.once_each(
                "an apology",
                [each for each in apologies if each["profile"] in profiles],
                must=playing(profiles, LATE, LATE_OUT),
                may=playing(profiles, LATE, LATE_OUT),
            ),
            *judging.own_codes(apologies, taken),
            *judging.failed("The survey", surveys),
            *judging.failed("The apology", apologies),
        ]
    )
    codes = {row["message"]: row["code"] for row in taken}
    told = [
        (person, _got(product, person, [each for each in written if each["profile"] == profile_id], codes))
        for profile_id, person in profiles.items()
    ]
    for line in some_of_each(told):
        say(line)
    say(_answer(product, key, [person for person in cast if person.part == BUYER][:_ANSWERS], surveys))
    first = next(iter(profiles))
    say(where("Why they got it", product.person_page(first)))
    say(where("The apology itself", f"{product.url}/mailbox/?to={profiles[first].email}"))


def _order(person: Person, now: datetime) -> dict[str, Any]:
    at = now - timedelta(days=21 if person.part == LONG_AGO else 2)
    scarf = next(each for each in PRODUCTS if each.id == "HP-2003")
    line = {"product_id": scarf.id, "name": scarf.name, "price": float(scarf.price), "quantity": 1}
    order = {"order_id": person.user_id, "revenue": float(scarf.price), "currency": "GBP", "products": [line]}
    return person.does(ORDER_EVENT, order, at)


def _delay(person: Person, now: datetime) -> dict[str, Any]:
    late = {"order_id": person.user_id, "carrier": "Gull Express", "reason": "Storm on the coast road"}
    return person.does(DELAY_EVENT, late, now)


def _send_survey(product: Product, telling: str) -> str:
    """A copy of the campaign that the demo has prepared, approved at once; its key."""
    prepared = product.get(f"/campaigns/{SURVEY}/")
    same = ("content", "configuration", "audience", "exclusions", "message_class", "schedule", "goal")
    made = product.post(
        "/campaigns/",
        {
            "key": f"{SURVEY}-{telling}",
            "name": f"{prepared['name']} (story {telling})",
            **{name: prepared[name] for name in same},
        },
    )
    for verb in ("submit", "approve"):
        product.post(f"/campaigns/{made['key']}/{verb}/")
    return str(made["key"])


def _finished(product: Product, key: str) -> list[Row]:
    return [run for run in product.get(f"/campaigns/{key}/runs/")["results"] if run["state"] == "finished"]


def _written(product: Product, since: datetime, profiles: dict[str, Person]) -> list[Row]:
    """All messages since the story began, once the late have theirs and nothing is on its way; empty until then."""
    found = [
        each
        for each in product.messages(channel="email", after=since.isoformat())
        if each["content"] in (SURVEY, APOLOGY)
    ]
    apologised = {each["profile"] for each in found if each["content"] == APOLOGY}
    return found if playing(profiles, LATE, LATE_OUT) <= apologised and judging.settled(found) else []


def _answer(product: Product, key: str, answering: Sequence[Person], surveys: Sequence[Row]) -> str:
    """Some answer the survey, twice; the report counts each of them once, and the rest as the messages say.

    Raises Broken.
    """
    path = f"/reports/campaigns/{key}/"
    for _ in ("once", "again"):
        product.send([person.does(ANSWER_EVENT, {"score": 5}) for person in answering])
    wait_for(
        lambda: product.get(path)["messages"]["converted"] >= len(answering), "the answers in the report"
    )
    told = product.get(path)["messages"]
    wanted = {
        "targeted": len(surveys),
        "withheld": sum(each["state"] == "withheld" for each in surveys),
        "sent": sum(each["state"] in ("sent", "delivered") for each in surveys),
        "converted": len(answering),
    }
    judge(
        [
            f"The report says {told[name]} {name}; there are {n}."
            for name, n in wanted.items()
            if told[name] != n
        ]
    )
    numbers = ", ".join(f"{n} {name}" for name, n in wanted.items())
    return f"{len(answering)} of them answer, twice. The report counts {numbers}."


def _got(product: Product, person: Person, own: Sequence[Row], codes: dict[str, str]) -> str:
    """What is in the mailbox of a person, and why. Raises Broken when it is something else than it must be."""
    mails = product.mails(person.email)
    if person.part == LATE:
        html = _only(person, mails)["html"]
        code = codes[own[0]["id"]]
        names = [each.name for each in PRODUCTS if each.name in html]
        if code not in html or len(names) != 3:
            raise Broken(
                f"The apology to {person.name} must hold the code {code} and three products. It holds {names}."
            )
        return f"apology, code {code}, {', '.join(names)}"
    if person.part == BUYER:
        mail = _only(person, mails)
        if "SORRY-" in mail["html"]:
            raise Broken(f"{person.name} has no late parcel and got a code that says sorry.")
        return f"survey “{mail['subject']}”"
    if mails:
        raise Broken(f"{person.name} ({person.part}) got “{mails[0]['subject']}” and must not.")
    if own:
        return f"nothing: the {'survey' if own[0]['content'] == SURVEY else 'apology'} is withheld. {own[0]['reason']}"
    return "nothing: not in the audience"


def _only(person: Person, mails: Sequence[Row]) -> Row:
    if len(mails) != 1:
        raise Broken(
            f"{person.name} ({person.part}) has {len(mails)} emails in the mailbox, and must have one."
        )
    return mails[0]
