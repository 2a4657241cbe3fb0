"""The journey canvas in a real browser: a marketer's work by mouse, by keyboard alone and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from journeys import services
from journeys.models import Journey, JourneyVersion
from profiles.models import AttributeDefinition
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.factories import NOW, make_configuration, make_event_type, make_profile, make_variant
from tests.journeys.helpers import box, link, make_event, make_live, stream, tick

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("authored")]
State = JourneyVersion.State

SAVED = re.compile(r"^Saved \d+ s ago$")
GRAPH: dict[str, Any] = {
    "activities": [
        box("bought", "event_entry", event="Order Completed"),
        box("pause", "wait", until="duration", amount=3, unit="days"),
        box(
            "loyal",
            "condition",
            paths=[{"id": "yes", "label": "Gold", "expression": 'profile.tier == "gold"'}],
        ),
        box("thanks", "message", content="welcome", configuration="email", message_class="marketing"),
        box("done", "end"),
        box("other", "end"),
    ],
    "links": [
        link("bought", "pause"),
        link("pause", "loyal"),
        link("loyal", "thanks", "yes"),
        link("loyal", "other", "else"),
        link("thanks", "done"),
    ],
}


@pytest.fixture
def authored(db: None) -> None:
    """What a journey refers to: an email, a sender, an event, an attribute."""
    make_configuration()
    make_variant()
    make_event_type("Order Completed")
    AttributeDefinition.objects.create(key="tier", label="Tier", type=AttributeDefinition.Type.TEXT)


@pytest.fixture
def open_canvas(open_page: OpenPage, live_server: LiveServer) -> Callable[..., Page]:
    """`open_canvas(journey, size=PHONE)`: its canvas, with a signed-in author who may do everything."""

    def open_one(journey: Journey, **how: Any) -> Page:
        page = open_page(base_url=live_server.url, **how)
        sign_in(page, live_server.url)
        page.goto(reverse("admin:journeys_journey_change", args=[journey.pk]))
        expect(page.locator("[data-card], .jc-empty").first).to_be_visible()
        return page

    return open_one


def sign_in(page: Page, url: str) -> None:
    user, _made = User.objects.get_or_create(username="ana", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])


def drawn(graph: dict[str, Any] | None = None) -> Journey:
    journey = services.create_journey(key="late", name="The late parcel", user=None)
    if graph is not None:
        services.save_draft(journey=journey, graph=graph, re_entry="never", revision=1, user=None)
    return journey


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=re.compile(rf"^{name}\b")).and_(page.locator("[data-card]"))


def cards(page: Page) -> Locator:
    return page.locator("[data-card]")


def plus(page: Page, after: str) -> Locator:
    return page.get_by_role("button", name=re.compile(rf"^Add (a step|what comes) after {after}$"))


def expression(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Condition", exact=True)


def saved(page: Page) -> None:
    expect(page.get_by_text(SAVED)).to_be_visible()


def draft_of(journey: Journey) -> dict[str, Any]:
    graph: dict[str, Any] = journey.versions.get(state=State.DRAFT).graph
    return graph


def shape(graph: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The links by the kinds that they join."""
    kinds = {activity["id"]: activity["kind"] for activity in graph["activities"]}
    return sorted((kinds[each["from"]], each["port"], kinds[each["to"]]) for each in graph["links"])


WANTED = [
    ("condition", "else", "end"),
    ("condition", "yes", "message"),
    ("event_entry", "next", "wait"),
    ("message", "next", "end"),
    ("wait", "next", "condition"),
]


def test_the_journey_is_drawn_by_mouse_and_published(
    open_page: OpenPage, live_server: LiveServer, shot: Callable[[Page, str], Path]
) -> None:
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url)
    page.goto(reverse("admin:journeys_journey_add"))
    page.get_by_label("Name").fill("The late parcel")
    page.get_by_label("Key").fill("late")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("heading", name="Choose what lets people in")).to_be_visible()
    shot(page, "empty")
    page.get_by_role("button", name=re.compile("^Event entry")).click()
    page.get_by_label("Event", exact=True).click()
    page.get_by_role("option", name="Order Completed").click()

    plus(page, "Event entry").click()
    shot(page, "menu")
    page.get_by_role("option", name=re.compile("^Wait Holds people for some time")).click()
    page.get_by_label("Wait until").select_option("duration")
    page.get_by_label("How many").fill("3")
    expect(card(page, "Wait")).to_have_text(re.compile("3 days"))

    plus(page, "Wait").click()
    page.get_by_role("option", name=re.compile("^Condition")).click()
    expression(page).fill('profile.tier == "gold"')

    plus(page, "Condition, Yes").click()
    page.get_by_role("option", name=re.compile("^Message")).click()
    page.get_by_role("combobox", name="Content").fill("welcome")
    page.get_by_label("Channel configuration").click()
    page.get_by_role("option", name=re.compile("email")).click()
    expect(page.get_by_role("button", name="No problems")).to_be_visible()
    saved(page)
    shot(page, "drawn")

    journey = Journey.objects.get()
    assert shape(draft_of(journey)) == WANTED

    page.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("lets people in from now on")
    dialog.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published. People can come in now.")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    version = journey.versions.get()
    assert (version.state, version.entry_event_type.name) == (State.LIVE, "Order Completed")  # type: ignore[union-attr]

    page.reload()
    expect(cards(page)).to_have_count(6)


