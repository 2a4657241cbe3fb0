from __future__ import annotations

import pytest
from django.test import Client

from profiles.identity import ANONYMOUS_ID, PHONE
from profiles.models import Identity, Source
from profiles.stream import take_batch
from tests.factories import make_profile, make_source
from tests.profiles.store import identify, store, track

pytestmark = pytest.mark.django_db
PROFILES = "/admin/profiles/profile/"


def test_a_profile_shows_who_it_is_and_what_it_did(admin_client: Client) -> None:
    store(
        identify("ada", {"email": "ada@example.com", "note": "<b>bold</b>"}, anon="phone"),
        track("ada", "Bought a hat", properties={"price": 1}),
    )
    take_batch()
    profile_id = Identity.objects.filter(value="ada").get().profile_id
    page = admin_client.get(f"{PROFILES}{profile_id}/change/").content.decode()
    assert "ada@example.com" in page
    assert "Bought a hat" in page
    assert "<b>bold</b>" not in page
    assert "_save" not in page


@pytest.mark.parametrize(
    ("typed", "is_found"),
    [(" ADA@example.com", True), ("x-1", True), ("+49 151 12345678", True), ("ada@exam", False)],
)
def test_people_are_found_by_a_whole_identity(admin_client: Client, typed: str, is_found: bool) -> None:
    ada = make_profile("u1", "ada@example.com", first_name="Ada")
    make_profile("u2", first_name="Bob")
    Identity.objects.create(namespace_id=ANONYMOUS_ID, value="x-1", profile=ada)
    Identity.objects.create(namespace_id=PHONE, value="+4915112345678", profile=ada)
    page = admin_client.get(PROFILES, {"q": typed}).content.decode()
    assert ("Ada" in page) is is_found
    assert "Bob" not in page


@pytest.mark.parametrize(
    "name", ["profile", "source", "attributedefinition", "eventtype", "quarantinedevent"]
)
def test_every_list_opens(admin_client: Client, name: str) -> None:
    make_profile("ada")
    store(track(" "), track("ada"))
    take_batch()
    assert admin_client.get(f"/admin/profiles/{name}/").status_code == 200


def test_a_source_gets_its_write_key_and_keeps_its_key(admin_client: Client) -> None:
    answer = admin_client.post(
        "/admin/profiles/source/add/", {"name": "Shop", "key": "shop", "is_active": "on"}, follow=True
    )
    assert answer.status_code == 200
    shop = Source.objects.get(key="shop")
    assert shop.write_key.startswith("wk_")
    page = admin_client.get(f"/admin/profiles/source/{shop.pk}/change/").content.decode()
    assert shop.write_key in page
    assert admin_client.post(f"/admin/profiles/source/{make_source().pk}/delete/").status_code == 403
