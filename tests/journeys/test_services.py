from __future__ import annotations

from datetime import timedelta

import pytest

from ajo.core.models import AuditEvent, User
from channels.goals import Wanted
from channels.models import (
    CauseKind,
    ChannelConfiguration,
    Content,
    ContentVersion,
    GoalOrigin,
    Message,
    Variant,
)
from journeys import services
from journeys.graph import Level
from journeys.models import JourneyInstance, JourneyVersion, JourneyWait, StepLog
from journeys.services import JourneyRefused
from profiles.models import Channel, EventType
from tests.factories import NOW, make_configuration, make_profile, make_variant
from tests.journeys.helpers import (
    box,
    entry_box,
    line,
    make_cast_of_message,
    make_event,
    make_journey,
    make_live,
    stream,
    tick,
    waiting_graph,
    welcome_graph,
)

pytestmark = pytest.mark.django_db
State = JourneyVersion.State


def states(version: JourneyVersion) -> list[str]:
    """The states of all versions of its journey, oldest first."""
    return list(version.journey.versions.order_by("number").values_list("state", flat=True))


# --- writing -------------------------------------------------------------------------------------------------


def test_a_new_journey_has_an_empty_draft() -> None:
    user = User.objects.create_user("ada")

    journey = services.create_journey(key="welcome", name="Welcome", user=user)

    draft = journey.versions.get()
    assert (draft.state, draft.number, draft.revision, draft.graph) == (
        State.DRAFT,
        1,
        1,
        services.EMPTY_GRAPH,
    )
    assert journey.created_by == user
    with pytest.raises(JourneyRefused, match="already a journey with the key 'welcome'"):
        services.create_journey(key="welcome", name="Other", user=user)


def test_a_draft_is_saved_with_all_its_problems() -> None:
    journey = services.create_journey(key="welcome", name="Welcome", user=None)

    draft = services.save_draft(
        journey=journey, graph={"activities": 7}, re_entry="always", revision=1, user=None
    )

    assert (draft.revision, draft.graph, draft.re_entry) == (2, {"activities": 7}, "always")


def test_an_outdated_revision_overwrites_nothing() -> None:
    journey = make_journey(waiting_graph(minutes=1))

    with pytest.raises(JourneyRefused, match="no longer at revision 1"):
        services.save_draft(journey=journey, graph={}, re_entry="never", revision=1, user=None)

    assert journey.versions.get().graph == waiting_graph(minutes=1)


def test_only_one_draft_can_be_begun() -> None:
    journey = make_journey(waiting_graph(minutes=1))

    with pytest.raises(JourneyRefused, match="has begun a draft"):
        services.save_draft(journey=journey, graph={}, re_entry="never", revision=None, user=None)


def test_what_cannot_be_stored_is_refused() -> None:
    journey = make_journey({})

    for graph, re_entry, words in [
        ({"x": "\x00"}, "never", "cannot be stored"),
        ([], "never", "must be an object"),
        ({}, "often", "no re-entry rule 'often'"),
    ]:
        with pytest.raises(JourneyRefused, match=words):
            services.save_draft(journey=journey, graph=graph, re_entry=re_entry, revision=2, user=None)  # type: ignore[arg-type]


# --- publishing ----------------------------------------------------------------------------------------------


def test_publishing_freezes_the_draft_and_pins_what_it_uses() -> None:
    make_cast_of_message()
    journey = make_journey(welcome_graph())
    content = Content.objects.get(key="welcome")
    newer = ContentVersion.objects.create(content=content, number=2, state=ContentVersion.State.PUBLISHED)
    Variant.objects.create(version=newer, subject="Newer", text="{{ unsubscribe_url }}")
    ContentVersion.objects.create(content=content, number=3)  # a draft is nobody's current version

    version = services.publish_journey(journey=journey, user=None, now=NOW)

    version.refresh_from_db()
    assert version.state == State.LIVE
    assert version.pins == {"welcome": newer.pk}
    assert version.entry_event_type == EventType.objects.get(name="Signed Up")
    assert version.published_at == NOW
    with pytest.raises(JourneyRefused, match="no longer at revision"):
        services.save_draft(journey=journey, graph={}, re_entry="never", revision=version.revision, user=None)


def test_a_journey_with_errors_is_not_published() -> None:
    journey = make_journey(line(entry_box(), box("end", "teleport")))

    with pytest.raises(JourneyRefused, match="unknown kind 'teleport'") as refused:
        services.publish_journey(journey=journey, user=None, now=NOW)

    assert [problem.activity for problem in refused.value.problems] == ["end"]
    assert journey.versions.get().state == State.DRAFT
    assert not EventType.objects.exists()


