"""What happens to an email's HTML before it is compiled: styles and a preheader put in, a plain text made from it.

And what is wrong with it. The sources still contain Liquid, which is kept as it is. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser

import css_inline

from channels.protection import LIQUID, Protected

VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
}  # fmt: skip
"""Elements that have no end tag."""

_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_MARK = re.compile("\ue000([0-9]+)\ue001")
_BLOCKS = {
    "address", "article", "blockquote", "div", "dl", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "main", "ol", "p", "pre", "section", "table", "ul",
}  # fmt: skip
_LINES = {"br", "dd", "dt", "li", "tr"}
_SILENT = {"head", "script", "style", "template", "title"}
# Filled up, so that mail programs do not show the first words of the body after a short preheader.
_FILLER = "&#847;&zwnj;&nbsp;" * 60

_MUST_CLOSE = {
    "a", "b", "blockquote", "center", "div", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "i", "ol",
    "small", "span", "strong", "style", "sub", "sup", "table", "title", "u", "ul",
}  # fmt: skip
_REFUSED = {
    "applet": "a program",
    "base": "an address that changes every link",
    "embed": "a program",
    "iframe": "another page",
    "link": "a file of another server",
    "object": "a program",
    "script": "a program",
}
_ADDRESSES = {"action", "background", "formaction", "href", "poster", "src"}
_PROGRAM = re.compile(r"(?:javascript|vbscript|data:text/html)", re.IGNORECASE)
_SPACE = re.compile(r"[\x00-\x20]+")
_STYLE = re.compile(r"<style\b(?![^>]*data-css-inline)[^>]*>", re.IGNORECASE)
# Where a comment would be text or end a comment too early, and what stands between the two kinds of places.
_NOT_TEXT = re.compile(
    r"<!--.*?-->|<(style|script|title|textarea)\b.*?</\1\s*>|<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>",
    re.DOTALL | re.IGNORECASE,
)
# Styles stay where they are, too: mail programs that read them use their media queries, and Liquid may name a class.
_inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a source, as a sentence: an error keeps it from being published, a warning does not."""

    level: str
    message: str
    line: int | None = None

    @property
    def is_error(self) -> bool:
        return self.level == "error"


def problems(source: str) -> list[Problem]:
    """What is wrong with authored HTML, in the order of its lines."""
    protected = Protected(source)
    found = [*unsafe(protected), *_unclosed(protected)]
    return sorted(found, key=lambda problem: problem.line or 0)


def unsafe(protected: Protected) -> Iterator[Problem]:
    """Programs and what loads more: no mail program runs them, and our own pages must not show them."""
    parser = _Tags(protected)
    for tag, attributes, line in parser.opened:
        if tag in _REFUSED:
            yield Problem("error", f"<{tag}> brings {_REFUSED[tag]} into the email. Delete it.", line)
        if tag == "meta" and (attributes.get("http-equiv") or "").lower() == "refresh":
            yield Problem("error", "This meta tag sends the reader to another page. Delete it.", line)
        for name, value in attributes.items():
            if name.startswith("on"):
                yield Problem("error", f"{name} on <{tag}> is a program. Delete it.", line)
            elif name in _ADDRESSES and _PROGRAM.match(_SPACE.sub("", value or "")):
                yield Problem("error", f"The {name} of <{tag}> is a program and no address. Delete it.", line)
    for match in re.finditer(r"@import\b", protected.text, re.IGNORECASE):
        yield Problem(
            "error",
            "@import makes mail programs load a file of another server. Write its rules here.",
            protected.line_at(match.start()),
        )


def _unclosed(protected: Protected) -> Iterator[Problem]:
    parser = _Tags(protected)
    stack: list[tuple[str, int]] = []
    for tag, line, is_end in parser.order:
        if tag not in _MUST_CLOSE:
            continue
        if not is_end:
            stack.append((tag, line))
        elif tag not in [name for name, _ in stack]:
            yield Problem("warning", f"</{tag}> closes nothing. Delete it.", line)
        else:
            while (last := stack.pop())[0] != tag:
                yield Problem(
                    "warning", f"<{last[0]}> is not closed before </{tag}> in line {line}.", last[1]
                )
    for tag, line in stack:
        yield Problem("warning", f"<{tag}> is never closed. Write </{tag}> where it ends.", line)