def test_the_journey_is_drawn_by_keyboard_alone(open_canvas: Callable[..., Page]) -> None:
    journey = drawn()
    page = open_canvas(journey)
    press = page.keyboard.press

    def reach(target: Locator) -> None:
        for _ in range(80):
            if target.evaluate("element => element === document.activeElement"):
                return
            press("Tab")
        raise AssertionError(f"The keyboard does not reach {target}.")

    def pick(search: str) -> None:
        expect(page.get_by_label("Search for a step")).to_be_focused()
        page.keyboard.type(search)
        press("Enter")

    reach(page.get_by_role("button", name=re.compile("^Event entry")))
    press("Enter")
    reach(page.get_by_label("Event", exact=True))
    page.keyboard.type("Order Compl")
    press("Enter")
    press("Escape")
    expect(card(page, "Event entry")).to_be_focused()
    press("Tab")
    expect(plus(page, "Event entry")).to_be_focused()
    press("Enter")
    pick("wait")
    reach(page.get_by_label("Wait until"))
    page.keyboard.type("Some")
    press("Escape")
    expect(card(page, "Wait")).to_be_focused()
    press("Tab")
    press("Enter")
    pick("condition")
    reach(expression(page))
    page.keyboard.type('profile.tier == "gold"')
    press("Escape")
    expect(card(page, "Condition")).to_be_focused()
    press("Tab")
    expect(plus(page, "Condition, Yes")).to_be_focused()
    press("Enter")
    pick("message")
    reach(page.get_by_role("combobox", name="Content"))
    page.keyboard.type("welcome")
    reach(page.get_by_label("Channel configuration"))
    page.keyboard.type("email")
    press("Enter")
    press("Escape")
    expect(page.get_by_role("button", name="No problems")).to_be_visible()
    press("Control+s")
    saved(page)

    assert shape(draft_of(journey)) == WANTED

    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Duplicate the card")
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_everything_is_undone_and_done_again(open_canvas: Callable[..., Page]) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey)
    expect(cards(page)).to_have_count(6)

    card(page, "Wait").focus()
    page.keyboard.press("Delete")
    expect(cards(page)).to_have_count(5)
    expect(page.get_by_role("status")).to_contain_text("Removed Wait")
    expect(card(page, "Event entry")).to_be_focused()
    expect(page.get_by_role("button", name="Undo: Removed Wait")).to_be_enabled()

    page.keyboard.press("Control+z")
    expect(cards(page)).to_have_count(6)
    page.keyboard.press("Control+Shift+Z")
    expect(cards(page)).to_have_count(5)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    expect(cards(page)).to_have_count(5)
    page.keyboard.press("Control+d")  # an entry is not duplicated
    expect(cards(page)).to_have_count(5)
    card(page, "Message").focus()
    page.keyboard.press("Control+d")
    expect(cards(page)).to_have_count(6)
    saved(page)

    assert ("event_entry", "next", "condition") in shape(draft_of(journey))
    assert ("message", "next", "message") in shape(draft_of(journey))


def test_a_setting_is_undone_as_one_step(open_canvas: Callable[..., Page]) -> None:
    page = open_canvas(drawn(GRAPH))
    card(page, "Wait").click()
    page.get_by_label("How many").press_sequentially("00")
    expect(card(page, "Wait")).to_have_text(re.compile("300 days"))

    page.get_by_role("button", name="Undo: Changed Wait").click()

    expect(card(page, "Wait")).to_have_text(re.compile("Wait3 days"))
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_removing_a_fork_asks_which_way_stays(open_canvas: Callable[..., Page]) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey)
    card(page, "Condition").click()
    page.get_by_role("button", name="Remove", exact=True).click()

    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Keep Else: End")
    expect(dialog).to_contain_text("Removes 2 activities of the other ways.")
    dialog.get_by_role("button", name=re.compile("Keep Gold: Message")).click()
    expect(cards(page)).to_have_count(4)
    saved(page)

    assert shape(draft_of(journey)) == [
        ("event_entry", "next", "wait"),
        ("message", "next", "end"),
        ("wait", "next", "message"),
    ]


