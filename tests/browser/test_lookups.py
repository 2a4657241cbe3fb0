"""Lookups in a real browser: a table with a mistake is refused by line, then imported; a code pool is filled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from ajo.core.models import User
from profiles.lookups import authoring
from profiles.models import Lookup
from tests.browser.axe import findings
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows
from tests.browser.test_accessibility import sign_in

pytestmark = pytest.mark.browser
COLUMNS = [{"name": "price", "type": "money"}, {"name": "on_hand", "type": "number"}]


def make_prices() -> Lookup:
    return authoring.create_lookup(key="prices", name="Prices", key_label="SKU", columns=COLUMNS)


def test_a_table_is_imported_after_its_mistake(product: str, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(tolerated=["422"])
    sign_in(page, product, User.objects.get(username="demo"))
    prices = make_prices()
    page.goto(product + reverse("admin:profiles_lookup_change", args=[prices.pk]))
    file = tmp_path / "prices.csv"
    file.write_text("key,price,on_hand\nsweater-m,49.00 EUR,12\nsweater-l,cheap,0\n")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("cell", name="cheap")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Line 3, price: 'cheap' is no money.")).to_be_visible()
    assert not prices.rows.exists()
    page.get_by_label("Or paste it here").fill(file.read_text().replace("cheap", "39 EUR"))
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Imported: 2 rows are new")).to_be_visible()
    page.get_by_role("link", name="Edit sweater-l").click()
    page.get_by_label("on_hand").fill("4")
    page.get_by_role("button", name="Save the row").click()
    expect(page.get_by_role("row", name="sweater-l 39 EUR 4")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_screens_fit_and_everybody_can_use_them(
    product: str,
    open_page: OpenPage,
    shot: Callable[[Page, str], Path],
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    page = open_page(scheme=scheme, size=size)
    sign_in(page, product, User.objects.get(username="demo"))
    prices = make_prices()
    prices.rows.create(key="sweater-m", values={"on_hand": 12, "price": {"amount": "49", "currency": "EUR"}})
    pool = authoring.create_pool(key="thanks", name="Thanks for waiting")
    authoring.import_codes(pool=pool, given=["THANKS-1", "THANKS-2"])
    for name, url in {
        "lookups": reverse("admin:profiles_lookup_changelist"),
        "new-lookup": reverse("admin:profiles_lookup_add"),
        "lookup": reverse("admin:profiles_lookup_change", args=[prices.pk]),
        "pools": reverse("admin:profiles_codepool_changelist"),
        "pool": reverse("admin:profiles_codepool_change", args=[pool.pk]),
    }.items():
        page.goto(product + url)
        page.wait_for_load_state("networkidle")
        assert shot(page, f"{name}-{scheme}-{size['width']}").exists()
        assert not overflows(page), name
        assert findings(page) == [], name
