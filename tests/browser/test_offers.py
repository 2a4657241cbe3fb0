"""Offers by hand: a placement, an item with its picture, how it is decided about, tried, decided and explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ajo.core.models import User
from offers import outcomes
from offers.decide import Ask, decide
from offers.models import (
    Collection,
    Decision,
    DecisionOutcome,
    DecisionPolicy,
    OfferItem,
    Placement,
    SelectionStrategy,
)
from offers.outcomes import Taken
from offers.plans import current_plan
from profiles.models import AttributeDefinition, Profile
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in
from tests.factories import make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy

pytestmark = pytest.mark.browser
Shot = Callable[[Page, str], Path]


@pytest.fixture
def world(live_server: LiveServer) -> Profile:
    """Ada wears M and is gold; Grace is neither. There is one other item to propose."""
    for key, label in (("size", "Size"), ("tier", "Tier")):
        AttributeDefinition.objects.create(key=key, label=label, type="text")
    make_profile(first_name="Grace", last_name="Hopper", tier="silver")
    return make_profile(
        first_name="Ada", last_name="Lovelace", email="ada@example.com", size="M", tier="gold"
    )


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="a-long-password")


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()


def test_from_a_placement_to_an_explained_decision(
    live_server: LiveServer, world: Profile, boss: User, open_page: OpenPage, shot: Shot
) -> None:
    page = open_page(base_url=live_server.url)
    sign_in(page, live_server.url, boss)
    picture = f"{live_server.url}/static/favicon.svg"

    page.goto("/admin/offers/placement/add/")
    page.get_by_label("Name").fill("Email hero")
    expect(page.get_by_label("Key")).to_have_value("email-hero")
    page.get_by_label("Channel").select_option(label="Email")
    save(page)

    page.goto("/admin/offers/offeritem/add/")
    page.locator("#id_name").fill("Lambswool sweater")
    row = page.locator("[data-rows=attributes] > [data-row]:visible")
    row.nth(0).get_by_label("Name").fill("margin")
    row.nth(0).get_by_label("Kind").select_option(label="Number")
    row.nth(0).get_by_label("Value").fill("21")
    page.get_by_role("button", name="Attribute").click()
    row.nth(1).get_by_label("Name").fill("mistake")
    row.nth(1).get_by_role("button", name="Remove this row").click()
    who = page.locator("#id_eligibility")
    who.fill("profile.size = ")
    expect(page.get_by_text("Write == to compare.")).to_be_visible()
    page.get_by_text("What one can name").click()
    who.fill("")
    page.get_by_role("button", name="profile.size").click()
    who.press_sequentially(' == "M"')
    expect(page.get_by_text("1 of 2 people fulfil it now (50 %)")).to_be_visible()
    page.get_by_label("At most").fill("1")
    page.get_by_text("Show it here").click()
    look = page.locator("[data-look]")
    look.get_by_label("Title").fill("Back in your size")
    look.get_by_label("Text, in HTML").fill("<b>Lambswool</b>, in size M")
    look.get_by_label("Picture, its address").fill(picture)
    look.get_by_label("Link, where a click leads").fill("https://shop.example.com/sweater")
    card = look.locator("[data-preview]")
    expect(card.get_by_text("Back in your size")).to_be_visible()
    expect(card.frame_locator("iframe").get_by_text("Lambswool")).to_be_visible()
    expect(card.locator("img")).to_have_attribute("src", picture)
    save(page)
    expect(page.locator("[data-look] img")).to_be_visible()
    shot(page, "item")
    page.get_by_text("Publish", exact=True).click()
    expect(page.get_by_text("From now on it is weighed")).to_be_visible()
    page.get_by_role("button", name="Yes: Publish").click()
    expect(page.get_by_text("Published: it can be proposed now.")).to_be_visible()
    sweater = OfferItem.objects.get()
    assert (sweater.state, sweater.attributes) == ("approved", {"margin": 21})
    scarf = make_offer("scarf", shown_in=("email-hero",), attributes={"margin": 3})

    page.goto("/admin/offers/collection/add/")
    page.get_by_label("Name").fill("Warm things")
    page.get_by_label("By rule").check()
    page.get_by_label("The rule").fill("offer.margin > 20")
    expect(page.get_by_text("1 item fits now: Lambswool sweater")).to_be_visible()
    page.get_by_label("A list").check()
    page.get_by_label("Find an item").fill("scarf")
    expect(page.get_by_role("checkbox", name="Lambswool sweater")).to_be_hidden()
    page.get_by_label("Find an item").fill("")
    page.get_by_role("checkbox", name="Lambswool sweater").check()
    page.get_by_role("checkbox", name="Scarf").check()
    save(page)

    page.goto("/admin/offers/selectionstrategy/add/")
    page.get_by_label("Name").fill("What earns most")
    page.get_by_label("From the collection").select_option(label="Warm things")
    page.get_by_label("By a formula").check()
    page.get_by_label("The formula").fill("offer.margin * 2")
    save(page)
    page.get_by_label("Person").fill("lovelace")
    page.get_by_role("button", name="Rank").click()
    expect(page.get_by_text("Ranked 1st: 42, ahead of scarf with 6.")).to_be_visible()
    shot(page, "strategy")

    page.goto("/admin/offers/decisionpolicy/add/")
    page.get_by_label("Name").fill("Front page")
    page.get_by_label("Strategy 1").select_option(label="What earns most")
    page.get_by_label("When nothing is left").select_option(label="Scarf")
    save(page)

    page.get_by_role("link", name="Simulate for a person").click()
    page.get_by_label("Person").fill("Grace")
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("heading", name="Grace Hopper would get")).to_be_visible()
    expect(page.get_by_text("profile.size is missing, so")).to_be_visible()
    page.get_by_label("Person").fill("ada@example.com")
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("heading", name="Ada Lovelace would get")).to_be_visible()
    expect(page.get_by_text("Ranked 1st: 42, ahead of scarf with 6.")).to_be_visible()
    shot(page, "simulated")
    assert not Decision.objects.exists()

    plan = current_plan("front-page", "email-hero", timezone.now())
    for _ in range(2):  # the second time its cap is reached
        (decided,) = decide([Ask(world.pk)], plan, timezone.now())
        assert decided is not None
        outcomes.note_shown([decided.id], timezone.now())
    page.goto(reverse("admin:profiles_profile_change", args=[world.pk]))
    page.get_by_role("link", name="Offer chosen: Scarf").click()
    expect(page.get_by_text("Cap reached: 1 of 1 per person, ever.")).to_be_visible()
    expect(page.get_by_role("heading", name="What Ada Lovelace got")).to_be_visible()
    shot(page, "decision")
    page.goto("/admin/offers/offeritem/")
    page.get_by_placeholder("Name or key").fill("sweater")
    page.keyboard.press("Enter")
    expect(page.locator(".offer-card")).to_have_count(1)
    expect(page.locator(".offer-card")).to_contain_text("1 per person, ever")
    shot(page, "grid")
    assert scarf.state == OfferItem.State.APPROVED


def walk_of_screens(ada: Profile) -> list[str]:
    """Every page of offers with something on it."""
    sweater = make_offer("sweater", shown_in=("hero", "push"), attributes={"margin": 8}, priority=3, lever=20)
    boots = make_offer("boots", attributes={"margin": 2})
    make_cap(boots, 1)
    make_offer("gold", eligibility='profile.tier == "platinum"', attributes={"margin": 9})
    make_offer("voucher", state=OfferItem.State.DRAFT, shown_in=())
    learned = make_strategy(
        *OfferItem.objects.all(), key="learned", method="learned", value="offer.margin", exploration=0.0
    )
    policy = make_policy(learned, make_strategy(rule="offer.margin > 1", key="by-rule"), fallback=boots)
    plan = current_plan(policy.key, "hero", timezone.now())
    for _ in range(2):
        (decided,) = decide([Ask(ada.pk)], plan, timezone.now())
        assert decided is not None
        outcomes.note_shown([decided.id], timezone.now())
    outcomes.note_taken(
        [Taken(decided.id, decided.items[0].id)], DecisionOutcome.Kind.CLICKED, timezone.now()
    )
    paths = [
        reverse("admin:offers_offeritem_add"),
        reverse("admin:offers_offeritem_change", args=[sweater.pk]),
        reverse("admin:offers_selectionstrategy_change", args=[learned.pk]) + f"?profile={ada.pk}",
        reverse("offers-simulate"),
        reverse("offers-simulate") + f"?policy=front-page&placement=hero&profile={ada.pk}",
        reverse("admin:offers_decision_change", args=[decided.id]),
        reverse("admin:offers_decision_changelist"),
    ]
    for model in (OfferItem, Placement, Collection, SelectionStrategy, DecisionPolicy):
        name = f"admin:offers_{model._meta.model_name}"
        last = model._default_manager.order_by("-pk")[0]
        paths += [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[last.pk])]
    return paths


# Two looks, as on the other screens; the walk over all screens takes the other two.
@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        pytest.param("light", PHONE, id="light-phone"),
        pytest.param("dark", DESKTOP, id="dark-desktop"),
        pytest.param("light", DESKTOP, id="light-desktop", marks=pytest.mark.long),
        pytest.param("dark", PHONE, id="dark-phone", marks=pytest.mark.long),
    ],
)
def test_its_pages_are_for_everybody(
    live_server: LiveServer,
    world: Profile,
    boss: User,
    open_page: OpenPage,
    shot: Shot,
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    page = open_page(base_url=live_server.url, scheme=scheme, size=size)
    sign_in(page, live_server.url, boss)
    trouble = []
    for number, path in enumerate(walk_of_screens(world)):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        shot(page, str(number))
        trouble += [f"{path}: {finding}" for finding in findings(page)]
        if overflows(page):
            trouble.append(f"{path}: it scrolls sideways")
    assert not trouble, "\n".join(trouble)
