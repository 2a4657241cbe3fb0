"""The demo brand: believable, the same for the same seed, written as the engine itself would have written it."""

from __future__ import annotations

import itertools
import json
import random
import re
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import authenticate
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from ajo.core.models import ApiKey, User
from ajo.demo import catalogue, closed_ride, late_parcels, seeding, welcome, writer
from ajo.demo.history import DAYS, Happening, history
from ajo.demo.people import ATTRIBUTES, Person, people
from ajo.notices.models import LiveView
from campaigns import notices
from campaigns import services as campaigns
from campaigns.models import Campaign, Notice
from channels.models import ContentVersion, Device, Variant
from channels.rendering import Words, compile_email
from channels.services import words_of
from journeys.models import JourneyVersion
from journeys.services import check_version
from offers.models import OfferItem, Representation
from profiles.audiences.services import evaluate_range
from profiles.identity import normalise
from profiles.models import (
    AttributeDefinition,
    Audience,
    Code,
    Consent,
    Event,
    Identity,
    IngestBatch,
    LookupRow,
    Profile,
    ProfileDaily,
    ProfileEvent,
    Source,
)
from profiles.rollup import amount
from tests.support import count_statements

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Cast = list[tuple[Person, list[Happening]]]


def draw(count: int, seed: int = 1, now: datetime = NOW) -> Cast:
    chance = random.Random(seed)
    return [(person, history(person, chance, now)) for person in itertools.islice(people(chance, now), count)]


