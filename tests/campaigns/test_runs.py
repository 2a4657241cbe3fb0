from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from ajo.core.models import AuditEvent
from ajo.lib import sql
from campaigns import notices, reports, runs
from campaigns.models import Campaign, CampaignRun, Notice
from channels.models import Message, MessageDue, SendHold, Variant
from profiles.audiences import services as audiences
from profiles.merging import merge_profiles
from profiles.models import Audience, Channel, Consent
from profiles.services import lock_profiles, set_consent
from tests.campaigns.helpers import (
    freeze,
    make_campaign,
    make_list,
    make_people,
    make_words,
    recipients,
    send,
    start,
)
from tests.factories import NOW, make_profile, make_variant
from tests.support import count_statements

pytestmark = pytest.mark.django_db
State = CampaignRun.State
DAILY = {"kind": "recurring", "every": "day", "time": "12:00", "zone": "UTC"}


# --- recipients ----------------------------------------------------------------------------------------------


def test_everybody_in_the_audience_and_in_no_exclusion_gets_one_message() -> None:
    people = make_people(7)
    audience = make_list("buyers", people[:6])
    campaign = make_campaign(
        audience, exclusions=[make_list("delayed", people[1:2]), make_list("staff", people[4:6])],
        context={"season": "spring"},
    )  # fmt: skip
    run = start(campaign)

    freeze()

    run.refresh_from_db()
    assert recipients(run) == [people[0].pk, people[2].pk, people[3].pk]
    assert (run.state, run.targeted, run.frozen_at, run.number) == (State.SENDING, 3, NOW, 1)
    message = Message.objects.filter(profile_id=people[0].pk).get()
    assert (message.state, message.activity, message.visit) == (Message.State.QUEUED, "", 1)
    assert message.context == {"season": "spring"}
    assert message.variant.version == campaign.pinned_version
    assert set(MessageDue.objects.values_list("lane", "due_at")) == {(Channel.EMAIL, NOW)}
    assert MessageDue.objects.count() == 3


def test_everybody_gets_the_words_in_their_language() -> None:
    german, other = make_profile(locale="de-DE"), make_profile(locale="nb")
    campaign = make_campaign(make_list("buyers", [german, other]))
    assert campaign.pinned_version is not None
    words = Variant.objects.create(
        version=campaign.pinned_version, locale="de", subject="Hallo", text="Hallo"
    )
    start(campaign)
    freeze()
    assert Message.objects.get(profile=german).variant_id == words.pk
    assert Message.objects.get(profile=other).variant_id != words.pk


def test_a_campaign_without_context_stores_none() -> None:
    run = start(make_campaign(make_list("buyers", make_people(1))))
    freeze()
    assert Message.objects.get(cause_id=run.pk).context is None


def test_freezing_costs_the_same_for_two_and_for_two_hundred() -> None:
    seen = []
    for key, people in (("few", make_people(2)), ("many", make_people(200))):
        start(make_campaign(make_list(key, people), key=key))
        with count_statements() as statements:
            runs.freeze_next(NOW, limit=1_000)
        seen.append(len(statements))
    assert seen[0] == seen[1]
    assert Message.objects.count() == 202


def test_somebody_who_was_merged_gets_none_and_their_survivor_one() -> None:
    people = make_people(3)
    audience = make_list("buyers", [people[0], people[2]])
    _merge(people[0], people[1])
    run = start(make_campaign(audience))
    freeze()
    assert recipients(run) == [people[1].pk, people[2].pk]


def test_a_merge_to_a_place_that_was_passed_is_not_forgotten() -> None:
    people = make_people(4)
    run = start(make_campaign(make_list("buyers", [people[1], people[3]])))
    runs.freeze_piece(run.pk, NOW, limit=1)
    assert recipients(run) == [people[1].pk]

    _merge(people[3], people[0])
    freeze()

    run.refresh_from_db()
    assert recipients(run) == [people[0].pk, people[1].pk]
    assert run.targeted == 2


