"""The screens of offers: written, published, tried for a person, and every decision explained."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core.models import AuditEvent
from offers import outcomes, querysets
from offers.decide import Ask, decide
from offers.models import (
    CapCounter,
    CapHold,
    CappingRule,
    Collection,
    Decision,
    DecisionOutcome,
    DecisionPolicy,
    OfferItem,
    Placement,
    PolicyStrategy,
    Representation,
    SelectionStrategy,
)
from offers.outcomes import Taken
from offers.plans import current_plan
from profiles.models import AttributeDefinition, Profile
from tests.factories import make_profile
from tests.offers.helpers import make_cap, make_offer, make_placement, make_policy, make_strategy
from tests.support import count_statements
from tests.test_roles import make_colleague

pytestmark = pytest.mark.django_db
State, Standing = OfferItem.State, OfferItem.Standing


def text_of(answer: Any) -> str:
    html = re.sub(r"<(script|style|template)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def page_of(thing: Any) -> str:
    return reverse(f"admin:offers_{thing._meta.model_name}_change", args=[thing.pk])


def rows(prefix: str, *filled: dict[str, Any]) -> dict[str, Any]:
    """The rows of a set of forms, as the page posts them."""
    found = {f"{prefix}-TOTAL_FORMS": len(filled), f"{prefix}-INITIAL_FORMS": 0}
    return found | {
        f"{prefix}-{number}-{name}": value for number, row in enumerate(filled) for name, value in row.items()
    }


def filled_in(**fields: Any) -> dict[str, Any]:
    """The page of an offer item as somebody fills it in."""
    whole = {"name": "Lambswool sweater", "priority": 5, "lever": 0}
    return {**whole, **rows("attributes"), **rows("caps"), **fields}


def cap(limit: Any, scope: str = "profile", **fields: Any) -> dict[str, Any]:
    return {"limit": limit, "scope": scope, "period": "month", "event": "shown", "time_zone": "", **fields}


@pytest.fixture
def marketer(client: Client) -> Client:
    client.force_login(make_colleague("marketer", name="mia"))
    return client


@pytest.fixture
def approver() -> Client:
    client = Client()
    client.force_login(make_colleague("approver", name="ali"))
    return client


# --- offer items -----------------------------------------------------------------------------------------------------


def test_an_item_is_written_on_one_page_and_published_by_an_approver(
    marketer: Client, approver: Client
) -> None:
    make_placement("hero")
    make_placement("push")
    answer = marketer.post(
        reverse("admin:offers_offeritem_add"),
        filled_in(
            eligibility='profile.tier == "gold"',
            valid_from="2026-11-01T09:00",
            **rows(
                "attributes",
                {"name": "category", "kind": "text", "value": "knitwear"},
                {"name": "margin", "kind": "number", "value": "9.5"},
                {"name": "is_new", "kind": "flag", "value": "Yes"},
                {"name": "sizes", "kind": "list", "value": "M, L"},
                {"name": "", "kind": "text", "value": ""},
            ),
            **rows("caps", cap(2), cap(500, "total", period="lifetime", event="decided"), cap("")),
            **{
                "rep-hero-is_used": "on",
                "rep-hero-title": "Back in your size",
                "rep-hero-image_url": "https://shop.example.com/sweater.jpg",
                "rep-push-title": "Half written, and not shown there",
            },
        ),
        follow=True,
    )
    assert "Saved." in text_of(answer)
    item = OfferItem.objects.get()
    assert (item.key, item.state, item.valid_until) == ("lambswool-sweater", State.DRAFT, None)
    assert item.attributes == {"category": "knitwear", "margin": 9.5, "is_new": True, "sizes": ["M", "L"]}
    assert item.valid_from is not None
    assert item.valid_from.isoformat() == "2026-11-01T09:00:00+00:00"
    assert list(item.representations.values_list("placement__key", "title", "image_url")) == [
        ("hero", "Back in your size", "https://shop.example.com/sweater.jpg")
    ]
    assert sorted(item.capping_rules.values_list("limit", "scope", "period", "event")) == [
        (2, "profile", "month", "shown"),
        (500, "total", "lifetime", "decided"),
    ]
    saved = AuditEvent.objects.get(action="save_offeritem")
    assert (saved.user.username, saved.object_key) == ("mia", "lambswool-sweater")  # type: ignore[union-attr]
    assert saved.data["changes"]["eligibility"] == [None, 'profile.tier == "gold"']
    assert saved.data["changes"]["Hero: title"] == [None, "Back in your size"]

    publish = reverse("admin:offers_offeritem_act", args=[item.pk, "publish"])
    assert marketer.post(publish).status_code == 403
    item.refresh_from_db()
    assert item.state == State.DRAFT
    assert "Publish" not in text_of(marketer.get(page_of(item)))
    assert "Published: it can be proposed now." in text_of(approver.post(publish, follow=True))
    item.refresh_from_db()
    assert item.state == State.APPROVED
    assert approver.get(publish).status_code == 405
    assert approver.post(page_of(item), filled_in()).status_code == 403

    # A cap keeps what it has counted when its number is changed, and the audit trail has both numbers.
    rule = item.capping_rules.get(scope="total")
    marketer.post(
        page_of(item),
        filled_in(
            **rows("caps", cap(600, "total", period="lifetime", event="decided")),
            **{"rep-hero-is_used": "on", "rep-hero-title": "Back in your size"},
        ),
    )
    (kept,) = item.capping_rules.all()
    assert (kept.pk, kept.limit) == (rule.pk, 600)
    changes = AuditEvent.objects.filter(action="save_offeritem").first().data["changes"]  # type: ignore[union-attr]
    assert changes["capping_rules"] == [
        ["2 × Per profile, Each month", "500 × In total, Ever"],
        ["600 × In total, Ever"],
    ]
    assert changes["attributes"][1] is None
    assert "name" not in changes


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"eligibility": "profile.tier ="}, "Write == to compare."),
        ({"eligibility": "profile.points + 1"}, "The expression holds number where boolean is wanted."),
        (
            {"valid_from": "2026-11-02T09:00", "valid_until": "2026-11-01T09:00"},
            "It would end before it begins.",
        ),
        (rows("attributes", {"name": "two words", "kind": "text", "value": "x"}), "begin with a letter"),
        (rows("attributes", {"name": "margin", "kind": "number", "value": "a lot"}), "This is no number."),
        (rows("attributes", {"name": "", "kind": "text", "value": "x"}), "This value has no name."),
        (
            rows("attributes", *[{"name": "size", "kind": "text", "value": "M"}] * 2),
            "There is another attribute with this name.",
        ),
        (rows("caps", cap(2), cap(3)), "This rule stands there twice. Leave the stricter one."),
        (rows("caps", cap(-1)), "Ensure this value is greater than or equal to 0."),
        ({"rep-hero-is_used": "on"}, "Nothing would be seen."),
        ({"rep-hero-is_used": "on", "rep-hero-title": "x", "rep-hero-link_url": "::"}, "Enter a valid URL."),
        ({"rep-data-is_used": "on", "rep-data-body": "{"}, "This is no JSON."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_saved(
    marketer: Client, fields: dict[str, Any], said: str
) -> None:
    AttributeDefinition.objects.create(key="points", label="Points", type="number")
    make_placement("hero")
    make_placement("data")
    Placement.objects.filter(key="data").update(content_type=Placement.ContentType.JSON)
    answer = marketer.post(reverse("admin:offers_offeritem_add"), filled_in(**fields))
    assert answer.status_code == 200
    shown = text_of(answer)
    assert "It is not saved yet" in shown
    assert said in shown
    assert not OfferItem.objects.exists()
    assert not Representation.objects.exists()
    assert not CappingRule.objects.exists()
    assert not AuditEvent.objects.filter(action="save_offeritem").exists()


def test_what_is_live_stays_fit_to_be_shown_and_what_is_archived_stays_as_it_is(
    marketer: Client, approver: Client
) -> None:
    item = make_offer("sweater")
    answer = marketer.post(page_of(item), filled_in())
    assert "It has no representation, so it could be shown nowhere." in text_of(answer)
    assert item.representations.count() == 1
    shown = text_of(
        approver.post(reverse("admin:offers_offeritem_act", args=[item.pk, "archive"]), follow=True)
    )
    assert "Archived." in shown
    assert marketer.post(page_of(item), filled_in(name="Other")).status_code == 403
    item.refresh_from_db()
    assert (item.name, item.state) == ("Sweater", State.ARCHIVED)
    assert "Sweater" not in text_of(marketer.get(reverse("admin:offers_offeritem_changelist")))


def test_a_draft_that_lacks_something_is_not_published(approver: Client) -> None:
    item = OfferItem.objects.create(key="voucher", name="Voucher")
    assert "Before it can be published" in text_of(approver.get(page_of(item)))
    answer = approver.post(reverse("admin:offers_offeritem_act", args=[item.pk, "publish"]), follow=True)
    assert "Voucher cannot be approved. It has no representation" in text_of(answer)
    item.refresh_from_db()
    assert item.state == State.DRAFT


def catalogue() -> dict[str, OfferItem]:
    now = timezone.now()
    return {
        "live": make_offer("sweater", priority=5, attributes={"category": "knitwear"}),
        "scheduled": make_offer(
            "hamper", valid_from=now + timedelta(days=2), attributes={"category": "food"}
        ),
        "ended": make_offer("dress", valid_until=now - timedelta(days=2)),
        "draft": make_offer("voucher", state=State.DRAFT, shown_in=("push",)),
        "archived": make_offer("old", state=State.ARCHIVED),
    }


def names_in_grid(client: Client, **query: str) -> list[str]:
    html = client.get(reverse("admin:offers_offeritem_changelist"), query).content.decode()
    return re.findall(r'<h2><a href="[^"]+">([^<]+)</a></h2>', html)


def test_the_grid_is_narrowed_by_word_state_collection_and_placement(marketer: Client) -> None:
    found = catalogue()
    now = timezone.now()
    for word, item in found.items():
        assert item.standing(now) == word
        assert list(querysets.standing(OfferItem.objects.all(), word, now)) == [item]
    assert names_in_grid(marketer) == ["Dress", "Hamper", "Sweater", "Voucher"]
    assert names_in_grid(marketer, standing="archived") == ["Old"]
    assert names_in_grid(marketer, standing="live") == ["Sweater"]
    assert names_in_grid(marketer, q="am") == ["Hamper"]
    assert names_in_grid(marketer, placement="push") == ["Voucher"]
    make_strategy(found["ended"], found["draft"], key="listed")
    make_strategy(rule='offer.category == "food"', key="by-rule")
    assert names_in_grid(marketer, collection="listed") == ["Dress", "Voucher"]
    assert names_in_grid(marketer, collection="by-rule") == ["Hamper"]
    assert names_in_grid(marketer, q="nothing\0") == []


def test_a_card_tells_validity_caps_and_what_became_of_it(marketer: Client) -> None:
    item = make_offer("sweater", priority=7)
    make_cap(item, 4)
    make_cap(item, 3, scope="profile", period="day")
    make_policy(make_strategy(item))
    people = [make_profile() for _ in range(3)]
    decided = decide(
        [Ask(one.pk) for one in people], current_plan("front-page", "hero", timezone.now()), timezone.now()
    )
    ids = [one.id for one in decided if one]
    outcomes.note_shown(ids[:2], timezone.now())
    outcomes.note_taken([Taken(ids[0], item.pk)], DecisionOutcome.Kind.CLICKED, timezone.now())
    shown = text_of(marketer.get(reverse("admin:offers_offeritem_changelist")))
    for words in ("Live Priority 7 Sweater Always valid Hero", "3 of 4 taken", "3 per person, each day",
                  "Shown 2 Clicked 1 50.0 %"):  # fmt: skip
        assert words in shown
    assert "Decided 3 Shown 2 Clicked 1 50.0 % Converted 0" in text_of(marketer.get(page_of(item)))


def test_the_grid_and_the_lists_need_as_many_statements_for_many_as_for_few(marketer: Client) -> None:
    def statements(name: str) -> int:
        cache.set("uncertain", 0)  # of the navigation, which asks anew twice a minute
        with count_statements() as counted:
            assert marketer.get(reverse(f"admin:offers_{name}_changelist")).status_code == 200
        return len(counted)

    def grow(size: int) -> None:
        for number in range(size):
            item = make_offer(f"item-{OfferItem.objects.count()}", shown_in=("hero", "push"))
            make_cap(item, 5)
            make_cap(item, 1, scope="profile")
            key = f"strategy-{item.pk}"
            strategy = make_strategy(item, key=key) if number % 2 else make_strategy(rule="true", key=key)
            make_policy(strategy, key=f"policy-{item.pk}", fallback=item)

    kinds = ("offeritem", "placement", "collection", "selectionstrategy", "decisionpolicy", "decision")
    grow(2)
    plan = current_plan(f"policy-{OfferItem.objects.first().pk}", "hero", timezone.now())  # type: ignore[union-attr]
    decide([Ask(make_profile().pk)], plan, timezone.now())
    few = {kind: statements(kind) for kind in kinds}
    grow(6)
    decide([Ask(make_profile().pk) for _ in range(8)], plan, timezone.now())
    assert {kind: statements(kind) for kind in kinds} == few


# --- expressions -----------------------------------------------------------------------------------------------------


def check(client: Client, text: str, expects: str = "condition") -> str:
    data = {"field": "eligibility", "eligibility": text, "expects": expects}
    return text_of(client.post(reverse("admin:offers_offeritem_check"), data)).strip()


def test_an_expression_is_checked_while_it_is_written(marketer: Client) -> None:
    AttributeDefinition.objects.create(key="tier", label="Loyalty tier", type="text")
    make_offer("sweater", attributes={"category": "knitwear"})
    make_offer("boots", attributes={"category": "shoes"})
    for tier in ("gold", "silver", "gold", "none"):
        make_profile(tier=tier)
    assert check(marketer, "") == ""
    assert "Loyalty tier is “gold”" in check(marketer, 'profile.tier == "gold"')
    assert "2 of 4 people fulfil it now (50 %)" in check(marketer, 'profile.tier == "gold"')
    assert "Did you mean profile.tier?" in check(marketer, 'profile.teir == "gold"')
    assert "Did you mean offer.category?" in check(marketer, 'offer.categroy == "shoes"')
    assert "people" not in check(marketer, 'context.weather == "rain"')
    assert "1 item fits now: Boots" in check(marketer, 'offer.category == "shoes"', "rule")
    assert "profile" in check(marketer, 'profile.tier == "gold"', "rule")
    assert check(marketer, 'profile.tier == "gold" &&').startswith("error Line 1, column ")
    assert "The expression holds text where number is wanted." in check(marketer, "profile.tier", "number")
    assert Client().post(reverse("admin:offers_offeritem_check")).status_code == 302


# --- what decides ----------------------------------------------------------------------------------------------------


def test_placement_collection_strategy_and_policy_are_made_in_plain_words(marketer: Client) -> None:
    sweater, scarf = make_offer("sweater"), make_offer("scarf")
    add = {model: reverse(f"admin:offers_{model._meta.model_name}_add") for model in
           (Placement, Collection, SelectionStrategy, DecisionPolicy)}  # fmt: skip
    marketer.post(add[Placement], {"name": "Email hero", "channel": 1, "content_type": "html"})
    assert Placement.objects.get(key="email-hero").get_channel_display() == "Email"

    marketer.post(
        add[Collection],
        {"name": "Warm things", "kind": "static", "rule": "ignored", "offers": ["sweater", "scarf"]},
    )
    warm = Collection.objects.get(key="warm-things")
    assert set(warm.offers.all()) == {sweater, scarf}
    assert warm.rule == ""
    answer = marketer.post(add[Collection], {"name": "By rule", "kind": "rule", "rule": ""})
    assert "It has no rule, so nothing would ever be in it." in text_of(answer)
    marketer.post(
        page_of(warm), {"name": "Warm", "kind": "rule", "rule": 'offer.category == "x"', "offers": ["scarf"]}
    )
    warm.refresh_from_db()
    assert (warm.name, warm.key, warm.kind, warm.offers.count()) == ("Warm", "warm-things", "rule", 0)

    strategy = {"name": "By margin", "collection": warm.pk, "method": "formula", "reward": "clicked"}
    assert "It ranks by a formula and has none" in text_of(marketer.post(add[SelectionStrategy], strategy))
    marketer.post(add[SelectionStrategy], {**strategy, "formula": "offer.margin * 2", "lots": ""})
    by_margin = SelectionStrategy.objects.get()
    assert (by_margin.exploration, by_margin.propensity_weight) == (0.05, 1.0)
    marketer.post(page_of(by_margin), {**strategy, "method": "learned", "value": "offer.margin", "lots": 12})
    by_margin.refresh_from_db()
    assert (by_margin.method, by_margin.value, by_margin.exploration) == ("learned", "offer.margin", 0.12)

    other = make_strategy(sweater, key="other")
    policy = {"name": "Front page", "items": 2, "fallback": scarf.pk}
    marketer.post(add[DecisionPolicy], {**policy, "strategies": ["other", "", "by-margin"]})
    front = DecisionPolicy.objects.get(key="front-page")
    assert [place.strategy for place in front.places.order_by("position")] == [other, by_margin]
    assert (front.items, front.fallback) == (2, scarf)
    answer = marketer.post(page_of(front), {**policy, "strategies": ["other", "other"]})
    assert "A strategy stands in it twice. Name each once." in text_of(answer)
    marketer.post(page_of(front), {**policy, "fallback": "", "strategies": ["by-margin", "other"]})
    changes = AuditEvent.objects.filter(action="save_decisionpolicy").first().data["changes"]  # type: ignore[union-attr]
    assert changes == {
        "fallback": ["Scarf", None],
        "strategies": [["Other", "By margin"], ["By margin", "Other"]],
    }
    assert PolicyStrategy.objects.count() == 2
    shown = text_of(marketer.get(reverse("admin:offers_decisionpolicy_changelist")))
    assert "By margin → Other" in shown
    assert "Front page" in text_of(marketer.get(page_of(by_margin)))  # used by


def test_a_collection_tells_how_many_are_in_it(marketer: Client) -> None:
    item = make_offer("sweater", attributes={"category": "knitwear"})
    make_offer("boots", attributes={"category": "shoes"})
    make_offer("gone", attributes={"category": "knitwear"}, state=State.ARCHIVED)
    make_strategy(item, key="listed")
    make_strategy(rule='offer.category == "knitwear"', key="by-rule")
    assert "1 item" in text_of(marketer.get(page_of(Collection.objects.get(key="by-rule"))))
    html = marketer.get(reverse("admin:offers_collection_changelist")).content.decode()
    assert len(re.findall(r"field-shown_items[^>]*>\s*1\s*<", html)) == 2


# --- simulate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop() -> Profile:
    """A policy with two strategies, and Ada, who has had the sweater."""
    AttributeDefinition.objects.create(key="size", label="Size", type="text")
    sweater = make_offer("sweater", priority=9)
    make_cap(sweater, 1, scope="profile")
    coat = make_offer("coat", priority=8, eligibility='profile.size == "M"')
    boots, scarf = make_offer("boots", priority=7), make_offer("scarf", priority=3)
    rain = make_offer("umbrella", priority=1, eligibility='context.event.weather == "rain" && context.n > 2')
    make_policy(make_strategy(sweater, coat, boots, scarf, key="warm"), make_strategy(rain, key="wet"))
    ada = make_profile(first_name="Ada", last_name="Lovelace", email="ada@example.com", user_id="u-1")
    decide([Ask(ada.pk)], current_plan("front-page", "hero", timezone.now()), timezone.now())
    return ada


def simulated(client: Client, **query: Any) -> str:
    asked = {"policy": "front-page", "placement": "hero", **query}
    return text_of(client.get(reverse("offers-simulate"), asked))


def counts() -> list[int]:
    tables = (Decision, CapCounter, CapHold, DecisionOutcome)
    return [table.objects.count() for table in tables] + list(CapCounter.objects.values_list("n", flat=True))


def test_a_simulation_tells_everything_and_leaves_no_trace(marketer: Client, shop: Profile) -> None:
    before = counts()
    shown = simulated(marketer, person="ada@example.com")
    assert "Ada Lovelace would get" in shown
    for reason in (
        "Cap reached: 1 of 1 per person, ever.",
        'Not eligible: profile.size is missing, so profile.size == "M" was false.',
        "Ranked 1st: 7, ahead of scarf with 3.",
        "Ranked 2nd: 3, below boots with 7.",
        "context.event and context.n are missing, so",
    ):
        assert reason in shown
    assert shown.count("Not eligible") >= 2
    assert counts() == before

    by_name = simulated(marketer, person="lovel")
    assert "Ada Lovelace would get" in by_name
    unknown = simulated(marketer)
    assert "Somebody unknown would get" in unknown
    assert "Ranked 1st: 9, ahead of boots with 7." in unknown
    rain = simulated(marketer, name=["event.weather", "n"], value=["rain", "3"])
    assert "Not needed: the strategies before its own filled every place." in rain
    assert counts() == before


def test_who_is_not_clear_is_asked_for(marketer: Client, shop: Profile) -> None:
    make_profile(first_name="Ada", last_name="Byron", email="byron@example.com")
    several = simulated(marketer, person="Ada")
    assert "Which one?" in several
    assert "Ada Byron · byron@example.com" in several
    assert "would get" not in several
    nobody = simulated(marketer, person="zed_%")
    assert "Nobody is called “zed_%”" in nobody
    assert "would get" not in nobody
    assert "Ada Lovelace would get" in simulated(marketer, profile=shop.pk)
    assert "Ada Lovelace would get" in simulated(marketer, kept=shop.pk)
    # Another name counts more than who was there before, and a choice more than the name that led to it.
    assert "Ada Byron would get" in simulated(marketer, kept=shop.pk, person="byron")
    assert "Ada Lovelace would get" in simulated(marketer, person="Ada", profile=shop.pk)


def test_a_strategy_shows_how_it_ranks_for_a_person(marketer: Client) -> None:
    sweater, boots = (
        make_offer("sweater", attributes={"margin": 8}),
        make_offer("boots", attributes={"margin": 2}, lever=50),
    )
    learned = make_strategy(
        sweater, boots, key="learned", method="learned", value="offer.margin", exploration=1.0
    )
    ada = make_profile(first_name="Ada")
    shown = text_of(marketer.get(page_of(learned), {"profile": ada.pk}))
    assert "How it ranks for Ada" in shown
    assert re.search(r"Propensity 0\.\d+ Context 1 Value 8 Lever 1 Score \d", shown)
    assert re.search(r"Propensity 0\.\d+ Context 1 Value 2 Lever 1\.5 Score \d", shown)
    assert "by lot" not in shown.split("How it ranks")[1].split("Used by")[0].replace(
        "by lot, in percent", ""
    )
    assert not Decision.objects.exists()


# --- decisions -------------------------------------------------------------------------------------------------------


def test_a_decision_is_found_and_explains_itself(marketer: Client, shop: Profile) -> None:
    decision = Decision.objects.get()
    outcomes.note_shown([decision.pk], timezone.now())
    listed = reverse("admin:offers_decision_changelist")
    for query, is_there in (
        ({}, True), ({"person": "ada@example.com"}, True), ({"policy": "front-page", "placement": "hero"}, True),
        ({"policy": "other"}, False), ({"person": "nobody@example.com"}, False),
        ({"day": timezone.localdate().isoformat()}, True), ({"day": "2020-01-01"}, False),
        ({"day": "2020-13-01"}, True),
        ({"before": str(decision.pk)}, False), ({"before": "x"}, True),
    ):  # fmt: skip
        found = f"/admin/offers/decision/{decision.pk}/" in marketer.get(listed, query).content.decode()
        assert found == is_there, query
    assert "Sweater Shown Ada Lovelace · Front-Page · Hero · A request to the API" in text_of(
        marketer.get(listed)
    )

    page = reverse("admin:offers_decision_change", args=[decision.pk])
    shown = text_of(marketer.get(page))
    for words in ("What Ada Lovelace got", "Why: all 5 candidates", "Ranked 1st: 9, ahead of boots with 7.",
                  "Asked by A request to the API", "Clicked not so far", "Policy Front-Page"):  # fmt: skip
        assert words in shown
    assert marketer.post(page).status_code == 403
    assert marketer.get("/admin/offers/decision/not-an-id/change/").status_code == 404


def test_a_decision_names_the_version_of_its_policy_and_outlives_what_it_names(
    marketer: Client, shop: Profile
) -> None:
    decision = Decision.objects.get()
    page, policy = reverse("admin:offers_decision_change", args=[decision.pk]), DecisionPolicy.objects.get()
    fields = {"name": "Front page", "items": 1, "strategies": ["warm"]}
    marketer.post(page_of(policy), fields)
    assert "It was saved once more since." in text_of(marketer.get(page))
    Decision.objects.filter(pk=decision.pk).update(decided_at=timezone.now())
    assert "version 1, saved by mia" in text_of(marketer.get(page))
    DecisionPolicy.objects.all().delete()
    SelectionStrategy.objects.all().delete()
    OfferItem.objects.all().delete()
    Profile.objects.all().delete()
    shown = text_of(marketer.get(page))
    assert "one that is gone" in shown
    assert "sweater" in shown
    assert marketer.get(reverse("admin:offers_decision_changelist")).status_code == 200