@pytest.fixture(scope="module")
def cast() -> Cast:
    return draw(2_000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AJO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def demo(db: None, home: Path) -> Iterator[dict[str, str]]:
    """A demo of 60 people and its `demo.json`."""
    call_command("seed_demo", profiles=60, url="http://127.0.0.1:8123", stdout=StringIO())
    return json.loads((home / "demo.json").read_text())


# --- the generators ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_people(cast: Cast) -> None:
    assert draw(100) == cast[:100]
    assert draw(100, seed=2) != cast[:100]


def test_people_are_distinct_and_their_identifiers_are_as_the_stream_step_would_keep_them(cast: Cast) -> None:
    identifiers = [identifier for person, _ in cast for identifier in writer.identifiers_of(person)]
    assert len(set(identifiers)) == len(identifiers)
    assert all(normalise(namespace, value) == value for namespace, value in identifiers)


def test_nobody_in_it_can_be_reached(cast: Cast) -> None:
    assert all(person.email.endswith("@example.com") for person, _ in cast)


def test_each_attribute_is_declared_and_each_zone_exists(cast: Cast) -> None:
    for person, _ in cast:
        assert person.attributes.keys() <= ATTRIBUTES.keys()
        assert person.attributes["loyalty_tier"] in catalogue.TIERS
        ZoneInfo(person.attributes["time_zone"])


def test_phone_numbers_run_out_rather_than_repeat() -> None:
    chance = random.Random(1)
    phones = Counter(person.phone for person in itertools.islice(people(chance, NOW), 40_000) if person.phone)
    assert max(phones.values()) == 1


def test_nothing_happens_before_somebody_joined_or_after_now(cast: Cast) -> None:
    for person, events in cast:
        assert all(person.created_at <= event.occurred_at <= NOW for event in events)
        assert all(NOW - timedelta(days=DAYS) <= event.occurred_at for event in events)


def test_the_money_of_an_order_is_the_sum_of_its_lines(cast: Cast) -> None:
    orders = [event.properties for _, events in cast for event in events if event.name == "Order Completed"]
    assert len(orders) > 300
    for order in orders:
        assert order["revenue"] == sum((line["price"] for line in order["products"]), Decimal(0))


def test_the_late_parcels_have_their_cast(cast: Cast) -> None:
    """Of those who bought in the last seven days some wait for a parcel that is late, and most do not."""
    bought = late = 0
    for _, events in cast:
        recent = [event for event in events if event.occurred_at > NOW - timedelta(days=7)]
        bought += any(event.name == "Order Completed" for event in recent)
        delayed = {event.properties["order_id"] for event in recent if event.name == "Order Delayed"}
        late += bool(
            delayed - {event.properties["order_id"] for event in recent if event.name == "Order Delivered"}
        )
    assert bought > 150
    assert 10 < late < bought / 4


def test_the_parking_lot_has_its_cast(cast: Cast) -> None:
    """Loyal people wait for the sweater in a size that is sold out."""
    wishes = [
        (person, event.properties)
        for person, events in cast
        for event in events
        if event.name == "Back In Stock Requested"
    ]
    assert any(person.attributes["loyalty_tier"] == "Gold" for person, _ in wishes)
    for person, wish in wishes:
        assert wish["product_id"] == catalogue.SWEATER.id
        assert wish["size"] == person.attributes["clothing_size"]
        assert catalogue.SWEATER.stock[wish["size"]] == 0


def test_the_closed_ride_has_its_cast(cast: Cast) -> None:
    """People are in both parks now: they entered in the last three hours and did not leave."""
    inside: Counter[str] = Counter()
    for _, events in cast:
        entered = [e for e in events if e.name == "Park Entered" and e.occurred_at > NOW - timedelta(hours=3)]
        if entered and not any(
            e.name == "Park Left" and e.occurred_at > entered[0].occurred_at for e in events
        ):
            inside[entered[0].properties["park"]] += 1
    assert inside.total() >= 20
    assert set(inside) == {park.name for park in catalogue.PARKS}


def test_only_open_rides_are_ridden(cast: Cast) -> None:
    open_rides = {ride.name for park in catalogue.PARKS for ride in park.open_rides}
    ridden = {e.properties["ride"] for _, events in cast for e in events if e.name == "Ride Ridden"}
    assert ridden == open_rides


# --- the rows ------------------------------------------------------------------------------------------------


def test_the_rows_are_those_that_the_stream_step_would_have_left(demo: dict[str, str]) -> None:
    events = Event.objects.count()
    assert events > 100
    assert ProfileEvent.objects.count() == events
    assert ProfileDaily.objects.aggregate(Sum("n"))["n__sum"] == events
    properties = Event.objects.values_list("properties", flat=True)
    money = sum((amount(json.dumps(found)) for found in properties), Decimal(0))
    assert ProfileDaily.objects.aggregate(Sum("total"))["total__sum"] == money > 0

    batch = IngestBatch.objects.get()
    assert batch.state == IngestBatch.State.DONE
    ids = list(Event.objects.order_by("id").values_list("id", flat=True))
    assert (batch.first_id, batch.last_id, batch.n) == (ids[0], ids[-1], len(ids))

    expected = [person for person, _ in draw(60, now=NOW)]
    profiles = list(Profile.objects.order_by("id"))
    assert [profile.attributes["email"] for profile in profiles] == [person.email for person in expected]
    for profile in profiles:
        assert profile.attribute_times.keys() == profile.attributes.keys()
        assert Identity.objects.filter(profile=profile, value=profile.attributes["email"]).exists()
    assert Consent.objects.filter(state=Consent.State.OPTED_OUT).exists()
    assert AttributeDefinition.objects.count() == len(ATTRIBUTES)


def test_the_number_of_statements_does_not_grow_with_the_people(db: None, home: Path) -> None:
    counts = []
    for profiles in (10, 50):
        with transaction.atomic():
            with count_statements() as statements:
                seed(profiles)
            transaction.set_rollback(True)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def seed(profiles: int) -> seeding.Installation:
    return seeding.seed_demo(
        profiles=profiles, seed=1, url="http://127.0.0.1:8123", now=NOW, make_secret=seeding.seeded_secrets(1)
    )


# --- the installation ----------------------------------------------------------------------------------------


def test_demo_json_opens_every_door_and_is_written_once(demo: dict[str, str], home: Path) -> None:
    assert demo.keys() == {
        *("url", "login", "password", "write_key", "api_key", "welcome_event"),
        *("operations_login", "operations_password"),
    }
    assert stat.S_IMODE((home / "demo.json").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["demo.json"]
    user = authenticate(HttpRequest(), username=demo["login"], password=demo["password"])
    assert user is not None
    assert user.is_superuser  # type: ignore[attr-defined]
    assert Source.objects.get(write_key=demo["write_key"]).key == "website"
    assert ApiKey.objects.is_valid(demo["api_key"])
    assert demo["url"] == "http://127.0.0.1:8123"
    operator = authenticate(
        HttpRequest(), username=demo["operations_login"], password=demo["operations_password"]
    )
    assert isinstance(operator, User)
    assert not operator.is_staff
    assert operator.get_all_permissions() == {"campaigns.send_notice"}

    with pytest.raises(CommandError, match="never written twice"):
        call_command("seed_demo")
    out = StringIO()
    call_command("seed_demo", if_empty=True, stdout=out)
    assert "already there" in out.getvalue()
    assert Profile.objects.count() == 60
    assert json.loads((home / "demo.json").read_text()) == demo


def test_secrets_are_random_unless_a_test_wants_to_know_them() -> None:
    assert seeding.random_secret() != seeding.random_secret()
    first, second = seeding.seeded_secrets(1), seeding.seeded_secrets(1)
    drawn = first(), first()
    assert drawn == (second(), second())
    assert drawn[0] != drawn[1]


def test_a_failure_leaves_nothing_behind(db: None, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(seeding.journeys, "publish_journey", fail)
    with pytest.raises(RuntimeError, match="planted"):
        seed(5)
    assert not Profile.objects.exists()
    assert not Source.objects.exists()
    assert not list(home.iterdir())


# --- the welcome journey -------------------------------------------------------------------------------------


def test_the_welcome_journey_listens_to_its_event_and_speaks_to_the_person(demo: dict[str, str]) -> None:
    version = JourneyVersion.objects.get(journey__key=welcome.KEY)
    assert version.state == JourneyVersion.State.LIVE
    assert version.entry_event_type is not None
    assert version.entry_event_type.name == demo["welcome_event"]
    published = ContentVersion.objects.get(content__key=welcome.KEY)
    assert version.pins == {welcome.KEY: published.pk}
    assert published.state == ContentVersion.State.PUBLISHED
    email = compile_email(words_of(Variant.objects.get(version__content__key=welcome.KEY))).preview(
        {
            "profile": {"first_name": "Ada", "loyalty_tier": "Gold", "loyalty_points": 4210},
            "event": {"park_day": "2026-12-05"},
        }
    )
    assert email.subject == "Welcome aboard, Ada"
    for body in (email.html, email.text):
        assert "Gold" in body
        assert "4210" in body
        assert "Saturday, 5 December" in body


def test_the_welcome_email_reads_well_for_somebody_unknown() -> None:
    email = compile_email(Words(**welcome.words())).preview({"profile": {}, "event": {}})
    assert email.subject == "Welcome aboard, friend"
    assert "Choose your park day" in email.html
    assert "{{" not in email.html + email.text
    assert "{%" not in email.html + email.text


# --- the three stories -----------------------------------------------------------------------------------------


def test_what_the_stories_need_is_ready_and_every_picture_is_drawn(demo: dict[str, str]) -> None:
    """Nothing of it has a problem that its own room would name."""
    campaign = Campaign.objects.get()
    assert campaign.state == Campaign.State.IN_REVIEW
    assert campaigns.problems(campaign, timezone.now()) == []
    for notice in Notice.objects.all():
        assert notice.is_ready
        assert notices.obstacles(notice) == []
        if notice.all_clear_content:
            assert notices.obstacles(notice, notice.all_clear_content) == []
    assert Notice.objects.count() == len(catalogue.PARKS) + 1
    for version in JourneyVersion.objects.all():
        assert version.state == JourneyVersion.State.LIVE
        assert check_version(version) == []
    assert LiveView.objects.count() == 2
    assert set(OfferItem.objects.values_list("state", flat=True)) == {OfferItem.State.APPROVED}
    assert Code.objects.values("code").distinct().count() == late_parcels.CODES

    rows = LookupRow.objects.filter(lookup__key="products").values_list("values__picture", flat=True)
    shown = Representation.objects.values_list("image_url", flat=True)
    bodies = Variant.objects.exclude(mjml="").values_list("mjml", flat=True)
    wanted = {
        address for text in (*rows, *shown, *bodies) for address in re.findall(r"http[^\s\"]+\.svg", text)
    }
    assert len(wanted) == len(catalogue.PRODUCTS) + 3
    for address in wanted:
        path = address.removeprefix("http://127.0.0.1:8123/static/")
        assert finders.find(path), f"There is no {path}."


def test_whoever_waits_for_a_late_parcel_enters_its_journey_and_nobody_hears_of_the_other_audiences(
    db: None, home: Path
) -> None:
    """The history was imported; only the audience of the apology was there before it."""
    seed(300)
    while evaluate_range(now=NOW):
        pass
    members = {
        key: set(Audience.objects.get(key=key).memberships.values_list("profile_id", flat=True))
        for key in (late_parcels.DELAYED, late_parcels.BUYERS, closed_ride.IN_A_PARK)
    }
    assert all(members.values())
    assert len(members[late_parcels.BUYERS] - members[late_parcels.DELAYED]) > len(
        members[late_parcels.DELAYED]
    )
    told = Event.objects.filter(event_type__name="$audience_entered").values_list("properties", flat=True)
    assert [properties["audience"] for properties in told] == [late_parcels.DELAYED] * len(
        members[late_parcels.DELAYED]
    )
    inside = members[closed_ride.IN_A_PARK]
    assert inside <= set(Device.objects.values_list("profile_id", flat=True))  # they came in with the app
