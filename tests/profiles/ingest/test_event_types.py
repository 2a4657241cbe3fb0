from __future__ import annotations

from ajo.lib.pool import HotPool
from profiles.ingest.event_types import EventTypes
from profiles.models import EventType
from tests.factories import make_event_type
from tests.profiles.ingest.test_writer import in_threads
from tests.support import count_statements


def test_known_names_are_read_and_new_ones_made(types: EventTypes) -> None:
    known = make_event_type("Signed Up")
    ids = types.ids({"Signed Up", "Order Completed"})
    assert ids == {"Signed Up": known.pk, "Order Completed": EventType.objects.get(name="Order Completed").pk}


def test_a_name_is_looked_up_once(types: EventTypes) -> None:
    types.ids({"Signed Up"})
    with count_statements() as statements:
        types.ids({"Signed Up"})
    assert statements == []


def test_beyond_the_limit_only_known_names_have_ids(pool: HotPool) -> None:
    types = EventTypes(pool, limit=2)
    assert set(types.ids(["C", "A", "B"])) == {"A", "B"}
    assert set(types.ids(["C", "A"])) == {"A"}
    assert EventType.objects.count() == 2


def test_two_processes_with_the_same_new_names_get_the_same_ids(pool: HotPool) -> None:
    names = [f"Name {number}" for number in range(60)]
    found: list[dict[str, int]] = []
    processes = [EventTypes(pool, limit=100) for _ in range(4)]
    in_threads(
        [
            lambda types=types, turn=turn: found.append(types.ids(names[::turn]))
            for types, turn in zip(processes, (1, -1, 1, -1), strict=True)
        ]
    )
    assert EventType.objects.count() == 60
    assert all(ids == found[0] for ids in found)
