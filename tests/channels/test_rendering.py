from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels import html, mime
from channels.liquid import ContentError
from channels.rendering import Envelope, Sender, Words, compile_email, make_message_id, problems

SENDER = Sender("Harbour & Pine", "hello@brand.example", "care@brand.example")


def render(
    words: Words,
    values: dict[str, Any] | None = None,
    *,
    sender: Sender = SENDER,
    to: str = "ada@example.com",
) -> bytes:
    return compile_email(words).render(
        values or {},
        Envelope(sender, to, "<m1.a@brand.example>", "Sat, 21 Nov 2026 12:00:00 +0000"),
    )


def parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return bytes(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]


def test_an_email_is_what_a_mail_program_expects() -> None:
    message = parse(
        render(
            Words("Welcome, {{ profile.name }}", "", "<p>Hi {{ profile.name }}</p>"),
            {"profile": {"name": "Ada"}},
        )
    )
    assert message["From"] == "Harbour & Pine <hello@brand.example>"
    assert message["To"] == "ada@example.com"
    assert message["Reply-To"] == "care@brand.example"
    assert message["Subject"] == "Welcome, Ada"
    assert message["Message-ID"] == "<m1.a@brand.example>"
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "html") == "<p>Hi Ada</p>"
    assert body(message, "plain") == "Hi Ada\r\n"


def test_words_without_html_are_one_plain_part() -> None:
    message = parse(render(Words("Hi", text="Hello {{ profile.name }}"), {"profile": {"name": "Ada"}}))
    assert message.get_content_type() == "text/plain"
    assert body(message, "plain") == "Hello Ada\r\n"


def test_every_line_ends_with_crlf_and_fits() -> None:
    raw = render(
        Words("Grüße " * 60, html="<p>{{ profile.x }}</p>" * 50), {"profile": {"x": "ä\n.\r\n" * 30}}
    )
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert raw.isascii()


# Characters at which encoders and mail programs differ, and enough others.
texts = st.text(
    st.sampled_from("ab =.\t\n\rüß€😀<>&\"'\u2028\x00") | st.characters(codec="utf-8"), max_size=200
)


@settings(deadline=None)
@given(st.lists(st.one_of(texts, texts.map(lambda text: (text,))), max_size=8))
@example(["0" * 76, "0"])
@example(["0" * 73 + "\x1f", "0"])
@example(["0000000\x1f" + 13 * "\x80" + 5 * "𐀀" + "0", "0"])
def test_pieces_encoded_apart_decode_to_the_whole_text(pieces: list[str | tuple[str]]) -> None:
    plain = [piece if isinstance(piece, str) else piece[0] for piece in pieces]
    encoded = [part for part in map(mime.quoted_printable, plain) if part]
    if encoded:
        encoded[-1] = mime.close_piece(encoded[-1])
    raw = (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + b"".join(encoded)
    )
    assert parse(raw).get_payload(decode=True) == mime.canonical("".join(plain)).encode()
    assert all(len(line) <= 76 for line in b"".join(encoded).split(b"\r\n"))


SOURCES = [
    "{{ event.a }}",
    "literal {{ event.a }} and {{ event.b }}.",
    "a\n{{ event.a }}\nb  \n{{ event.b }}",
    "{% for c in event.list %}={{ c }}; {% endfor %}{% if event.a %}x{% else %}.\n{% endif %}",
    "{%- assign y = event.a | append: event.b -%} {{- y -}} {% comment %}no{% endcomment %}.",
]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SOURCES), texts, texts, st.lists(texts, max_size=3))
def test_a_spliced_email_decodes_to_the_plain_render(source: str, a: str, b: str, items: list[str]) -> None:
    values = {"event": {"a": a, "b": b, "list": items}}
    words = Words("s", html="<p>" + source + "</p>", text=source)
    message = parse(render(words, values))
    preview = compile_email(words).preview(values)
    assert body(message, "html") == mime.canonical(preview.html)
    assert body(message, "plain") == mime.canonical(preview.text)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300))
