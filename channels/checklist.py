"""What is to be said about authored words before they go out: problems with their lines, and a list of checks.

Pure: the words and, for some checks, the rendered message are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from channels import html, mjml, rendering
from channels.liquid import ContentError, Template
from channels.protection import LIQUID
from channels.rendering import LABELS, Shown, Words, sms
from profiles.models import Channel

GMAIL_CLIP = 102 * 1024
"""Bytes of HTML above which Gmail cuts an email off."""
SUBJECT_LENGTH = 60
_FIELDS = {label: field for field, label in LABELS.items()}
_SAID = re.compile(rf"(?:({'|'.join(_FIELDS)}): )?(?:Line (\d+): )?(.*)", re.DOTALL)
_BEGINNINGS = {"The subject": "subject", "The title": "subject", "The text": "text", "The JSON": "text"}
_OUTPUT = re.compile(r"\{\{-?\s*(profile\.[A-Za-z0-9_.\-]+)\s*(\|.*?)?-?\}\}", re.DOTALL)
_IMAGE = re.compile(r"<(?:img|mj-image|mj-carousel-image)\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=", re.IGNORECASE)
_HREF = re.compile(r"\bhref\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Authored:
    """The words of a variant, and the MJML that their HTML was made from, if it was."""

    words: Words
    mjml: str = ""
    channel: int = Channel.EMAIL

    @property
    def body(self) -> tuple[str, str]:
        """Field and source of the body that the author writes."""
        if self.channel != Channel.EMAIL:
            return "text", self.words.text
        return ("mjml", self.mjml) if self.mjml.strip() else ("html", self.words.html)


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in a field: an error keeps the content from being published, a warning does not."""

    level: str
    field: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"Line {self.line}: " if self.line else ""
        return f"{LABELS[self.field]}: {place}{self.message}" if self.field in LABELS else self.message


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list that is gone through before sending. `level` is ok, advice, warning or error."""

    code: str
    level: str
    message: str
    field: str = ""
    line: int | None = None


def authored(*, subject: str, preheader: str, mjml_source: str, html_source: str, text: str) -> Authored:
    """What an editor holds, as it would be stored: with MJML the HTML is made from it."""
    made = mjml.compile_mjml(mjml_source).html if mjml_source.strip() else html_source
    return Authored(Words(subject, preheader, made, text), mjml_source)


def of_channel(channel: int, words: Words, mjml_source: str = "") -> Authored:
    """What an editor of any channel holds."""
    if channel == Channel.EMAIL:
        return authored(
            subject=words.subject,
            preheader=words.preheader,
            mjml_source=mjml_source,
            html_source=words.html,
            text=words.text,
        )
    return Authored(words, "", channel)


def findings(authored: Authored) -> list[Finding]:
    """Everything that is wrong, in the order of fields and lines."""
    field, source = authored.body
    if authored.channel != Channel.EMAIL:
        said = rendering.problems(authored.words, authored.channel)
        return [_located(problem, field) for problem in said]
    # Liquid is looked at in what the author wrote: lines of the HTML made from it would say nothing to anybody.
    found = [_located(problem, field) for problem in rendering.problems(replace(authored.words, html=source))]
    markup = mjml.compile_mjml(source).problems if field == "mjml" else html.problems(source)
    found += [Finding(problem.level, field, problem.message, problem.line) for problem in markup]
    if field == "mjml" and not any(finding.level == "error" for finding in found):
        try:
            rendering.CompiledEmail(authored.words)
        except ContentError as error:
            found.append(_located(str(error), field))
    order = list(LABELS)
    return sorted(found, key=lambda finding: (order.index(finding.field), finding.line or 0))


def _located(problem: str, body: str) -> Finding:
    """A sentence of the renderer, taken apart."""
    said = _SAID.fullmatch(problem)
    assert said is not None  # the pattern takes any text
    field = _FIELDS.get(said[1] or "") or next(
        (field for beginning, field in _BEGINNINGS.items() if problem.startswith(beginning)), "html"
    )
    return Finding("error", body if field == "html" else field, said[3], int(said[2]) if said[2] else None)


def render_error(authored: Authored, values: Mapping[str, object]) -> Finding | None:
    """Which field cannot be rendered with these values and why; its line is that of the author's source."""
    body, source = authored.body
    words = authored.words
    is_email = authored.channel == Channel.EMAIL
    fields = [
        ("subject", words.subject),
        ("preheader", words.preheader),
        ("text", words.text),
        ("image_url", words.image_url),
        ("link_url", words.link_url),
        *(("columns", source) for _name, source in words.columns),
        (body, source),
    ]
    for field, text in fields:
        try:
            Template(text, is_html=is_email and field in {"preheader", body}).render(values)
        except ContentError as error:
            return replace(_located(str(error), body), field=field)
    return None


def checks(authored: Authored, email: Shown | None) -> list[Check]:
    """The list to go through before sending: for each matter what is to be done, or that all is well."""
    field, source = authored.body
    if authored.channel != Channel.EMAIL:
        return [*_parts(authored, email), *_defaults(authored, field, source)]
    return [
        *_subject(authored, email),
        *_preheader(authored),
        *_unsubscribe(authored, field, source),
        *_alternatives(field, source),
        *_links(field, source),
        *_defaults(authored, field, source),
        *_size(field, email),
    ]


