from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.ingest import json_shape

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(documents), st.sampled_from([None, 2]), st.booleans())
def test_an_array_is_cut_into_its_members(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    pieces = json_shape.members(text)
    assert pieces is not None
    assert [json.loads(piece) for piece in pieces] == values


@given(st.dictionaries(st.text(), documents))
def test_an_object_is_cut_into_its_fields(values: dict[str, Any]) -> None:
    pairs = json_shape.fields(json.dumps(values).encode())
    assert pairs is not None
    assert {name: json.loads(value) for name, value in pairs.items()} == values


@given(st.binary() | st.text(alphabet='{}[]",:\\a1 ').map(str.encode))
def test_no_bytes_upset_the_knife(text: bytes) -> None:
    json_shape.members(text)
    json_shape.fields(text)
    json_shape.blame(text)


@pytest.mark.parametrize("text", [b"", b"1", b"[", b"]", b"[1]]", b"[1] 2", b'["a]', b"{,"])
def test_what_does_not_close_is_not_cut(text: bytes) -> None:
    assert json_shape.members(text) is None


def test_ten_thousand_brackets_are_cut_without_recursion() -> None:
    bomb = b"[" * 10_000 + b"]" * 10_000
    assert json_shape.members(b"[1," + bomb + b"]") == [b"1", bomb]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b'{"a": 1, "b": NaN}', "b"),
        (b'{"a": {"b": {"c": Infinity}}}', "a.b.c"),
        (b'{"a": {"b": {"c": {"d": NaN}}}}', "a.b.c"),
        (b'{"a": [1, NaN]}', "a"),
        (rb'{"a": {"note": "\ud800"}}', "a.note"),
        (b'{"a": {"note": "\xff"}}', "a.note"),
        (b'{"a": 1}', None),
        (b"NaN", None),
        (b'{"a": 1', None),
    ],
)
def test_the_field_at_fault_is_named(text: bytes, field: str | None) -> None:
    assert json_shape.blame(text) == field
