"""How devices become known: events of apps and pages, and the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from channels import devices
from channels.devices import Fate, Registration
from channels.models import Device, Message
from profiles import services as profile_services
from profiles.models import Profile
from profiles.stream import step
from tests.api.support import client_with, problem
from tests.channels.test_channels import make_device
from tests.factories import NOW, make_configuration, make_profile
from tests.journeys.races import start
from tests.profiles.store import Call, identify, store, track
from tests.support import count_statements

SUBSCRIPTION = {"p256dh": "B" * 87, "auth": "a" * 22}
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/abc"


def told(*calls: Call) -> None:
    store(*calls)
    step.take_batch(now=NOW + timedelta(hours=3))


def phone(token: str, **more: Any) -> dict[str, Any]:
    return {"device": {"id": "x", "token": token, "type": "Android"} | more}


def known() -> set[tuple[str, str, str]]:
    return set(Device.objects.values_list("provider", "token", "platform"))


@pytest.mark.django_db(transaction=True)
def test_an_app_tells_its_token_with_its_events() -> None:
    told(
        track("ada", "Application Installed", context=phone("token-1")),
        identify("bob", context=phone("token-2", type="ios")),
        track("bob", context={"device": {"type": "android"}}),
        track("bob", context=phone("")),
        track("eve"),
    )
    assert known() == {("fcm", "token-1", "android"), ("fcm", "token-2", "ios")}
    ada = Profile.objects.get(identities__value="ada")
    assert Device.objects.get(token="token-1").profile_id == ada.pk


@pytest.mark.django_db(transaction=True)
def test_a_page_tells_its_subscription() -> None:
    told(track("ada", context=phone(ENDPOINT, type="web_push", keys=SUBSCRIPTION)))
    assert known() == {("web_push", ENDPOINT, "web")}
    assert Device.objects.get().keys == SUBSCRIPTION


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "device",
    [
        {"token": 7},
        {"token": ["x"]},
        {"token": "x" * 5_000},
        {"token": "https://169.254.169.254/", "type": "web_push", "keys": SUBSCRIPTION},
        {"token": ENDPOINT, "type": "web_push"},
        {"token": ENDPOINT, "type": "web_push", "keys": {"p256dh": "x" * 999, "auth": "x"}},
        {"token": "x", "keys": {"a": "b"}},
        {"token": "x", "keys": "b"},
    ],
)
def test_what_is_no_device_is_passed_over_and_the_event_stays(device: dict[str, Any]) -> None:
    told(track("ada", context={"device": device}), track("bob", context=phone("token-2")))
    assert known() == {("fcm", "token-2", "android")}
    assert Profile.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_newest_owner_has_it_and_repeats_write_nothing() -> None:
    told(track("ada", context=phone("t"), at=NOW))
    seen = Device.objects.get()
    told(track("ada", context=phone("t"), at=NOW + timedelta(minutes=5)))
    assert Device.objects.get().last_seen_at == seen.last_seen_at
    told(track("bob", context=phone("t"), at=NOW + timedelta(minutes=6)))
    bob = Profile.objects.get(identities__value="bob")
    assert Device.objects.get().profile_id == bob.pk
    told(track("ada", context=phone("t"), at=NOW - timedelta(days=1)))
    assert Device.objects.get().profile_id == bob.pk, "an old event came late"
    told(track("bob", context=phone("t"), at=NOW + timedelta(hours=2)))
    assert Device.objects.get().last_seen_at == NOW + timedelta(hours=2)


@pytest.mark.django_db(transaction=True)
def test_devices_cost_one_statement_however_many_they_are() -> None:
    def statements(count: int) -> int:
        store(*(track(f"p{count}-{n}", context=phone(f"t{count}-{n}")) for n in range(count)))
        with count_statements() as seen:
            step.take_batch(now=NOW + timedelta(hours=3))
        return sum("INSERT INTO device" in each for each in seen)

    assert statements(1) == statements(40) == 1
    assert Device.objects.count() == 41


@pytest.mark.django_db(transaction=True)
def test_many_that_tell_of_the_same_devices_do_not_wait_in_a_circle() -> None:
    ada = make_profile().pk
    told = [Registration(ada, "fcm", f"token-{n}", NOW) for n in range(500)]
    with ThreadPoolExecutor(8) as pool:
        running = [start(pool, devices.register, told[:: 1 if n % 2 else -1]) for n in range(8)]
        for one in running:
            one.result(30)
    assert Device.objects.filter(profile=ada).count() == 500


@pytest.mark.django_db
def test_who_registered_since_a_service_said_gone_is_there_again() -> None:
    ada = make_profile()
    back = make_device(ada, "back", seen_at=NOW + timedelta(seconds=1))
    gone = make_device(ada, "gone", seen_at=NOW - timedelta(seconds=1))
    fates = [Fate(1, each.pk, Message.State.FAILED.value, is_gone=True) for each in (back, gone)]
    devices.record(fates, NOW)
    assert set(Device.objects.values_list("token", "is_active")) == {("back", True), ("gone", False)}


# --- API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def api(db: None) -> APIClient:
    return client_with("devices:read", "devices:write")


def test_a_server_registers_a_phone_and_switches_it_off(api: APIClient) -> None:
    ada = make_profile()
    body = {"profile": str(ada.pk), "provider": "fcm", "token": "token-1", "platform": "android"}
    made = api.post("/api/v1/devices/", body)
    assert made.status_code == 201
    device = made.json()
    assert device.pop("last_seen_at")
    assert device == {
        "id": str(Device.objects.get().pk),
        "profile": str(ada.pk),
        "provider": "fcm",
        "token": "token-1",
        "platform": "android",
        "locale": "",
        "is_active": True,
    }
    assert api.post("/api/v1/devices/", body).json()["id"] == device["id"]
    assert [each["id"] for each in api.get(f"/api/v1/devices/?profile={ada.pk}").json()["results"]] == [
        device["id"]
    ]
    assert api.delete(f"/api/v1/devices/{device['id']}/").status_code == 204
    assert devices.reach([(1, ada.pk, "fcm")]) == {}


def test_a_merged_profile_is_its_survivor(api: APIClient) -> None:
    ada, other = make_profile(), make_profile()
    Profile.objects.filter(pk=other.pk).update(merged_into=ada.pk)
    body = {"profile": str(other.pk), "provider": "fcm", "token": "t"}
    assert api.post("/api/v1/devices/", body).json()["profile"] == str(ada.pk)
    assert profile_services.living_profiles([other.pk]) == {other.pk: ada.pk}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "smtp"}, "provider"),
        ({"token": ""}, "token"),
        ({"provider": "web_push", "token": ENDPOINT}, "keys"),
        ({"provider": "web_push", "token": "https://10.0.0.1/x", "keys": SUBSCRIPTION}, "token"),
        ({"keys": SUBSCRIPTION}, "keys"),
    ],
)
def test_what_cannot_be_reached_is_refused(api: APIClient, change: dict[str, Any], field: str) -> None:
    body = {"profile": str(make_profile().pk), "provider": "fcm", "token": "t"} | change
    refused = problem(api.post("/api/v1/devices/", body), 400, "invalid")
    assert [error["field"] for error in refused["errors"]] == [field]
    assert not Device.objects.exists()


def test_nobody_registers_for_who_does_not_exist(api: APIClient) -> None:
    body = {"profile": "999999999", "provider": "fcm", "token": "t"}
    refused = problem(api.post("/api/v1/devices/", body), 400, "invalid")
    assert [error["field"] for error in refused["errors"]] == ["profile"]
    assert not Device.objects.exists()


def test_pages_find_the_key_to_subscribe_with(api: APIClient) -> None:
    make_configuration("browsers", channel=3, provider="web_push", sender_address="")
    make_configuration(
        "broken", channel=3, provider="web_push", sender_address="", settings={"key_env": "WEB_PUSH_KEY_NONE"}
    )
    (key,) = api.get("/api/v1/devices/web-push-keys/").json()["keys"]
    assert key["configuration"] == "browsers"
    assert len(key["public_key"]) == 87


def test_reading_does_not_allow_writing(db: None) -> None:
    reader = client_with("devices:read")
    ada = make_profile()
    make_device(ada, "t")
    assert reader.get("/api/v1/devices/").status_code == 200
    assert reader.post("/api/v1/devices/", {"profile": str(ada.pk)}).status_code == 403
    assert reader.delete(f"/api/v1/devices/{Device.objects.get().pk}/").status_code == 403
    assert devices.register([Registration(ada.pk, "fake", "t", NOW)]) == 0
