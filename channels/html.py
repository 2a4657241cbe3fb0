"""What happens to an email's HTML before it is compiled: a preheader put in, a plain text made from it.

The sources still contain Liquid, which is kept as it is.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
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
    parser.feed(_LIQUID.sub(keep, html))
    parser.close()
    return _MARK.sub(lambda match: kept[int(match[1])] if int(match[1]) < len(kept) else "", parser.text())


class _TextWriter(HTMLParser):
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