def test_warnings_do_not_stop_publishing() -> None:
    graph = waiting_graph(minutes=1)
    graph["activities"].append(box("island", "end"))

    assert make_live(graph).state == State.LIVE


def test_nothing_is_published_that_could_not_be_sent() -> None:
    journey = make_journey(welcome_graph())

    def problems() -> list[str]:
        found = services.check_version(journey.versions.get())
        assert all(problem.level is Level.ERROR and problem.activity == "hello" for problem in found)
        return [problem.message for problem in found]

    no_configuration, no_content = problems()
    assert "no channel configuration 'email'" in no_configuration
    assert "no content 'welcome'" in no_content

    make_configuration(is_active=False, channel=Channel.SMS)
    content = Content.objects.create(key="welcome", name="Welcome")
    switched_off, unpublished, channels = problems()
    assert "switched off" in switched_off
    assert "no published version" in unpublished
    assert "written for Email" in channels

    ChannelConfiguration.objects.update(is_active=True, channel=Channel.EMAIL)
    version = ContentVersion.objects.create(content=content, number=1, state=ContentVersion.State.PUBLISHED)
    variant = Variant.objects.create(version=version, subject="Hello", text="Hello")
    (no_way_out,) = problems()
    assert "no link to unsubscribe" in no_way_out
    variant.text = "Hello {{ preferences_url }}"
    variant.save()
    assert problems() == []


def test_publishing_again_closes_the_version_that_was_live() -> None:
    first = make_live(waiting_graph(minutes=5))
    profile, newcomer = make_profile(), make_profile()
    stream(make_event(profile.pk))
    journey = first.journey
    services.save_draft(
        journey=journey, graph=waiting_graph(minutes=9), re_entry="always", revision=None, user=None
    )

    second = services.publish_journey(journey=journey, user=None, now=NOW)
    stream(make_event(newcomer.pk))

    assert states(first) == [State.CLOSED, State.LIVE]
    walks = JourneyInstance.objects.values_list("profile_id", "version_id")
    assert set(walks) == {(profile.pk, first.pk), (newcomer.pk, second.pk)}
    assert tick(NOW + timedelta(minutes=5)) == 1  # people inside walk on in their version


def test_without_a_draft_there_is_nothing_to_publish() -> None:
    version = make_live(waiting_graph(minutes=5))

    with pytest.raises(JourneyRefused, match="no draft"):
        services.publish_journey(journey=version.journey, user=None, now=NOW)


def test_a_paused_version_stands_in_the_way_of_the_next() -> None:
    version = make_live(waiting_graph(minutes=5))
    services.pause_journey(journey=version.journey, user=None)
    services.save_draft(
        journey=version.journey, graph=waiting_graph(minutes=9), re_entry="never", revision=None, user=None
    )

    with pytest.raises(JourneyRefused, match="v1 is paused"):
        services.publish_journey(journey=version.journey, user=None, now=NOW)

    assert states(version) == [State.PAUSED, State.DRAFT]


# --- pausing, closing, stopping ------------------------------------------------------------------------------


def test_a_paused_journey_stands_still_and_resumes() -> None:
    version = make_live(waiting_graph(minutes=5, event="Bought"))
    profile, late = make_profile(), make_profile()
    stream(make_event(profile.pk))
    services.pause_journey(journey=version.journey, user=None)

    stream(make_event(profile.pk, "Bought"), make_event(late.pk))
    assert tick(NOW + timedelta(minutes=5)) == 0
    assert JourneyWait.objects.get().instance.profile == profile

    services.resume_journey(journey=version.journey, user=None)
    assert tick(NOW + timedelta(minutes=5)) == 1
    assert JourneyInstance.objects.get().state == JourneyInstance.State.ENDED


def test_a_closed_journey_is_finished_when_the_last_person_has_left() -> None:
    version = make_live(waiting_graph(minutes=5))
    other = make_live(waiting_graph(minutes=5))
    stream(make_event(make_profile().pk))
    services.close_journey(journey=version.journey, user=None)
    stream(make_event(make_profile().pk))

    assert JourneyInstance.objects.filter(version=version).count() == 1
    assert services.settle_versions(now=NOW) == 0
    tick(NOW + timedelta(minutes=5))
    assert services.settle_versions(now=NOW) == 1

    version.refresh_from_db()
    assert (version.state, version.ended_at) == (State.FINISHED, NOW)
    assert states(other) == [State.LIVE]