def test_ways_meet_again_by_mouse_and_by_menu(open_canvas: Callable[..., Page]) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey)

    start = page.locator('[data-id="loyal"] .jc-source').nth(1)
    card(page, "Condition").hover()
    target = card(page, "Message").bounding_box()
    at = start.bounding_box()
    assert target is not None
    assert at is not None
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    page.mouse.move(target["x"] + 100, target["y"] + 40, steps=8)
    page.mouse.up()
    expect(cards(page)).to_have_count(5)  # the end that nothing leads to any more is gone

    plus(page, "Message").click()
    page.get_by_label("Search for a step").fill("go to wait")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(4)
    saved(page)

    assert shape(draft_of(journey)) == [
        ("condition", "else", "message"),
        ("condition", "yes", "message"),
        ("event_entry", "next", "wait"),
        ("message", "next", "wait"),
        ("wait", "next", "condition"),
    ]


def test_rows_of_a_list_are_the_exits(open_canvas: Callable[..., Page]) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey)
    card(page, "Condition").click()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name", exact=True).nth(1).fill("Silver")
    expression(page).nth(1).fill('profile.tier == "silver"')
    page.get_by_role("button", name="Move Paths 2 up").click()
    expect(page.locator(".jc-port")).to_have_text(["Silver", "Gold", "Else"])

    plus(page, "Condition, Silver").click()
    page.get_by_label("Search for a step").fill("end")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(7)
    card(page, "Condition").click()
    page.get_by_role("button", name="Remove Paths 1").click()
    expect(cards(page)).to_have_count(6)
    expect(page.locator(".jc-port")).to_have_text(["Gold", "Else"])
    saved(page)

    assert shape(draft_of(journey)) == WANTED


def test_problems_stand_on_the_boxes_and_are_jumped_to(open_canvas: Callable[..., Page]) -> None:
    broken = {
        "activities": [*GRAPH["activities"][:1], box("pause", "wait"), box("end", "end")],
        "links": [link("bought", "pause")],
    }
    page = open_canvas(drawn(broken))
    expect(card(page, "Wait").locator(".jc-badge")).to_have_text("1 problem")
    page.get_by_role("button", name="1 problem", exact=True).click()
    listed = page.get_by_role("complementary", name="Problems")
    listed.get_by_role("button", name=re.compile("^Wait")).click()

    expect(page.get_by_role("complementary", name="Wait")).to_be_visible()
    expect(page.get_by_label("Wait until")).to_have_attribute("aria-invalid", "true")

    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("dialog")).to_contain_text("The draft cannot be published yet")
    page.get_by_role("dialog").get_by_role("button", name="Show the problems").click()
    expect(listed).to_be_visible()
    assert Journey.objects.get().versions.get().state == State.DRAFT


@pytest.mark.parametrize("keeps", ["mine", "theirs"])
def test_nobody_is_overwritten_unseen(
    open_page: OpenPage, live_server: LiveServer, keeps: Literal["mine", "theirs"]
) -> None:
    journey = drawn(GRAPH)
    page = open_page(base_url=live_server.url, tolerated=["409"])
    sign_in(page, live_server.url)
    page.goto(reverse("admin:journeys_journey_change", args=[journey.pk]))
    expect(cards(page)).to_have_count(6)
    theirs = {
        "activities": [GRAPH["activities"][0], GRAPH["activities"][4]],
        "links": [link("bought", "done")],
    }
    services.save_draft(journey=journey, graph=theirs, re_entry="always", revision=2, user=None)

    card(page, "Wait").focus()
    page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog", name="Somebody else was quicker")
    expect(dialog).to_be_visible()
    assert draft_of(journey) == theirs

    if keeps == "mine":
        dialog.get_by_role("button", name="Overwrite with mine").click()
        saved(page)
        assert len(draft_of(journey)["activities"]) == 5
        return
    dialog.get_by_role("button", name="Load theirs").click()
    expect(cards(page)).to_have_count(2)
    page.keyboard.press("Control+z")  # mine is one step back
    expect(cards(page)).to_have_count(5)
    saved(page)
    assert len(draft_of(journey)["activities"]) == 5


def test_people_are_counted_and_the_journey_is_operated(open_canvas: Callable[..., Page]) -> None:
    journey = make_live(GRAPH, key="late").journey
    stream(*[make_event(make_profile().pk, "Order Completed") for _ in range(3)])
    page = open_canvas(journey)
    expect(card(page, "Wait").locator(".jc-waiting")).to_contain_text("3")
    expect(page.get_by_label("People in version 1")).to_contain_text("3")

    for verb, said, state in [
        ("Pause", "The 3 people inside stand still", "Paused"),
        ("Resume", "Of the 3 people inside", "Live"),
        ("Stop", "All 3 people inside are taken out", "Stopped"),
    ]:
        page.get_by_role("button", name=verb, exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text(said)
        page.get_by_role("dialog").get_by_role("button", name=verb).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_text(state, exact=True)).to_be_visible()
    assert journey.versions.get().state == State.STOPPED
    assert tick(NOW) == 0


