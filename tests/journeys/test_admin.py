from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent, User
from journeys import services
from journeys.models import Journey, JourneyInstance, JourneyVersion
from tests.factories import make_profile
from tests.journeys.helpers import make_event, make_journey, make_live, stream, waiting_graph

pytestmark = pytest.mark.django_db
State = JourneyVersion.State


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def change_url(journey: Journey) -> str:
    return reverse("admin:journeys_journey_change", args=[journey.pk])


def post(client: Client, journey: Journey, **changes: Any) -> str:
    """Save the change form; the text of the page that follows."""
    page = client.get(change_url(journey))
    form = page.context["adminform"].form
    data = {"name": journey.name, "description": "", "versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    data |= {name: form.initial.get(name, "") or "" for name in ("re_entry", "revision")}
    data["graph"] = json.dumps(form.initial["graph"])
    return client.post(change_url(journey), data | changes, follow=True).content.decode()


def do(client: Client, journey: Journey, verb: str, **headers: Any) -> Any:
    url = reverse(f"admin:journeys_journey_{verb}", args=[journey.pk])
    return client.post(url, {"_form_submitted": "on"}, **headers)


def test_a_journey_is_made_with_its_draft(boss: Client) -> None:
    boss.post(reverse("admin:journeys_journey_add"), {"name": "Welcome", "key": "welcome", "description": ""})

    journey = Journey.objects.get()
    assert journey.versions.get().state == State.DRAFT
    assert journey.created_by == User.objects.get()
    assert "welcome" in boss.get(reverse("admin:journeys_journey_changelist")).content.decode()


def test_the_draft_is_saved_with_its_problems_shown(boss: Client) -> None:
    journey = make_journey({})

    page = post(boss, journey, name="Hello", graph='{"activities": []}', re_entry="always")

    draft = journey.versions.get()
    assert (draft.graph, draft.re_entry, draft.revision) == ({"activities": []}, "always", 3)
    assert Journey.objects.get().name == "Hello"
    assert "nobody could ever come in" in page
    assert {"describe_journey", "save_journey"} <= set(AuditEvent.objects.values_list("action", flat=True))


def test_a_colleague_who_was_quicker_is_not_overwritten(boss: Client) -> None:
    journey = make_journey({})

    page = post(boss, journey, graph='{"activities": []}', revision=1)

    assert "Somebody else saved" in page
    assert journey.versions.get().graph == {}


def test_saving_a_published_journey_begins_the_next_version(boss: Client) -> None:
    version = make_live(waiting_graph(minutes=5))

    post(boss, version.journey, graph=json.dumps(waiting_graph(minutes=6)))

    assert list(version.journey.versions.values_list("number", "state")) == [
        (2, State.DRAFT),
        (1, State.LIVE),
    ]


def test_the_verbs_ask_first(boss: Client) -> None:
    journey = make_journey(waiting_graph(minutes=5))

    page = boss.get(reverse("admin:journeys_journey_publish", args=[journey.pk]))

    assert "Freezes the draft" in page.content.decode()
    assert journey.versions.get().state == State.DRAFT


def test_the_verbs_do_it(boss: Client) -> None:
    journey = make_journey(waiting_graph(minutes=5))

    for verb, state in [
        ("publish", State.LIVE),
        ("pause", State.PAUSED),
        ("resume", State.LIVE),
        ("close", State.CLOSED),
        ("stop", State.STOPPED),
    ]:
        assert do(boss, journey, verb).url == change_url(journey)
        assert journey.versions.get().state == state


def test_a_refusal_is_shown(boss: Client) -> None:
    journey = make_journey({})

    answer = do(boss, journey, "publish", headers={"HX-Request": "true"})

    assert answer.headers["HX-Redirect"] == change_url(journey)
    assert "cannot be published" in boss.get(change_url(journey)).content.decode()


def test_only_what_can_be_done_now_is_offered(boss: Client) -> None:
    def offered(journey: Journey) -> list[str]:
        actions = boss.get(change_url(journey)).context["actions_detail"]
        return [str(action["title"]) for action in actions]

    journey = make_journey(waiting_graph(minutes=5))
    assert offered(journey) == ["Publish"]
    do(boss, journey, "publish")
    assert offered(journey) == ["Pause", "Close", "Stop"]


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("eve", is_staff=True))
    journey = make_journey(waiting_graph(minutes=5))

    assert do(client, journey, "publish").status_code == 403
    assert journey.versions.get().state == State.DRAFT


def test_a_walk_shows_its_steps(boss: Client) -> None:
    make_live(waiting_graph(minutes=5))
    stream(make_event(make_profile().pk))
    walk = JourneyInstance.objects.get()
    services.stop_journey(journey=walk.journey, user=None, now=walk.entered_at)

    page = boss.get(reverse("admin:journeys_journeyinstance_change", args=[walk.pk])).content.decode()

    assert "<b>entry</b>: next" in page
    assert "The journey was stopped." in page
    assert boss.get(reverse("admin:journeys_journeyinstance_changelist")).status_code == 200
