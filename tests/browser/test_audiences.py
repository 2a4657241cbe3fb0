"""Audiences in a real browser: build a rule, watch its reach, activate it, see who and why; upload a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from ajo.core.models import User
from profiles.audiences import authoring, services
from profiles.models import Audience, Profile
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in

pytestmark = pytest.mark.browser
Shot = Callable[[Page, str], Path]
RULE = (
    'profile.loyalty_tier == "Gold" && (profile.clothing_size in ["M", "L"] || has(profile.phone))'
    ' && count("Order Completed", duration("60d"), event.total > 50) >= 1'
)


def look_at_everybody() -> None:
    while services.evaluate_range():
        pass


def page_of(key: str) -> str:
    return reverse("admin:profiles_audience_change", args=[Audience.objects.get(key=key).pk])


def test_a_rule_is_built_activated_and_explained(product: str, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, product, User.objects.get(username="demo"))
    page.goto(f"{product}{reverse('admin:profiles_audience_add')}")
    page.get_by_label("Name").fill("Members who bought")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Who belongs to it")).to_be_visible()

    rows = page.locator(".rule-row")
    count = page.locator("[data-part=count]")
    missing = rows.nth(0).get_by_text("Choose an attribute.")
    expect(missing).to_be_attached()  # the server said so, and nobody was in the row yet
    expect(missing).to_be_hidden()
    rows.nth(0).get_by_label("What it is about").focus()
    page.get_by_role("button", name="Add a condition").focus()
    expect(missing).to_be_visible()
    rows.nth(0).get_by_label("What it is about").select_option(label="Loyalty tier")
    rows.nth(0).get_by_label("Value").fill("Member")
    members = Profile.objects.filter(attributes__loyalty_tier="Member").count()
    expect(count).to_have_text(str(members))
    page.get_by_role("button", name="Add a condition").click()
    rows.nth(1).get_by_label("What it is about").select_option("count")
    expect(rows.nth(1).get_by_text("Choose an event.")).to_be_visible()
    expect(count).to_have_text("–")
    rows.nth(1).get_by_label("Event").fill("Order Completed")
    expect(count).not_to_have_text("–")
    page.get_by_role("button", name="Add a condition").click()
    rows.nth(2).get_by_label("What it is about").select_option(label="Email")
    rows.nth(2).get_by_label("Comparison").select_option("is known")
    page.get_by_role("button", name="Text").click()
    expect(page.get_by_label("The rule as text")).to_have_value(
        'profile.loyalty_tier == "Member" && count("Order Completed") >= 1 && has(profile.email)'
    )
    page.get_by_role("button", name="Builder").click()
    reached = int(count.inner_text())
    assert 0 < reached <= members
    page.get_by_role("button", name="Save the rule").click()
    expect(page.get_by_text("The rule is saved.")).to_be_visible()
    expect(
        page.get_by_text("Loyalty tier is “Member” and did “Order Completed” at least 1 time")
    ).to_be_visible()

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("The audience is active.")).to_be_visible()
    assert "starts no journey" in asked[0]
    look_at_everybody()
    page.reload()
    people = page.locator("section[aria-labelledby=members] tbody tr")
    expect(people).to_have_count(min(reached, 25))
    email = people.nth(0).locator("td").nth(0).inner_text()
    page.locator("#why-q").fill(email)
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("fulfils the rule now")).to_be_visible()
    expect(page.locator(".audience-findings .is-true").filter(has_text="it is Member")).not_to_have_count(0)


def test_a_list_is_uploaded_with_a_row_that_is_nobody(
    product: str, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    sign_in(page, product, User.objects.get(username="demo"))
    authoring.create(key="guests", name="Guests", kind=Audience.Kind.LIST)
    known = list(Profile.objects.order_by("pk")[:2])
    file = tmp_path / "guests.csv"
    lines = ["name;email", *(f"X;{each.attributes['email']}" for each in known), "Y;nobody@example.com"]
    file.write_text("\n".join(lines))
    page.goto(product + page_of("guests"))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("cell", name="nobody@example.com")).to_be_visible()
    expect(page.get_by_label("Column")).to_have_value("email")
    page.get_by_role("button", name="Replace the list").click()
    result = page.locator(".audience-result")
    expect(result).to_contain_text("2 people are in the list now.")
    expect(result.get_by_role("row", name="4 nobody@example.com Nobody has this identity.")).to_be_visible()
    with page.expect_download() as download:
        result.get_by_role("link", name="Download them all").click()
    assert "4,nobody@example.com,Nobody has this identity." in download.value.path().read_text()
    assert Audience.objects.get(key="guests").memberships.count() == 2
    expect(page.locator("section[aria-labelledby=members] tbody tr")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_screens_fit_and_everybody_can_use_them(
    product: str, open_page: OpenPage, shot: Shot, scheme: Literal["light", "dark"], size: dict[str, int]
) -> None:
    page = open_page(scheme=scheme, size=size)
    sign_in(page, product, User.objects.get(username="demo"))
    gold = authoring.create(key="gold", name="Gold buyers", kind="rule", rule=RULE)
    authoring.activate(audience=gold)
    authoring.create(key="draft", name="A draft", kind="rule")
    guests = authoring.create(key="guests", name="Guests of the opening", kind="list")
    services.replace_list(guests, Profile.objects.values_list("pk", flat=True)[:30], now=timezone.now())
    look_at_everybody()
    email = Profile.objects.order_by("pk")[0].attributes["email"]
    for name, url in {
        "audiences": reverse("admin:profiles_audience_changelist"),
        "audience": f"{page_of('gold')}?why={email}",
        "draft": page_of("draft"),
        "list": page_of("guests"),
    }.items():
        page.goto(product + url)
        page.wait_for_load_state("networkidle")
        assert shot(page, f"{name}-{scheme}-{size['width']}").exists()
        assert not overflows(page), name
        assert findings(page) == [], name