def test_stopping_takes_everybody_out_and_withholds_what_is_queued() -> None:
    make_cast_of_message()
    graph = welcome_graph()
    graph["activities"].insert(2, box("wait", "test_parking", minutes=5))
    graph["links"] = line(*graph["activities"])["links"]
    first, other = make_live(graph), make_live(graph)
    stream(*[make_event(make_profile().pk) for _ in range(3)])
    services.save_draft(journey=first.journey, graph=graph, re_entry="never", revision=None, user=None)
    second = services.publish_journey(journey=first.journey, user=None, now=NOW)
    stream(make_event(make_profile().pk))

    stopped = services.stop_journey(journey=first.journey, user=None, now=NOW)

    assert {version.pk for version in stopped} == {first.pk, second.pk}
    assert states(first) == [State.STOPPED, State.STOPPED]
    assert {version.ended_at for version in first.journey.versions.all()} == {NOW}
    walks = JourneyInstance.objects.filter(journey=first.journey)
    assert walks.count() == 4
    assert all((w.state, w.ended_at) == (JourneyInstance.State.STOPPED, NOW) for w in walks)
    assert StepLog.objects.filter(outcome="stopped", version__journey=first.journey).count() == 4
    assert set(JourneyWait.objects.values_list("version_id", flat=True)) == {other.pk}
    messages = Message.objects.filter(origin_id__in=[first.pk, second.pk])
    assert {(message.state, message.reason) for message in messages} == {
        (Message.State.WITHHELD, "The journey was stopped.")
    }
    assert Message.objects.filter(origin_id=other.pk, state=Message.State.QUEUED).count() == 4
    assert tick(NOW + timedelta(days=1)) == 4  # those of the other journey only


def test_a_great_stop_is_ended_by_the_next_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    version = make_live(waiting_graph(minutes=5))
    stream(*[make_event(make_profile().pk) for _ in range(5)])
    monkeypatch.setattr(services, "STOP_BATCHES", 0)

    services.stop_journey(journey=version.journey, user=None, now=NOW)
    assert JourneyWait.objects.count() == 5
    assert tick(NOW + timedelta(minutes=5)) == 0  # nobody makes another step

    monkeypatch.setattr(services, "STOP_BATCHES", 20)
    assert services.settle_versions(now=NOW) == 1
    assert not JourneyWait.objects.exists()
    assert services.settle_versions(now=NOW) == 0


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (lambda journey: services.pause_journey(journey=journey, user=None), "cannot be paused"),
        (lambda journey: services.resume_journey(journey=journey, user=None), "cannot be resumed"),
        (lambda journey: services.close_journey(journey=journey, user=None), "cannot be closed"),
        (lambda journey: services.stop_journey(journey=journey, user=None, now=NOW), "Nobody can be in"),
    ],
)
def test_a_draft_can_only_be_published(verb, words: str) -> None:  # type: ignore[no-untyped-def]
    journey = make_journey(waiting_graph(minutes=5))

    with pytest.raises(JourneyRefused, match=words):
        verb(journey)


def test_every_change_is_audited() -> None:
    make_variant()
    user = User.objects.create_user("ada")
    journey = services.create_journey(key="welcome", name="Welcome", user=user)
    graph = waiting_graph(minutes=5)
    services.save_draft(journey=journey, graph=graph, re_entry="never", revision=1, user=user)
    services.publish_journey(journey=journey, user=user, now=NOW)
    services.pause_journey(journey=journey, user=user)
    services.resume_journey(journey=journey, user=user)
    services.close_journey(journey=journey, user=user)
    services.stop_journey(journey=journey, user=user, now=NOW)

    lines = AuditEvent.objects.order_by("id").values_list("action", "object_key", "user")
    assert list(lines) == [
        (f"{verb}_journey", "welcome", user.pk)
        for verb in ("create", "save", "publish", "pause", "resume", "close", "stop")
    ]


def test_a_goal_follows_a_journey_to_its_next_version() -> None:
    make_cast_of_message()
    first = make_live(welcome_graph())
    journey = services.set_goal(journey=first.journey, wanted=Wanted("Booked"), user=None)
    services.save_draft(journey=journey, graph=welcome_graph(), re_entry="never", revision=None, user=None)
    stale = first.journey  # read before there was a goal
    second = services.publish_journey(journey=stale, user=None, now=NOW)
    followed = GoalOrigin.objects.filter(cause_kind=CauseKind.JOURNEY_INSTANCE, goal=journey.goal)
    assert set(followed.values_list("origin_id", flat=True)) == {first.pk, second.pk}
    assert services.set_goal(journey=stale, wanted=None, user=None).goal is None
    assert not GoalOrigin.objects.exists()