def _parts(authored: Authored, shown: Shown | None) -> Iterator[Check]:
    if authored.channel != Channel.SMS or shown is None:
        return
    found = sms.segments(shown.text)
    level = "ok" if found.count <= 1 else "advice"
    reason = f", because of {found.foreign}" if found.foreign else ""
    yield Check(
        "parts",
        level,
        f"It is sent in {found.count} {'part' if found.count == 1 else 'parts'} ({found.encoding}{reason});"
        f" {found.left} more fit into the last one.",
        "text",
    )


def _subject(authored: Authored, email: Shown | None) -> Iterator[Check]:
    subject = email.subject if email else authored.words.subject.strip()
    if not subject:
        yield Check("subject", "error", "The subject is empty. Write what the email is about.", "subject")
    elif email is None:
        return  # its Liquid is not its length
    elif len(subject) > SUBJECT_LENGTH:
        yield Check(
            "subject",
            "warning",
            f"The subject has {len(subject)} characters; many mail programs cut it after {SUBJECT_LENGTH}."
            " Say the important thing first.",
            "subject",
        )
    else:
        yield Check("subject", "ok", f"The subject fits: {len(subject)} characters.", "subject")


def _preheader(authored: Authored) -> Iterator[Check]:
    if authored.words.preheader.strip():
        yield Check("preheader", "ok", "There is a preheader.", "preheader")
    else:
        yield Check(
            "preheader",
            "advice",
            "There is no preheader: beside the subject, mail programs show the first words of the body.",
            "preheader",
        )


def _unsubscribe(authored: Authored, field: str, source: str) -> Iterator[Check]:
    if rendering.has_way_out(replace(authored.words, html=source)):
        yield Check("unsubscribe", "ok", "There is a link to unsubscribe.", field)
    else:
        yield Check(
            "unsubscribe",
            "warning",
            "There is no link to unsubscribe. A marketing email needs one: let a link lead to {{ unsubscribe_url }}.",
            field,
        )


def _alternatives(field: str, source: str) -> Iterator[Check]:
    images = list(_IMAGE.finditer(source))
    missing = [image for image in images if not _ALT.search(image[0])]
    for image in missing:
        yield Check(
            "alt",
            "warning",
            'This picture has no alt text for those who do not see it. Write alt="…", or alt="" for an ornament.',
            field,
            _line(source, image.start()),
        )
    if images and not missing:
        yield Check("alt", "ok", "Every picture has an alt text.", field)


def _links(field: str, source: str) -> Iterator[Check]:
    links = list(_HREF.finditer(source))
    bad = 0
    for link in links:
        address = link[1].strip("\"' ")
        line = _line(source, link.start())
        if address.lower().startswith("http://"):
            bad += 1
            yield Check("links", "warning", f"{address[:80]} is not encrypted. Write https://.", field, line)
        elif address in {"", "#"}:
            bad += 1
            yield Check("links", "warning", "This link leads nowhere. Give it an address.", field, line)
        elif not re.match(r"[a-z][a-z0-9+.\-]*:|#|\{|//", address, re.IGNORECASE):
            bad += 1
            yield Check(
                "links",
                "warning",
                f"{address[:80]} is no whole address. Begin it with https://.",
                field,
                line,
            )
    if links and not bad:
        yield Check("links", "ok", "Every link has a whole, encrypted address.", field)


def _defaults(authored: Authored, field: str, source: str) -> Iterator[Check]:
    fields = {"subject": authored.words.subject, "preheader": authored.words.preheader, field: source}
    fields |= {
        "text": authored.words.text,
        "image_url": authored.words.image_url,
        "link_url": authored.words.link_url,
        "columns": "\n".join(source for _name, source in authored.words.columns),
    }
    used = missing = 0
    for name, text in fields.items():
        asked = " ".join(piece[0] for piece in LIQUID.finditer(text) if piece[0].startswith("{%"))
        for output in _OUTPUT.finditer(text):
            used += 1
            path, filters = output[1], output[2] or ""
            if "default" in filters or path in asked:
                continue
            missing += 1
            yield Check(
                "defaults",
                "warning",
                f'{path} has no default: who lacks it reads a gap. Write {{{{ {path} | default: "…" }}}}.',
                name,
                _line(text, output.start()),
            )
    if used and not missing:
        yield Check("defaults", "ok", "Every field of a profile has a default.", field)


def _size(field: str, email: Shown | None) -> Iterator[Check]:
    if email is None or not email.html:
        return
    size = len(email.html.encode())
    if size > GMAIL_CLIP:
        yield Check(
            "size",
            "warning",
            f"The HTML has {size // 1024} kB; Gmail cuts an email off after 102 kB. Shorten it.",
            field,
        )
    else:
        yield Check("size", "ok", f"The HTML has {max(1, size // 1024)} kB; Gmail shows up to 102 kB.", field)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
