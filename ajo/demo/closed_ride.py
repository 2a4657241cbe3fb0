"""The third story: somebody of operations tells everybody in a park that a ride is closed, and when it runs again."""

from __future__ import annotations

from typing import Any

from ajo.demo.catalogue import PARKS, Park
from ajo.demo.drafts import AudienceDraft, ContentDraft
from profiles.models import Channel

IN_A_PARK = "in-a-park-now"
CLOSED, RUNNING = "ride-closed", "ride-open"
EARLY = "park-closes-early"


def audience_of(park: Park) -> str:
    return f"in-{park.key}-now"


def notice_of(park: Park) -> str:
    return f"ride-closed-{park.key}"


def _rule(park: Park) -> str:
    here = f'duration("12h"), event.park == "{park.name}"'
    return f'count("Park Entered", {here}) > count("Park Left", {here})'


AUDIENCES = (
    *(
        AudienceDraft(
            audience_of(park),
            f"In {park.name} now",
            "They came in during the last twelve hours and have not left.",
            _rule(park),
        )
        for park in PARKS
    ),
    AudienceDraft(
        IN_A_PARK,
        "In a park now",
        "They are in one of the parks at this moment.",
        " || ".join(f'inAudience("{audience_of(park)}")' for park in PARKS),
    ),
)
CONTENTS = (
    ContentDraft(
        CLOSED,
        "A ride is closed",
        Channel.PUSH,
        {
            "subject": "{{ context.ride }} is closed",
            "text": "{{ context.ride }} is closed until about {{ context.until }}."
            "{% if context.instead %} {{ context.instead }} has a short queue right now.{% endif %}"
            " We are sorry, {{ profile.first_name | default: 'friend' }}.",
        },
    ),
    ContentDraft(
        RUNNING,
        "The ride is open again",
        Channel.PUSH,
        {
            "subject": "{{ context.ride }} is open again",
            "text": "{{ context.ride }} is running. Thank you for your patience,"
            " {{ profile.first_name | default: 'friend' }}.",
        },
    ),
    ContentDraft(
        EARLY,
        "The park closes early",
        Channel.SMS,
        {
            "text": "Harbour & Pine: because of {{ context.reason }} the park closes at {{ context.at }} today."
            " Your ticket is good for another day."
        },
    ),
)


def ride_fields(park: Park) -> list[dict[str, Any]]:
    """What operations fill in when a ride closes."""
    rides = [ride.name for ride in park.open_rides]
    return [
        {"name": "ride", "label": "Which ride?", "kind": "choice", "required": True, "choices": rides},
        {"name": "until", "label": "Closed until about", "kind": "time", "required": True},
        {
            "name": "instead",
            "label": "Where is the queue short?",
            "kind": "choice",
            "required": False,
            "choices": rides,
            "help": "Visitors are told to go there instead.",
        },
    ]


EARLY_FIELDS: list[dict[str, Any]] = [
    {
        "name": "reason",
        "label": "Why?",
        "kind": "choice",
        "required": True,
        "choices": ["the storm", "the heat", "a power cut"],
    },
    {"name": "at", "label": "The park closes at", "kind": "time", "required": True},
]
