"""The wait: when it is over on every clock, and how people come through it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from ajo.lib.clocks import find_zone, first_instant
from journeys import graph, services
from journeys.activities.wait import Config, Wait
from journeys.models import JourneyInstance, JourneyWait, StepLog
from journeys.moments import After, At, Next, Rule, next_moment
from tests.factories import NOW, make_profile
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    link,
    make_cast_of_message,
    make_event,
    make_live,
    message_box,
    stream,
    tick,
)
from tests.support import count_statements

MONDAY, TUESDAY, FRIDAY, SUNDAY = 0, 1, 4, 6
EVERY_DAY = frozenset(range(7))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on(*weekdays: int, at: str = "09:00") -> Next:
    return Next(frozenset(weekdays), time.fromisoformat(at))


def at(text: str) -> At:
    return At(datetime.fromisoformat(text))


DAILY_230 = Next(EVERY_DAY, time(2, 30))

# What it shows, now in UTC, zone, rule, the moment in UTC. 2026-11-21 is a Saturday.
CASES: list[tuple[str, str, str, Rule, str]] = [
    ("three days", "2026-11-21T12:00", "Europe/Berlin", After(timedelta(days=3)), "2026-11-24T12:00"),
    ("a day is 24 hours", "2026-10-24T12:00", "Europe/Berlin", After(timedelta(days=1)), "2026-10-25T12:00"),
    ("one second", "2026-11-21T12:00", "UTC", After(timedelta(seconds=1)), "2026-11-21T12:00:01"),
    ("ten years", "2026-11-21T12:00", "UTC", After(timedelta(days=3_653)), "2036-11-21T12:00"),
    # weekdays
    ("later in the week", "2026-11-21T12:00", "UTC", on(TUESDAY), "2026-11-24T09:00"),
    ("later today", "2026-11-24T08:59:59", "UTC", on(TUESDAY), "2026-11-24T09:00"),
    ("exactly now is too late", "2026-11-24T09:00", "UTC", on(TUESDAY), "2026-12-01T09:00"),
    ("earlier today", "2026-11-24T09:00:01", "UTC", on(TUESDAY), "2026-12-01T09:00"),
    ("the first of several", "2026-11-24T09:00:01", "UTC", on(MONDAY, TUESDAY, FRIDAY), "2026-11-27T09:00"),
    ("over New Year", "2026-12-31T23:59", "UTC", on(FRIDAY, at="00:00"), "2027-01-01T00:00"),
    ("a leap day", "2028-02-28T12:00", "UTC", on(TUESDAY), "2028-02-29T09:00"),
    # It is another day there.
    ("already Tuesday there", "2026-11-23T20:30", "Pacific/Auckland", on(TUESDAY), "2026-11-30T20:00"),
    ("Tuesday begins on our Monday", "2026-11-23T12:00", "Pacific/Auckland", on(TUESDAY), "2026-11-23T20:00"),
    ("still Monday there", "2026-11-24T05:00", "America/Los_Angeles", on(MONDAY, at="23:00"), "2026-11-24T07:00"),
    ("14 hours ahead", "2026-11-23T10:00", "Pacific/Kiritimati", on(TUESDAY), "2026-11-23T19:00"),
    ("11 hours behind", "2026-11-24T10:00", "Pacific/Pago_Pago", on(TUESDAY), "2026-11-24T20:00"),
    # Zones of 30 and 45 minutes
    ("Kathmandu, 5:45", "2026-11-23T12:00", "Asia/Kathmandu", on(TUESDAY), "2026-11-24T03:15"),
    ("Kolkata, 5:30", "2026-11-23T12:00", "Asia/Kolkata", on(TUESDAY), "2026-11-24T03:30"),
    ("Newfoundland, -3:30", "2026-11-23T12:00", "America/St_Johns", on(TUESDAY), "2026-11-24T12:30"),
    ("Chatham in summer, 13:45", "2026-11-23T12:00", "Pacific/Chatham", on(TUESDAY), "2026-11-23T19:15"),
    ("Eucla, 8:45", "2026-11-23T12:00", "Australia/Eucla", on(TUESDAY), "2026-11-24T00:15"),
    # The clocks are put forward: the time does not exist, the first instant after the gap counts.
    ("Berlin forward", "2026-03-28T12:00", "Europe/Berlin", DAILY_230, "2026-03-29T01:00"),
    ("Berlin the next night", "2026-03-29T01:00", "Europe/Berlin", DAILY_230, "2026-03-30T00:30"),
    ("New York forward", "2026-03-07T12:00", "America/New_York", DAILY_230, "2026-03-08T07:00"),
    ("Lord Howe by 30 minutes", "2026-10-03T12:00", "Australia/Lord_Howe", on(SUNDAY, at="02:15"), "2026-10-03T15:30"),
    ("Chatham at 2:45", "2026-09-26T00:00", "Pacific/Chatham", on(SUNDAY, at="03:00"), "2026-09-26T14:00"),
    ("Cairo at midnight", "2026-04-23T12:00", "Africa/Cairo", on(FRIDAY, at="00:30"), "2026-04-23T22:00"),
    ("the end of the gap itself", "2026-03-28T12:00", "Europe/Berlin", on(SUNDAY, at="03:00"), "2026-03-29T01:00"),
    ("before the gap", "2026-03-28T12:00", "Europe/Berlin", on(SUNDAY, at="01:59"), "2026-03-29T00:59"),
    ("Samoa had no 30 December", "2011-12-29T12:00", "Pacific/Apia", on(FRIDAY), "2011-12-30T10:00"),
    # The clocks are put back: the time comes twice, the first one counts.
    ("Berlin back", "2026-10-24T12:00", "Europe/Berlin", DAILY_230, "2026-10-25T00:30"),
    ("between the two", "2026-10-25T01:00", "Europe/Berlin", DAILY_230, "2026-10-26T01:30"),
    ("New York back", "2026-10-31T12:00", "America/New_York", on(SUNDAY, at="01:30"), "2026-11-01T05:30"),
    ("Lord Howe back by 30", "2026-04-04T00:00", "Australia/Lord_Howe", on(SUNDAY, at="01:45"), "2026-04-04T14:45"),
    ("Chatham back", "2026-04-04T00:00", "Pacific/Chatham", on(SUNDAY, at="03:00"), "2026-04-04T13:15"),
    ("Havana back to midnight", "2026-10-31T12:00", "America/Havana", on(SUNDAY, at="00:30"), "2026-11-01T04:30"),
    # dates
    ("a date", "2026-11-21T12:00", "Europe/Berlin", at("2026-12-24T18:00"), "2026-12-24T17:00"),
    ("a date in summer", "2026-11-21T12:00", "Europe/Berlin", at("2027-07-01T18:00"), "2027-07-01T16:00"),
    ("a date far east", "2026-11-21T12:00", "Pacific/Kiritimati", at("2027-01-01T00:00"), "2026-12-31T10:00"),
    ("a date that has passed", "2026-11-21T12:00", "UTC", at("2026-11-20T00:00"), "2026-11-20T00:00"),
    ("a date in a gap", "2026-01-01T00:00", "Europe/Berlin", at("2026-03-29T02:30"), "2026-03-29T01:00"),
    ("a date in a fold", "2026-01-01T00:00", "Europe/Berlin", at("2026-10-25T02:30"), "2026-10-25T00:30"),
    ("with seconds in a gap", "2026-01-01T00:00", "Europe/Berlin", at("2026-03-29T02:30:07.5"), "2026-03-29T01:00"),
]  # fmt: skip


@pytest.mark.parametrize(("now", "zone", "rule", "moment"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_next_moment(now: str, zone: str, rule: Rule, moment: str) -> None:
    assert next_moment(utc(now), ZoneInfo(zone), rule) == utc(moment)


zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "Europe/Dublin",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Asia/Gaza",
        "Africa/Casablanca",
        "Antarctica/Troll",
    ]
).map(ZoneInfo)
instants = st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(instants, zones, st.frozensets(st.integers(0, 6), min_size=1), st.times())
def test_the_next_weekday_is_later_and_within_eight_days(
    now: datetime, zone: ZoneInfo, weekdays: frozenset[int], hour: time
) -> None:
    moment = next_moment(now, zone, Next(weekdays, hour))

    assert now < moment <= now + timedelta(days=8, hours=1)
    local = moment.astimezone(zone)
    if local.time() == hour:
        assert local.weekday() in weekdays
        assert local.fold == 0
    else:  # the clocks jumped at this very instant
        assert _offset(moment, zone) > _offset(moment - timedelta(seconds=1), zone)


@given(instants, zones)
def test_a_wall_time_is_met_at_the_first_instant_that_shows_it(instant: datetime, zone: ZoneInfo) -> None:
    wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)

    found = first_instant(wall, zone)

    assert found <= instant
    assert found.astimezone(zone).replace(tzinfo=None) == wall


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def test_no_weekday_is_a_bug_and_no_endless_loop() -> None:
    with pytest.raises(ValueError, match="without a weekday"):
        next_moment(NOW, ZoneInfo("UTC"), on())


@pytest.mark.parametrize(
    "name", [None, "", "Mars/Olympus", "Europe", "../etc/passwd", "a\0b", "x" * 5_000, "{}"]
)
def test_what_is_no_zone(name: str | None) -> None:
    assert find_zone(name) is None


# --- settings ------------------------------------------------------------------------------------------------


def wait_box(box_id: str = "wait", **config: Any) -> dict[str, Any]:
    return box(box_id, "wait", **config)


def for_time(amount: int, unit: str) -> dict[str, Any]:
    return wait_box(until="duration", amount=amount, unit=unit)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "until"),
        ({"until": "duration", "amount": 0}, "amount"),
        ({"until": "duration", "amount": -1}, "amount"),
        ({"until": "duration", "amount": 10**30}, "amount"),
        ({"until": "duration", "amount": 3_654, "unit": "days"}, "amount"),
        ({"until": "duration", "amount": 522, "unit": "weeks"}, "amount"),
        ({"until": "duration", "amount": 1, "unit": "months"}, "unit"),
        ({"until": "date"}, "date"),
        ({"until": "date", "date": "2026-12-24T18:00+01:00"}, "date"),
        ({"until": "date", "date": "2026-12-24T18:00Z"}, "date"),
        ({"until": "date", "date": "9999-12-31T23:59"}, "date"),
        ({"until": "date", "date": "2026-02-30T12:00"}, "date"),
        ({"until": "weekday"}, "weekdays"),
        ({"until": "weekday", "weekdays": ["caturday"]}, "weekdays.0"),
        ({"until": "weekday", "weekdays": ["monday"], "time": "25:00"}, "time"),
        ({"until": "weekday", "weekdays": ["monday"], "zone": "moon"}, "zone"),
    ],
)
def test_what_cannot_be_waited_for_is_named_at_its_setting(config: dict[str, Any], field: str) -> None:
    (problem,) = graph.problems(line(entry_box(), wait_box(**config), box("end", "end")))

    assert problem.activity == "wait"
    assert problem.field == field
    assert problem.message.endswith(".")


@pytest.mark.parametrize(
    ("amount", "unit"), [(1, "seconds"), (315_619_200, "seconds"), (3_653, "days"), (521, "weeks")]
)
def test_from_one_second_to_ten_years(amount: int, unit: str) -> None:
    assert not graph.problems(line(entry_box(), for_time(amount, unit), box("end", "end")))


def test_every_setting_survives_being_stored_as_json() -> None:
    config = {
        "until": "weekday",
        "weekdays": ["monday", "sunday"],
        "time": "09:30",
        "date": "2026-12-24T18:00",
    }
    first = Config(data=config)
    assert first.is_valid(), first.errors
    again = Config(data=Config(first.validated_data).data)
    assert again.is_valid(), again.errors
    assert again.validated_data == first.validated_data
    assert again.validated_data["date"] == datetime(2026, 12, 24, 18)


def test_a_loop_needs_a_wait_that_lasts() -> None:
    def loop(wait: dict[str, Any]) -> dict[str, Any]:
        drawn = line(entry_box(), wait, message_box())
        drawn["links"].append(link("hello", "wait"))
        return drawn

    assert not graph.problems(loop(for_time(1, "days")))
    assert not graph.problems(loop(wait_box(until="weekday", weekdays=["monday"])))
    (problem,) = graph.problems(loop(wait_box(until="date", date="2026-12-24T18:00")))
    assert "loop without a wait" in problem.message


# --- people --------------------------------------------------------------------------------------------------


def due_times(wait: dict[str, Any], *zone_names: Any, now: datetime = NOW) -> list[datetime]:
    """When those who live in these zones go on (None: their zone is not known)."""
    make_live(line(entry_box(), wait, box("end", "end")))
    people = [make_profile(**({} if name is None else {"time_zone": name})) for name in zone_names]
    stream(*[make_event(person.pk) for person in people], now=now)
    due = dict(JourneyWait.objects.values_list("profile_id", "due_at"))
    return [due[person.pk] for person in people]


@pytest.mark.django_db
def test_a_duration_is_exact() -> None:
    assert due_times(for_time(90, "minutes"), None, "Asia/Tokyo") == [NOW + timedelta(minutes=90)] * 2

    assert tick(NOW + timedelta(minutes=90) - timedelta(microseconds=1)) == 0
    assert tick(NOW + timedelta(minutes=90)) == 2

    assert set(JourneyInstance.objects.values_list("state", flat=True)) == {JourneyInstance.State.ENDED}
    assert list(StepLog.objects.filter(activity="wait").values_list("outcome", flat=True)) == ["next"] * 2


@pytest.mark.django_db
def test_each_goes_by_the_clock_where_they_live_or_by_the_brands(settings: Settings) -> None:
    settings.AJO_BRAND_TIME_ZONE = "Europe/Berlin"
    wait = wait_box(until="weekday", weekdays=["tuesday"], time="09:00")

    found = due_times(wait, "Asia/Kathmandu", "America/St_Johns", None, "Mars/Olympus", 7, {"a": 1}, "")

    berlin = utc("2026-11-24T08:00")
    assert found == [utc("2026-11-24T03:15"), utc("2026-11-24T12:30"), *[berlin] * 5]


@pytest.mark.django_db
def test_the_brands_clock_for_everybody(settings: Settings) -> None:
    settings.AJO_BRAND_TIME_ZONE = "Europe/Berlin"
    wait = wait_box(until="date", date="2026-12-24T18:00", zone="brand")

    assert due_times(wait, "Asia/Kathmandu", None) == [utc("2026-12-24T17:00")] * 2


@pytest.mark.django_db
def test_a_date_that_has_passed_holds_nobody_and_has_passed_in_the_east_first() -> None:
    make_live(line(entry_box(), wait_box(until="date", date="2026-11-21T18:00"), box("end", "end")))
    east, west = make_profile(time_zone="Asia/Tokyo"), make_profile(time_zone="America/Lima")
    stream(make_event(east.pk), make_event(west.pk))

    assert JourneyInstance.objects.get(profile=east).state == JourneyInstance.State.ENDED
    assert JourneyWait.objects.get().due_at == utc("2026-11-21T23:00")
    assert JourneyWait.objects.get().profile == west


@pytest.mark.django_db
def test_a_weekly_loop_goes_round_once_a_week_over_the_change_of_the_clocks() -> None:
    make_cast_of_message()
    drawn = line(entry_box(), wait_box(until="weekday", weekdays=["sunday"], time="02:30"), message_box())
    drawn["links"].append(link("hello", "wait"))
    make_live(drawn)
    stream(make_event(make_profile(time_zone="Europe/Berlin").pk), now=utc("2026-03-20T12:00"))

    days: list[date] = []
    for _ in range(4):
        due_at = JourneyWait.objects.get().due_at
        assert due_at is not None
        assert tick(due_at) == 1
        days.append(due_at.astimezone(ZoneInfo("Europe/Berlin")).date())

    assert days == [date(2026, 3, 22) + timedelta(weeks=week) for week in range(4)]


@pytest.mark.django_db
def test_one_statement_for_the_zones_of_a_batch() -> None:
    make_live(line(entry_box(), wait_box(until="weekday", weekdays=["tuesday"]), box("end", "end")))
    names = ["Asia/Tokyo", "Europe/Berlin", "America/Lima", "Pacific/Chatham"]

    for crowd in (1, 40):
        events = [make_event(make_profile(time_zone=names[n % 4]).pk) for n in range(crowd)]
        with count_statements() as seen:
            stream(*events)
        assert len([statement for statement in seen if "time_zone" in statement]) == 1
    with count_statements() as seen:
        assert tick(NOW + timedelta(days=30)) == 41
    assert not [statement for statement in seen if "time_zone" in statement]


@pytest.mark.django_db
def test_a_wrong_zone_of_the_brand_is_told_at_publishing(settings: Settings) -> None:
    settings.AJO_BRAND_TIME_ZONE = "Berlin"

    with pytest.raises(services.JourneyRefused, match="AJO_BRAND_TIME_ZONE is 'Berlin'"):
        make_live(line(entry_box(), wait_box(until="weekday", weekdays=["tuesday"]), box("end", "end")))


@pytest.mark.django_db
def test_a_wrong_zone_of_the_brand_lets_people_stand_still(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    version = make_live(line(entry_box(), wait_box(until="weekday", weekdays=["tuesday"]), box("end", "end")))
    settings.AJO_BRAND_TIME_ZONE = "Berlin"

    stream(make_event(make_profile().pk))

    assert not JourneyInstance.objects.exists()
    assert f"{version} cannot run: AJO_BRAND_TIME_ZONE is 'Berlin'" in caplog.text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"until": "duration", "amount": 1, "unit": "days"}, "1 day"),
        ({"until": "duration", "amount": 3, "unit": "weeks"}, "3 weeks"),
        ({"until": "date", "date": "2026-12-24T18:05"}, "24 Dec 2026 18:05, their clock"),
        (
            {"until": "weekday", "weekdays": ["thursday", "tuesday"], "time": "09:00", "zone": "brand"},
            "Tuesday, Thursday 09:00, the brand's clock",
        ),
    ],
)
def test_its_words_for_the_canvas(config: dict[str, Any], words: str) -> None:
    serializer = Config(data=config)
    assert serializer.is_valid(), serializer.errors
    assert Wait().summary(serializer.validated_data) == words
