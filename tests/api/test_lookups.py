"""Lookups and code pools through the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from ajo.core.models import AuditEvent
from profiles.lookups.codes import take_codes
from profiles.models import Lookup, LookupRow
from tests.api.support import client_with, problem
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import make_audience
from tests.support import count_statements

pytestmark = pytest.mark.django_db
URL, POOLS = "/api/v1/lookups/", "/api/v1/code-pools/"
COLUMNS = [{"name": "price", "type": "money"}, {"name": "on_hand", "type": "number"}]


def make_products(api: APIClient) -> str:
    made = api.post(URL, {"key": "products", "name": "Products", "key_label": "SKU", "columns": COLUMNS})
    assert made.status_code == 201, made.content
    return f"{URL}products/"


def test_a_lookup_is_made_described_and_deleted(api: APIClient) -> None:
    url = make_products(api)
    body = api.get(url).json()
    assert body == {
        "key": "products",
        "name": "Products",
        "description": "",
        "key_label": "SKU",
        "columns": COLUMNS,
        "created_at": body["created_at"],
        "changed_at": None,
    }
    problem(api.post(URL, {"key": "products", "name": "X", "columns": []}), 409, "refused")
    twice = [COLUMNS[0], COLUMNS[0]]
    body = problem(api.post(URL, {"key": "x", "name": "X", "columns": twice}), 400, "invalid")
    assert body["errors"][0]["field"] == "columns"
    changed = api.patch(url, {"name": "Sweaters", "columns": COLUMNS[:1]}).json()
    assert (changed["name"], changed["columns"]) == ("Sweaters", COLUMNS[:1])
    audience = make_audience("cheap", 'lookup("products", profile.favourite, "price") < money("5", "EUR")')
    body = problem(api.delete(url), 409, "refused")
    assert "“cheap”" in body["detail"]
    audience.delete()
    api.put(f"{url}rows/", {"key": "a", "values": {"price": "5 EUR"}})
    assert api.delete(url).status_code == 204
    assert not LookupRow.objects.exists()
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["create_lookup", "change_lookup", "change_lookup", "import_lookup", "delete_lookup"]


def test_rows_are_written_read_and_taken_out(api: APIClient) -> None:
    url = make_products(api)
    row = api.put(f"{url}rows/", {"key": "sw/1 M", "values": {"price": "12.50 EUR", "on_hand": 3}}).json()
    assert row == {"key": "sw/1 M", "values": {"price": {"amount": "12.5", "currency": "EUR"}, "on_hand": 3}}
    row = api.put(f"{url}rows/", {"key": "sw/1 M", "values": {"on_hand": 2}}).json()
    assert row["values"]["price"]["amount"] == "12.5", "A column that was left out lost its value."
    body = problem(api.put(f"{url}rows/", {"key": "x", "values": {"on_hand": "many"}}), 400, "invalid")
    assert "on_hand" in body["detail"]
    for number in range(3):
        api.put(f"{url}rows/", {"key": f"k{number}", "values": {}})
    first = api.get(f"{url}rows/", {"limit": 3}).json()
    assert [each["key"] for each in first["results"]] == ["k0", "k1", "k2"]
    assert [each["key"] for each in api.get(first["next"]).json()["results"]] == ["sw/1 M"]
    assert [each["key"] for each in api.get(f"{url}rows/", {"key": "k1"}).json()["results"]] == ["k1"]
    assert api.post(f"{url}rows/remove/", {"keys": ["k0", "k1", "no"]}).json() == {"removed": 2}
    assert LookupRow.objects.count() == 2


def test_an_import_is_all_or_nothing(api: APIClient) -> None:
    url = make_products(api)
    wrong = "key,price,on_hand\na,1 EUR,1\nb,cheap,2\nc,3 EUR,three\n"
    body = problem(api.post(f"{url}rows/import/", {"mode": "replace", "csv": wrong}), 400, "invalid")
    assert [error["message"].split(":")[0] for error in body["errors"]] == [
        "Line 3, price",
        "Line 4, on_hand",
    ]
    assert not LookupRow.objects.exists()
    right = wrong.replace("cheap", "2 EUR").replace("three", "3")
    done = api.post(f"{url}rows/import/", {"mode": "replace", "csv": right}).json()
    assert done == {"rows": 3, "added": 3, "changed": 0, "removed": 0}
    merged = {"mode": "merge", "rows": [{"key": "a", "values": {"on_hand": 9}}]}
    assert api.post(f"{url}rows/import/", merged).json() == {
        "rows": 1,
        "added": 0,
        "changed": 1,
        "removed": 0,
    }
    assert api.post(f"{url}rows/import/", {**merged, "mode": "replace"}).json()["removed"] == 2
    problem(api.post(f"{url}rows/import/", {"mode": "merge"}), 400, "invalid")
    problem(api.post(f"{url}rows/import/", {"mode": "merge", "csv": "a,b\n"}), 400, "invalid")
    problem(api.post(f"{URL}nothing/rows/import/", merged), 404, "not_found")


def test_codes_are_added_counted_and_given(api: APIClient) -> None:
    made = api.post(POOLS, {"key": "sorry", "name": "Sorry"})
    assert (made.status_code, made.json()["free"], made.json()["low_water"]) == (201, 0, 100)
    url = f"{POOLS}sorry/"
    done = api.post(f"{url}import/", {"codes": ["A-1", "A-2", " A-1", ""]}).json()
    assert done == {"added": 2, "repeated": 1}
    ada = make_profile("ada")
    assert take_codes("sorry", [(7, ada.pk)], NOW) == {7: "A-1"}
    body = api.patch(url, {"low_water": 5}).json()
    assert (body["free"], body["taken"], body["low_water"]) == (1, 1, 5)
    assert api.get(f"{url}taken/").json()["results"] == [
        {"code": "A-1", "message": "7", "profile": str(ada.pk), "taken_at": "2026-11-21T12:00:00Z"}
    ]
    problem(api.post(f"{url}import/", {"codes": ["x" * 300]}), 400, "invalid")
    assert api.post(f"{url}remove/", {"codes": ["A-1", "no"]}).json() == {"removed": 0}
    assert api.post(f"{url}remove/", {}).json() == {"removed": 1}
    assert api.get(url).json()["free"] == 0
    problem(api.get(f"{POOLS}nothing/taken/"), 404, "not_found")


def test_lists_cost_the_same_for_few_and_many(api: APIClient) -> None:
    def costs() -> list[int]:
        found = []
        for url in (URL, f"{URL}products/rows/", POOLS):
            with count_statements() as seen:
                assert api.get(url).status_code == 200
            found.append(len(seen))
        return found

    url = make_products(api)
    api.post(POOLS, {"key": "a", "name": "A"})
    api.put(f"{url}rows/", {"key": "a", "values": {}})
    few = costs()
    for number in range(5):
        api.post(POOLS, {"key": f"p{number}", "name": "A"})
        Lookup.objects.create(key=f"l{number}", name="L", columns=[])
        api.put(f"{url}rows/", {"key": f"r{number}", "values": {}})
    assert costs() == few
    assert max(few) <= 4


def test_rights_are_those_of_the_scope() -> None:
    Lookup.objects.create(key="products", name="Products", columns=COLUMNS)
    reader = client_with("lookups:read")
    assert reader.get(f"{URL}products/rows/").status_code == 200
    for answer in (
        reader.put(f"{URL}products/rows/", {"key": "a", "values": {}}),
        reader.post(f"{URL}products/rows/import/", {"mode": "replace", "rows": []}),
        reader.delete(f"{URL}products/"),
        reader.post(POOLS, {"key": "a", "name": "A"}),
    ):
        problem(answer, 403, "missing_scope")
