"""The documentation in the product: Markdown files under `templates/docs/`, rendered to safe HTML."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

INDEX = "index"
WRITTEN_FOR = "http://127.0.0.1:8000"
"""The address in the files' examples; readers see their own installation's instead."""


def _code(_: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """A block of code that scrolls, also by keyboard."""
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>\n'


_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_markdown.add_render_rule("fence", _code)
_markdown.add_render_rule("code_block", _code)


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    slug: str
    title: str
    html: str
    text: str
    headings: tuple[Heading, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that holds every word searched for, and a few words around the first."""

    page: Page
    excerpt: str


def folder() -> Path:
    return settings.BASE_DIR / "templates" / "docs"


def page(slug: str) -> Page | None:
    """One page; None when there is no such file."""
    path = folder() / f"{slug}.md"
    return render(slug, path.read_text()) if path.is_file() else None


def pages() -> list[Page]:
    """All pages, the index first and the others by title."""
    found = [render(path.stem, path.read_text()) for path in folder().glob("*.md")]
    return sorted(found, key=lambda page: (page.slug != INDEX, page.title))


def render(slug: str, source: str) -> Page:
    """Markdown as HTML without any HTML of the author's own; each heading gets an anchor."""
    tokens = _markdown.parse(source.replace(WRITTEN_FOR, settings.AJO_PUBLIC_URL))
    headings: list[Heading] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            text = _words(inline)
            anchor = _free_anchor(slugify(text), {heading.anchor for heading in headings})
            opening.attrSet("id", anchor)
            headings.append(Heading(int(opening.tag[1]), anchor, text))
        elif opening.type == "table_open":
            opening.attrSet("tabindex", "0")  # a wide table scrolls, also by keyboard
    return Page(
        slug=slug,
        title=headings[0].text if headings else slug.replace("-", " ").capitalize(),
        html=_markdown.renderer.render(tokens, _markdown.options, {}),
        text=" ".join(_words(token) for token in tokens if token.content),
        headings=tuple(headings),
    )


def _words(token: Token) -> str:
    """What a reader sees of a token, without the marks."""
    return "".join(child.content or " " for child in token.children) if token.children else token.content


def search(query: str) -> Iterator[Hit]:
    """Pages that hold all words of `query`, whatever their case; nothing for an empty query."""
    words = query.lower().split()
    if not words:
        return
    for found in pages():
        text = f"{found.title} {found.text}"
        lower = text.lower()
        if all(word in lower for word in words):
            yield Hit(found, _excerpt(text, lower.index(words[0])))


def _excerpt(text: str, position: int, width: int = 160) -> str:
    start = max(0, position - width // 3)
    cut = re.sub(r"\s+", " ", text[start : start + width]).strip()
    return f"{'…' if start else ''}{cut}{'…' if start + width < len(text) else ''}"


def _free_anchor(wanted: str, taken: set[str]) -> str:
    anchor, number = wanted or "section", 2
    while anchor in taken:
        anchor, number = f"{wanted or 'section'}-{number}", number + 1
    return anchor