@lru_cache(maxsize=64)
def with_inlined_styles(html: str) -> str:
    """The HTML with the rules of its style elements in the elements that they choose, since many mail programs read
    nothing else. A style element with data-css-inline="ignore" is left alone. HTML that an HTML parser would put
    together differently around its Liquid stays as it is."""
    if not _STYLE.search(html):
        return html
    protected = Protected(html)
    # A word between the rows of a table would be moved out of the table; a comment is not.
    parts, end = [], 0
    for match in _NOT_TEXT.finditer(protected.text):
        parts += [protected.words.sub(r"<!--\g<0>-->", protected.text[end : match.start()]), match[0]]
        end = match.end()
    parts.append(protected.words.sub(r"<!--\g<0>-->", protected.text[end:]))
    try:
        made = _inliner.inline("".join(parts))
    except ValueError:  # an unreadable rule
        return html
    before, after = protected.indexes(protected.text), protected.indexes(made)
    if set(before) != set(after) or [i for i in before if protected.is_tag(i)] != [
        i for i in after if protected.is_tag(i)
    ]:
        return html
    word = protected.words.pattern
    return protected.restore(re.sub(f'<!--({word})-->|({word})=""', lambda m: m[1] or m[3], made))


def with_preheader(html: str, preheader: str) -> str:
    """The HTML with a hidden first text, which mail programs show beside the subject. Adds no line."""
    if not preheader:
        return html
    hidden = (
        '<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all">'
        f"{preheader}{_FILLER}</div>"
    )
    body = _BODY.search(html)
    at = body.end() if body else 0
    return html[:at] + hidden + html[at:]


def to_text(html: str) -> str:
    """A plain text that says the same: blocks apart by a blank line, links with their address in brackets."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\ue000{len(kept) - 1}\ue001"

    parser = _TextWriter()
    parser.feed(LIQUID.sub(keep, html))
    parser.close()
    return _MARK.sub(lambda match: kept[int(match[1])] if int(match[1]) < len(kept) else "", parser.text())


class _Lenient(HTMLParser):
    """Reads whatever is typed: Python's own parser raises on a declaration that is half written."""

    def parse_html_declaration(self, i: int) -> int:
        try:
            return super().parse_html_declaration(i)
        except AssertionError:
            return self.parse_bogus_comment(i)


class _TextWriter(_Lenient):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._links: list[str] = []
        self._silent = 0

    def text(self) -> str:
        lines = [re.sub(r"[ \t]+", " ", line).strip() for line in "".join(self._out).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        elif tag == "a":
            self._links.append(attributes.get("href") or "")
        elif tag == "img" and not self._silent:
            self._out.append(attributes.get("alt") or "")
        elif tag in _BLOCKS:
            self._out.append("\n\n")
        elif tag in _LINES:
            self._out.append("\n- " if tag == "li" else "\n")
        elif tag in {"td", "th"}:
            self._out.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._links:
            address = self._links.pop()
            written = "".join(self._out[-3:])
            if address and not address.startswith("#") and address not in written:
                self._out.append(f" ({address})")
        elif tag in _BLOCKS:
            self._out.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._out.append(re.sub(r"\s+", " ", data))


class _Tags(_Lenient):
    """The tags of a source: `opened` with their attributes, `order` with their ends; lines are those of the source."""

    def __init__(self, protected: Protected) -> None:
        super().__init__(convert_charrefs=True)
        self.opened: list[tuple[str, dict[str, str | None], int]] = []
        self.order: list[tuple[str, int, bool]] = []
        self._protected = protected
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", protected.text))]
        self.feed(protected.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs), self._line()))
        self.order.append((tag, self._line(), False))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs), self._line()))

    def handle_endtag(self, tag: str) -> None:
        self.order.append((tag, self._line(), True))

    def _line(self) -> int:
        line, column = self.getpos()
        return self._protected.line_at(self._line_starts[line - 1] + column)
