from __future__ import annotations

import pytest

from journeys.activities import registry
from tests.journeys.helpers import Parking, Pass


@pytest.fixture(autouse=True)
def boxes_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two kinds of the tests, known for the length of one."""
    monkeypatch.setattr(registry, "_classes", {**registry._classes, Parking.kind: Parking, Pass.kind: Pass})
