from __future__ import annotations

from typing import Any

import pytest

from ajo.lib import json_values


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(("depth", "expected"), [(0, False), (1, False), (3, False), (4, True), (10, True)])
def test_depth_counts_brackets(depth: int, expected: bool) -> None:
    assert json_values.is_deeper(nested(depth), 3) is expected
    assert (
        json_values.is_deeper({"wide": [1] * 100, "deep": nested(depth - 1)} if depth else 1, 3) is expected
    )


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": "x"}, None),
        ({"a": "x\0"}, "p.a"),
        ({"a": {"b": ["", "\0"]}}, "p.a.b.1"),
        ({"a": {"b\0": 1}}, "p.a"),
    ],
)
def test_nul_is_found(value: Any, path: str | None) -> None:
    assert json_values.path_of_nul(value, "p") == path
