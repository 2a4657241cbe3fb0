from __future__ import annotations

import pytest

from ajo.lib.lifecycle import MoveRefused, move
from journeys.models import Journey, JourneyVersion
from tests.factories import NOW

pytestmark = pytest.mark.django_db
State = JourneyVersion.State


@pytest.fixture
def version() -> JourneyVersion:
    return JourneyVersion.objects.create(
        journey=Journey.objects.create(key="welcome", name="Welcome"), number=1
    )


def test_an_allowed_move_is_made_with_its_changes(version: JourneyVersion) -> None:
    move(version, to=State.LIVE, moves=JourneyVersion.MOVES, published_at=NOW)
    version.refresh_from_db()
    assert (version.state, version.published_at) == (State.LIVE, NOW)


def test_a_forbidden_move_is_refused_and_changes_nothing(version: JourneyVersion) -> None:
    with pytest.raises(MoveRefused, match="is draft; only live can become paused"):
        move(version, to=State.PAUSED, moves=JourneyVersion.MOVES)
    version.refresh_from_db()
    assert version.state == State.DRAFT


def test_who_comes_second_is_refused(version: JourneyVersion) -> None:
    stale = JourneyVersion.objects.get(pk=version.pk)
    move(version, to=State.LIVE, moves=JourneyVersion.MOVES)
    with pytest.raises(MoveRefused):
        move(stale, to=State.LIVE, moves=JourneyVersion.MOVES)
    assert stale.state == State.LIVE
