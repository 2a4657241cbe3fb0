from __future__ import annotations

import re

import pytest

from channels import html
from channels.mjml import compile_mjml, tags_json
from channels.rendering import Words, compile_email
from channels.starting_points import STARTING_POINTS


def email(*lines: str) -> str:
    """A whole source: the given lines stand in a column, the first of them in line 5."""
    return "\n".join(
        [
            "<mjml>",
            "<mj-body>",
            "<mj-section>",
            "<mj-column>",
            *lines,
            "</mj-column></mj-section></mj-body></mjml>",
        ]
    )


def said(source: str, level: str = "error") -> list[tuple[int | None, str]]:
    return [(each.line, each.message) for each in compile_mjml(source).problems if each.level == level]


def test_liquid_survives_in_text_attributes_and_around_sections() -> None:
    source = """<mjml><mj-body>
{% for product in event.products %}
<mj-section background-color="{{ product.colour | default: "#fff" }}"><mj-column>
<mj-text>{% if product.price < 3 %}Only {{ product.price }}{% endif %} & more</mj-text>
<mj-button href="https://x.example/?a=1&b={{ product.id }}">Go</mj-button>
</mj-column></mj-section>
{% endfor %}
</mj-body></mjml>"""
    compiled = compile_mjml(source)
    assert compiled.problems == ()
    products = [
        {"name": "Scarf", "price": 2, "id": 7, "colour": "#eee"},
        {"name": "Coat", "price": 90, "id": 8},
    ]
    seen = compile_email(Words("s", html=compiled.html)).preview({"event": {"products": products}}).html
    assert re.findall(r'href="([^"]*)"', seen) == ["https://x.example/?a=1&b=7", "https://x.example/?a=1&b=8"]
    assert seen.count("Only 2") == 1
    assert "#eee" in seen
    assert seen.count("mj-outlook-group-fix mj-column") == 2


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["<mj-text>a < b</mj-text>"], (5, "A < begins no tag here")),
        (["<mj-text>{{ a }}", "", "<p>b</mj-text>"], (7, "<p> is not closed before </mj-text> in line 7.")),
        (
            ["<mj-text>{% comment %}", "a", "{% endcomment %}</mj-text>", "<p>b</p>"],
            (8, "<p> may not stand directly"),
        ),
        (["<mj-text>a</mj-button>"], (5, "</mj-button> closes nothing")),
        (["", "<mj-txt>a</mj-txt>"], (6, "There is no tag <mj-txt>. Did you mean mj-text?")),
        (["<mj-section></mj-section>"], (5, "<mj-section> may not stand directly in <mj-column>.")),
        (["words"], (5, "Text stands directly in <mj-column>: 'words'. Put it into <mj-text>.")),
        (["<mj-text color=red>a</mj-text>"], (5, "Put the value of color in quotation marks.")),
        (["<mj-text {{ a }}>a</mj-text>"], (5, "Liquid may stand in an attribute's value")),
        (["", '<mj-image width="{{ a }}" src="https://x/y" />'], (6, "{{ a }} would get lost")),
        (
            ['<mj-button background-color="{% if a %}red{% endif %}">a</mj-button>'],
            (5, "{% if a %} stands where"),
        ),
        (["<mj-raw><script>x</script></mj-raw>"], (5, "<script> brings a program into the email.")),
        (['<mj-text><a href=" java&#115;cript:x">a</a></mj-text>'], (5, "The href of <a> is a program")),
        (['<mj-text><b onclick="x">a</b></mj-text>'], (5, "onclick on <b> is a program.")),
        (['<mj-include path="/etc/passwd" />'], (5, "<mj-include> loads another file")),
        (
            ['<mj-social><mj-social-element name="x">a</mj-social-element></mj-social>'],
            (5, "The icons here would be"),
        ),
    ],
)
def test_a_problem_has_its_line_and_there_is_no_html(lines: list[str], expected: tuple[int, str]) -> None:
    source = email(*lines)
    line, words = expected
    assert [(at, message[: len(words)]) for at, message in said(source)][:1] == [(line, words)]
    assert compile_mjml(source).html == ""


@pytest.mark.parametrize(
    "source", ["", "hello", "<mjml></mjml>", "<mjml><mj-head></mj-head></mjml>", "<mjml><mj-body>"]
)
def test_what_is_no_email_is_said(source: str) -> None:
    assert said(source)
    assert compile_mjml(source).html == ""


def test_an_unknown_attribute_is_a_warning_since_it_would_be_dropped_silently() -> None:
    source = email('<mj-text colour="red">a</mj-text>')
    assert said(source, "warning") == [
        (5, "<mj-text> has no attribute colour, so it changes nothing. Did you mean color?")
    ]
    assert said(source) == []
    assert compile_mjml(source).html


def test_nothing_is_loaded_that_the_author_did_not_name() -> None:
    compiled = compile_mjml(email('<mj-text font-family="Roboto">a</mj-text>'))
    assert "<link" not in compiled.html
    assert "@import" not in compiled.html
    assert "Roboto" in compiled.html
    font = "<mj-head><mj-font name='R' href='https://fonts.example/r' /></mj-head>"
    with_font = email().replace("<mj-body>", f"{font}<mj-body>")
    assert said(with_font)[0][1].startswith("<mj-font> makes mail programs ask another server")


@pytest.mark.parametrize("point", STARTING_POINTS.values(), ids=lambda point: point.key)
def test_every_starting_point_compiles_without_a_word(point: object) -> None:
    compiled = compile_mjml(point.mjml)  # type: ignore[attr-defined]
    assert compiled.problems == ()
    assert compiled.html


def test_the_editor_learns_the_tags() -> None:
    tags = tags_json()
    assert "mj-text" in tags["mj-column"]["children"]
    assert "href" in tags["mj-button"]["attributes"]


# --- HTML as it is authored ------------------------------------------------------------------------------------


def test_styles_move_into_the_elements_and_media_queries_stay() -> None:
    source = """<html><head><style>p { color: red } @media (max-width: 480px) { p { color: blue } }</style></head>
<body><table><tbody>{% for x in event.rows %}<tr><td><p class="{{ x.kind }}">{{ x.name }}</p></td></tr>{% endfor %}
</tbody></table></body></html>"""
    made = html.with_inlined_styles(source)
    assert '<p class="{{ x.kind }}" style="color: red;">{{ x.name }}</p>' in made
    assert "@media (max-width: 480px)" in made
    # A parser of HTML would have moved the loop in front of the table.
    assert made.index("<tbody>") < made.index("{% for") < made.index("<tr>") < made.index("</tr>{% endfor %}")


@pytest.mark.parametrize(
    "source",
    [
        "<p>no style</p>",
        '<style data-css-inline="ignore">p { color: red }</style><p>a</p>',
        # Put together by a parser, the second half would stand inside of the first.
        "<style>a { color: red }</style><a href='x'>{% if b %}<a>{% endif %}</a>{% if c %}</table>{% endif %}",
    ],
)
def test_styles_that_cannot_be_moved_leave_the_source_alone(source: str) -> None:
    made = html.with_inlined_styles(source)
    assert made == source or [*re.findall(r"\{%.*?%\}", made)] == [*re.findall(r"\{%.*?%\}", source)]


def test_problems_of_html_have_their_lines() -> None:
    source = '<div>\n{{ a\n}}<script>x</script>\n<b>c</div>\n<style>@import "x";</style>'
    assert [(each.level, each.line) for each in html.problems(source)] == [
        ("error", 3),
        ("warning", 4),
        ("error", 5),
    ]
