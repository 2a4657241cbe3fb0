"""Links in content: which are counted, what becomes of them, and where they may lead."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajo.lib.signing import LENGTH
from channels import mime
from channels.models import Link
from channels.rendering import Envelope, Sender, Words, compile_email, has_way_out, problems
from channels.tracking import links
from channels.tracking.links import TOKEN, target, track, web_address
from tests.factories import make_variant

BASE = "https://brand.example"
PIXEL = f'<img src="{BASE}/t/o/{TOKEN}"'


@pytest.mark.parametrize(
    ("source", "urls"),
    [
        ('<a href="https://a.example/x">', ["https://a.example/x"]),
        ("<a class=\"b\" href='http://a.example'>", ["http://a.example"]),
        ("<A HREF=HTTPS://a.example/x>", ["HTTPS://a.example/x"]),
        ('<area href = "https://a.example">', ["https://a.example"]),
        ('<a title="a > b" href="https://a.example">', ["https://a.example"]),
        ('<a href=" https://a.example/?a=1&amp;b=2 ">', ["https://a.example/?a=1&b=2"]),
        ('<a href="https://a.example"><a href="https://a.example">', ["https://a.example"] * 2),
        ('<a href="{{ profile.site }}">', ["{{ profile.site }}"]),
        (
            '<a href="https://a.example/{{ event.id | append: "x>" }}?a&amp;b">',
            ['https://a.example/{{ event.id | append: "x>" }}?a&b'],
        ),
        (
            '<a href="{% if profile.gold %}https://a.example{% else %}https://b.example{% endif %}">',
            ["{% if profile.gold %}https://a.example{% else %}https://b.example{% endif %}"],
        ),
        (
            '<a {% if event.a %}href="https://a.example"{% else %}href="https://b.example"{% endif %}>',
            ["https://a.example", "https://b.example"],
        ),
        ('<!--[if mso]><a href="https://a.example"><![endif]-->', ["https://a.example"]),
        # Not ours to count
        ('<a href="mailto:hello@a.example">', []),
        ('<a href="tel:+44123">', []),
        ('<a href="#top">', []),
        ('<a href="/relative">', []),
        ('<a href="">', []),
        ("<a>", []),
        ('<a href="{{ unsubscribe_url }}">', []),
        ('<a href="{{ preferences_url }}?a">', []),
        ('<a href="https://a.example" data-track="no">', []),
        ("<a data-track=no href='https://a.example'>", []),
        ('<a data-href="https://a.example">', []),
        ('<link href="https://a.example"><abbr href="https://a.example">', []),
        ('href="https://a.example"', []),
        # A name that only the template knows: nobody could say at the click what it was
        ('{% for item in event.items %}<a href="{{ item.url }}">{% endfor %}', []),
        ('{% assign site = profile.site %}<a href="https://a.example/{{ site }}">', []),
        ('{% for event in profile.events %}<a href="https://a.example/{{ event.id }}">{% endfor %}', []),
        ('<a href="https://a.example/{{ oops">', []),
    ],
)
def test_which_links_are_counted(source: str, urls: list[str]) -> None:
    tracked = track(source, BASE)
    assert list(tracked.urls) == urls
    assert tracked.source.count(f"{BASE}/t/c/{TOKEN}/") == len(urls)
    assert tracked.source.count(PIXEL) == 1
    if not urls:
        assert tracked.source.startswith(source)


def test_links_are_numbered_in_their_order_and_the_rest_stays() -> None:
    source = '<p>\n<a b="1" href="https://a.example" c>x</a>\n<a href="#y">y</a><a href=\'https://b.example\'>z</a></p>'
    assert track(source, BASE).source.partition("<img")[0] == (
        f'<p>\n<a b="1" href="{BASE}/t/c/{TOKEN}/0" c>x</a>\n<a href="#y">y</a>'
        f"<a href='{BASE}/t/c/{TOKEN}/1'>z</a></p>"
    )


@pytest.mark.parametrize(
    ("source", "before"),
    [
        ("<html><body><p>x</p></body></html>", "</body></html>"),
        ("<html><p>x</p></HTML>", "</HTML>"),
        ("<p>x</p>", ""),
        ("<p>{{ '</body>' }}</p></body>", "</body>"),
    ],
)
def test_the_pixel_stands_at_the_end_of_the_body(source: str, before: str) -> None:
    html = track(source, BASE).source
    assert html.endswith(f'border:0">{before}')
    assert ' alt="" width="1" height="1" ' in html
    assert html.count("\n") == 0


# --- where they lead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://a.example/x?y=1#z", "https://a.example/x?y=1#z"),
        ("  HTTP://a.example:8080 ", "http://a.example:8080"),
        ("https://a.example/ä b", "https://a.example/%C3%A4%20b"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://[::1]/x", "https://[::1]/x"),
        ("", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("mailto:a@b.example", None),
        ("//evil.example", None),
        ("\\\\evil.example", None),
        ("https:evil.example", None),
        ("https:/evil.example", None),
        ("https://", None),
        ("https://a.example\\@evil.example", None),
        ("https://a.example@evil.example", None),
        ("https://a.example:port/", None),
        ("https://a.example/\r\nSet-Cookie: a=b", None),
        ("https://a.example/\x00", None),
        ("https://[::1", None),
        ("https://" + "ü" * 300 + ".example", None),
        ("https://a.example/" + "x" * 9_000, None),
        ("java\nscript:alert(1)", None),
    ],
)
def test_only_the_web_is_redirected_to(text: str, address: str | None) -> None:
    assert web_address(text) == address


@settings(deadline=None)
@given(st.text() | st.text("htps:/\\@?#[]%.a\r\n\t ").map(lambda text: "https://" + text))
def test_an_address_is_always_one_line_of_ascii(text: str) -> None:
    address = web_address(text)
    if address is not None:
        assert address.isascii()
        assert address.isprintable()
        assert address.lower().startswith(("http://", "https://"))


def test_a_link_with_liquid_leads_where_the_words_of_its_message_say() -> None:
    values = {"profile": {"shop": "Hafen & Söhne", "site": "javascript:alert(1)"}, "event": {}}
    assert target("https://a.example/{{ profile.shop | url_encode }}", values) == (
        "https://a.example/Hafen+%26+S%C3%B6hne"
    )
    assert target("https://a.example/?q={{ profile.shop }}", values) == (
        "https://a.example/?q=Hafen%20&%20S%C3%B6hne"
    ), "no HTML in it: the browser took that out before the click"
    assert target("{{ profile.site }}", values) is None
    assert target("{{ event.nothing }}", values) is None
    assert target("https://a.example/{{ oops", values) is None


# --- in an email ---------------------------------------------------------------------------------------------

SENDER = Sender("Harbour & Pine", "hello@brand.example")


def render(words: Words, token: str, values: dict[str, Any] | None = None, **more: str) -> EmailMessage:
    raw = compile_email(words, BASE).render(
        values or {},
        Envelope(
            SENDER,
            "ada@example.com",
            "<m1@brand.example>",
            "Sat, 21 Nov 2026 12:00:00 +0000",
            token=token,
            **more,
        ),
    )
    assert max(map(len, raw.split(b"\r\n"))) <= 78 or more
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return bytes(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]


tokens = st.text("abcXYZ019-_", min_size=LENGTH, max_size=LENGTH)
texts = st.text(
    st.sampled_from("ab =.\nü€<>\"'") | st.characters(codec="utf-8", exclude_characters=TOKEN), max_size=80
)


@settings(deadline=None)
@given(tokens, st.lists(texts, min_size=1, max_size=5), texts)
def test_the_token_is_put_in_its_places_and_nothing_else_moves(
    token: str, pieces: list[str], value: str
) -> None:
    source = '{{ event.a }}<a href="https://a.example">'.join(
        "".join(character for character in piece if character not in "{%<>\r\n") for piece in pieces
    )
    source += '{% if event.a %}<a href="https://b.example">b</a>{% endif %}'
    values = {"event": {"a": value}}
    words = Words("s", html=source, text="plain")
    expected = compile_email(words, BASE).preview(values).html.replace(TOKEN, token)
    assert body(render(words, token, values), "html") == mime.canonical(expected)
    assert token in expected


def test_the_plain_text_keeps_its_addresses() -> None:
    message = render(Words("s", html='<p><a href="https://a.example/x">here</a></p>'), "T" * LENGTH)
    assert body(message, "plain") == "here (https://a.example/x)\r\n"
    assert "https://a.example" not in body(message, "html")
    assert f"{BASE}/t/c/{'T' * LENGTH}/0" in body(message, "html")


def test_one_click_to_unsubscribe_stands_in_the_headers() -> None:
    message = render(Words("s", text="x"), "", list_unsubscribe=f"{BASE}/u/{'U' * LENGTH}")
    assert message["List-Unsubscribe"] == f"<{BASE}/u/{'U' * LENGTH}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    plain = render(Words("s", text="x"), "")
    assert plain["List-Unsubscribe"] is None


def test_words_that_are_not_sent_are_not_counted() -> None:
    words = Words("s", html='<a href="https://a.example">x</a>')
    assert compile_email(words).preview({}).html == '<a href="https://a.example">x</a>'
    assert compile_email(words).links == ()


def test_the_addresses_of_a_message_are_known_names() -> None:
    assert problems(Words("s", text="{{ unsubscribe_url }} {{ preferences_url }}")) == []
    (problem,) = problems(Words("s", text="{{ unsubscribe }}"))
    assert "unsubscribe is not known here" in problem


@pytest.mark.parametrize(
    ("html", "text", "found"),
    [
        ('<a href="{{ unsubscribe_url }}">', "", True),
        ('<a href="{{- preferences_url | url }}">', "", True),
        ('<a href="{{ unsubscribe_url }}">', "{{ unsubscribe_url }}", True),
        ('<a href="{{ unsubscribe_url }}">', "nothing here", False),
        ("<p>nothing here</p>", "{{ unsubscribe_url }}", False),
        ("", "{{unsubscribe_url}}", True),
        ("{{ unsubscribe_urls }}", "", False),
        ("unsubscribe_url", "", False),
        ("", "", False),
    ],
)
def test_a_way_out_is_found_in_each_body(html: str, text: str, found: bool) -> None:
    assert has_way_out(Words("s", html=html, text=text)) is found


@pytest.mark.django_db
def test_links_are_written_once_by_whoever_compiles_first(monkeypatch: pytest.MonkeyPatch) -> None:
    variant = make_variant()
    monkeypatch.setattr(links, "_kept", set())
    links.keep([(variant.pk, ("https://a.example", "{{ event.x }}")), (variant.pk + 1, ())])
    links._kept.clear()  # another process
    links.keep([(variant.pk, ("https://a.example", "{{ event.x }}"))])
    assert list(Link.objects.order_by("number").values_list("variant_id", "number", "url")) == [
        (variant.pk, 0, "https://a.example"),
        (variant.pk, 1, "{{ event.x }}"),
    ]
