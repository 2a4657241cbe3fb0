"""Pushes over the wire: FCM and Web Push against the mailbox, which checks signatures and decrypts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from channels.providers import fcm, web_push
from channels.providers.base import Outgoing, Provider, ProviderError, Verdict
from tests.mailbox import Mailbox

PUSH = {
    "title": "Back in your size",
    "body": "The sweater – 49,90 €",
    "image_url": "https://img.example/s.png",
    "link_url": "https://shop.example/s",
    "data": {"screen": "shop"},
}


def outgoing(number: int, address: str, **push: Any) -> Outgoing:
    body = json.dumps(PUSH | push).encode()
    return Outgoing(number, address, "", body, f"key-{number}", device_id=number + 100)


def command(mailbox: Mailbox, service: str, kind: str, **more: Any) -> None:
    mailbox.get(
        "/faults.json", method="POST", body=json.dumps({"service": service, "kind": kind, **more}).encode()
    )


def shown(mailbox: Mailbox) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = mailbox.json("/phone.json")["messages"]
    return messages[::-1]


def subscribe(mailbox: Mailbox, settings: dict[str, Any] | None = None) -> str:
    """The address of a new browser, as a device's."""
    body = {"application_server_key": web_push.public_key(settings or {}), "name": "Ada's browser"}
    return mailbox.get("/subscriptions.json", method="POST", body=json.dumps(body).encode()).decode()


@pytest.fixture
def firebase(mailbox: Mailbox) -> Iterator[fcm.FcmProvider]:
    provider = fcm.FcmProvider({})
    yield provider
    provider.close()


@pytest.fixture
def browser_push(mailbox: Mailbox) -> Iterator[web_push.WebPushProvider]:
    provider = web_push.WebPushProvider({"contact": "push@brand.example"})
    yield provider
    provider.close()


def verdicts(provider: Provider, *batch: Outgoing) -> dict[int, Verdict]:
    return {receipt.device_id: receipt.verdict for receipt in provider.send(batch)}


# --- Firebase ------------------------------------------------------------------------------------------------


def test_a_push_reaches_phones_through_firebase(firebase: fcm.FcmProvider, mailbox: Mailbox) -> None:
    receipts = firebase.send(
        [outgoing(1, "token-of-ada"), outgoing(2, "gone-long-ago"), outgoing(3, "token-of-bob")]
    )
    said = {receipt.message_id: receipt for receipt in receipts}
    assert [said[n].verdict for n in (1, 2, 3)] == [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.ACCEPTED]
    assert [said[n].device_id for n in (1, 2, 3)] == [101, 102, 103]
    assert said[1].provider_id.startswith("projects/mailbox/messages/")
    assert (said[2].is_device_gone, said[1].is_device_gone) == (True, False)
    assert "UNREGISTERED" in said[2].detail
    messages = {each["to"]: each for each in shown(mailbox)}
    assert messages.keys() == {"token-of-ada", "token-of-bob"}
    ada = messages["token-of-ada"]
    assert (ada["title"], ada["text"], ada["image_url"], ada["link_url"], ada["data"]) == (
        PUSH["title"],
        PUSH["body"],
        PUSH["image_url"],
        PUSH["link_url"],
        {"screen": "shop", "link_url": PUSH["link_url"]},
    )


def test_an_access_that_was_taken_back_is_asked_for_again(
    firebase: fcm.FcmProvider, mailbox: Mailbox
) -> None:
    assert verdicts(firebase, outgoing(1, "token-of-ada")) == {101: Verdict.ACCEPTED}
    command(mailbox, "fcm", "forget_access")
    assert set(verdicts(firebase, *(outgoing(n, "token-of-ada") for n in range(2, 8))).values()) == {
        Verdict.ACCEPTED
    }
    assert len(shown(mailbox)) == 7