def test_any_one_line_subject_survives(subject: str) -> None:
    # The parser folds runs of spaces that stand at a fold; what is left is the same text.
    message = message_from_bytes(
        render(Words("{{ event.s }}", text="x"), {"event": {"s": subject}}), policy=policy.default
    )
    assert "".join(str(message["Subject"]).split()) == "".join(subject.strip().split())


@pytest.mark.parametrize(
    "bad", ["a\nBcc: x@y.example", "a\rb", "a\0b", "a\u2028b", "a\u2029b", "a\x85b", "x" * 901]
)
def test_a_subject_that_would_write_headers_is_refused_at_send(bad: str) -> None:
    with pytest.raises(ContentError, match="subject"):
        render(Words("{{ event.s }}", text="x"), {"event": {"s": bad}})


@pytest.mark.parametrize(
    "bad",
    [
        "a@b@c",
        "a b@c.example",
        "a@b.example>\r\nRCPT TO:<x@y",
        "<a@b.example>",
        "a@b.example\n",
        "@b",
        "a@",
        "a,b@c.example",
    ],
)
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ContentError, match="not an email address"):
        render(Words("s", text="x"), to=bad)


def test_names_and_domains_beyond_ascii() -> None:
    raw = render(
        Words("Grüße", text="x"),
        sender=Sender('Käthe "K" Ö', "hello@brand.example"),
        to="ada@münchen.example",
    )
    message = parse(raw)
    assert message["From"].addresses[0].display_name == 'Käthe "K" Ö'
    assert message["To"] == "ada@xn--mnchen-3ya.example"
    assert message["Subject"] == "Grüße"
    percent = parse(render(Words("s", text="x"), sender=Sender("100% wool", "a%b@brand.example")))
    assert percent["From"] == "100% wool <a%b@brand.example>"


def test_a_name_with_a_quote_or_comma_is_quoted() -> None:
    message = parse(render(Words("s", text="x"), sender=Sender('Doe, "JD" Jane', "jane@brand.example")))
    assert message["From"].addresses[0].display_name == 'Doe, "JD" Jane'


def test_the_preheader_is_hidden_first_text_of_the_body() -> None:
    words = Words("s", "Only for {{ profile.name }}", "<html><body class='x'><p>Hi</p></body></html>")
    rendered = compile_email(words).preview({"profile": {"name": "<A>"}}).html
    assert (
        rendered.index("<body class='x'><div style=\"display:none")
        < rendered.index("Only for &lt;A&gt;")
        < rendered.index("<p>Hi")
    )


def test_text_is_made_from_html_with_its_liquid() -> None:
    source = (
        "<head><title>T</title><style>p{}</style></head><h1>Hi {{ profile.name }}</h1>"
        "<p>One &amp; two<br>three</p><ul>{% for i in event.list %}<li>{{ i }}</li>{% endfor %}</ul>"
        '<a href="https://x.example/?a={{ event.a }}">Go</a><img alt="Logo" src="x">'
    )
    assert html.to_text(source) == (
        "Hi {{ profile.name }}\n\nOne & two\nthree\n\n{% for i in event.list %}\n- {{ i }}{% endfor %}\n\n"
        "Go (https://x.example/?a={{ event.a }})Logo\n"
    )


def test_a_message_id_stays_the_same_and_differs_between_messages() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    assert make_message_id(7, at, "a@brand.example") == make_message_id(7, at, "a@brand.example")
    assert make_message_id(7, at, "a@brand.example").endswith("@brand.example>")
    assert len({make_message_id(n, at, "a@b.example") for n in range(5)}) == 5


def test_problems_name_field_line_and_remedy() -> None:
    assert problems(Words("Hi", text="Hello {{ profile.name }}")) == []
    assert problems(Words("", text="x")) == ["The subject is empty. Write what the message is about."]
    assert problems(Words("x")) == ["There is neither HTML nor text. Write at least one of them."]
    (found,) = problems(Words("x", html="<p>\n{{ profile.a | upcas }}</p>"))
    assert found == "HTML: Line 2: there is no filter named upcas. Did you mean upcase?"
