"""What people are spared: the frequency cap, counted exactly, and quiet hours by their own clocks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from ajo.core.models import AuditEvent
from ajo.lib import sql
from channels import delivery, wording
from channels.contact_policy import QuietHours
from channels.delivery import outbox
from channels.delivery.outbox import Candidate, Result
from channels.models import CauseKind, ContactPolicy, ContactTally, Message, MessageClass, MessageDue
from channels.providers.base import Receipt, Verdict
from profiles.models import Channel, Profile
from tests.channels.conftest import FakeService
from tests.factories import NOW, make_profile

pytestmark = pytest.mark.django_db

Queue = Callable[..., None]
State, Reason = Message.State, Message.Reason
BERLIN, KATHMANDU = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")


def send(now: datetime = NOW) -> int:
    return delivery.take_batch(Channel.EMAIL, now=now)


def states() -> Counter[str]:
    return Counter(State(state).label for state in Message.objects.values_list("state", flat=True))


def places(profile: Profile) -> list[int]:
    return [id for tally in ContactTally.objects.filter(profile=profile) for id in tally.message_ids]


# --- quiet hours, pure ---------------------------------------------------------------------------------------

NIGHT = QuietHours(time(21), time(8, 30))


@pytest.mark.parametrize(
    ("hours", "zone", "now", "over_at"),
    [
        (NIGHT, BERLIN, "2026-11-21 20:59:59", None),
        (NIGHT, BERLIN, "2026-11-21 21:00", "2026-11-22 08:30"),
        (NIGHT, BERLIN, "2026-11-22 03:00", "2026-11-22 08:30"),
        (NIGHT, BERLIN, "2026-11-22 08:30", None),
        (NIGHT, KATHMANDU, "2026-11-22 08:29", "2026-11-22 08:30"),
        (QuietHours(time(12), time(14)), BERLIN, "2026-11-22 13:00", "2026-11-22 14:00"),
        (QuietHours(time(12), time(14)), BERLIN, "2026-11-22 14:00", None),
        # The clocks go from 2:00 to 3:00: quiet hours that end in the gap end with it.
        (QuietHours(time(22), time(2, 30)), BERLIN, "2026-03-29 01:59", "2026-03-29 03:00"),
    ],
)
def test_quiet_hours_are_over_when_the_clock_says_so(
    hours: QuietHours, zone: ZoneInfo, now: str, over_at: str | None
) -> None:
    found = hours.over_at(datetime.fromisoformat(now).replace(tzinfo=zone).astimezone(UTC), zone)
    assert (found and found.astimezone(zone).strftime("%Y-%m-%d %H:%M")) == over_at


@given(
    begin=st.times(),
    end=st.times(),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from([BERLIN, KATHMANDU, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_whoever_waited_for_the_end_of_quiet_hours_need_not_wait_again(
    begin: time, end: time, now: datetime, zone: ZoneInfo
) -> None:
    if begin == end:
        return
    hours = QuietHours(begin, end)
    if over_at := hours.over_at(now, zone):
        assert now < over_at <= now + timedelta(hours=26)
        assert hours.over_at(over_at, zone) is None


# --- quiet hours ---------------------------------------------------------------------------------------------


def test_marketing_waits_for_the_morning_of_each_person(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(quiet_from=time(21), quiet_until=time(8))
    berlin = make_profile(time_zone="Europe/Berlin")  # 13:00
    kiritimati = make_profile(time_zone="Pacific/Kiritimati")  # 02:00 on the next day
    wrong, none = (
        make_profile(time_zone=7),
        make_profile(time_zone="Nowhere/Land"),
    )  # the brand's: 12:00 in UTC
    queue(berlin, kiritimati, wrong, none)
    queue(kiritimati, visit=2, message_class=MessageClass.TRANSACTIONAL)
    send()
    (waiting,) = Message.objects.filter(state=State.QUEUED)
    assert (waiting.profile_id, waiting.reason_code) == (kiritimati.pk, Reason.QUIET_HOURS)
    assert len(service.calls) == 4, "the others, and what is transactional"
    due_at = datetime(2026, 11, 21, 18, tzinfo=UTC)
    due = MessageDue.objects.get()
    assert (due.due_at, due.reservations) == (due_at, 0)
    fate = wording.Fate(State.QUEUED, waiting.reason, Channel.EMAIL, "", None, due_at, 0, None, None, None)
    assert wording.verdict(fate, ZoneInfo("UTC")) == (
        "Waits for the end of the quiet hours, on Saturday 21 November 2026, 18:00 (UTC)"
    )
    send(due_at - timedelta(seconds=1))
    assert len(service.calls) == 4
    send(due_at)
    assert (len(service.calls), states()) == (5, {"Sent": 5})
    assert set(Message.objects.values_list("reason", "reason_code")) == {("", "")}


def test_the_policy_of_a_channel_stands_instead_of_the_common_one(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(most=1, quiet_from=time(0), quiet_until=time(23, 59))
    ContactPolicy.objects.create(channel=Channel.EMAIL)
    ada = make_profile()
    queue(ada)
    queue(ada, visit=2)
    send()
    assert states() == {"Sent": 2}
    assert not ContactTally.objects.exists()


def test_what_expires_in_the_quiet_hours_does_so_in_time(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(quiet_from=time(10), quiet_until=time(20))
    queue(make_profile(), expires_at=NOW + timedelta(hours=1))
    send()
    assert MessageDue.objects.get().due_at == NOW + timedelta(hours=1)
    send(NOW + timedelta(hours=1))
    assert (states(), service.calls) == ({"Expired": 1}, [])
    assert not MessageDue.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"quiet_from": time(8)},
        {"quiet_until": time(8)},
        {"quiet_from": time(8), "quiet_until": time(8)},
        {"most": 0},
        {"most": 101},
        {"days": 0},
    ],
)
def test_a_policy_that_means_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContactPolicy(**fields).full_clean()


def test_a_change_is_audited_and_the_list_says_what_holds(admin_client: Client) -> None:
    add = reverse("admin:channels_contactpolicy_add")
    form = {"channel": 0, "most": 3, "days": 7, "quiet_from": "21:00", "quiet_until": ""}
    answer = admin_client.post(add, form)
    assert "Quiet hours need a beginning and an end that differ." in answer.content.decode()
    assert not ContactPolicy.objects.exists()
    assert admin_client.post(add, form | {"quiet_until": "08:00"}).status_code == 302
    page = admin_client.get(reverse("admin:channels_contactpolicy_changelist")).content.decode()
    assert "3 messages within 7 days" in page
    assert "21:00 to 08:00" in page
    change = reverse("admin:channels_contactpolicy_change", args=[ContactPolicy.objects.get().pk])
    assert admin_client.post(change, form | {"quiet_until": "08:00", "most": 5}).status_code == 302
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.action, event.data["changes"]["most"]) == ("change_contactpolicy", [3, 5])


# --- the cap -------------------------------------------------------------------------------------------------


def test_a_person_gets_so_many_marketing_messages_in_so_many_days(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(most=2, days=3)
    ada, bob = make_profile(), make_profile()
    # Whoever writes: a journey, a campaign, a notice.
    queue(ada)
    queue(ada, visit=2, cause_kind=CauseKind.CAMPAIGN_RUN)
    queue(ada, visit=3, cause_kind=CauseKind.NOTICE)
    queue(ada, visit=4, message_class=MessageClass.TRANSACTIONAL)
    queue(bob)
    send()
    assert states() == {"Sent": 4, "Withheld": 1}
    withheld = Message.objects.get(state=State.WITHHELD)
    assert (withheld.profile_id, withheld.visit, withheld.reason_code) == (ada.pk, 3, Reason.FREQUENCY_CAP)
    assert withheld.reason == "The contact policy allows a person 2 marketing messages within 3 days."
    assert not MessageDue.objects.exists()
    for visit, hours, is_sent in ((5, 71, False), (6, 73, True), (7, 73, True), (8, 73, False)):
        queue(ada, visit=visit)
        send(NOW + timedelta(hours=hours))
        assert Message.objects.get(visit=visit).state == (State.SENT if is_sent else State.WITHHELD), visit


def test_a_channel_of_its_own_counts_alone(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(most=1)
    ContactPolicy.objects.create(channel=Channel.SMS, most=1)
    ada = make_profile()
    queue(ada)
    send()
    assert list(ContactTally.objects.values_list("profile_id", "scope")) == [(ada.pk, 0)]


@pytest.mark.parametrize(
    ("verdict", "keeps_its_place"),
    [(Verdict.ACCEPTED, True), (Verdict.UNKNOWN, True), (Verdict.REFUSED, False), (Verdict.DEFERRED, False)],
)
def test_what_was_not_sent_gives_its_place_back(
    queue: Queue, service: FakeService, verdict: Verdict, keeps_its_place: bool
) -> None:
    ContactPolicy.objects.create(most=1)
    ada = make_profile()
    queue(ada)
    service.answer = lambda each: Receipt(each.message_id, verdict)
    send()
    assert bool(places(ada)) is keeps_its_place
    queue(ada, visit=2)
    service.answer = lambda each: Receipt(each.message_id, Verdict.ACCEPTED)
    send()  # what was put off is due later, at some moment
    assert Message.objects.get(visit=2).state == (State.WITHHELD if keeps_its_place else State.SENT)


def test_a_zombie_gives_no_place_back(queue: Queue) -> None:
    ContactPolicy.objects.create(most=1)
    ada = make_profile()
    queue(ada)
    message = Message.objects.get()
    token, _ = outbox.fence([Candidate(message.pk, ada.pk, "a@example.com", "a@example.com")], NOW)
    assert outbox.record([Result(message.pk, State.FAILED)], token + 1, NOW) == 0
    assert places(ada) == [message.pk]
    Message.objects.update(lease_until=NOW.replace(year=2020))
    outbox.recover([message.pk], NOW)
    assert (Message.objects.get().state, places(ada)) == (State.UNCERTAIN, [message.pk])


def test_what_a_merged_profile_got_counts_for_its_survivor(queue: Queue, service: FakeService) -> None:
    ContactPolicy.objects.create(most=2)
    ada, bob, carl = make_profile(), make_profile(), make_profile()
    queue(ada, bob, carl)
    send()
    with sql.unit_of_work() as cur:
        delivery.move_merged(cur, [(bob.pk, ada.pk), (carl.pk, ada.pk)], NOW)
    assert len(places(ada)) == 3
    assert places(bob) == []
    queue(ada, visit=2)
    send()
    assert Message.objects.get(visit=2).reason_code == Reason.FREQUENCY_CAP


def race(senders: int, is_refused: Callable[[int], bool] = lambda id: False) -> None:
    """Each sender fences a message to each person at the same moment as the others, and records what became of it."""
    start = threading.Barrier(senders)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            mine = Message.objects.filter(visit=number).order_by("id")
            rows = list(mine.values_list("id", "profile_id"))
            start.wait(30)
            for begin in range(0, len(rows), 4):
                some = [Candidate(*row, f"{row[1]}@example.com") for row in rows[begin : begin + 4]]
                token, may_send = outbox.fence(some, NOW)
                outcome = [
                    Result(id, State.FAILED if is_refused(id) else State.SENT) for id in sorted(may_send)
                ]
                if outcome:
                    outbox.record(outcome, token, NOW)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures


@pytest.mark.django_db(transaction=True)
def test_32_senders_never_go_beyond_the_cap(queue: Queue) -> None:
    ContactPolicy.objects.create(most=3)
    people = [make_profile() for _ in range(12)]
    for visit in range(32):
        queue(*people, visit=visit)
    race(32)
    assert set(sent_to(people)) == {3}


@pytest.mark.django_db(transaction=True)
def test_places_that_are_given_back_in_the_race_are_taken_once(queue: Queue) -> None:
    ContactPolicy.objects.create(most=3)
    people = [make_profile() for _ in range(12)]
    for visit in range(32):
        queue(*people, visit=visit)
    race(32, is_refused=lambda id: id % 3 == 0)
    assert max(sent_to(people)) <= 3


def sent_to(people: list[Profile]) -> list[int]:
    """How many each was sent; each of them has its place, and no other message has one."""
    counts = []
    for profile in people:
        sent = list(Message.objects.filter(profile=profile, state=State.SENT).values_list("id", flat=True))
        assert sorted(places(profile)) == sorted(sent)
        counts.append(len(sent))
    return counts


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # Taking places without looking at those that are taken.
        ("WHERE n.nth <= limits.most - (SELECT count(*) FROM kept)", "WHERE n.nth <= limits.most"),
        # Counting as of the beginning of the statement.
        (
            "FROM unnest(t.message_ids, t.times) AS k(id, at), limits",
            "FROM (SELECT o.message_ids, o.times FROM contact_tally o WHERE o.profile_id = t.profile_id) o,"
            " unnest(o.message_ids, o.times) AS k(id, at), limits",
        ),
    ],
)
def test_a_planted_bug_is_found(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str
) -> None:
    assert right in outbox._FENCE
    monkeypatch.setattr(outbox, "_FENCE", outbox._FENCE.replace(right, wrong))
    ContactPolicy.objects.create(most=3)
    people = [make_profile() for _ in range(12)]
    for visit in range(32):
        queue(*people, visit=visit)
    race(32)
    with pytest.raises(AssertionError):
        assert set(sent_to(people)) == {3}
