"""Operations tell everybody who is in the park, and nobody else; the all-clear goes to the same people."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from ajo.demo.catalogue import PARKS
from ajo.demo.closed_ride import CLOSED, RUNNING, audience_of, notice_of
from campaigns.models import NoticeSending
from channels.models import Device
from tests.stories.world import World, members, messages, push

PINEWATER, HAFENWALD = PARKS
HERE = audience_of(PINEWATER)


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def confirm(client: Client, address: str) -> str:
    """Send what the page shows; the address of the page that one watches."""
    page = client.get(address)
    found = re.search(r'name="form_id" value="([^"]+)"', page.content.decode())
    assert found, words(page)
    answer = client.post(address, {"form_id": found[1]})
    assert answer.status_code == 302, words(answer)
    return str(answer["Location"])


def test_the_closed_ride(world: World) -> None:
    ada, bo, cy, dee = [world.joins(name) for name in ("ada", "bo", "cy", "dee")]
    for name in ("ada", "bo"):
        world.does(name, "Park Entered", park=PINEWATER.name)
    world.does("cy", "Park Entered", park=HAFENWALD.name)
    world.does("dee", "Park Entered", park=PINEWATER.name)
    world.does("dee", "Park Left", park=PINEWATER.name)
    world.opts_out(bo, "push")  # of marketing: a closed ride is none
    world.forget()
    inside = members(HERE)
    assert inside & {ada, bo, cy, dee} == {ada, bo}

    ola = world.operations
    assert notice_of(PINEWATER) in ola.get("/notices/").content.decode()
    filled_in = {"notice-ride": "Kraken's Wake", "notice-until": "17:30", "notice-instead": "Pilot Boat"}
    check = reverse("notice-check", args=[notice_of(PINEWATER)])
    page = ola.get(check, filled_in)
    assert f"{len(inside)} people get it now" in words(page)
    assert world.taken == []

    watched = confirm(ola, page.wsgi_request.get_full_path())
    world.settle()
    assert f"Finished 100 % {len(inside)} of {len(inside)} sent" in words(ola.get(watched))
    assert {each.profile_id for each in messages(inside | {cy, dee}, CLOSED)} == inside
    tokens = dict(Device.objects.filter(profile_id__in=inside).values_list("token", "profile_id"))
    assert sorted(tokens[each.address] for each in world.taken) == sorted(inside)  # each phone once
    seen = {each.address: push(each) for each in world.taken}
    assert seen["phone-of-ada"]["title"] == "Kraken's Wake is closed"
    assert seen["phone-of-ada"]["body"] == (
        "Kraken's Wake is closed until about 17:30. Pilot Boat has a short queue right now. We are sorry, Ada."
    )

    # Ada goes home, Dee comes back: the all-clear is for whom the notice reached.
    world.does("ada", "Park Left", park=PINEWATER.name)
    world.does("dee", "Park Entered", park=PINEWATER.name)
    assert members(HERE) == inside - {ada} | {dee}
    world.taken.clear()
    confirm(ola, reverse("notice-all-clear", args=[NoticeSending.objects.get().pk]))
    world.settle()
    assert {each.profile_id for each in messages(inside | {cy, dee}, RUNNING)} == inside
    assert sorted(tokens[each.address] for each in world.taken) == sorted(inside)
    assert {push(each)["title"] for each in world.taken} == {"Kraken's Wake is open again"}
    world.pass_time(hours=12, microseconds=1)
    assert members(HERE) == set()  # who never checked out is not there for ever
    assert len(messages(inside, RUNNING)) == len(inside)

    # By no other address, and by no call, may operations see or do anything.
    for name in ("admin:index", "admin:journeys_journey_changelist", "admin:campaigns_campaign_changelist"):
        answer = ola.get(reverse(name))
        assert answer.status_code == 403 or answer["Location"].startswith(("/notices/", "/admin/login/")), (
            name
        )
    for room in (
        "profiles",
        "journeys",
        "campaigns",
        "audiences",
        "lookups",
        "messages",
        "contents",
        "offers",
    ):
        assert ola.get(f"/api/v1/{room}/").status_code == 403, room
        assert ola.post(f"/api/v1/{room}/", {}, content_type="application/json").status_code in (403, 405), (
            room
        )
    assert NoticeSending.objects.count() == 2
