from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.core.cache import cache

from ajo.core.models import User
from campaigns.models import Notice
from channels.models import MessageClass
from profiles.models import Profile
from tests.campaigns.helpers import make_list, make_people
from tests.channels.conftest import service
from tests.factories import make_configuration, make_variant
from tests.test_roles import make_colleague

__all__ = ["service"]

FIELDS = [
    {
        "name": "ride",
        "label": "Which ride?",
        "kind": "choice",
        "required": True,
        "choices": ["Sky Coaster", "Log Flume"],
    },
    {"name": "until", "label": "Closed until", "kind": "time", "required": True},
    {"name": "minutes", "label": "Minutes to the next show", "kind": "number", "required": False},
    {"name": "note", "label": "Anything else?", "kind": "text", "required": False, "max_length": 40},
]


@dataclass(frozen=True, slots=True)
class Park:
    """Visitors who are in the park, a notice to them, and a member of operations."""

    visitors: list[Profile]
    notice: Notice
    operator: User


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    cache.clear()


@pytest.fixture
def make_park() -> Callable[..., Park]:
    def make(people: int = 5) -> Park:
        visitors = make_people(people)
        configuration = make_configuration("park", name="Park email")
        words = make_variant(
            "ride-closed",
            subject="{{ context.ride }} is closed",
            html="<p>The {{ context.ride }} is closed until {{ context.until }}. {{ context.note | default: '' }}</p>",
            text="The {{ context.ride }} is closed until {{ context.until }}.",
        )
        over = make_variant(
            "ride-open",
            subject="{{ context.ride }} is open again",
            html="<p>The {{ context.ride }} is open again.</p>",
            text="The {{ context.ride }} is open again.",
        )
        notice = Notice.objects.create(
            key="ride-closed",
            name="A ride is closed",
            description="To everybody who is in the park now.",
            content=words.version.content,
            all_clear_content=over.version.content,
            configuration=configuration,
            message_class=MessageClass.TRANSACTIONAL,
            audience=make_list("in-the-park", visitors),
            fields=FIELDS,
            is_ready=True,
        )
        return Park(visitors, notice, make_colleague("operations", name="ola"))

    return make


@pytest.fixture
def park(make_park: Callable[..., Park]) -> Park:
    return make_park()
