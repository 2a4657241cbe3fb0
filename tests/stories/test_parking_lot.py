"""A loyal customer arrives at the shop, and the push offers what is back in their size, or nothing that is not."""

from __future__ import annotations

from typing import Any

from ajo.demo.parking_lot import ARRIVAL_EVENT, PUSH
from channels.models import Message
from offers.models import Decision
from tests.stories.world import World, messages, push

SWEATER = {
    "title": "It is back, and in your size",
    "body": "The Skipper Wool Sweater is on the shelf again. In M, £89.00, at Harbour & Pine Whitby.",
    "image_url": "http://127.0.0.1:8123/static/demo/hp-1001.svg",
}
RAINCOAT = {
    "title": "It is back, and in your size",
    "body": "The Squall Raincoat is on the rail again. In L, £129.00, at Harbour & Pine Whitby.",
    "image_url": "http://127.0.0.1:8123/static/demo/hp-1007.svg",
}
COFFEE = {
    "title": "Good to see you",
    "body": "Show your card at the counter: the coffee is on us.",
    "image_url": "http://127.0.0.1:8123/static/demo/coffee.svg",
}


def test_the_parking_lot(world: World) -> None:
    loyal = {"loyalty_tier": "Gold", "clothing_size": "M"}
    ada, out = world.joins("ada", **loyal), world.joins("out", **loyal)
    mo = world.joins("mo", **(loyal | {"loyalty_tier": "Member"}))
    world.joins("bo", **(loyal | {"clothing_size": "L"}))
    world.opts_out(out, "push")
    world.forget()

    def arrives(name: str) -> list[tuple[str, dict[str, Any]]]:
        """(phone, what it shows) of all that goes out when somebody arrives."""
        world.taken.clear()
        world.does(name, ARRIVAL_EVENT, shop="Harbour & Pine Whitby")
        return [
            (each.address, {key: value for key, value in push(each).items() if key in SWEATER})
            for each in world.taken
        ]

    def is_delivered(size: str, pieces: int) -> None:
        body = {"key": f"HP-1001-{size}", "values": {"on_hand": pieces}}
        assert world.api.put("/api/v1/lookups/stock/rows/", body, format="json").status_code == 200

    # Both the sweater and the raincoat are sold out in M, the sweater in L too.
    assert arrives("ada") == [("phone-of-ada", COFFEE)]
    assert arrives("bo") == [("phone-of-bo", RAINCOAT)]
    decision = Decision.objects.get(profile_id=ada)
    told = world.api.get(f"/api/v1/decisions/{decision.pk}/").json()
    assert {each["offer"]: each["code"] for each in told["candidates"]} == {
        "coffee-on-us": "fallback",
        "raincoat-is-back": "not_eligible",
        "sweater-is-back": "not_eligible",
    }

    is_delivered("M", 1)
    assert arrives("ada") == [("phone-of-ada", SWEATER)]
    assert arrives("ada") == [("phone-of-ada", COFFEE)]  # once a week is enough
    assert arrives("bo") == [("phone-of-bo", COFFEE)]  # it is not there in L, and the raincoat was offered
    assert arrives("mo") == []
    assert arrives("out") == []
    assert messages([mo], PUSH) == []
    (withheld,) = messages([out], PUSH)
    assert (withheld.state, withheld.reason_code) == (Message.State.WITHHELD, Message.Reason.OPTED_OUT)

    world.pass_time(days=7)
    assert arrives("ada") == [("phone-of-ada", SWEATER)]
    is_delivered("M", 0)
    world.pass_time(days=7)
    assert arrives("ada") == [("phone-of-ada", COFFEE)]
    assert Message.objects.filter(profile_id=ada).count() == 5
