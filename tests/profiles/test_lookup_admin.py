"""The pages of lookups and code pools in the administration."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent, User
from channels.models import Content, ContentVersion, Variant
from journeys.models import Journey, JourneyVersion
from offers.models import Collection, OfferItem, SelectionStrategy
from profiles.lookups.authoring import Refused, delete_lookup
from profiles.lookups.codes import take_codes
from profiles.models import Audience, CodePool, Lookup, LookupRow
from tests.factories import NOW, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db
CSV = "key,price,on_hand,sizes\na,12.50 EUR,3,S | M\nb,1 EUR,0,\n"


def url(name: str, thing: Any = None) -> str:
    noun, _, verb = name.partition(" ")
    return reverse(f"admin:profiles_{noun}_{verb}", args=[thing.pk] if thing else [])


@pytest.fixture
def products() -> Lookup:
    columns = [{"name": "price", "type": "money"}, {"name": "on_hand", "type": "number"}]
    return Lookup.objects.create(
        key="products",
        name="Products",
        key_label="SKU",
        columns=[*columns, {"name": "sizes", "type": "list"}],
    )


def test_a_lookup_is_made_and_changed(admin_client: Client) -> None:
    asked = {"name": "Rides", "key": "rides", "columns": "state text\nopens time\n"}
    page = admin_client.post(url("lookup add"), asked, follow=True)
    rides = Lookup.objects.get()
    assert page.redirect_chain == [(url("lookup change", rides), 302)]
    assert rides.columns == [{"name": "state", "type": "text"}, {"name": "opens", "type": "time"}]
    page = admin_client.post(url("lookup add"), {**asked, "key": "x", "columns": "state"})
    assert "Line 1 is no column." in page.content.decode()
    page = admin_client.post(url("lookup add"), {**asked, "key": "x", "columns": "state colour"})
    assert "needs a type" in page.content.decode()
    admin_client.post(url("lookup describe", rides), {"name": "Our rides", "columns": "state text"})
    page = admin_client.post(url("lookup describe", rides), {"name": "No", "columns": "state nonsense"})
    assert page.status_code == 422
    rides.refresh_from_db()
    assert (rides.name, len(rides.columns)) == ("Our rides", 1)
    assert AuditEvent.objects.filter(object_kind="profiles.lookup").count() == 3


def test_a_table_is_imported_all_or_nothing(admin_client: Client, products: Lookup) -> None:
    wrong = CSV.replace("1 EUR", "cheap").replace("12.50 EUR,3", "12.50 EUR,three")
    page = admin_client.post(url("lookup import", products), {"text": wrong, "mode": "merge"})
    said = page.content.decode()
    assert page.status_code == 422
    assert "because of 2 problems" in said
    assert "Line 2, on_hand: " in said
    assert "Line 3, price: " in said
    assert not LookupRow.objects.exists()
    file = SimpleUploadedFile("products.csv", CSV.encode("utf-8-sig"))
    page = admin_client.post(url("lookup import", products), {"file": file, "mode": "merge"}, follow=True)
    assert "Imported: 2 rows are new" in page.content.decode()
    assert page.context["rows"] == [("a", ["12.5 EUR", "3", "S | M"]), ("b", ["1 EUR", "0", ""])]
    page = admin_client.post(
        url("lookup import", products), {"text": "key,on_hand\nb,5", "mode": "replace"}, follow=True
    )
    assert page.context["rows"] == [("b", ["", "5", ""])]
    page = admin_client.post(url("lookup import", products), {"text": "sku\n1"})
    assert "No column of the file is named key." in page.content.decode()
    assert "There is nothing to import." in admin_client.post(url("lookup import", products)).content.decode()


def test_what_reads_a_lookup_is_told(admin_client: Client, products: Lookup) -> None:
    """Rules, drafts and the newest published words, journeys and offers; not what only sounds like it."""
    reads = 'lookup("products", profile.sku, "on_hand") > 0'
    Audience.objects.create(key="a", name="Audience", rule=reads)
    Audience.objects.create(key="b", name="Not", rule='lookup("product", profile.sku, "on_hand") > 0')
    OfferItem.objects.create(key="o", name="Offer", eligibility=reads)
    SelectionStrategy.objects.create(
        key="s", name="Strategy", collection=Collection.objects.create(key="c", name="All"), formula=reads
    )
    graph = {"activities": [{"id": "x", "kind": "condition", "config": {"paths": [{"expression": reads}]}}]}
    for name, state in (("Journey", "draft"), ("Over", "stopped")):
        journey = Journey.objects.create(key=name.lower(), name=name)
        JourneyVersion.objects.create(journey=journey, number=1, state=state, graph=graph)
    for name, texts in {
        "Content": ["Hello", "{{ lookups.products[event.sku].price }}"],
        "Quoted": ["{% assign row = lookups['products'][event.sku] %}"],
        "No more": ["{{ lookups.products.x.price }}", "Hello"],
        "Another": ["{{ lookups.products2.x.price }} lookups.productsx"],
    }.items():
        content = Content.objects.create(key=name.replace(" ", "-").lower(), name=name)
        for number, text in enumerate(texts, start=1):
            version = ContentVersion.objects.create(content=content, number=number, state="published")
            Variant.objects.create(version=version, columns=[["price", text]])
    page = admin_client.get(url("lookup change", products))
    assert {use.name for use in page.context["uses"]} == {
        "Audience", "Offer", "Strategy", "Journey", "Content", "Quoted"
    }  # fmt: skip
    with pytest.raises(Refused, match="“Audience”"):
        delete_lookup(lookup=products)
    assert Lookup.objects.exists()


def test_one_row_is_edited(admin_client: Client, products: Lookup) -> None:
    row = {"key": "s/1 M&L", "value-price": "5 EUR", "value-on_hand": "1"}
    admin_client.post(url("lookup row", products), row)
    page = admin_client.get(url("lookup change", products), {"row": "s/1 M&L"})
    assert [value for _, value in page.context["cells"]] == ["5 EUR", "1", ""]
    page = admin_client.post(url("lookup row", products), {**row, "value-on_hand": "few"})
    assert page.status_code == 422
    assert 'value="few"' in page.content.decode()
    admin_client.post(url("lookup row", products), {**row, "value-price": ""})
    assert LookupRow.objects.get().values == {"on_hand": 1}
    admin_client.post(url("lookup row", products), {**row, "verb": "remove"})
    assert not LookupRow.objects.exists()


def test_codes_are_added_and_looked_up(admin_client: Client) -> None:
    page = admin_client.post(
        url("codepool add"), {"name": "Sorry", "key": "sorry", "low_water": 2}, follow=True
    )
    pool = CodePool.objects.get()
    assert page.redirect_chain == [(url("codepool change", pool), 302)]
    page = admin_client.post(url("codepool import", pool), {"text": "A-1\nA-2\nA-1\n"}, follow=True)
    assert "2 codes were added; 1 were there already." in page.content.decode()
    ada = make_profile("ada", first_name="Ada")
    take_codes("sorry", [(7, ada.pk)], NOW)
    page = admin_client.get(url("codepool change", pool))
    assert (page.context["free"], page.context["given"], page.context["is_low"]) == ("1", "1", True)
    assert [(each.code, each.profile) for each in page.context["taken"]] == [("A-1", ada)]
    assert "“A-2” is free." in admin_client.get(url("codepool change", pool), {"q": "A-2"}).content.decode()
    page = admin_client.post(url("codepool import", pool), {"text": "x" * 300})
    assert page.status_code == 422
    page = admin_client.post(
        url("codepool remove", pool), {"which": "these", "text": "A-1\nA-2"}, follow=True
    )
    assert "1 codes were taken out." in page.content.decode()
    admin_client.post(url("codepool import", pool), {"text": "A-3\nA-4"})
    page = admin_client.post(url("codepool remove", pool), {"which": "all"}, follow=True)
    assert "2 codes were taken out." in page.content.decode()
    assert list(pool.codes.values_list("code", flat=True)) == ["A-1"]
    admin_client.post(url("codepool describe", pool), {"name": "Very sorry", "low_water": "5"})
    admin_client.post(url("codepool describe", pool), {"name": "X", "low_water": "-5"})
    pool.refresh_from_db()
    assert (pool.name, pool.low_water) == ("Very sorry", 5)
    assert "1" in admin_client.get(url("codepool changelist")).content.decode()


def test_pages_cost_the_same_for_few_and_many(admin_client: Client, products: Lookup) -> None:
    pool = CodePool.objects.create(key="a", name="A")

    def costs() -> list[int]:
        found = []
        for page in (
            url("lookup changelist"),
            url("lookup change", products),
            url("codepool changelist"),
            url("codepool change", pool),
        ):
            with count_statements() as seen:
                assert admin_client.get(page).status_code == 200
            found.append(len(seen))
        return found

    admin_client.post(url("lookup import", products), {"text": CSV})
    costs()
    few = costs()
    rows = "".join(f"r{number},1 EUR,1,\n" for number in range(70))
    admin_client.post(url("lookup import", products), {"text": f"key,price,on_hand,sizes\n{rows}"})
    for number in range(5):
        CodePool.objects.create(key=f"p{number}", name="P")
        Lookup.objects.create(key=f"l{number}", name="L")
    assert costs() == few
    page = admin_client.get(url("lookup change", products))
    assert (len(page.context["rows"]), page.context["next"]) == (50, "r51")


def test_a_viewer_looks_and_changes_nothing(products: Lookup) -> None:
    pool = CodePool.objects.create(key="a", name="A")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(viewer)
    assert "Import a table" not in client.get(url("lookup change", products)).content.decode()
    assert "Add codes" not in client.get(url("codepool change", pool)).content.decode()
    for name, thing in (
        ("lookup import", products),
        ("lookup row", products),
        ("lookup describe", products),
        ("codepool import", pool),
        ("codepool remove", pool),
        ("codepool describe", pool),
    ):
        assert client.post(url(name, thing), {"name": "X", "key": "x", "text": "x"}).status_code == 403, name
    stranger = Client()
    stranger.force_login(User.objects.create_user("nobody", is_staff=True))
    assert stranger.get(url("lookup change", products)).status_code == 403
    assert stranger.get(url("codepool change", pool)).status_code == 403
