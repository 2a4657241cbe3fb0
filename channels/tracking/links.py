"""Links of a content: found in its HTML, replaced by addresses of ours, and where each one leads.

An address has the message's token and the number of the link, never the authored URL, so nobody can make our door lead
somewhere else. Only the token differs from message to message: where it goes stands `TOKEN` until then.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from django.utils.encoding import iri_to_uri

from ajo.lib import sql
from channels.liquid import ROOTS, ContentError, Template

TOKEN = "\ufdd0"
"""A character that Unicode keeps out of every text."""
_MASK = "\ufdd1"
MAX_URL = 8_000

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TAG = re.compile(r"<(?:a|area)\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
_HREF = re.compile(r"(?<![\w:-])href\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))", re.IGNORECASE)
_OPTED_OUT = re.compile(r"(?<![\w:-])data-track\s*=\s*[\"']?no\b", re.IGNORECASE)
_END = re.compile(r"</body\b|</html\b", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_WEB_TEXT = re.compile(r"\bhttps?://[^\s<>\"']+", re.IGNORECASE)
_PUNCTUATION = ".,;:!?)]}…"
_NAMED = re.compile(r"\{%-?\s*(?:assign|capture|for|tablerow)\s+([\w-]+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Tracked:
    """A text with addresses of ours, and the authored URLs by the number of their link."""

    source: str
    urls: tuple[str, ...]


def track(source: str, base: str) -> Tracked:
    """Count the opens and clicks of an email's HTML, which may hold Liquid. Adds no line.

    Links to the web are replaced. Others stay, and so do links with `data-track="no"` and those whose Liquid uses a
    name that exists only inside the template (a loop's item): at the click nobody could tell what it was.
    """
    masked = _LIQUID.sub(lambda found: _MASK * len(found[0]), source)
    known = set(ROOTS).difference(_NAMED.findall(source))
    pieces: list[str] = []
    urls: list[str] = []
    end = 0
    for start, stop in _places(masked):
        url = source[start:stop].strip()
        if _is_trackable(url, known):
            pieces += [source[end:start], f"{base}/t/c/{TOKEN}/{len(urls)}"]
            urls.append(_unescaped(url))
            end = stop
    closing = _END.search(masked, end)
    body_end = closing.start() if closing else len(source)
    pixel = (
        f'<img src="{base}/t/o/{TOKEN}" alt="" width="1" height="1"'
        ' style="display:block;width:1px;height:1px;border:0">'
    )
    pieces += [source[end:body_end], pixel, source[body_end:]]
    return Tracked("".join(pieces), tuple(urls))


def track_text(source: str, base: str) -> Tracked:
    """Count the clicks of a plain text, which may hold Liquid: each whole address of the web in it is replaced."""
    masked = _LIQUID.sub(lambda found: (_MASK if found[0][1] == "{" else " ") * len(found[0]), source)
    known = set(ROOTS).difference(_NAMED.findall(source))
    pieces: list[str] = []
    urls: list[str] = []
    end = 0
    for found in _WEB_TEXT.finditer(masked):
        start, stop = found.start(), found.start() + len(found[0].rstrip(_PUNCTUATION))
        url = source[start:stop]
        if _is_trackable(url, known):
            pieces += [source[end:start], f"{base}/t/c/{TOKEN}/{len(urls)}"]
            urls.append(url)
            end = stop
    return Tracked("".join([*pieces, source[end:]]), tuple(urls))


def track_url(url: str, base: str) -> Tracked:
    """Count the clicks of a link that is a field of its own. One that leads into an app stays as it is."""
    if not url or not _is_trackable(url, set(ROOTS)):
        return Tracked(url, ())
    return Tracked(f"{base}/t/c/{TOKEN}/0", (url,))


def _places(masked: str) -> Iterator[tuple[int, int]]:
    """Where the addresses of links stand."""
    for tag in _TAG.finditer(masked):
        if _OPTED_OUT.search(tag[0]):
            continue
        for href in _HREF.finditer(masked, tag.start(), tag.end()):
            yield href.span(href.lastindex or 0)


def _is_trackable(url: str, known: set[str]) -> bool:
    if not url.startswith("{"):
        if not _WEB.match(url):
            return False
        if "{" not in url:
            return True
    try:
        template = _template(_unescaped(url))
        # What an offer links to is counted by an address that it brings along; a code is not told twice.
        return template.names() <= known and not template.needs
    except ContentError:  # it is told with its line when the whole text is compiled
        return False


def _unescaped(url: str) -> str:
    """What the browser makes of an attribute's value; Liquid in it stays as it is."""
    literals, liquid = _LIQUID.split(url), [*_LIQUID.findall(url), ""]
    return "".join(html.unescape(text) + code for text, code in zip(literals, liquid, strict=True))


@lru_cache(maxsize=1_000)
def _template(url: str) -> Template:
    return Template(url, is_html=False)


def is_personal(url: str) -> bool:
    """Whether an authored URL has to be rendered for whom clicks."""
    return "{{" in url or "{%" in url


def target(url: str, values: Mapping[str, object]) -> str | None:
    """Where a link leads, rendered with the values of its message; None when that is no address of the web."""
    try:
        return web_address(_template(url).render(values) if is_personal(url) else url)
    except ContentError:
        return None


def web_address(text: str) -> str | None:
    """An http or https address as it may stand in a Location header; None for everything else.

    A user name in it is refused: it makes an address look like another one.
    """
    text = text.strip()
    if len(text) > MAX_URL or _CONTROL.search(text) or "\\" in text or not _WEB.match(text):
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
        if not host or "@" in parts.netloc:
            return None
        netloc = parts.netloc if host.isascii() else parts.netloc.lower().replace(host, _ascii(host), 1)
        _ = parts.port
    except ValueError:
        return None
    return iri_to_uri(parts._replace(netloc=netloc).geturl())


def _ascii(host: str) -> str:
    return host.encode("idna").decode()


_KEEP = """
INSERT INTO channels_link (variant_id, number, url)
SELECT * FROM unnest(%b::bigint[], %b::smallint[], %b::text[]) AS t(variant_id, number, url)
ORDER BY variant_id, number ON CONFLICT DO NOTHING
"""
_kept: set[int] = set()
"""Variants whose links this process has already written."""


def keep(links: Iterable[tuple[int, tuple[str, ...]]]) -> None:
    """Write the links of variants (id, authored URLs), once; must be committed before an address goes out."""
    new = {variant_id: urls for variant_id, urls in links if variant_id not in _kept}
    rows = [(variant_id, number, url) for variant_id, urls in new.items() for number, url in enumerate(urls)]
    if rows:
        with sql.cursor() as cur:
            cur.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])
    _kept.update(new)