def test_an_older_version_is_only_looked_at(open_canvas: Callable[..., Page]) -> None:
    journey = make_live(GRAPH, key="late").journey
    smaller = {"activities": [GRAPH["activities"][0], box("end", "end")], "links": [link("bought", "end")]}
    services.save_draft(journey=journey, graph=smaller, re_entry="never", revision=None, user=None)
    page = open_canvas(journey)
    expect(cards(page)).to_have_count(2)
    page.get_by_role("button", name="Draft 2").click()
    page.get_by_role("button", name=re.compile("^Version 1")).click()

    expect(cards(page)).to_have_count(6)
    expect(page.get_by_role("button", name=re.compile("^Add a step"))).to_have_count(0)
    card(page, "Wait").click()
    expect(page.get_by_label("How many")).to_be_disabled()
    page.get_by_role("button", name="Back to the draft").click()
    expect(cards(page)).to_have_count(2)


def test_name_and_re_entry_are_set_beside_the_map(open_canvas: Callable[..., Page]) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey)
    page.get_by_role("button", name="Draft 1").click()
    page.get_by_label("Name", exact=True).fill("The lost parcel")
    page.get_by_role("radio", name="Every time, also side by side").check()
    saved(page)

    journey.refresh_from_db()
    assert journey.name == "The lost parcel"
    assert journey.versions.get().re_entry == "always"


def test_a_viewer_changes_nothing(open_page: OpenPage, live_server: LiveServer) -> None:
    journey = drawn(GRAPH)
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.set(Permission.objects.filter(codename="view_journey"))
    page = open_page(base_url=live_server.url)
    client = Client()
    client.force_login(eve)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page.goto(reverse("admin:journeys_journey_change", args=[journey.pk]))
    expect(cards(page)).to_have_count(6)

    card(page, "Wait").click()
    expect(page.get_by_label("How many")).to_be_disabled()
    for name in ("Publish", "Remove", re.compile("^Add a step"), re.compile("^Undo")):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    card(page, "Wait").focus()
    page.keyboard.press("Delete")
    expect(cards(page)).to_have_count(6)
    assert journey.versions.get().revision == 2


def test_on_a_phone_the_journey_is_a_list_that_can_be_edited(
    open_canvas: Callable[..., Page], shot: Callable[[Page, str], Path]
) -> None:
    journey = drawn(GRAPH)
    page = open_canvas(journey, size=PHONE, touch=True)
    expect(page.get_by_role("list", name="Activities of the journey").get_by_role("listitem")).to_have_count(
        6
    )
    assert not overflows(page)
    shot(page, "list")

    plus(page, "Wait").tap()
    page.get_by_label("Search for a step").fill("message")
    page.get_by_role("option", name=re.compile("^Message")).tap()
    expect(page.get_by_role("complementary", name="Message")).to_be_visible()
    shot(page, "sheet")
    page.get_by_role("combobox", name="Content").fill("welcome")
    page.get_by_role("button", name="Close the panel").tap()
    page.get_by_role("button", name="Show as a map").tap()
    expect(cards(page)).to_have_count(7)
    shot(page, "map")
    assert not overflows(page)
    plus(page, "Event entry").tap()
    page.get_by_label("Search for a step").fill("end")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Show as a list").tap()
    expect(page.get_by_role("list", name="Activities of the journey")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_stands_in_anybodys_way(
    open_canvas: Callable[..., Page],
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    journey = make_live(GRAPH, key="late").journey
    stream(make_event(make_profile().pk, "Order Completed"))
    broken = {**GRAPH, "activities": [*GRAPH["activities"], box("lonely", "wait_for_event")]}
    services.save_draft(journey=journey, graph=broken, re_entry="never", revision=None, user=None)
    page = open_canvas(journey, scheme=scheme, size=size)

    def check(name: str) -> None:
        shot(page, f"{name}-{scheme}-{size['width']}")
        assert findings(page) == [], name
        assert not overflows(page), name
        bar = page.get_by_role("toolbar", name="Journey")
        assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth"), name

    check("first")
    page.keyboard.press("l")
    check("second")
    card(page, "Condition").click()
    check("condition")
    page.get_by_role("button", name="Close the panel").click()
    page.keyboard.press("p")
    check("problems")
    page.get_by_role("button", name="Close the panel").click()
    plus(page, "Wait").click()
    check("menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop", exact=True).click()
    check("stop")