@pytest.mark.parametrize(
    ("kind", "verdict", "taken"),
    [
        ("unregistered", Verdict.REFUSED, 0),
        ("invalid", Verdict.REFUSED, 0),
        ("error", Verdict.UNKNOWN, 0),
        ("drop_before", Verdict.UNKNOWN, 0),
        ("drop_after", Verdict.UNKNOWN, 1),
        ("hang_after", Verdict.UNKNOWN, 1),
        ("garbage", Verdict.UNKNOWN, 1),
    ],
)
def test_what_firebase_did_is_said_as_it_is_known(
    firebase: fcm.FcmProvider,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    verdict: Verdict,
    taken: int,
) -> None:
    monkeypatch.setattr(fcm, "_CALL_SECONDS", 1.0)
    assert verdicts(firebase, outgoing(1, "token-of-bob")) == {101: Verdict.ACCEPTED}
    command(mailbox, "fcm", kind, to="ada")
    assert verdicts(firebase, outgoing(2, "token-of-ada")) == {102: verdict}
    assert len(shown(mailbox)) == 1 + taken


@pytest.mark.parametrize("kind", ["throttle", "unavailable"])
def test_a_firebase_that_takes_nothing_is_a_delay(
    firebase: fcm.FcmProvider, mailbox: Mailbox, kind: str
) -> None:
    command(mailbox, "fcm", kind, retry_after=7, times=99)
    with pytest.raises(ProviderError) as caught:
        firebase.send([outgoing(1, "token-of-ada"), outgoing(2, "token-of-bob")])
    assert not caught.value.permanent
    if kind == "throttle":
        assert caught.value.retry_after == 7
    assert shown(mailbox) == []


