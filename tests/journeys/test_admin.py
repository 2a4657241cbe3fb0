from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent, User
from channels.goals import Wanted, said
from journeys import services
from journeys.activities import registry
from journeys.models import Journey, JourneyInstance, JourneyVersion
from journeys.querysets import with_last_change
from tests.factories import NOW, make_profile, make_variant
from tests.journeys.helpers import make_event, make_journey, make_live, stream, waiting_graph

pytestmark = pytest.mark.django_db
State = JourneyVersion.State


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def change_url(journey: Journey) -> str:
    return reverse("admin:journeys_journey_change", args=[journey.pk])


def page_of(client: Client, journey: Journey) -> Any:
    return client.get(change_url(journey))


def test_a_journey_is_made_with_its_draft_and_opens_on_the_canvas(boss: Client) -> None:
    answer = boss.post(
        reverse("admin:journeys_journey_add"), {"name": "Welcome", "key": "welcome", "description": ""}
    )

    journey = Journey.objects.get()
    assert answer.headers["Location"] == change_url(journey)
    assert journey.versions.get().state == State.DRAFT
    assert journey.created_by == User.objects.get()


def test_the_list_shows_state_and_last_change(boss: Client) -> None:
    journey = make_live(waiting_graph(minutes=5), key="welcome").journey
    AuditEvent.objects.filter(object_key="welcome").update(at=NOW)

    page = boss.get(reverse("admin:journeys_journey_changelist")).content.decode()

    assert "Live" in page
    assert NOW.strftime("%Y") in page
    assert with_last_change(Journey.objects.all()).get(pk=journey.pk).last_change == NOW  # type: ignore[attr-defined]


def test_the_page_of_a_journey_is_its_canvas(boss: Client) -> None:
    journey = make_journey({}, key="welcome")

    answer = page_of(boss, journey)

    boot = answer.context["boot"]
    assert (boot["key"], boot["api"]) == ("welcome", "/api/v1/")
    assert {kind["kind"] for kind in boot["kinds"]} == {cls.kind for cls in registry}
    assert boot["may"] == {"change": True, "publish": True, "operate": True}
    assert "csrftoken" in answer.cookies
    page = answer.content.decode()
    assert 'id="canvas-boot"' in page
    assert "switched off in this browser" in page


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        (["view_journey"], set()),
        (["view_journey", "change_journey"], {"change"}),
        (["view_journey", "publish_journey"], {"publish"}),
        (["view_journey", "operate_journey"], {"operate"}),
    ],
)
def test_the_canvas_offers_what_its_reader_may_do(client: Client, rights: list[str], may: set[str]) -> None:
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(eve)

    boot = page_of(client, make_journey({})).context["boot"]

    assert {verb for verb, is_allowed in boot["may"].items() if is_allowed} == may


def test_who_may_not_look_sees_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("eve", is_staff=True))

    assert page_of(client, make_journey({})).status_code == 403


def test_nothing_is_posted_to_the_canvas(boss: Client) -> None:
    journey = make_journey({}, key="welcome")

    assert boss.post(change_url(journey), {"name": "Other"}).status_code == 405
    assert Journey.objects.get().name != "Other"


def test_a_journey_that_does_not_exist_leads_back(boss: Client) -> None:
    answer = boss.get(reverse("admin:journeys_journey_change", args=[999]))

    assert answer.headers["Location"] == reverse("admin:index")


def test_a_box_leads_to_its_content_by_key(boss: Client) -> None:
    content = make_variant().version.content

    answer = boss.get(reverse("admin:journeys_journey_content", args=[content.key]))

    assert answer.headers["Location"] == reverse("admin:channels_content_change", args=[content.pk])
    assert boss.get(reverse("admin:journeys_journey_content", args=["nothing"])).status_code == 404


def test_a_walk_shows_its_steps(boss: Client) -> None:
    make_live(waiting_graph(minutes=5))
    stream(make_event(make_profile().pk))
    walk = JourneyInstance.objects.get()
    services.stop_journey(journey=walk.journey, user=None, now=walk.entered_at)

    page = boss.get(reverse("admin:journeys_journeyinstance_change", args=[walk.pk])).content.decode()

    assert "<b>entry</b>: next" in page
    assert "The journey was stopped." in page
    assert boss.get(reverse("admin:journeys_journeyinstance_changelist")).status_code == 200


def test_the_goal_has_a_page_of_its_own(boss: Client, client: Client) -> None:
    journey = make_live(waiting_graph(minutes=5), key="welcome").journey
    url = reverse("admin:journeys_journey_goal", args=[journey.pk])
    assert boss.post(url, {"goal-event": "", "goal-days": "3"}).status_code == 200
    assert boss.post(url, {"goal-event": "Booked", "goal-days": "3"}).status_code == 302
    journey.refresh_from_db()
    assert said(journey.goal) == Wanted("Booked", days=3)
    page = boss.get(url).content.decode()
    assert 'value="Booked"' in page
    assert reverse("report-journey", args=["welcome"]) in page
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(url).status_code == 403
