"""MJML, in which an email is written as sections and columns, made into the HTML that mail programs understand.

The compiler leaves out what it does not know without a word, so the source is looked through before: tags, their
places and attributes against a list, with the line of each problem. Liquid passes through untouched. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import mrml

from channels import html as html_tools
from channels.html import Problem
from channels.protection import Protected

_PADDING = "padding padding-top padding-right padding-bottom padding-left"
_BORDER = "border border-top border-right border-bottom border-left border-radius"
_FONT = (
    "color font-family font-size font-style font-weight letter-spacing line-height text-align text-decoration"
    " text-transform"
)
_BACKGROUND = (
    "background-color background-url background-repeat background-size background-position"
    " background-position-x background-position-y"
)
_BLOCK = f"align container-background-color {_PADDING}"
_SECTION = f"{_BACKGROUND} {_BORDER} {_PADDING} direction full-width text-align gap"
_LINK = "href rel target title name"

_ATTRIBUTES = {
    tag: frozenset(f"{names} css-class mj-class".split())
    for tag, names in {
        "mjml": "lang dir owa",
        "mj-head": "",
        "mj-title": "",
        "mj-preview": "",
        "mj-attributes": "",
        "mj-breakpoint": "width",
        "mj-style": "inline",
        "mj-body": "background-color width",
        "mj-wrapper": _SECTION,
        "mj-section": _SECTION,
        "mj-group": "background-color direction vertical-align width",
        "mj-column": (
            f"background-color inner-background-color {_BORDER} {_PADDING} direction vertical-align width"
            " inner-border inner-border-top inner-border-right inner-border-bottom inner-border-left"
            " inner-border-radius"
        ),
        "mj-hero": (
            f"{_BACKGROUND} {_PADDING} align background-height background-width border-radius height"
            " inner-background-color inner-padding inner-padding-top inner-padding-right inner-padding-bottom"
            " inner-padding-left mode vertical-align width container-background-color"
        ),
        "mj-text": f"{_BLOCK} {_FONT} height",
        "mj-button": (
            f"{_BLOCK} {_BORDER} {_FONT} {_LINK} background-color height inner-padding vertical-align width"
        ),
        "mj-image": (
            f"{_BLOCK} {_BORDER} {_LINK} alt fluid-on-mobile full-width font-size height max-height sizes src srcset"
            " usemap width"
        ),
        "mj-divider": f"{_BLOCK} border-color border-style border-width width",
        "mj-spacer": f"{_BLOCK} height",
        "mj-table": f"{_BLOCK} {_BORDER} {_FONT} cellpadding cellspacing role table-layout width",
        "mj-social": (
            f"{_BLOCK} {_FONT} border-radius icon-height icon-padding icon-size inner-padding mode table-layout"
            " text-padding"
        ),
        "mj-social-element": (
            f"{_PADDING} {_FONT} {_LINK} align alt background-color border-radius icon-height icon-padding"
            " icon-position icon-size sizes src srcset text-padding vertical-align"
        ),
        "mj-navbar": f"{_BLOCK} base-url hamburger ico-align ico-close ico-color ico-font-family ico-font-size"
        " ico-line-height ico-open ico-padding ico-text-decoration ico-text-transform",
        "mj-navbar-link": f"{_PADDING} {_FONT} {_LINK}",
        "mj-accordion": f"{_BLOCK} border font-family icon-align icon-height icon-position icon-unwrapped-alt"
        " icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url",
        "mj-accordion-element": "background-color border font-family icon-align icon-height icon-position"
        " icon-unwrapped-alt icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url",
        "mj-accordion-title": f"{_PADDING} {_FONT} background-color",
        "mj-accordion-text": f"{_PADDING} {_FONT} background-color",
        "mj-carousel": f"{_BLOCK} background-color border-radius icon-width left-icon right-icon tb-border"
        " tb-border-radius tb-hover-border-color tb-selected-border-color tb-width thumbnails",
        "mj-carousel-image": f"{_LINK} alt border-radius src thumbnails-src tb-border tb-border-radius",
        "mj-raw": "position",
    }.items()
}
_BLOCKS = {
    "mj-text", "mj-button", "mj-image", "mj-divider", "mj-spacer", "mj-table", "mj-social", "mj-navbar",
    "mj-accordion", "mj-carousel", "mj-raw",
}  # fmt: skip
_CHILDREN = {
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset({"mj-title", "mj-preview", "mj-attributes", "mj-breakpoint", "mj-style", "mj-raw"}),
    "mj-body": frozenset({"mj-section", "mj-wrapper", "mj-hero", "mj-raw"}),
    "mj-wrapper": frozenset({"mj-section", "mj-hero", "mj-raw"}),
    "mj-section": frozenset({"mj-column", "mj-group", "mj-raw"}),
    "mj-group": frozenset({"mj-column", "mj-raw"}),
    "mj-column": _BLOCKS,
    "mj-hero": _BLOCKS,
    "mj-social": frozenset({"mj-social-element"}),
    "mj-navbar": frozenset({"mj-navbar-link"}),
    "mj-accordion": frozenset({"mj-accordion-element"}),
    "mj-accordion-element": frozenset({"mj-accordion-title", "mj-accordion-text"}),
    "mj-carousel": frozenset({"mj-carousel-image"}),
}
"""What may stand in a tag. The other tags hold HTML or text; `mj-attributes` holds any tag, for its attributes."""
_EMPTY = frozenset({"mj-divider", "mj-spacer", "mj-image", "mj-carousel-image", "mj-breakpoint"})
_REFUSED = {
    "mj-include": "loads another file, which emails here may not. Copy what it holds to this place",
    "mj-font": "makes mail programs ask another server for a font. Name fonts that readers have, such as Arial",
}
_WORDS_IN = {"mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero", "mjml", "mj-head"}

_TOKEN = re.compile(
    r"(?P<comment><!--.*?-->)"
    r"|<(?P<declaration>[?!])[^>]*>"
    r"|</(?P<end>[A-Za-z][\w:.-]*)\s*>"
    r"|<(?P<start>[A-Za-z][\w:.-]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(?P<empty>/?)>"
    r"|(?P<stray><)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"(?P<name>[^\s=\"'/]+)(?P<value>\s*=\s*(?:\"[^\"]*\"|'[^']*'))?(?P<bare>\s*=\s*[^\s\"']+)?"
)
_NAMED = re.compile(r"https?://([^\s\"'<>()/?#]+)", re.IGNORECASE)
_LOADED = re.compile(
    r"(?:\bsrc=[\"']?|\bbackground=[\"']?|\burl\([\"']?)https?://([^\s\"'<>()/?#]+)", re.IGNORECASE
)
_POSITION = re.compile(r"^(.*?)(?: in root template)?(?: at position (\d+):\d+)?$", re.DOTALL)
_STYLE = re.compile(r"<style\b")

_PARSER = mrml.ParserOptions(include_loader=mrml.noop_loader())
# Without this the compiler adds links to another company's fonts.
_RENDER = mrml.RenderOptions(fonts={})


@dataclass(frozen=True, slots=True)
class Compiled:
    """HTML made from MJML, empty when it could not be made, and what is to be said about the source."""

    html: str
    problems: tuple[Problem, ...] = ()


@lru_cache(maxsize=64)
def compile_mjml(source: str) -> Compiled:
    """The HTML of an MJML source, its Liquid as it was. Problems come with the line of the source."""
    protected = Protected(source.replace("\r\n", "\n").replace("\r", "\n"))
    problems = [*_Reader(protected).problems(), *html_tools.unsafe(protected)]
    problems.sort(key=lambda problem: problem.line or 0)
    if any(problem.is_error for problem in problems):
        return Compiled("", tuple(problems))
    try:
        made = mrml.to_html(protected.text, _PARSER, _RENDER).content
    except OSError as error:
        return Compiled("", (*problems, _compiler_said(str(error), protected)))
    problems += [*_lost(protected, made), *_foreign(protected, made)]
    # These rules are for mail programs as they are; moved into the elements they would overwrite what MJML wrote.
    made = _STYLE.sub('<style data-css-inline="ignore"', made)
    if any(problem.is_error for problem in problems):
        return Compiled("", tuple(problems))
    return Compiled(protected.restore(made), tuple(problems))


def _compiler_said(message: str, protected: Protected) -> Problem:
    said = _POSITION.match(message)
    assert said is not None  # the pattern takes any text
    line = None
    if said[2] is not None:
        before = protected.text.encode()[: int(said[2])].decode(errors="ignore")
        line = protected.line_at(len(before))
    return Problem("error", f"MJML cannot read this: {said[1]}.", line)


def _lost(protected: Protected, made: str) -> Iterator[Problem]:
    """Liquid that the compiler left out, doubled or moved: rendered like that it would mean something else."""
    found = protected.indexes(made)
    there = set(found)
    for index in range(len(protected.pieces)):
        if index not in there:
            yield Problem(
                "error",
                f"{_short(protected.pieces[index])} would get lost, since MJML reads a number or nothing at all here."
                " Write it into the text, a link or a colour.",
                protected.line_of_piece(index),
            )
    tags = [index for index in found if protected.is_tag(index)]
    expected = sorted(index for index in there if protected.is_tag(index))
    if tags != expected:
        index = next((b for a, b in zip(tags, expected, strict=False) if a != b), expected[0])
        yield Problem(
            "error",
            f"{_short(protected.pieces[index])} stands where MJML writes things twice or in another order."
            " Put it around a whole element.",
            protected.line_of_piece(index),
        )


def _foreign(protected: Protected, made: str) -> Iterator[Problem]:
    """Pictures that the compiler takes from companies of its own choice."""
    for host in sorted({*_LOADED.findall(made)} - {*_NAMED.findall(protected.text)}):
        tag = re.search(r"<mj-(?:social-element|carousel|accordion)\b", protected.text)
        yield Problem(
            "error",
            f"The icons here would be loaded from {host}, which you did not choose. Name pictures of your own:"
            " src, left-icon and right-icon, icon-wrapped-url and icon-unwrapped-url.",
            protected.line_at(tag.start()) if tag else None,
        )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"


class _Reader:
    """Walks through a source once, with the tags that are open."""

    def __init__(self, protected: Protected) -> None:
        self._protected = protected
        self._open: list[tuple[str, int]] = []
        self._seen: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        text, end = self._protected.text, 0
        for token in _TOKEN.finditer(text):
            yield from self._words(end, token.start())
            end = token.end()
            if token["start"]:
                yield from self._start(token)
            elif token["end"]:
                yield from self._end(token["end"], token.start())
            elif token["declaration"]:
                yield self._problem("Delete this line: MJML begins with <mjml>.", token.start())
            elif token["stray"] and self._top() != "mj-style":
                yield self._problem(
                    "A < begins no tag here, or the tag is not finished. Write &lt; for the sign.",
                    token.start(),
                )
        yield from self._words(end, len(text))
        for name, position in reversed(self._open):
            yield self._problem(f"<{name}> is never closed. Write </{name}> where it ends.", position)
        if "mj-body" not in self._seen and not self._open:
            yield Problem("error", "There is no <mj-body>. An email is <mjml><mj-body>…</mj-body></mjml>.", 1)

    def _start(self, token: re.Match[str]) -> Iterator[Problem]:
        name, at = token["start"], token.start()
        if name.lower().startswith("mj"):
            yield from self._place(name, at)
            yield from self._attributes(name, token)
        elif (parent := self._top()) in _CHILDREN or not parent:
            remedy = (
                "Put it into <mj-text> or <mj-raw>."
                if parent not in {"mjml", "mj-head", ""}
                else "Delete it."
            )
            yield self._problem(f"<{name}> may not stand {_inside(parent)}. {remedy}", at)
        self._seen.add(name)
        if not token["empty"] and name.lower() not in html_tools.VOID:
            self._open.append((name, at))

    def _place(self, name: str, at: int) -> Iterator[Problem]:
        parent = self._top()
        if name in _REFUSED:
            yield self._problem(f"<{name}> {_REFUSED[name]}.", at)
        elif parent == "mj-attributes":
            if name not in _ATTRIBUTES and name not in {"mj-all", "mj-class"}:
                yield self._problem(f"There is no tag <{name}>.{_did_you_mean(name, _ATTRIBUTES)}", at)
        elif name not in _ATTRIBUTES:
            yield self._problem(f"There is no tag <{name}>.{_did_you_mean(name, _ATTRIBUTES)}", at)
        elif name not in (_CHILDREN.get(parent, frozenset()) if parent else {"mjml"}):
            homes = [tag for tag, children in _CHILDREN.items() if name in children]
            remedy = f" Put it into <{homes[0]}>." if homes else ""
            yield self._problem(f"<{name}> may not stand {_inside(parent)}.{remedy}", at)

    def _attributes(self, name: str, token: re.Match[str]) -> Iterator[Problem]:
        allowed = _ATTRIBUTES.get(name)
        is_free = self._top() == "mj-attributes"
        seen = set()
        for attribute in _ATTRIBUTE.finditer(token["attributes"]):
            key = attribute["name"]
            at = token.start("attributes") + attribute.start()
            if self._protected.words.fullmatch(key):
                yield self._problem(
                    "Liquid may stand in an attribute's value, not beside the attributes.", at
                )
            elif attribute["bare"] is not None:
                yield self._problem(f"Put the value of {key} in quotation marks.", at)
            elif key in seen:
                yield self._problem(
                    f"{key} is there twice; the compiler would take one of them.", at, "warning"
                )
            elif allowed is not None and not is_free and key not in allowed:
                yield self._problem(
                    f"<{name}> has no attribute {key}, so it changes nothing.{_did_you_mean(key, allowed)}",
                    at,
                    "warning",
                )
            seen.add(key)

    def _end(self, name: str, at: int) -> Iterator[Problem]:
        if name not in [opened for opened, _ in self._open]:
            yield self._problem(f"</{name}> closes nothing. Delete it, or write <{name}> before it.", at)
            return
        while (last := self._open.pop())[0] != name:
            yield self._problem(
                f"<{last[0]}> is not closed before </{name}> in line {self._protected.line_at(at)}."
                f" Write </{last[0]}>.",
                last[1],
            )

    def _words(self, start: int, end: int) -> Iterator[Problem]:
        """Text between tags where only tags and Liquid may stand."""
        if (parent := self._top()) and parent not in _WORDS_IN:
            return
        rest = self._protected.words.sub(lambda word: " " * len(word[0]), self._protected.text[start:end])
        if words := rest.strip():
            at = start + rest.index(words[0])
            remedy = "Put it into <mj-text>." if parent not in {"", "mjml", "mj-head"} else "Delete it."
            yield self._problem(
                f"Text stands {_inside(parent)}: {_short(words.split(chr(10))[0])!r}. {remedy}", at
            )

    def _top(self) -> str:
        return self._open[-1][0] if self._open else ""

    def _problem(self, message: str, at: int, level: str = "error") -> Problem:
        return Problem(level, message, self._protected.line_at(at))


def _inside(parent: str) -> str:
    return f"directly in <{parent}>" if parent else "outside of <mjml>"


def _did_you_mean(name: str, known: object) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)  # type: ignore[call-overload]
    return f" Did you mean {close[0]}?" if close else ""


def tags_json() -> dict[str, dict[str, list[str]]]:
    """Every tag with its attributes and the tags it may hold, for an editor that completes them."""
    return {
        tag: {"attributes": sorted(names), "children": sorted(_CHILDREN.get(tag, ()))}
        for tag, names in _ATTRIBUTES.items()
    }
