from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from channels.protection import Protected

# Pieces of Liquid and of the marks themselves, so that examples come near to both.
SOURCES = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            [
                "{{ a }}",
                "{% if a < 3 %}",
                "{%- endif -%}",
                "{% raw %}{{ x }}{% endraw %}",
                "{{",
                "}}",
                "%}",
                "\n",
                *["lqd", "lqd0z", "LQD1z", "lqdq", "q", "l", "z", "0"],
            ]
        ),
    ),
    max_size=20,
).map("".join)


@given(SOURCES)
def test_what_was_put_away_comes_back(source: str) -> None:
    protected = Protected(source)
    assert protected.restore(protected.text) == source


@given(SOURCES)
def test_no_whole_liquid_stays_and_words_are_letters(source: str) -> None:
    protected = Protected(source)
    assert not re.search(r"\{\{.*?\}\}|\{%.*?%\}", protected.text.replace("\n", " ")) or not protected.pieces
    for word in protected.words.finditer(protected.text):
        assert re.fullmatch(r"[a-z]+[0-9]+z", word[0])


@given(SOURCES, st.integers(0, 200))
def test_a_place_between_pieces_keeps_its_line(source: str, position: int) -> None:
    protected = Protected(source)
    position = min(position, len(protected.text))
    ends = [match.end() for match in protected.words.finditer(protected.text)]
    if any(match.start() < position < match.end() for match in protected.words.finditer(protected.text)):
        return  # inside of a word there is no place of the source
    done = sum(end <= position for end in ends)
    before = protected.restore(protected.text[:position])
    assert len([*protected.words.finditer(protected.text[:position])]) == done
    assert protected.line_at(position) == before.count("\n") + 1


def test_a_raw_block_is_one_piece() -> None:
    protected = Protected("a {% raw %}{{ x }} < {% endraw %} b {{ y }}")
    assert protected.pieces == ["{% raw %}{{ x }} < {% endraw %}", "{{ y }}"]
