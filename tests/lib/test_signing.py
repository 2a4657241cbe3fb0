from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from ajo.lib.signing import LENGTH, Signer

KEYS = ["the newest key", "an older one" * 20]
numbers = st.integers(0, 2**63 - 1)
signer = Signer("t", KEYS)


@given(numbers)
def test_a_token_is_short_and_tells_its_number(number: int) -> None:
    token = signer.sign(number)
    assert len(token) == LENGTH
    assert signer.read(token) == number


@given(numbers, st.integers(0, 8 * 21 - 1))
def test_a_token_with_any_flipped_bit_is_refused(number: int, bit: int) -> None:
    signed = bytearray(base64.urlsafe_b64decode(signer.sign(number)))
    signed[bit // 8] ^= 1 << bit % 8
    assert signer.read(base64.urlsafe_b64encode(signed).decode()) is None


@given(numbers, st.integers(0, LENGTH - 1), st.characters())
def test_a_token_has_one_spelling(number: int, place: int, character: str) -> None:
    token = signer.sign(number)
    other = token[:place] + character + token[place + 1 :]
    assert signer.read(other) == (number if other == token else None)


@given(st.text() | st.text("Aa0-_", min_size=LENGTH, max_size=LENGTH))
def test_garbage_is_refused(token: str) -> None:
    assert signer.read(token) is None


@given(numbers)
def test_a_token_opens_the_door_it_was_made_for_only(number: int) -> None:
    assert Signer("u", KEYS).read(signer.sign(number)) is None


def test_a_key_can_be_replaced() -> None:
    old = Signer("t", ["an old key"])
    both = Signer("t", ["a new key", "an old key"])
    assert both.read(old.sign(7)) == 7
    assert old.read(both.sign(7)) is None, "the newest key signs"
    assert Signer("t", ["a new key"]).read(old.sign(7)) is None
