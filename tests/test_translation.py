"""What people read in templates goes through gettext."""

from __future__ import annotations

import re
from html import unescape

from ajo.runtime import paths

TEMPLATES = paths.REPOSITORY / "templates"
# The page for a broken server is read from the file as it stands; the other is a style sheet for a frame.
LEFT_OUT = {"500.html", "admin/offers/preview_body.html"}
# Names of programs and things, examples of input, CSS.
NO_WORDS = {
    "Python", "SKU", "SORRY-7F3K\nSORRY-9Q2M", "ada@example.com, +49…", "curl", "ce-page", "jc-page", "key,", "offer.",
    "email\nada@example.com\nbob@example.com", ",  UTC", "UTC", "Ctrl K",
}  # fmt: skip
_UNSEEN = re.compile(
    r"{%\s*comment\b.*?endcomment\s*%}|{%\s*blocktrans(?:late)?\b.*?{%\s*endblocktrans(?:late)?\s*%}|{#.*?#}|{%.*?%}|{{.*?}}"
    r"|<!--.*?-->|<(script|style|svg|code|pre)\b.*?</\1>|<(\w+)[^>]*material-symbols[^>]*>[^<]*</\2>",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r'\s(?:title|placeholder|alt|aria-label)="([^"]*)"')
_WORD = re.compile(r"[A-Za-z]{2,}")


def bare_words(template: str) -> set[str]:
    """Texts and spoken attributes that stand in a template as they are."""
    seen = _UNSEEN.sub("", template)
    texts = re.sub(r"<[^>]*>", "\n", seen).splitlines()
    found = (unescape(text).strip() for text in [*texts, *_ATTRIBUTE.findall(seen)])
    return {text for text in found if _WORD.search(text)}


def test_every_word_of_a_template_can_be_translated() -> None:
    bare = {
        str(path.relative_to(TEMPLATES)): words
        for path in sorted(TEMPLATES.rglob("*.html"))
        if str(path.relative_to(TEMPLATES)) not in LEFT_OUT
        and (words := bare_words(path.read_text()) - NO_WORDS)
    }
    assert not bare, f"Put these into {{% translate %}}, or among NO_WORDS when they are none: {bare}"


def test_bare_words_are_found() -> None:
    template = """<p class="Some">{% translate "All is well" %} {{ name }}</p> <b>Hello</b> <i title="Close"></i>
        {% blocktranslate %}Any <b>text</b>{% endblocktranslate %}
        <span class="material-symbols-outlined">error</span>"""
    assert bare_words(template) == {"Hello", "Close"}
