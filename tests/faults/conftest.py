"""A lab for the fault tests of a module, and a voice for their figures."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.faults.lab import Lab
from tests.faults.support import lab_home


@pytest.fixture(scope="session")
def seed() -> int:
    """`AJO_FAULTS_SEED` repeats the inputs and the plan of a run (not the interleaving)."""
    return int(os.environ.get("AJO_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.fixture(scope="module")
def lab(seed: int, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A product of its own, shared by the tests of a module."""
    with Lab(lab_home(f"lab-{request.module.__name__.rpartition('.')[2]}"), seed) as lab:
        yield lab


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Show a line at the end of the run, also when the test passes: the figures are half of the purpose."""
    return lambda line: request.node.user_properties.append(("figures", line))
