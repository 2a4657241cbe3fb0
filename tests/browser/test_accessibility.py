"""Every screen in light and dark, on a desk and on a phone: for everybody, and within the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from django.conf import settings as product_settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, ViewportSize, expect

from ajo.core.models import User
from tests.browser import axe
from tests.browser.conftest import DESKTOP, PHONE, OpenPage, overflows

pytestmark = pytest.mark.browser
Look = tuple[Literal["light", "dark"], dict[str, int]]
PUBLIC = ["/", "/docs/", "/docs/demo/", "/docs/?q=event", "/api/v1/", "/admin/login/"]
# Swagger UI puts a link into the button of each call. That is its markup, not ours.
NOT_OURS = [".swagger-ui .opblock-summary-control"]


def sign_in(page: Page, product: str, user: User) -> None:
    """Give the browser a session of `user`, as the login form would."""
    client = Client()
    client.force_login(user)
    name = product_settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": product}])


def admin_screens() -> Iterator[str]:
    """The path of every list, of every form for a new object, and of the newest object of each kind."""
    yield reverse("admin:index")
    yield reverse("admin:password_change")
    yield reverse("account")
    yield reverse("suppressions")
    request = type("Request", (), {"user": User.objects.get(username="demo"), "GET": {}})()
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        if model_admin.has_add_permission(request):
            yield reverse(f"{name}_add")
        if found := model._default_manager.order_by("-pk").first():
            yield reverse(f"{name}_change", args=[found.pk])


def look_as(page: Page, look: Look) -> None:
    """Change colours and size of an open page, as its reader's device would."""
    scheme, size = look
    page.emulate_media(color_scheme=scheme)
    # Unfold asks for the reader's colours when a page is loaded.
    page.evaluate(
        "document.documentElement.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches)"
    )
    page.set_viewport_size(ViewportSize(width=size["width"], height=size["height"]))


# Each colour scheme and each size once; the other two pairs take as long again and are for `make test-long`.
@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([("light", DESKTOP), ("dark", PHONE)], id="two-looks"),
        pytest.param([("light", PHONE), ("dark", DESKTOP)], id="the-other-two", marks=pytest.mark.long),
    ],
)
def test_every_screen_is_for_everybody(product: str, open_page: OpenPage, looks: list[Look]) -> None:
    page = open_page()
    trouble: list[str] = []

    def visit(path: str) -> None:
        answer = page.goto(product + path)
        if answer is None or not answer.ok:
            trouble.append(f"{path}: it does not open")
        page.wait_for_load_state("networkidle")
        for look in looks:
            look_as(page, look)
            where = f"{path} in {look[0]}, {look[1]['width']} wide"
            trouble.extend(f"{where}: {finding}" for finding in axe.findings(page, exclude=NOT_OURS))
            if overflows(page):
                trouble.append(f"{where}: it scrolls sideways")

    for path in PUBLIC:
        visit(path)
    sign_in(page, product, User.objects.get(username="demo"))
    for path in admin_screens():
        visit(path)
    assert not trouble, "\n".join(trouble)


def test_the_lockout_says_what_to_do(product: str, page: Page) -> None:
    """On a plain page: the console of the others would complain about the answer 429, which is meant."""
    for n in range(5):
        page.goto(f"{product}/admin/login/")
        page.get_by_label("Username").fill("demo")
        page.get_by_label("Password").fill(f"wrong {n}")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Too many wrong passwords")).to_be_visible()
    assert axe.findings(page) == []
    assert not overflows(page)


def test_the_keyboard_alone_reaches_everything(product: str, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, product, User.objects.get(username="demo"))
    page.goto(f"{product}/admin/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"

    page.get_by_role("button", name="Demo Administrator").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="My account")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="My account")).to_be_hidden()


def test_the_command_palette_goes_and_begins(product: str, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page, product, User.objects.get(username="demo"))
    page.goto(f"{product}/admin/")
    page.keyboard.press("Control+k")
    page.get_by_role("searchbox").fill("new jour")
    page.keyboard.press("y")  # htmx listens to keys
    page.keyboard.press("Backspace")
    expect(page.locator("#command-results-list")).to_contain_text("New journey")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/journeys/journey/add/")
