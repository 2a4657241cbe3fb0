"""A person's timeline, through the real stream step, journeys and outbox: what is told, in which order and words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ajo.core.models import User
from ajo.timeline import BadCursor, Entry, Kind, timeline
from channels import delivery, services
from channels.consent import note_consent
from channels.models import CauseKind, ChannelConfiguration, Message, MessageClass, Variant
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from journeys import services as journey_services
from journeys.models import JourneyInstance, StepLog
from journeys.runner import stop_batch
from profiles import services as profile_services
from profiles.models import AttributeDefinition, Channel, Consent, Identity, Profile
from profiles.stream import take_batch
from tests.factories import make_configuration, make_profile, make_source, make_variant
from tests.journeys.helpers import box, entry_box, line, link, make_live, message_box, tick
from tests.profiles.store import identify, store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = datetime(2026, 11, 16, 11, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail server takes everything."""

    def send(_self: SmtpProvider, batch: Sequence[Outgoing]) -> list[Receipt]:
        return [Receipt(each.message_id, Verdict.ACCEPTED, "250 ok") for each in batch]

    monkeypatch.setattr(SmtpProvider, "send", send)


def owner_of(user_id: str) -> int:
    return Identity.objects.get(namespace_id=1, value=user_id).profile_id


def told(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    return [(entry.title, entry.text) for entry in entries]


def walk_everything(profile_id: int, **arguments: Any) -> list[Entry]:
    """All pages, one after the other."""
    found: list[Entry] = []
    cursor = None
    while True:
        page = timeline(profile_id, before=cursor, **arguments)
        found += page.entries
        if page.next is None:
            return found
        assert page.next != cursor, "The cursor does not move."
        cursor = page.next


def make_story() -> None:
    make_source(pk=1)
    make_configuration()
    make_variant()
    make_live(
        line(
            entry_box(),
            box("rest", "wait", until="duration", amount=2, unit="days"),
            message_box(),
            box("tuesday", "wait", until="weekday", weekdays=["tuesday"], time="09:00"),
            box("end", "end"),
        ),
        key="story",
    )


def stream(now: datetime, *calls: Any) -> None:
    store(*calls, received_at=now)
    assert take_batch(now=now)


def know_ada(**traits: Any) -> int:
    """Ada in Berlin, known since Monday noon there."""
    known = {"email": "ada@example.com", "first_name": "Ada", "time_zone": "Europe/Berlin"}
    stream(MONDAY, identify("ada", known | traits, at=MONDAY))
    return owner_of("ada")


def sign_up(at: datetime, name: str = "Signed Up") -> None:
    stream(at, track("ada", name, at=at))


def send(at: datetime) -> Message:
    """Whatever the outbox holds; the newest message."""
    delivery.take_batch(Channel.EMAIL, now=at)
    return Message.objects.latest("pk")


# --- the story -----------------------------------------------------------------------------------------------


def test_a_story_is_told_from_the_first_event_to_the_wait_that_stands(accepting: None) -> None:
    make_story()
    ada = know_ada()
    sign_up(MONDAY + HOUR)
    assert tick(MONDAY + 2 * DAY + HOUR) == 1
    message = send(MONDAY + 2 * DAY + HOUR)
    Message.objects.update(sent_at=MONDAY + 2 * DAY + HOUR)  # the outbox notes the database's clock

    page = timeline(ada)

    assert told(page.entries)[:-1] == [
        ("Waits in the journey “Story”", "Waits until Tuesday 24 November 2026, 09:00 (Europe/Berlin)."),
        (
            "Email: Welcome",
            "“Welcome, Ada” Sent to ada@example.com on Wednesday 18 November 2026, 13:00 (Europe/Berlin)."
            " A marketing message, caused by a journey.",
        ),
        ("Story: Message", "welcome"),
        ("Story: Wait", "Waited 2 days."),
        ("Entered the journey “Story”", "The event “Signed Up” let them in."),
        ("Signed Up", "track call from Website"),
        ("Attributes arrived", "email, first_name, time_zone · identify call from Website"),
    ]
    assert sorted(entry.kind for entry in page.entries) == [
        "event", "event", "journey", "journey", "journey", "journey", "message", "profile"
    ]  # fmt: skip
    instance = JourneyInstance.objects.get()
    by_title = {entry.title: entry for entry in page.entries}
    assert [note.text for note in by_title["Signed Up"].notes] == ["Let them into the journey “Story”."]
    assert by_title["Signed Up"].notes[0].instance_id == instance.pk
    assert by_title["Email: Welcome"].message_id == message.pk
    assert by_title["Email: Welcome"].tone == "success"
    assert by_title["Story: Wait"].journey_key == "story"
    assert page.zone.key == "Europe/Berlin"
    assert page.next is None


def test_the_end_is_told(accepting: None) -> None:
    make_story()
    ada = know_ada()
    sign_up(MONDAY)
    assert tick(MONDAY + 2 * DAY) == 1
    assert tick(MONDAY + 9 * DAY) == 1

    end, waited = [entry for entry in timeline(ada).entries if entry.kind is Kind.JOURNEY][:2]

    assert (end.title, end.tone) == ("Reached the end of the journey “Story”", "success")
    # From Wednesday noon in Berlin to the tick, which came a day and more after Tuesday 09:00.
    assert waited.text == "Waited 1 week."


def test_a_split_is_told_with_the_way_that_was_taken() -> None:
    make_source(pk=1)
    paths = [{"id": "a", "label": "Blue", "percent": 100 - 1}, {"id": "b", "label": "Red", "percent": 1}]
    graph = line(entry_box(), box("coin", "split", paths=paths), box("end", "end"))
    graph["links"] = [link("entry", "coin"), link("coin", "end", "a"), link("coin", "end", "b")]
    make_live(graph, key="coins")
    ada = know_ada()
    sign_up(MONDAY)

    entry = next(entry for entry in timeline(ada).entries if entry.title == "Coins: Percentage split")

    assert entry.text in {f"Took the way “{way}”." for way in ("99 % Blue", "1 % Red")}


def test_a_condition_is_told_with_the_path_and_its_reason() -> None:
    make_source(pk=1)
    AttributeDefinition.objects.create(key="tier", label="Tier")
    paths = [{"id": "gold", "label": "Gold", "expression": 'profile.tier == "gold"'}]
    graph = line(entry_box(), box("check", "condition", paths=paths), box("end", "end"))
    graph["links"] = [link("entry", "check"), link("check", "end", "gold"), link("check", "end", "else")]
    make_live(graph, key="choice")
    ada = know_ada(tier="gold")
    sign_up(MONDAY)
    reason = StepLog.objects.get(activity="check").detail

    entry = next(entry for entry in timeline(ada).entries if entry.title == "Choice: Condition")

    assert "gold" in reason
    assert entry.text == f"Took the way “Gold”. {reason}"


def test_stopping_a_journey_is_told() -> None:
    make_story()
    ada = know_ada()
    sign_up(MONDAY)
    journey = JourneyInstance.objects.get().journey
    journey_services.stop_journey(journey=journey, user=None, now=MONDAY + HOUR)
    stop_batch(JourneyInstance.objects.get().version_id, MONDAY + HOUR)

    newest = timeline(ada, kinds={Kind.JOURNEY}).entries[0]

    assert told([newest]) == [("Taken out of the journey “Story”", "The journey was stopped.")]
    assert newest.tone == "warning"


def test_a_wait_for_an_event_is_told_with_the_event_and_the_last_moment() -> None:
    make_source(pk=1)
    graph = line(
        entry_box(), box("paid", "wait_for_event", event="Paid", timeout_amount=3), box("end", "end")
    )
    graph["links"] = [link("entry", "paid"), link("paid", "end", "event"), link("paid", "end", "timeout")]
    make_live(graph, key="checkout")
    ada = know_ada()
    sign_up(MONDAY)

    def newest_step() -> Entry:
        return timeline(ada, kinds={Kind.JOURNEY}).entries[0]

    assert newest_step().text == (
        "Waits for the event “Paid”, at most until Thursday 19 November 2026, 12:00 (Europe/Berlin)."
    )
    journey_services.pause_journey(journey=JourneyInstance.objects.get().journey, user=None)
    assert newest_step().text.endswith("The journey is paused: they stand still until it is resumed.")
    journey_services.resume_journey(journey=JourneyInstance.objects.get().journey, user=None)
    stream(MONDAY + 90 * MINUTE, track("ada", "Paid", at=MONDAY + 90 * MINUTE))
    titles = [entry.title for entry in timeline(ada, kinds={Kind.JOURNEY}).entries]
    assert titles == [
        "Reached the end of the journey “Checkout”",
        "Checkout: Wait for event",
        "Entered the journey “Checkout”",
    ]
    assert timeline(ada, kinds={Kind.JOURNEY}).entries[1].text.startswith("After 1 hour, 30 minutes: ")


# --- why not -------------------------------------------------------------------------------------------------


def test_a_withheld_message_says_why_and_since_when(accepting: None) -> None:
    make_story()
    ada = know_ada()
    may = datetime(2026, 5, 2, 23, 0, tzinfo=UTC)  # the 3rd in Berlin
    profile_services.set_consent(
        profile_ids=[ada],
        channel=Channel.EMAIL,
        state=Consent.State.OPTED_OUT,
        reason="Asked us to.",
        now=may,
    )
    sign_up(MONDAY)
    tick(MONDAY + 2 * DAY)
    assert send(MONDAY + 2 * DAY).state == Message.State.WITHHELD

    entries = timeline(ada).entries

    (message,) = [entry for entry in entries if entry.kind is Kind.MESSAGE]
    assert "Withheld: the person opted out of email on 3 May 2026." in message.text
    assert message.tone == "warning"
    (consent,) = [entry for entry in entries if entry.kind is Kind.CONSENT]
    assert (consent.title, consent.text, consent.at) == ("Opted out of email", "Asked us to.", may)
    assert entries[-1] == consent


def test_a_suppressed_address_is_named_with_the_cause(accepting: None) -> None:
    make_story()
    ada = know_ada()
    suppression = services.suppress(channel=Channel.EMAIL, address="ADA@example.com", reason="bounce")
    sign_up(MONDAY)
    tick(MONDAY + 2 * DAY)
    send(MONDAY + 2 * DAY)

    (message,) = timeline(ada, kinds={Kind.MESSAGE}).entries

    day = f"{suppression.created_at.astimezone(timeline(ada).zone):%-d %B %Y}"
    assert f"Withheld: the address ada@example.com is suppressed since {day} (hard bounce)." in message.text


def notes_of(profile_id: int) -> list[str]:
    entries = timeline(profile_id, kinds={Kind.EVENT}).entries
    return [note.text for entry in entries if entry.title == "Signed Up" for note in entry.notes]


@pytest.mark.parametrize(
    ("re_entry", "why"),
    [
        ("never", "People enter it once in a lifetime, and they did on 16 November 2026."),
        ("after_end", "They were already inside, since 16 November 2026."),
    ],
)
def test_an_event_that_let_nobody_in_says_why(re_entry: str, why: str) -> None:
    make_source(pk=1)
    version = make_live(
        line(entry_box(), box("rest", "wait", until="duration", amount=9, unit="days"), box("end", "end")),
        re_entry,
        key="story",
    )
    type(version).objects.update(published_at=MONDAY)
    ada = know_ada()
    sign_up(MONDAY - HOUR, "Signed Up Elsewhere")
    sign_up(MONDAY)
    sign_up(MONDAY + DAY)

    assert notes_of(ada) == [
        f"Did not let them into the journey “Story”. {why}",
        "Let them into the journey “Story”.",
    ]


def test_an_event_from_before_the_journey_says_so_once() -> None:
    make_source(pk=1)
    ada = know_ada()
    sign_up(MONDAY)
    sign_up(MONDAY + HOUR)
    version = make_live(line(entry_box(), box("end", "end")), key="story")
    type(version).objects.update(published_at=MONDAY + DAY)

    assert notes_of(ada) == [
        "Did not let them into the journey “Story”. Version 1 was published later, on"
        " Tuesday 17 November 2026, 12:00 (Europe/Berlin)."
    ]


# --- feedback ------------------------------------------------------------------------------------------------


def test_opens_and_clicks_stand_under_their_message(accepting: None) -> None:
    make_story()
    ada = know_ada()
    sign_up(MONDAY)
    tick(MONDAY + 2 * DAY)
    message = send(MONDAY + 2 * DAY)
    answered = MONDAY + 3 * DAY
    stream(
        answered,
        track("ada", "$message_opened", at=answered, properties={
            "message_id": str(message.pk), "is_machine": True, "machine_reason": "prefetch"}),
        track("ada", "$message_clicked", at=answered + HOUR, properties={
            "message_id": message.pk, "url": "https://brand.example/sale"}),
        track("ada", "$message_opened", at=answered, properties={"message_id": "999999"}),
    )  # fmt: skip

    entries = timeline(ada).entries

    (shown,) = [entry for entry in entries if entry.kind is Kind.MESSAGE]
    assert [(note.text, note.at) for note in shown.notes] == [
        ("Opened by a machine (the browser looked ahead)", answered),
        ("https://brand.example/sale clicked by the person", answered + HOUR),
    ]
    assert not [entry for entry in entries if entry.title.startswith("$")]


def test_leaving_through_a_message_is_told_as_an_event_and_under_it(accepting: None) -> None:
    make_story()
    ada = know_ada()
    sign_up(MONDAY)
    tick(MONDAY + 2 * DAY)
    message = send(MONDAY + 2 * DAY)
    left = MONDAY + 3 * DAY
    services.unsubscribe(
        profile_id=ada,
        channel=Channel.EMAIL,
        reason="By one click.",
        now=left,
        about={"message_id": str(message.pk)},
    )
    assert take_batch(now=left)

    entries = timeline(ada).entries

    (shown,) = [entry for entry in entries if entry.kind is Kind.MESSAGE]
    assert [note.text for note in shown.notes] == ["Unsubscribed through it"]
    assert told([entry for entry in entries if entry.at == left]) == [
        ("Opted out of email", "By one click."),
        ("Unsubscribed from email", "noted by the product itself"),
    ]


# --- one person who was two ----------------------------------------------------------------------------------


def test_the_history_of_a_merged_profile_is_told_and_named() -> None:
    make_source(pk=1)
    stream(MONDAY, track(anon="phone", name="Looked", at=MONDAY))
    stream(MONDAY + HOUR, track("ada", "Signed Up", at=MONDAY + HOUR))
    stream(MONDAY + DAY, track("ada", "Bought", anon="phone", at=MONDAY + DAY))
    ada = owner_of("ada")
    former = Profile.objects.exclude(pk=ada).get()
    assert former.merged_into == ada

    page = timeline(ada, kinds={Kind.EVENT, Kind.PROFILE})

    assert [entry.title for entry in page.entries if entry.kind is Kind.EVENT] == [
        "Bought",
        "Signed Up",
        "Looked",
    ]
    assert [entry.profile_id for entry in page.entries if entry.kind is Kind.EVENT] == [ada, ada, former.pk]
    assert page.former_ids == [former.pk]
    (began,) = [
        entry for entry in page.entries if entry.profile_id == former.pk and entry.kind is Kind.PROFILE
    ]
    assert began.title == "Another profile of this person began"
    assert [entry.title for entry in timeline(former.pk, kinds={Kind.EVENT}).entries] == ["Looked"]


# --- consent by hand -----------------------------------------------------------------------------------------


def test_consent_set_by_hand_is_told_once_with_the_name() -> None:
    ada = make_profile()
    boss = User.objects.create_user("boss")
    for hours, state in enumerate([Consent.State.OPTED_OUT, Consent.State.OPTED_IN]):
        at = MONDAY + hours * HOUR
        note_consent(profile=ada, channel=Channel.SMS, state=state, reason="They called.", now=at, user=boss)

    assert told(timeline(ada.pk, kinds={Kind.CONSENT}).entries) == [
        ("Opted in to SMS", "Set by hand by boss. They called."),
        ("Opted out of SMS", "Set by hand by boss. They called."),
    ]


# --- pages ---------------------------------------------------------------------------------------------------


def fill(profile: Profile, configuration: ChannelConfiguration, variant: Variant, count: int) -> None:
    """Events, walks and messages, many of them at the very same moment."""
    user_id = Identity.objects.get(profile=profile, namespace_id=1).value
    for number in range(count):
        at = MONDAY + (number // 3) * MINUTE
        stream(at, track(user_id, "Signed Up", at=at), track(user_id, "Looked", at=at))
        delivery.enqueue(
            [
                delivery.Draft(
                    profile_id=profile.pk,
                    cause_kind=CauseKind.API_REQUEST,
                    cause_id=number,
                    activity="",
                    visit=1,
                    channel=Channel.EMAIL,
                    origin_id=1,
                    configuration_id=configuration.pk,
                    variant_id=variant.pk,
                    message_class=MessageClass.TRANSACTIONAL,
                )
            ],
            at,
        )


@pytest.fixture
def busy() -> Profile:
    """A person with eleven of everything, who enters the same journey again and again."""
    make_source(pk=1)
    make_live(line(entry_box(), box("end", "end")), "always", key="again")
    profile = make_profile()
    fill(profile, make_configuration(), make_variant(), 11)
    return profile


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_leave_nothing_out_and_repeat_nothing(busy: Profile, limit: int) -> None:
    whole = timeline(busy.pk, limit=200).entries
    assert len(whole) == 11 * (2 + 2 + 1) + 1

    paged = walk_everything(busy.pk, limit=limit)

    assert [entry.key for entry in paged] == [entry.key for entry in whole]
    assert len({entry.key for entry in paged}) == len(paged)


def test_a_page_stays_where_it_was_when_something_new_happens(busy: Profile) -> None:
    first = timeline(busy.pk, limit=5)
    older = timeline(busy.pk, limit=5, before=first.next).entries
    user_id = Identity.objects.get(profile=busy, namespace_id=1).value
    stream(MONDAY + DAY, track(user_id, "New", at=MONDAY + DAY))

    assert timeline(busy.pk, limit=5, before=first.next).entries == older


def test_a_page_costs_the_same_statements_whatever_there_is_to_tell(busy: Profile) -> None:
    lonely = make_profile()
    counts = {}
    for limit in (10, 200):
        with count_statements() as statements:
            timeline(busy.pk, limit=limit)
        counts[limit] = len(statements)
    with count_statements() as statements:
        timeline(lonely.pk)
    assert counts == {10: 11, 200: 11}, "\n".join(statements)
    assert len(statements) == 7


@pytest.mark.parametrize(
    "cursor", ["", "1", "1.2.3.4", "a.1.2.3.4", "1.9.0.0.0", f"1.3.{2**64}.0.0", "-1.1.0.0.0", "²." * 5]
)
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        timeline(make_profile().pk, before=cursor)


def test_nobody_has_no_timeline() -> None:
    with pytest.raises(Profile.DoesNotExist):
        timeline(4711)
