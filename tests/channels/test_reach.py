from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from channels import addresses, delivery, services
from channels.delivery import outbox
from channels.models import ContactPolicy, ContactTally, Device, Message, MessageClass
from channels.reach import reach
from profiles.audiences import services as audiences
from profiles.models import Audience, Channel, Consent, Profile
from profiles.services import set_consent
from tests.channels.conftest import FakeService
from tests.factories import NOW, make_profile
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def make_list(key: str, profiles: list[Profile]) -> Audience:
    audience = Audience.objects.create(key=key, name=key, kind=Audience.Kind.LIST)
    audiences.replace_list(audience, [profile.pk for profile in profiles], now=NOW)
    return audience


def test_it_says_how_many_are_reached_and_why_the_others_are_not() -> None:
    people = [
        make_profile(email=email)
        for email in ("a@x.example", "b@x.example", "C@x.example", "none", "e@x.example")
    ]
    outside = make_profile()
    services.suppress(channel=Channel.EMAIL, address="c@X.example")
    for person in (people[1], people[2], outside):
        set_consent(
            profile_ids=[person.pk], channel=Channel.EMAIL, state=Consent.State.OPTED_OUT, reason="", now=NOW
        )
    audience, staff = make_list("buyers", people), make_list("staff", [people[4], outside])
    asked = {"audience_id": audience.pk, "exclusion_ids": [staff.pk], "channel": Channel.EMAIL, "now": NOW}

    with count_statements() as statements:
        marketing = reach(**asked, message_class=MessageClass.MARKETING)
    transactional = reach(**asked, message_class=MessageClass.TRANSACTIONAL)

    assert len(statements) == 2  # the policy of the channel, and everybody
    assert (marketing.total, marketing.reached) == (4, 1)
    assert marketing.withheld == {
        outbox.REASON_OPTED_OUT: 1, outbox.REASON_SUPPRESSED: 1, outbox.REASON_NO_ADDRESS: 1,
    }  # fmt: skip
    assert (transactional.total, transactional.reached) == (4, 2)


@pytest.mark.parametrize(
    "email",
    [
        "ada@x.example", " Ada@X.Example ", "Übung@x.example", "a b@x.example", "a@b", "@x.example", "a@x.", "",
        "a,b@x.example", "a" * 65 + "@x.example", "a@" + "x" * 250 + ".example", 'a"b@x.example', "e\u0301@x.example",
    ],
)  # fmt: skip
def test_an_address_is_usable_here_exactly_when_it_is_for_the_sender(email: str) -> None:
    person = make_profile(user_id="ada", email="ada@x.example")
    Profile.objects.filter(pk=person.pk).update(attributes={"email": email})
    found = reach(
        audience_id=make_list("one", [person]).pk,
        channel=Channel.EMAIL,
        message_class=MessageClass.MARKETING,
        now=NOW,
    )
    normal = addresses.normalise(Channel.EMAIL, addresses.address_of(Channel.EMAIL, {"email": email}))
    assert found.reached == (normal is not None)
    if normal is not None:
        services.suppress(channel=Channel.EMAIL, address=email)
        assert reach(
            audience_id=Audience.objects.get().pk,
            channel=Channel.EMAIL,
            message_class=MessageClass.MARKETING,
            now=NOW,
        ).withheld == {outbox.REASON_SUPPRESSED: 1}


@pytest.mark.parametrize(
    "phone", ["+49 30 901820", "+49-30-901820", "+1 (202) 555-0123", "030 901820", "", "tel"]
)
def test_a_number_is_usable_here_when_it_is_for_the_sender(phone: str) -> None:
    person = make_profile(phone=phone)
    found = reach(
        audience_id=make_list("one", [person]).pk,
        channel=Channel.SMS,
        message_class=MessageClass.TRANSACTIONAL,
        now=NOW,
    )
    assert found.reached == (addresses.normalise(Channel.SMS, phone) is not None)


