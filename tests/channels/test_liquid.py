from __future__ import annotations

import time

import pytest

from channels.liquid import MAX_SOURCE, ContentError, Template, decode_values, guard_links


def render(source: str, values: str = "{}", *, is_html: bool = False) -> str:
    return Template(source, is_html=is_html).render(decode_values(values))


def test_a_value_is_found_or_empty_or_replaced_by_its_default() -> None:
    values = '{"profile": {"first_name": "Ada", "tags": ["a", "b"]}}'
    assert render("{{ profile.first_name }}", values) == "Ada"
    assert render("[{{ profile.last_name }}]", values) == "[]"
    assert render("{{ profile.last_name | default: 'friend' }}", values) == "friend"
    assert render("{{ nobody.knows.this }}", values) == ""
    assert render("{{ profile.tags.first }}{{ profile.tags.size }}", values) == "a2"


def test_a_price_is_printed_as_it_was_written_and_can_be_compared_and_multiplied() -> None:
    values = '{"event": {"price": 19.90}}'
    assert render("{{ event.price }}", values) == "19.90"
    assert render("{% if event.price > 19.5 and event.price < 20 %}yes{% endif %}", values) == "yes"
    assert render("{{ event.price | times: 2 }}", values) == "39.8"


def test_loops_keep_liquids_rules() -> None:
    values = '{"event": {"items": [1, 2, 3, 4]}}'
    assert (
        render("{% for i in event.items %}{{ forloop.index }}{{ i }} {% endfor %}", values) == "11 22 33 44 "
    )
    assert render("{% for i in event.items limit: 2 %}{{ i }}{% endfor %}", values) == "12"
    skip = "{% if i == 2 %}{% continue %}{% elsif i == 4 %}{% break %}{% endif %}"
    assert render("{% for i in event.items %}" + skip + "{{ i }}{% endfor %}", values) == "13"
    assert render("{% for i in event.none %}x{% else %}none{% endfor %}", values) == "none"
    first, rest = (
        "{% for i in event.items " + option + " %}{{ i }}{% endfor %}"
        for option in ("limit: 2", "offset: continue")
    )
    assert render(f"{first}-{rest}", values) == "12-34"


def test_html_escapes_values_and_there_is_no_way_around() -> None:
    values = '{"profile": {"name": "<b>Ada</b>"}}'
    assert render("{{ profile.name }}", values, is_html=True) == "&lt;b&gt;Ada&lt;/b&gt;"
    assert render(
        "{% for n in profile.x %}{% else %}{{ profile.name }}{% endfor %}", values, is_html=True
    ).startswith("&lt;")
    assert render("{{ profile.name }}", values) == "<b>Ada</b>"
    with pytest.raises(ContentError, match="no filter named safe"):
        render("{{ profile.name | safe }}", values, is_html=True)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://shop.example/a?b=1", "https://shop.example/a?b=1"),
        ("/relative", "/relative"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("javascript:alert(1)", ""),
        ("JaVa\tScript:alert(1)", ""),
        (" \u200bjavascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("vbscript:x", ""),
    ],
)
def test_a_value_that_begins_a_link_passes_only_harmless_schemes(address: str, expected: str) -> None:
    template = Template(guard_links('<a href="{{ event.link }}">x</a>'), is_html=True)
    assert template.render({"event": {"link": address}}) == f'<a href="{expected}">x</a>'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("one\n{% if profile.x %}", "At the end: expected tag endif"),
        ("one\ntwo\n{{ profile.x | }}", "Line 3"),
        ("{% frobnicate %}", "Line 1"),
        ("a\n{% include 'other' %}", "Line 2"),
        ("{% for x in y %}", "At the end: expected tag endfor"),
        ("x" * (MAX_SOURCE + 1), "shorten it"),
        ("{% if a %}" * 40 + "{% endif %}" * 40, "nest"),
    ],
)
def test_what_does_not_compile_is_said_with_its_line(source: str, said: str) -> None:
    with pytest.raises(ContentError, match=said):
        Template(source, is_html=False)


def test_unknown_names_and_filters_are_found_before_anybody_gets_them() -> None:
    template = Template(
        "Hi\n{{ frist_name | upcas }} {{ profile.x }}{% assign y = 1 %}{{ y }}", is_html=False
    )
    unknown_filter, unknown_name = template.problems()
    assert unknown_filter == "Line 2: there is no filter named upcas. Did you mean upcase?"
    assert unknown_name.startswith("Line 2: frist_name is not known here")


GROWING = [
    # E12 of the reliability paper: a few hundred characters that make hundreds of megabytes.
    "{% assign a = 'aaaaaaaaaaaaaaaa' %}"
    + "{{ a" + " | replace: 'a', 'aaaaaaaaaaaaaaaa'" * 6 + " }}",
    "{% assign a = 'xxxxxxxxxxxxxxxx' %}{% for i in (1..10000) %}{% assign a = a | append: a %}{% endfor %}",
    "{% for i in (1..100) %}{% for j in (1..1000) %}{{ i }}{% endfor %}{% endfor %}",
    "{% for i in (1..100000000) %}x{% endfor %}",
    "{{ (1..100000000) | join: ',' }}",
    "{{ (1..100000000) | reverse | first }}",
    "{% assign n = 9999999999 %}{% for i in (1..200) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "{% for i in (1..9000) %}{{ profile.long }}{% endfor %}",
    "{% for i in (1..9000) %}{% capture c %}{{ profile.long }}{% endcapture %}{% endfor %}",
    "{% assign l = profile.long | split: '' %}{{ l | join: profile.long }}",
    "{{ 'now' | date: '" + "%999999999d" * 20 + "' }}",
]  # fmt: skip


@pytest.mark.parametrize("source", GROWING)
def test_growth_is_stopped_early(source: str) -> None:
    values = {"profile": {"long": "y" * 9_000}}
    began_at = time.process_time()
    with pytest.raises(ContentError):
        Template(source, is_html=False).render(values)
    assert time.process_time() - began_at < 2.0


def test_no_python_is_reachable() -> None:
    source = "[{{ profile.__class__ }}{{ profile.name.upper }}{{ profile.items }}{{ profile['__init__'] }}]"
    assert render(source, '{"profile": {"name": "x"}}') == "[]"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 | divided_by: 0 }}",
        "{{ '1e999' | ceil }}",
        "{{ 'x' | date: '%Y' | plus: 'a' | slice: 'b' }}",
        "{% break %}",
        "{{ 'YQ' | base64_decode }}",
        "{{ profile.list | sort }}",
    ],
)
def test_a_value_that_does_not_fit_is_a_content_error(source: str) -> None:
    with pytest.raises(ContentError):
        render(source, '{"profile": {"list": [1, "a", {"b": 2}]}}')