def test_a_merge_behind_the_checkpoint_changes_nothing_for_the_excluded_and_for_those_who_have_it() -> None:
    people = make_people(5)
    run = start(
        make_campaign(
            make_list("buyers", [people[1], people[2], people[4]]),
            exclusions=[make_list("staff", people[:1])],
        )
    )
    runs.freeze_piece(run.pk, NOW, limit=1)

    _merge(people[2], people[0])  # excluded by the name that stays
    _merge(people[4], people[1])  # has it already
    freeze()

    assert recipients(run) == [people[1].pk]
    assert CampaignRun.objects.get().targeted == 1


def test_a_run_waits_until_everybody_was_looked_at_for_its_audiences() -> None:
    profile = make_profile(city="Ghent")
    audience = Audience.objects.create(key="ghent", name="Ghent")
    audiences.write_rule(audience, 'profile.city == "Ghent"')
    audiences.activate(audience)
    run = start(make_campaign(audience))

    freeze()
    assert recipients(run) == []
    assert CampaignRun.objects.get().state == State.FREEZING

    while audiences.evaluate_range(now=NOW):
        pass
    freeze()
    assert recipients(run) == [profile.pk]


def test_an_exclusion_that_was_archived_meanwhile_pauses_the_run_instead_of_letting_everybody_through() -> (
    None
):
    people = make_people(4)
    exclusion = make_list("delayed", people[3:])
    run = start(make_campaign(make_list("buyers", people), exclusions=[exclusion]))
    runs.freeze_piece(run.pk, NOW, limit=2)

    audiences.archive(exclusion)
    freeze()

    run.refresh_from_db()
    assert run.state == State.PAUSED
    assert "delayed is archived" in run.reason
    assert len(recipients(run)) == 2


# --- when ----------------------------------------------------------------------------------------------------


def test_two_beats_begin_one_run() -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)), schedule=DAILY)
    assert [runs.start_due_runs(NOW), runs.start_due_runs(NOW)] == [1, 0]
    campaign.refresh_from_db()
    assert campaign.next_run_at == NOW + timedelta(days=1)
    assert campaign.runs.get().due_at == NOW


def test_nothing_begins_before_its_time_or_while_the_campaign_is_not_live() -> None:
    audience = make_list("buyers", make_people(1))
    make_campaign(audience, key="later", next_run_at=NOW + timedelta(seconds=1))
    for state in set(Campaign.State.values) - {"live"}:
        make_campaign(audience, key=state, state=state)
    make_campaign(audience, key="called", kind=Campaign.Kind.TRIGGERED)
    assert runs.start_due_runs(NOW) == 0
    assert not CampaignRun.objects.exists()


def test_of_missed_dates_the_newest_is_run_and_the_others_say_why_not() -> None:
    campaign = make_campaign(
        make_list("buyers", make_people(1)), schedule=DAILY, next_run_at=NOW - timedelta(days=2)
    )
    assert runs.start_due_runs(NOW + timedelta(minutes=59)) == 1
    assert [(run.number, run.state, run.due_at) for run in campaign.runs.order_by("number")] == [
        (1, State.SKIPPED, NOW - timedelta(days=2)),
        (2, State.SKIPPED, NOW - timedelta(days=1)),
        (3, State.FREEZING, NOW),
    ]
    assert all("within an hour" in run.reason for run in campaign.runs.filter(state=State.SKIPPED))
    campaign.refresh_from_db()
    assert campaign.next_run_at == NOW + timedelta(days=1)


def test_more_than_an_hour_late_nothing_is_run() -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)))
    assert runs.start_due_runs(NOW + timedelta(minutes=61)) == 0
    assert campaign.runs.get().state == State.SKIPPED
    campaign.refresh_from_db()
    assert campaign.next_run_at is None


def test_a_campaign_that_cannot_begin_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    audience = make_list("buyers", make_people(1))
    make_campaign(audience, key="broken", pinned_version=None, next_run_at=NOW - timedelta(minutes=1))
    good = make_campaign(audience, key="good")
    assert runs.start_due_runs(NOW) == 1
    assert good.runs.count() == 1
    assert "could not begin its run" in caplog.text