@pytest.mark.parametrize(
    "address", ["1 Quay\nHarbour", " ", {"street": "1 Quay", "city": "Harbour"}, {"city": "Harbour"}, 7]
)
def test_a_postal_address_is_usable_here_when_it_is_for_the_sender(address: object) -> None:
    person = make_profile(address=address)
    found = reach(
        audience_id=make_list("one", [person]).pk,
        channel=Channel.DIRECT_MAIL,
        message_class=MessageClass.MARKETING,
        now=NOW,
    )
    assert found.reached == bool(addresses.address_of(Channel.DIRECT_MAIL, {"address": address}))


def test_a_push_reaches_those_who_have_a_device_of_the_provider() -> None:
    people = [make_profile() for _ in range(3)]
    for number, (person, is_active) in enumerate([(people[0], True), (people[0], True), (people[1], False)]):
        Device.objects.create(
            profile=person,
            provider="fcm",
            digest=bytes([number]) * 16,
            token="t",
            is_active=is_active,
            last_seen_at=NOW,
        )
    asked = {"audience_id": make_list("all", people).pk, "channel": Channel.PUSH}
    found = reach(**asked, message_class=MessageClass.TRANSACTIONAL, now=NOW, provider="fcm")
    assert (found.total, found.reached) == (3, 1)
    assert reach(**asked, message_class=MessageClass.TRANSACTIONAL, now=NOW, provider="web_push").reached == 0


def test_a_webhook_needs_no_address() -> None:
    audience = make_list("all", [make_profile()])
    found = reach(
        audience_id=audience.pk, channel=Channel.WEBHOOK, message_class=MessageClass.TRANSACTIONAL, now=NOW
    )
    assert (found.total, found.reached) == (1, 1)


def test_it_foresees_what_the_contact_policy_does(
    service: FakeService, make_draft: Callable[..., delivery.Draft], settings: Settings
) -> None:
    """The foreseen numbers are those of the fence, for the same people at the same moment."""
    settings.AJO_BRAND_TIME_ZONE = "Europe/Berlin"
    ContactPolicy.objects.create(most=2, days=7, quiet_from=time(22), quiet_until=time(8))
    ContactPolicy.objects.create(channel=Channel.SMS, most=1)
    now = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)  # 07:30 in Berlin, 15:30 in Tokyo
    zones = ["Europe/Berlin", "Asia/Tokyo", "Nowhere/Else", None, "Asia/Tokyo", "Asia/Tokyo", "Asia/Tokyo"]
    people = [make_profile(time_zone=zone) for zone in zones]
    free, capped, old, awake = people[3], people[4], people[5], people[6]
    hours = timedelta(hours=1)
    for person, times in {
        capped: [now - 30 * hours, now - 2 * hours],
        old: [now - 7 * 24 * hours, now - hours],  # the first one does not count any more
        awake: [now - hours],
        people[0]: [
            now - 7 * 24 * hours + hours / 4,
            now - hours,
        ],  # it will not at the end of the quiet hours
        free: [now - 7 * 24 * hours + hours, now - hours],  # it still will
    }.items():
        ContactTally.objects.create(
            profile_id=person.pk, scope=0, message_ids=list(range(len(times))), times=times
        )
    audience = make_list("all", people)
    asked: dict[str, Any] = {"audience_id": audience.pk, "channel": Channel.EMAIL}

    with count_statements() as statements:
        found = reach(**asked, message_class=MessageClass.MARKETING, now=now)

    assert len(statements) == 2
    reason = "The contact policy allows a person 2 marketing messages within 7 days."
    assert (found.total, found.reached, found.withheld) == (7, 5, {reason: 2})
    assert (found.held, found.quiet_until) == (2, time(8))
    everybody = reach(**asked, message_class=MessageClass.TRANSACTIONAL, now=now)
    assert (everybody.reached, everybody.held, everybody.quiet_until) == (7, 0, None)

    delivery.enqueue([make_draft(person) for person in people], now)
    delivery.take_batch(Channel.EMAIL, now=now)
    assert Message.objects.filter(reason=outbox.REASON_QUIET).count() == 3  # one of them is capped at 08:00
    delivery.take_batch(Channel.EMAIL, now=now + hours / 2)
    states = Counter(Message.objects.values_list("state", "reason"))
    assert states == {(Message.State.SENT, ""): found.reached, (Message.State.WITHHELD, reason): 2}
