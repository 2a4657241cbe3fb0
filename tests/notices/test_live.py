"""Watching a journey: who is where, who does not get on; by operations, and by nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core.models import User
from ajo.notices.live import journey_now
from ajo.notices.models import LiveView
from journeys import services
from journeys.models import JourneyInstance, JourneyVersion, JourneyWait
from profiles.models import AttributeDefinition
from tests.factories import NOW, make_profile, make_step
from tests.journeys.helpers import box, entry_box, line, make_live
from tests.support import count_statements
from tests.test_roles import make_colleague

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def version() -> JourneyVersion:
    from tests.factories import make_event_type

    make_event_type()
    graph = line(
        entry_box(),
        box("read-handbook", "wait", until="duration", amount=5, unit="days"),
        box("end", "end"),
    )
    return make_live(graph, key="onboarding")


@pytest.fixture
def view(version: JourneyVersion) -> LiveView:
    return LiveView.objects.create(journey=version.journey, label="Onboarding of new staff")


def walk(
    version: JourneyVersion, *, hours_ago: int, state: int = JourneyInstance.State.ACTIVE, **attributes: str
):  # type: ignore[no-untyped-def]
    """Somebody who came to the wait so many hours ago, and stands there or failed there."""
    at = NOW - timedelta(hours=hours_ago)
    found = JourneyInstance.objects.create(
        journey=version.journey, version=version, profile=make_profile(**attributes), entry_no=1,
        activity="read-handbook", visit=2, entered_at=at, state=state,
    )  # fmt: skip
    make_step(found, 1, "entry", "next", at=at)
    if state == JourneyInstance.State.ACTIVE:
        JourneyWait.objects.create(
            instance=found, version=version, activity="read-handbook", visit=2, profile=found.profile,
            due_at=NOW + timedelta(days=5),
        )  # fmt: skip
    else:
        make_step(found, 2, "read-handbook", "failed", detail="The date is missing.", at=at)
    return found


def count_steps(version: JourneyVersion, **steps: int) -> None:
    """What the engine counts with the steps that it writes."""
    from journeys.models import StepCountDelta

    for name, n in steps.items():
        activity, outcome = name.split("__")
        StepCountDelta.objects.create(
            version=version, activity=activity.replace("_", "-"), outcome=outcome, day=NOW.date(), n=n
        )


def test_it_tells_who_is_where_and_who_does_not_get_on(version: JourneyVersion, view: LiveView) -> None:
    for hours in (1, 23, 25, 60):
        walk(version, hours_ago=hours)
    walk(version, hours_ago=2, state=JourneyInstance.State.FAILED)
    count_steps(version, entry__next=5, read_handbook__failed=1)

    now = journey_now(view, NOW)

    assert now is not None
    assert (now.entered, now.active, now.failed, now.ended) == (5, 4, 1, 0)
    assert [(box.name, box.waiting, box.stuck) for box in now.boxes] == [
        ("Entry", 0, 0), ("Read handbook", 4, 2), ("End", 0, 0),
    ]  # fmt: skip
    assert [person.since for person in now.stuck_people] == [
        NOW - timedelta(hours=60),
        NOW - timedelta(hours=25),
    ]
    assert [(person.box, person.reason) for person in now.failures] == [
        ("Read handbook", "The date is missing.")
    ]
    assert len(now.newest) == 5
    assert now.is_all_looked_at


def test_people_are_numbers_unless_an_administrator_chose_how_they_are_named(
    version: JourneyVersion, view: LiveView
) -> None:
    known, unknown = walk(version, hours_ago=30, first_name="Ada"), walk(version, hours_ago=40)
    names = [f"Person {unknown.profile_id}", f"Person {known.profile_id}"]
    assert [person.name for person in journey_now(view, NOW).stuck_people] == names

    view.named_by = AttributeDefinition.objects.create(key="first_name", label="First name")
    view.save()
    cache.clear()
    assert [person.name for person in journey_now(view, NOW).stuck_people] == [names[0], "Ada"]


def test_the_number_of_statements_does_not_grow_with_people(version: JourneyVersion, view: LiveView) -> None:
    walk(version, hours_ago=30)
    with count_statements() as few:
        journey_now(view, NOW)
    for _ in range(30):
        walk(version, hours_ago=30)
    cache.clear()
    with count_statements() as many:
        journey_now(view, NOW)
    assert len(many) == len(few)


def test_operations_watch_it_and_nobody_without_the_right_does(client: Client, view: LiveView) -> None:
    page, part = (reverse(name, args=["onboarding"]) for name in ("notice-live", "notice-live-now"))
    assert client.get(page)["Location"].startswith("/admin/login/")
    client.force_login(make_colleague("viewer"))
    assert client.get(page).status_code == 403
    client.force_login(make_colleague("operations"))
    assert "Onboarding of new staff" in client.get(page).content.decode()
    assert client.get(part).status_code == 200
    assert client.post(page).status_code == 405
    LiveView.objects.update(is_shown=False)
    assert client.get(page).status_code == 404
    assert client.get(part).status_code == 404


def test_a_journey_that_nobody_chose_cannot_be_watched(client: Client, version: JourneyVersion) -> None:
    client.force_login(make_colleague("operations"))
    assert client.get(reverse("notice-live", args=["onboarding"])).status_code == 404


def test_a_journey_that_is_not_live_says_so(client: Client, view: LiveView) -> None:
    services.stop_journey(journey=view.journey, user=None, now=timezone.now())
    client.force_login(make_colleague("operations"))
    assert "nobody is in it" in client.get(reverse("notice-live", args=["onboarding"])).content.decode()


def test_an_administrator_chooses_what_is_watched(client: Client, version: JourneyVersion) -> None:
    client.force_login(make_colleague("administrator"))
    add = reverse("admin:notices_liveview_add")
    fields = {"journey": version.journey.pk, "label": "Onboarding", "stuck_after_hours": 0, "is_shown": "on"}
    assert client.post(add, fields).status_code == 200  # an hour at least
    client.post(add, {**fields, "stuck_after_hours": 48})
    view = LiveView.objects.get()
    assert (view.journey, view.stuck_after_hours) == (version.journey, 48)
    client.force_login(User.objects.get(username="administrator"))
    assert "Onboarding" in client.get(reverse("notices")).content.decode()