def test_a_schedule_with_a_count_ends_after_that_many_runs() -> None:
    campaign = make_campaign(make_list("buyers", make_people(1)), schedule=DAILY | {"count": 2})
    for day in range(4):
        runs.start_due_runs(NOW + timedelta(days=day))
    assert campaign.runs.count() == 2
    campaign.refresh_from_db()
    assert campaign.next_run_at is None


# --- held, stopped, finished ---------------------------------------------------------------------------------


def test_a_pause_holds_what_is_queued_and_adds_nobody_until_the_resume(service: Any) -> None:
    people = make_people(5)
    run = start(make_campaign(make_list("buyers", people)))
    runs.freeze_piece(run.pk, NOW, limit=3)

    runs.pause_run(run=run)
    freeze()
    send()
    assert service.addresses == []
    assert len(recipients(run)) == 3

    runs.resume_run(run=run, now=NOW)
    freeze()
    send()
    assert sorted(service.addresses) == sorted(person.attributes["email"] for person in people)
    assert not SendHold.objects.exists()
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"pause_run", "resume_run"}


def test_a_stop_withholds_what_is_queued_with_the_reason(service: Any) -> None:
    run = start(make_campaign(make_list("buyers", make_people(4))))
    runs.freeze_piece(run.pk, NOW, limit=2)

    runs.stop_run(run=run, now=NOW)
    freeze()
    send()

    run.refresh_from_db()
    assert (run.state, run.ended_at) == (State.STOPPED, NOW)
    assert service.addresses == []
    assert list(Message.objects.values_list("state", "reason")) == [
        (Message.State.WITHHELD, runs.STOPPED_REASON)
    ] * 2  # fmt: skip
    assert not SendHold.objects.exists()
    assert not MessageDue.objects.exists()


def test_a_stop_that_was_interrupted_is_finished_by_the_next_tick() -> None:
    run = start(make_campaign(make_list("buyers", make_people(2))))
    freeze()
    runs.begin_stop(run=run)
    assert Message.objects.filter(state=Message.State.QUEUED).count() == 2

    runs.settle_runs(NOW)

    assert Message.objects.filter(state=Message.State.WITHHELD).count() == 2
    assert not SendHold.objects.exists()


def test_a_run_is_finished_when_nothing_of_it_is_queued_and_its_campaign_with_it(service: Any) -> None:
    campaign = make_campaign(make_list("buyers", make_people(2)))
    run = start(campaign)
    runs.settle_runs(NOW)
    freeze()
    runs.settle_runs(NOW)
    run.refresh_from_db()
    assert run.state == State.SENDING

    send()
    later = NOW + timedelta(seconds=5)
    runs.settle_runs(later)

    run.refresh_from_db()
    campaign.refresh_from_db()
    assert (run.state, run.ended_at) == (State.FINISHED, later)
    assert (campaign.state, campaign.ended_at) == (Campaign.State.FINISHED, later)


@pytest.mark.parametrize("verb", [runs.pause_run, runs.stop_run])
def test_what_is_over_is_neither_paused_nor_stopped(verb: Any) -> None:
    run = start(make_campaign(make_list("buyers", make_people(1))))
    CampaignRun.objects.update(state=State.FINISHED)
    more = {} if verb is runs.pause_run else {"now": NOW}
    with pytest.raises(runs.RunRefused, match="it is finished"):
        verb(run=run, **more)


# --- notices -------------------------------------------------------------------------------------------------


def make_notice(audience: Audience, **fields: Any) -> Notice:
    words = make_words()
    all_clear = make_variant("open-again").version.content
    defaults = {"key": "closed", "name": "Closed", "is_ready": True, "all_clear_content": all_clear}
    return Notice.objects.create(audience=audience, **words, **(defaults | fields))