def test_an_account_that_is_not_let_in_holds_everything(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.AJO_FCM_URL = mailbox.url
    account = mailbox.json("/fcm/service-account.json") | {"client_email": "other@else.example"}
    monkeypatch.setenv("FCM_ACCOUNT", json.dumps(account))
    with pytest.raises(ProviderError, match="does not let the service account in") as caught:
        fcm.FcmProvider({"account_env": "FCM_ACCOUNT"}).send([outgoing(1, "token-of-ada")])
    assert caught.value.permanent
    for broken in ("", "{}", "no json"):
        monkeypatch.setenv("FCM_ACCOUNT", broken)
        with pytest.raises(ProviderError) as caught:
            fcm.FcmProvider({"account_env": "FCM_ACCOUNT"}).send([outgoing(1, "token-of-ada")])
        assert caught.value.permanent
    assert shown(mailbox) == []


def test_without_account_and_mailbox_there_is_nowhere_to_send(settings: Any) -> None:
    settings.AJO_MAILBOX_URL = ""
    with pytest.raises(ProviderError, match="no mailbox"):
        fcm.FcmProvider({}).send([outgoing(1, "token-of-ada")])


# --- Web Push ------------------------------------------------------------------------------------------------


def test_a_browser_reads_what_was_encrypted_for_it(
    browser_push: web_push.WebPushProvider, mailbox: Mailbox
) -> None:
    ada, bob = subscribe(mailbox), subscribe(mailbox)
    receipts = browser_push.send([outgoing(1, ada), outgoing(2, bob, title="For Bob")])
    assert {receipt.verdict for receipt in receipts} == {Verdict.ACCEPTED}
    assert all(receipt.provider_id.startswith(f"{mailbox.url}/m/") for receipt in receipts)
    messages = {each["to"]: each for each in shown(mailbox)}
    assert messages[json.loads(ada)["endpoint"]]["title"] == PUSH["title"]
    assert messages[json.loads(bob)["endpoint"]]["title"] == "For Bob"
    assert messages[json.loads(ada)["endpoint"]]["text"] == PUSH["body"]


def test_a_push_for_another_key_or_from_another_sender_is_not_taken(
    browser_push: web_push.WebPushProvider, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = json.loads(subscribe(mailbox)), json.loads(subscribe(mailbox))
    mixed = json.dumps({"endpoint": ada["endpoint"], "keys": bob["keys"]})
    (receipt,) = browser_push.send([outgoing(1, mixed)])
    assert (receipt.verdict, receipt.is_device_gone) == (Verdict.REFUSED, False)
    assert "cannot be decrypted" in receipt.detail
    monkeypatch.setenv("WEB_PUSH_KEY", "3" * 43)
    other = web_push.WebPushProvider({"key_env": "WEB_PUSH_KEY", "contact": "push@brand.example"})
    (receipt,) = other.send([outgoing(2, json.dumps(ada))])
    assert receipt.verdict is Verdict.REFUSED
    assert "another application server" in receipt.detail
    other.close()
    assert shown(mailbox) == []


@pytest.mark.parametrize(
    ("kind", "verdict", "is_gone", "taken"),
    [
        ("gone", Verdict.REFUSED, True, 0),
        ("too_large", Verdict.REFUSED, False, 0),
        ("throttle", Verdict.DEFERRED, False, 0),
        ("unavailable", Verdict.DEFERRED, False, 0),
        ("error", Verdict.UNKNOWN, False, 0),
        ("hang_after", Verdict.UNKNOWN, False, 1),
        ("drop_after", Verdict.UNKNOWN, False, 1),
    ],
)
def test_what_a_push_service_did_is_said_as_it_is_known(
    browser_push: web_push.WebPushProvider,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    verdict: Verdict,
    is_gone: bool,
    taken: int,
) -> None:
    monkeypatch.setattr(web_push, "_CALL_SECONDS", 1.0)
    ada, bob = subscribe(mailbox), subscribe(mailbox)
    command(mailbox, "web_push", kind, to=json.loads(ada)["endpoint"].rpartition("/")[2], retry_after=9)
    receipts = {each.device_id: each for each in browser_push.send([outgoing(1, ada), outgoing(2, bob)])}
    assert (receipts[101].verdict, receipts[101].is_device_gone) == (verdict, is_gone)
    assert receipts[102].verdict is Verdict.ACCEPTED, "another browser's push goes on"
    if kind == "throttle":
        assert receipts[101].retry_after == 9
    assert len(shown(mailbox)) == 1 + taken


def test_a_browser_that_left_is_gone(browser_push: web_push.WebPushProvider, mailbox: Mailbox) -> None:
    ada = subscribe(mailbox)
    mailbox.get(f"/subscriptions/{json.loads(ada)['endpoint'].rpartition('/')[2]}", method="DELETE")
    (receipt,) = browser_push.send([outgoing(1, ada)])
    assert (receipt.verdict, receipt.is_device_gone) == (Verdict.REFUSED, True)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:5432/push/x",
        "https://169.254.169.254/latest",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilpush.services.mozilla.com.example/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "http://fcm.googleapis.com/x",
        "file:///etc/passwd",
    ],
)
def test_a_browser_cannot_send_us_elsewhere(
    browser_push: web_push.WebPushProvider, mailbox: Mailbox, endpoint: str
) -> None:
    keys = json.loads(subscribe(mailbox))["keys"]
    (receipt,) = browser_push.send([outgoing(1, json.dumps({"endpoint": endpoint, "keys": keys}))])
    assert receipt.verdict is Verdict.REFUSED
    assert "AJO_WEB_PUSH_HOSTS" in receipt.detail


def test_known_services_are_called() -> None:
    for host in ("fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com"):
        assert web_push.endpoint_problem(f"https://{host}/x") == ""


def test_a_subscription_that_is_none_is_gone(
    browser_push: web_push.WebPushProvider, mailbox: Mailbox
) -> None:
    for address in (
        "no json",
        "{}",
        json.dumps({"endpoint": f"{mailbox.url}/push/x", "keys": {"auth": "a"}}),
    ):
        (receipt,) = browser_push.send([outgoing(1, address)])
        assert (receipt.verdict, receipt.is_device_gone) == (Verdict.REFUSED, True)
