"""Journeys that react to what people do with messages, their own messages included."""

from __future__ import annotations

import pytest
from django.conf import settings

from ajo.lib import doorbell
from channels.models import Message
from channels.tracking import feedback
from journeys.models import JourneyInstance
from profiles import own_events
from profiles.models import Event
from profiles.own_events import OwnEvent
from profiles.stream import take_batch
from tests.factories import NOW, make_event_type, make_profile
from tests.journeys.helpers import make_cast_of_message, make_live, welcome_graph

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda task: None)


def test_a_journey_that_reacts_to_opens_of_its_own_messages_comes_to_an_end() -> None:
    make_cast_of_message()
    make_event_type(feedback.OPENED)
    graph = welcome_graph()
    graph["activities"][0]["config"]["event"] = feedback.OPENED
    make_live(graph, re_entry="always")
    ada = make_profile()
    properties = {"message_id": "0", "is_machine": False, "machine_reason": ""}
    own_events.record([OwnEvent(ada.pk, feedback.OPENED, properties, NOW)])
    opened = 0
    for _ in range(3 * settings.AJO_MAX_HOPS):
        take_batch(now=NOW)
        for message in Message.objects.order_by("pk")[opened:]:
            about = {**properties, "message_id": str(message.pk)}
            own_events.record([OwnEvent(ada.pk, feedback.OPENED, about, NOW, message.hops)])
            opened += 1
    assert opened == Message.objects.count() == JourneyInstance.objects.count() == settings.AJO_MAX_HOPS
    assert Event.objects.count() == settings.AJO_MAX_HOPS + 1
    assert Message.objects.filter(opened_at=NOW).count() == opened, (
        "the last open is noted, but starts nothing"
    )