def test_the_all_clear_goes_to_exactly_those_whom_the_notice_reached(service: Any) -> None:
    people = make_people(5)
    audience = make_list("visitors", people[:4])
    Profile = type(people[0])
    Profile.objects.filter(pk=people[2].pk).update(attributes={"email": ""})  # cannot be reached
    notice = make_notice(audience)
    form_id = uuid4()
    later = NOW + timedelta(minutes=1)

    sending = notices.send_notice(
        notice=notice, values={"ride": "Falcon"}, form_id=form_id, user=None, now=NOW
    )
    again = notices.send_notice(notice=notice, values={"ride": "Falcon"}, form_id=form_id, user=None, now=NOW)
    assert again == sending
    freeze()
    send(later)
    assert Message.objects.filter(cause_id=sending.run_id, context={"ride": "Falcon"}).count() == 4
    audiences.replace_list(audience, [people[4].pk], now=NOW)  # they left the park, somebody else came
    _merge(people[3], people[4])

    all_clear = notices.send_all_clear(sending=sending, values={}, form_id=uuid4(), user=None, now=later)
    again = notices.send_all_clear(sending=sending, values={}, form_id=uuid4(), user=None, now=later)
    assert again == all_clear
    freeze(later)

    assert recipients(all_clear.run) == [people[0].pk, people[1].pk, people[4].pk]
    assert all_clear.run.kind == "all_clear"
    assert Message.objects.filter(variant__version__content__key="open-again").count() == 3


def test_an_all_clear_stops_the_notice_and_waits_for_what_is_being_sent() -> None:
    people = make_people(3)
    notice = make_notice(make_list("visitors", people))
    sending = notices.send_notice(notice=notice, values={}, form_id=uuid4(), user=None, now=NOW)
    freeze()
    first, second, _ = Message.objects.order_by("pk")
    Message.objects.filter(pk=first.pk).update(state=Message.State.SENT)
    Message.objects.filter(pk=second.pk).update(state=Message.State.SENDING)

    all_clear = notices.send_all_clear(sending=sending, values={}, form_id=uuid4(), user=None, now=NOW)
    freeze()
    assert recipients(all_clear.run) == []

    Message.objects.filter(pk=second.pk).update(state=Message.State.UNCERTAIN)
    freeze()
    assert recipients(all_clear.run) == [people[0].pk, people[1].pk]
    assert CampaignRun.objects.get(pk=sending.run_id).state == State.STOPPED


def test_a_notice_that_is_not_ready_or_has_no_words_is_refused() -> None:
    notice = make_notice(make_list("visitors", make_people(1)), is_ready=False, all_clear_content=None)
    with pytest.raises(notices.NoticeRefused, match="not ready"):
        notices.send_notice(notice=notice, values={}, form_id=uuid4(), user=None, now=NOW)
    notice.is_ready = True
    sending = notices.send_notice(notice=notice, values={}, form_id=uuid4(), user=None, now=NOW)
    with pytest.raises(notices.NoticeRefused, match="no words for an all-clear"):
        notices.send_all_clear(sending=sending, values={}, form_id=uuid4(), user=None, now=NOW)
    assert CampaignRun.objects.count() == 1


def _merge(loser: Any, survivor: Any) -> None:
    with sql.unit_of_work() as cur:
        lock_profiles([loser.pk, survivor.pk])
        merge_profiles(cur, [(loser.pk, survivor.pk)], NOW)


def test_the_numbers_of_runs_come_from_their_messages(service: Any) -> None:
    people = make_people(3)
    set_consent(
        profile_ids=[people[0].pk], channel=Channel.EMAIL, state=Consent.State.OPTED_OUT, reason="", now=NOW
    )
    run = start(make_campaign(make_list("buyers", people)))
    freeze()
    send()
    counts = reports.run_counts([run.pk, 0])
    assert (counts[run.pk].targeted, counts[run.pk].sent, counts[run.pk].not_sent) == (3, 2, 1)
    assert list(counts[run.pk].withheld.values()) == [1]
    assert counts[0].targeted == 0
