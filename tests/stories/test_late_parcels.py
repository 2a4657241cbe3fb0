"""Who bought lately is asked how it was; who waits for a late parcel gets an apology instead, and never both."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from ajo.demo.catalogue import PRODUCTS
from ajo.demo.late_parcels import (
    APOLOGY,
    BUYERS,
    DELAY_EVENT,
    DELAYED,
    DELIVERY_EVENT,
    ORDER_EVENT,
    POOL,
    SEARCHING,
    SURVEY,
)
from ajo.demo.seeding import seeded_secrets
from ajo.demo.showroom import codes
from ajo.timeline import Kind, timeline
from channels.models import Message
from profiles.models import TakenCode
from tests.profiles.store import track
from tests.stories.world import World, mail, members, messages

State = Message.State
IN_STOCK_IN_M = {"Breton Stripe Top", "Fisherman Cardigan", "Pine Forest Fleece", "Ribbed Wool Beanie",
    "Merino Walking Socks", "Lambswool Scarf", "Driftwood Candle", "Herringbone Blanket"}  # fmt: skip


def test_the_late_parcels(world: World) -> None:
    given_before = TakenCode.objects.count()
    names = ("ada", "ben", "cleo", "dan", "eve", "fay")
    phones = {"ben": "+441632960001", "fay": "+441632960002"}
    ada, ben, cleo, dan, eve, fay = cast = [
        world.joins(name, clothing_size="M", **({"phone": phones[name]} if name in phones else {}))
        for name in names
    ]
    world.opts_out(cleo, "email")
    world.opts_out(dan, "email")
    world.forget()
    for name in ("ada", "ben", "cleo", "dan", "fay"):
        world.does(name, ORDER_EVENT, order_id=name, revenue=39)
    world.happens(
        track("eve", ORDER_EVENT, properties={"order_id": "eve"}, at=world.now - timedelta(days=21))
    )
    assert world.taken == []  # buying alone is no reason to write
    for name in ("ben", "cleo", "fay"):
        world.does(name, DELAY_EVENT, order_id=name)
    assert {ada, ben, cleo, dan, fay} <= members(BUYERS)
    assert eve not in members(BUYERS)
    assert members(DELAYED) & set(cast) == {ben, cleo, fay}

    # The apology: to each of the late once, with a code of their own and three products that are there in their size.
    assert world.addresses() == ["ben@example.com", "fay@example.com"]
    given = {
        row["profile"]: row["code"]
        for row in world.api.get(f"/api/v1/code-pools/{POOL}/taken/").json()["results"]
    }
    assert {given[str(ben)], given[str(cleo)], given[str(fay)]} == set(list(codes(1, given_before + 3))[-3:])
    for outgoing, name, profile_id in zip(world.taken, ("Ben", "Fay"), (ben, fay), strict=True):
        subject, text, html = mail(outgoing)
        assert subject == f"Your parcel is late, {name}. We are sorry."
        assert [code for code in given.values() if code in text] == [given[str(profile_id)]]
        assert [code for code in given.values() if code in html] == [given[str(profile_id)]]
        shown = {product.name for product in PRODUCTS if product.name in text}
        assert len(shown) == 3
        assert shown <= IN_STOCK_IN_M
        assert all(f"/static/demo/{each.id.lower()}.svg" in html for each in PRODUCTS if each.name in shown)
    (withheld,) = messages([cleo], APOLOGY)
    assert (withheld.state, withheld.reason_code) == (State.WITHHELD, Message.Reason.OPTED_OUT)
    world.does("ben", DELAY_EVENT, order_id="ben")  # it is told again: he knows
    assert len(messages(cast, APOLOGY)) == 3

    entered = [
        (entry.data["properties"]["audience"], [note.text for note in entry.notes])
        for entry in timeline(ben, kinds={Kind.EVENT}).entries
        if entry.data and entry.title == "$audience_entered"
    ]
    assert sorted(entered) == [
        (DELAYED, ["Let them into the journey “Late parcels”."]),
        (BUYERS, []),  # which is nothing to that journey
    ]

    # The survey, approved over the API: to all the others who bought, to nobody who waits.
    world.taken.clear()
    reach = world.api.get(f"/api/v1/campaigns/{SURVEY}/reach/").json()
    world.post(f"/campaigns/{SURVEY}/approve/")
    world.settle()
    asked = messages(members(BUYERS) | members(DELAYED), SURVEY)
    assert Counter(each.profile_id for each in asked) == Counter(members(BUYERS) - members(DELAYED))
    assert reach["total"] == len(asked)
    assert reach["reached"] == len(world.taken) == sum(each.state == State.SENT for each in asked)
    (own,) = [each for each in world.taken if each.address == "ada@example.com"]
    subject, text, html = mail(own)
    assert subject == "How did we do, Ada?"
    assert "SORRY-" not in text + html
    assert [each.reason_code for each in messages([dan], SURVEY)] == [Message.Reason.OPTED_OUT]
    assert not {"ben@example.com", "cleo@example.com", "eve@example.com", "fay@example.com"} & set(
        world.addresses()
    )
    assert world.api.post(f"/api/v1/campaigns/{SURVEY}/approve/").status_code == 409
    everybody = Message.objects.filter(variant__version__content__key=APOLOGY).values_list(
        "profile_id", flat=True
    )
    assert not set(everybody) & {each.profile_id for each in asked}
    taken = list(TakenCode.objects.values_list("pool_id", "number"))
    assert len(set(taken)) == len(taken)

    # Fay's parcel comes on the third day, Ben's does not: ten days later, and no moment sooner, he is told by text.
    world.pass_time(days=3)
    world.does("fay", DELIVERY_EVENT, order_id="fay")
    world.pass_time(days=5)
    assert not members(DELAYED) & {ben, fay}  # the week is over
    world.taken.clear()
    world.pass_time(days=2, microseconds=-1)
    assert messages(cast, SEARCHING) == []
    world.pass_time(microseconds=1)
    assert {each.profile_id for each in messages(cast, SEARCHING)} == {ben, cleo}
    assert [each.body.decode() for each in world.taken if each.address == phones["ben"]] == [
        "Harbour & Pine: your parcel is still not with you, and we are looking for it. Call 01632 960123 and we send"
        " everything again today."
    ]
    assert phones["fay"] not in world.addresses()


def test_the_codes_of_a_seed_are_all_different_and_not_its_secrets() -> None:
    found = list(codes(1, 5_000))
    assert len(set(found)) == len(found)
    assert found == list(codes(1, 5_000))
    assert seeded_secrets(1)() not in found
